// The page Ranges: the lecture's example, and what a class does with it, on two computers
// with real processes.
import { expect, test, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";
import { network, type Node, until } from "./nodes";

const ask = (page: Page) => page.getByRole("form", { name: "Ask" });
const put = (page: Page) => page.getByRole("form", { name: "Put" });
const entries = (page: Page) => page.getByRole("table", { name: "The entries of the range, in order" }).locator("tbody tr");
const segments = (page: Page) => page.getByRole("table", { name: "The segments that were asked" }).locator("tbody tr");
const main = (page: Page) => page.getByRole("main");

async function pair(node: (name: string) => Promise<Node>): Promise<[Node, Node]> {
  const both = await Promise.all([node("alice"), node("bob")]);
  await network(...both);
  for (const n of both) {
    await until(`${n.name} can ask both`, async () => {
      const { members } = await n.call<{ members: { alive: boolean }[] }>("GET", "/api/dht");
      return members.filter((m) => m.alive).length === 2;
    });
  }
  return both;
}

async function range(page: Page, from: string, to: string): Promise<void> {
  await ask(page).getByRole("textbox", { name: "From key" }).fill(from);
  await ask(page).getByRole("textbox", { name: "To key" }).fill(to);
  await page.keyboard.press("Enter");
}

test("the lecture's example gives the right answers, on both computers", async ({ node, page }) => {
  const [alice, bob] = await pair(node);
  await page.goto(alice.url);
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await expect(page.getByRole("heading", { name: "Ranges", level: 1 })).toBeFocused();
  await expect(main(page)).toContainText("There are no indexes yet");
  await page.getByRole("button", { name: "The lecture’s example" }).click();
  await expect(entries(page)).toHaveText([/1\s*test\s*alice/, /2\s*hallo/, /3\s*world/, /5\s*sys/]);
  expect(new URL(page.url()).hash).toBe("#/ranges/lecture?from=1&to=5");
  const kept = page.getByRole("table", { name: "Where the entries are kept" }).locator("tbody tr");
  await expect(kept.nth(2)).toContainText(/world.*\[0\.\.7\] full.*\[0\.\.3\] full.*\[2\.\.3\]/s);
  await expect(put(page)).toContainText("5 of 5 entries stored");

  // The lecture's program finds a neighbour here.
  await range(page, "6", "6");
  await expect(main(page)).toContainText("No entry has a key from 6 to 6.");
  expect(new URL(page.url()).hash).toBe("#/ranges/lecture?from=6&to=6");

  // Bob knows nothing of the tree: the cover first, then the halves of what is full.
  await page.goto(`${bob.url}/#/ranges/lecture?from=1&to=5`);
  await expect(entries(page)).toHaveText([/test\s*alice/, /hallo/, /world/, /sys/]);
  await expect(main(page)).toContainText("4 entries: 4 segments asked in 2 rounds.");
  await expect(segments(page)).toHaveText([/1\s*\[0\.\.3\]\s*2\s*full, so its halves were asked instead/, /1\s*\[4\.\.5\]\s*1/, /2\s*\[0\.\.1\]\s*1/, /2\s*\[2\.\.3\]\s*2/]);
  await expect(page.getByRole("img", { name: /^The segments of keys 0 to 7: 4 segments were asked in 2 rounds/ })).toBeVisible();
  for (const way of ["Prefix hash tree (PHT)", "Equal buckets"]) {
    await ask(page).getByRole("button", { name: way }).click();
    await expect(page.getByRole("heading", { name: `Who was asked: ${way[0].toLowerCase()}${way.slice(1)}` })).toBeVisible();
    await expect(entries(page)).toHaveCount(4);
  }
  await page.getByRole("button", { name: "Compare" }).click();
  const ways = page.getByRole("table", { name: "What each way takes" }).locator("tbody tr");
  await expect(ways).toHaveText([/Segment tree.*the same: 4/s, /Prefix hash tree.*the same: 4/s, /Equal buckets.*the same: 4/s]);

  // What bob removes is gone for alice too; the order can be turned round, and cut.
  await page.getByRole("button", { name: "Remove 3 world" }).click();
  await expect(entries(page)).toHaveCount(3);
  await page.goto(`${alice.url}/#/ranges/lecture?descending=1&limit=2`);
  await expect(entries(page)).toHaveText([/7\s*communication/, /5\s*sys/]);
  await expect(main(page)).toContainText("2 entries, and there is more");
  await page.getByRole("button", { name: "Load more" }).click();
  await expect(entries(page)).toHaveText([/communication/, /sys/, /hallo/, /test/]);

  // A leaf takes a third entry, and a key several. Then they all come once.
  await put(page).getByRole("textbox", { name: "Entries" }).fill("1 third\n1\tfourth\n");
  await put(page).getByRole("button", { name: "Put 2 entries" }).click();
  await expect(put(page)).toContainText("2 of 2 entries stored");
  await page.goto(`${alice.url}/#/ranges/lecture`);
  await range(page, "0", "1");
  await expect(entries(page)).toHaveCount(3);
  for (const value of ["test", "third", "fourth"]) await expect(entries(page).filter({ hasText: value })).toHaveCount(1);
});

test("sizes and times are keys, and what cannot be is said", async ({ node, page, watch }) => {
  watch.expects(/status of 409/);
  const [alice] = await pair(node);
  await page.goto(`${alice.url}/#/ranges`);
  const make = page.getByRole("form", { name: "Make an index" });
  await make.getByRole("button", { name: "Make it" }).click();
  await expect(make).toContainText("Give it a name.");
  await make.getByRole("textbox", { name: "Name" }).fill("<b>sizes</b>");
  await page.keyboard.press("Enter");
  await expect(put(page).getByRole("textbox", { name: "Entries" })).toBeFocused();
  await page.keyboard.insertText("5mb slides.pdf\n1mib <img src=x onerror=alert(1)>\u202e\nfive x");
  await page.keyboard.press("Control+Enter");
  await expect(put(page)).toContainText("Line 3: “five” is no key");
  await put(page).getByRole("textbox", { name: "Entries" }).fill("5mb slides.pdf\n1mib <img src=x onerror=alert(1)>\u202e\n700mb film.mkv");
  await page.keyboard.press("Control+Enter");
  await expect(entries(page)).toHaveCount(3);
  await range(page, "1mb", "20mb");
  await expect(entries(page)).toHaveText([/1,048,576\s*<img src=x onerror=alert\(1\)>\\u\{202e\}/, /5,000,000\s*slides\.pdf/]);
  await expect(page.locator("main img, main b")).toHaveCount(0);
  await range(page, "20mb", "1mb");
  await expect(ask(page)).toContainText("The range ends before it begins.");

  // The same name for another one is refused.
  await page.getByRole("button", { name: "New index" }).click();
  await make.getByRole("textbox", { name: "Name" }).fill("<b>sizes</b>");
  await make.getByRole("checkbox", { name: "Segment tree (DST)" }).check();
  await make.getByRole("button", { name: "Make it" }).click();
  await expect(page.getByRole("alert")).toContainText("there is an index of that name");
});

test("the page can be used by everybody", async ({ node, page }) => {
  const [alice] = await pair(node);
  await page.goto(`${alice.url}/#/ranges`);
  await expect(main(page)).toContainText("There are no indexes yet");
  await inspect(page, "no index");
  await page.getByRole("button", { name: "The lecture’s example" }).click();
  await expect(entries(page)).toHaveCount(4);
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByRole("button", { name: "New index" }).click();
  await expect(page.getByRole("textbox", { name: "Name" })).toBeFocused();
  const trace = page.getByRole("region", { name: "What it took" });
  await trace.getByRole("button", { name: "Step on" }).click();
  await inspect(page, "the lecture's example");
  expect.soft(await unreached(page, "body"), "by Tab").toEqual([]);
  await ask(page).getByRole("button", { name: "Prefix hash tree (PHT)" }).click();
  await expect(page.getByRole("heading", { name: "Who was asked: prefix hash tree (PHT)" })).toBeVisible();
  await inspect(page, "a prefix hash tree");
});
