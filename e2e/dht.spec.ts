// The page Table: one table, seen from several computers, with real processes.
import { expect, test, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";
import { network, type Node, until } from "./nodes";

interface Responsible {
  id: string;
  name: string;
  keeps: boolean;
  alive: boolean;
}

const form = (page: Page) => page.getByRole("form", { name: "Read and write" });
const records = (page: Page) => page.getByRole("list", { name: "Records" }).getByRole("listitem");
const trace = (page: Page) => page.getByRole("region", { name: "What it took" });
const spots = (page: Page) => page.getByRole("group", { name: /^The circle of keys/ }).getByRole("button");

// choose selects what the form does and fills its key.
async function choose(page: Page, action: string, key: string): Promise<void> {
  await form(page).getByRole("group", { name: "What to do" }).getByRole("button", { name: action, exact: true }).click();
  await form(page).getByRole("textbox", { name: "Key" }).fill(key);
}

async function put(page: Page, key: string, value: string): Promise<void> {
  await choose(page, "Put", key);
  await form(page).getByRole("textbox", { name: "Value" }).fill(value);
  await form(page).getByRole("button", { name: "Put it" }).click();
}

async function keepers(asked: Node, key: string): Promise<Responsible[]> {
  const { items } = await asked.call<{ items: Responsible[] }>("GET", `/api/dht/responsible?key=${encodeURIComponent(key)}`);
  return items.filter((m) => m.keeps);
}

// seen waits until the node can ask n members of the table, itself included.
async function seen(asked: Node, n: number): Promise<void> {
  await until(`${asked.name} can ask ${n}`, async () => {
    const { members } = await asked.call<{ members: { alive: boolean }[] }>("GET", "/api/dht");
    return members.filter((m) => m.alive).length === n;
  });
}

test("what one computer puts another one gets, and both show what it took", async ({ trio, page }) => {
  const [alice, bob, chiara] = await trio();
  await Promise.all([alice, bob, chiara].map((n) => seen(n, 3)));
  await page.goto(alice.url);
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await expect(page.getByRole("heading", { name: "Table", level: 1 })).toBeFocused();
  await expect(page.getByRole("main")).toContainText("A table that all computers of this network keep together: each record is kept by the 3 that are nearest to its key.");
  await expect(page.getByRole("main")).toContainText("This computer keeps nothing yet.");
  await page.getByRole("button", { name: "Try it" }).click();
  await expect(form(page).getByRole("textbox", { name: "Value" })).toBeFocused();
  await form(page).getByRole("button", { name: "Put it" }).click();
  await expect(page.getByRole("main")).toContainText("Stored: 3 copies.");
  await expect(records(page)).toHaveCount(1);
  await expect(records(page)).toContainText(/hello.*by alice.*5 bytes.*until it is removed.*3 copies/s);
  await expect(page.getByRole("main")).toContainText("1 record of 1 key, 5 bytes");
  expect(new URL(page.url()).hash).toBe("#/dht?key=greeting");

  await page.goto(`${bob.url}/#/dht?key=greeting`);
  await expect(records(page)).toContainText("by alice");
  await expect(form(page).getByRole("textbox", { name: "Key" })).toHaveValue("greeting");
  await expect(trace(page)).toContainText(/2\s*messages/);
  await expect(trace(page).getByRole("table").getByRole("row")).toHaveCount(5);
  await expect(spots(page)).toHaveCount(3);
  await expect(spots(page).filter({ hasText: "keeps the key" })).toHaveCount(3);

  // The trace can be stepped through, by keyboard too.
  const step = trace(page).getByRole("slider", { name: "Step" });
  await trace(page).getByRole("button", { name: "Step on" }).click();
  await expect(step).toHaveAttribute("aria-valuetext", "1 of 3");
  await expect(trace(page)).toContainText(/Round 1: .* is asked for one/);
  await step.focus();
  await page.keyboard.press("End");
  await expect(step).toHaveAttribute("aria-valuetext", "3 of 3");
  await expect(page.locator("polygon.head"), "messages of one round stay on the circle").toHaveCount(3);
  await trace(page).getByRole("button", { name: "Play" }).click();
  await expect(trace(page).getByRole("button", { name: "Play" }), "it stops at the end").toBeVisible();
  await expect(step).toHaveAttribute("aria-valuetext", "3 of 3");

  // A time to live runs down; then it is gone.
  await page.goto(`${alice.url}/#/dht`);
  await choose(page, "Put", "short");
  await form(page).getByText("More", { exact: true }).click();
  await form(page).getByRole("spinbutton", { name: "Time to live" }).fill("1");
  await form(page).getByRole("combobox", { name: "Unit" }).selectOption("hours");
  await form(page).getByRole("textbox", { name: "Value" }).fill("lived");
  await form(page).getByRole("button", { name: "Put it" }).click();
  await expect(records(page)).toContainText(/(1 h 0 min|59 min \d+ s) left/);
  await records(page).getByRole("button", { name: "Renew" }).click();
  await expect(form(page).getByRole("button", { name: "Renew it" })).toBeFocused();
  await form(page).getByRole("spinbutton", { name: "Time to live" }).fill("2");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toContainText("Renewed: 3 copies.");
  await expect(records(page)).toContainText(/(2 h 0 min|1 h 59 min) left/);
  await records(page).getByRole("button", { name: "Remove" }).click();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toContainText("Removed: 1 record.");
  await expect(page.getByRole("main")).toContainText("Nothing is there.");
});

test("the way to a key is shown, and whom a computer asks for it", async ({ trio, page }) => {
  const [alice, bob, chiara] = await trio();
  await Promise.all([alice, bob, chiara].map((n) => seen(n, 3)));
  await page.goto(`${alice.url}/#/dht`);
  const way = page.getByRole("region", { name: "The way to a key" });
  await expect(way).toContainText("Type a key above first.");
  await choose(page, "Get", "greeting");
  await way.getByRole("button", { name: "Ask the way" }).click();
  await expect(way).toContainText("2 questions in 1 round");
  await expect(way).toContainText("It is short: this computer has a link to everybody that is near the key.");
  await expect(way).toContainText("In a network of up to 2,000 members this computer knows all, and need not ask who keeps a key.");
  await expect(way.getByRole("table").getByRole("row").filter({ hasText: "its link" })).toHaveCount(2);
  await expect(way.getByRole("img")).toBeVisible();
  await expect(way).toContainText(/Nearest: .*\(keeps it\)/);
  const buckets = page.getByRole("region", { name: "Whom this computer asks the way" });
  await expect(buckets).toContainText(/2 members in [12] buckets?/);
  await expect(buckets).toContainText("this computer");
  await buckets.getByRole("button", { name: "bob" }).click();
  await expect(buckets.getByRole("button", { name: "bob" })).toHaveAttribute("aria-pressed", "true");
});

test("values and names of others are text, whatever is in them", async ({ trio, page }) => {
  const [alice, bob] = await trio();
  await bob.call("POST", "/api/dht/values", { key: "evil", value: "<img src=x onerror=alert(1)><b>bold</b>\u202e", add: true });
  await page.goto(`${alice.url}/#/dht?key=evil`);
  await expect(records(page)).toContainText("<img src=x onerror=alert(1)><b>bold</b>\\u{202e}");
  await expect(page.locator("main img, main b")).toHaveCount(0);
});

test("copies are restored when one that keeps them is gone", async ({ node, page }) => {
  test.setTimeout(180_000);
  const [alice, ...others] = await Promise.all(["alice", "bob", "chiara", "dora"].map((name) => node(name)));
  await network(alice, ...others);
  await Promise.all([alice, ...others].map((n) => seen(n, 4)));
  // A key that alice does not keep alone: one of the others goes.
  await page.goto(`${alice.url}/#/dht`);
  await put(page, "greeting", "hello");
  await expect(records(page)).toContainText("3 copies");
  const before = await keepers(alice, "greeting");
  const gone = others.find((n) => before.some((k) => k.name === n.name));
  if (!gone) throw new Error("three of four keep it, and none of the three others does");
  await gone.kill();
  await expect(spots(page).filter({ hasText: new RegExp(`^${gone.name}, off`) })).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole("main")).toContainText("Somebody came or went since this was read.");
  await until("there are three copies again", async () => {
    const { items } = await alice.call<{ items: { replicas: string[] }[] }>("GET", "/api/dht/values?key=greeting");
    return items[0]?.replicas.length === 3;
  }, 60_000);
  await page.getByRole("button", { name: "Read again" }).click();
  await expect(records(page)).toContainText("3 copies");
  await expect(records(page)).not.toContainText(gone.name);
  await page.getByRole("button", { name: "Compare copies now" }).click();
  await expect(page.getByText("Compared with all that could be asked.")).toBeAttached();
});

test("what is protected is refused to others, and it is said by whom", async ({ trio, page, watch }) => {
  watch.expects(/status of 403/);
  const [alice, bob, chiara] = await trio();
  await Promise.all([alice, bob, chiara].map((n) => seen(n, 3)));
  await page.goto(`${alice.url}/#/dht`);
  await choose(page, "Put", "lecture");
  await form(page).getByRole("textbox", { name: "Value" }).fill("room 204");
  await form(page).getByText("More", { exact: true }).click();
  await form(page).getByRole("checkbox", { name: /^Protect this record/ }).check();
  await form(page).getByRole("button", { name: "Put it" }).click();
  await expect(records(page)).toContainText("protects this record");
  await page.goto(`${bob.url}/#/dht`);
  await put(page, "lecture", "my room");
  await expect(page.getByRole("alert")).toContainText("Refused. This place belongs to alice");
  await form(page).getByRole("button", { name: "Get", exact: true }).click();
  await form(page).getByRole("button", { name: "Get it" }).click();
  await expect(records(page)).toContainText("room 204");

  // The rules can be changed, and say what they mean.
  const rule = page.getByRole("group", { name: "Who may protect an entry" }).getByRole("radio", { name: /^NONE, NO_MASTER/ });
  await rule.check();
  await until("the rule is another one", async () => {
    const { rules } = await bob.call<{ rules: { entry: { claim: string; master: boolean } } }>("GET", "/api/dht");
    return rules.entry.claim === "none" && !rules.entry.master;
  });
  await page.getByRole("spinbutton", { name: "Copies of each record" }).fill("2");
  await page.getByRole("button", { name: "Change", exact: true }).click();
  await expect(page.getByRole("main")).toContainText("each record is kept by the 2 that are nearest to its key");
});

test("versions that have forked are seen and merged", async ({ trio, page, watch }) => {
  watch.expects(/status of 409/);
  const [alice, bob, chiara] = await trio();
  await Promise.all([alice, bob, chiara].map((n) => seen(n, 3)));
  await page.goto(`${alice.url}/#/dht`);
  await choose(page, "New version", "notes");
  await form(page).getByRole("textbox", { name: "Value" }).fill("one");
  await form(page).getByRole("button", { name: "Write the version" }).click();
  const versions = page.getByRole("list", { name: "Versions, newest first" }).getByRole("listitem");
  await expect(versions).toHaveCount(1);
  await expect(page.getByRole("main")).toContainText("It is a first version.");
  const first = (await alice.call<{ items: { record: { version: string } }[] }>("GET", "/api/dht/versions?key=notes")).items[0].record.version;
  for (const [who, value] of [[bob, "one by bob"], [chiara, "one by chiara"]] as const) {
    await who.call("POST", "/api/dht/versions", { key: "notes", value, parents: [first], optimistic: true });
  }
  await form(page).getByRole("textbox", { name: "Value" }).fill("two");
  await form(page).getByRole("button", { name: "Write the version" }).click();
  await expect(page.getByRole("alert")).toContainText("There are 2 newest versions");
  await expect(versions).toHaveCount(3);
  await expect(versions.filter({ hasText: "head" })).toHaveCount(2);
  await inspect(page, "a fork");

  await page.getByRole("button", { name: "Merge the 2 heads" }).click();
  const value = form(page).getByRole("textbox", { name: "Value" });
  await expect(value).toBeFocused();
  await expect(value).toHaveValue(/one by (bob|chiara)\none by (bob|chiara)/);
  await form(page).getByRole("button", { name: "Write the version" }).click();
  await expect(page.getByRole("main")).toContainText("It replaces 2 versions.");
  await expect(versions).toHaveCount(4);
  await expect(versions.first()).toContainText("merges 2");
  await expect(versions.filter({ hasText: "head" })).toHaveCount(1);
  await expect(page.getByRole("main")).not.toContainText("The versions have forked");
});

test("data is sent to a member, who answers on the page", async ({ trio, page, context }) => {
  const [alice, bob] = await trio();
  await page.goto(`${alice.url}/#/dht`);
  const other = await context.newPage();
  await other.goto(`${bob.url}/#/dht`);
  const send = page.getByRole("form", { name: "Send data" });
  await send.getByRole("combobox", { name: "To" }).selectOption({ label: "bob" });
  await send.getByRole("textbox", { name: "Data" }).fill("are you there?");
  await send.getByRole("spinbutton", { name: /^Wait/ }).fill("60");
  await send.getByRole("button", { name: "Send" }).click();
  const message = other.getByRole("list", { name: "Inbox" }).getByRole("listitem");
  await expect(message).toContainText(/from alice.*are you there\?/s);
  await message.getByRole("textbox", { name: "Answer to alice" }).fill("yes <b>");
  await other.keyboard.press("Enter");
  await expect(send).toContainText(/bob answered after .*yes <b>/s);
  await expect(message).toContainText("Nothing.");
});

test("the page can be used by everybody", async ({ trio, page }) => {
  const [alice, bob] = await trio();
  await page.goto(`${alice.url}/#/dht`);
  await expect(page.getByRole("main")).toContainText("This computer keeps nothing yet.");
  await inspect(page, "an empty table");
  await bob.call("POST", "/api/dht/values", { key: "greeting", value: "hello ".repeat(200), ttl_s: 3600, protect: ["domain", "entry"] });
  await page.goto(`${alice.url}/#/dht?key=greeting`);
  await expect(records(page)).toHaveCount(1);
  await trace(page).getByRole("button", { name: "Step on" }).click();
  await form(page).getByRole("button", { name: "Put", exact: true }).click();
  await form(page).getByText("More", { exact: true }).click();
  await form(page).getByRole("checkbox", { name: /^Protect the domain/ }).check();
  await inspect(page, "a key");
  expect.soft(await unreached(page, "body"), "by Tab").toEqual([]);
  await spots(page).first().focus();
  await page.keyboard.press("ArrowRight");
  await expect(spots(page).nth(1)).toBeFocused();
  await expect(spots(page).nth(1)).toHaveAttribute("aria-pressed", "true");
  await page.keyboard.press("End");
  await expect(spots(page).nth(2)).toBeFocused();
});

test("the same key is looked at from each node of a lab", async ({ lab, page }) => {
  const { url } = await lab(8);
  await page.goto(`${url}/#/dht`);
  await expect(spots(page)).toHaveCount(8);
  await expect(spots(page).filter({ hasText: ", off" })).toHaveCount(0, { timeout: 60_000 });
  await put(page, "greeting", "hello");
  await expect(records(page)).toContainText("3 copies");
  const choice = page.getByLabel("Node of the lab");
  const names = (await choice.getByRole("option").allTextContents()).map((t) => t.replace(/^\d+ · /, ""));
  for (const i of [3, 6]) {
    await choice.selectOption({ index: i });
    await expect(spots(page).filter({ hasText: `${names[i]}, this computer` })).toBeVisible();
    await expect(form(page).getByRole("textbox", { name: "Key" })).toHaveValue("greeting");
    await expect(records(page)).toContainText(`by ${names[0]}`);
  }
});
