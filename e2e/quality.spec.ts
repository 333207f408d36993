// What holds on every page and in every dialog: no accessibility violation, in
// light, dark and on a narrow screen, no sideways scrolling, everything by
// keyboard. The fixture's watch adds: no error, no request to anybody else.
import { expect, test, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";

const results = (page: Page) => page.getByRole("list", { name: "Results" });

test("every page and dialog can be used by everybody", async ({ node, trio, page }) => {
  test.setTimeout(180_000);
  const [alice, bob] = await trio();
  await alice.share("Notes", { "plans/attic network.md": "# Attic\n\nThe network in the attic.\n", "a.bin": "\0\0", [`${"long name ".repeat(12)}.txt`]: "network\n" });
  await bob.share("Work", { "report.txt": "The network was down.\n" });
  await alice.call("POST", "/api/documents", { title: "Milk", text: "two litres for the network", fields: { price: 3 } });
  await alice.call("POST", "/api/documents", { title: "Shop", text: "the shop is near" });
  await alice.found("network", (h) => h.node_name === "bob");
  const main = page.getByRole("main");

  await page.goto(`${alice.url}/#/`);
  await main.getByText("About this node").click();
  await inspect(page, "home");
  await page.goto(`${alice.url}/#/search`);
  await expect(page.getByRole("heading", { name: "Find anything" })).toBeVisible();
  await inspect(page, "search");
  await page.goto(`${alice.url}/#/search?q=netwrk`);
  await expect(page.getByText("search exactly")).toBeVisible();
  // What is three edits away comes last, and is said to.
  await expect(results(page).getByRole("listitem").nth(-2)).toContainText("Less likely");
  await expect(results(page).getByRole("listitem").last()).toContainText("Shop");
  await inspect(page, "results");
  await page.getByRole("button", { name: "JSON" }).click();
  await inspect(page, "results for programs");
  await page.getByRole("button", { name: "JSON", exact: true }).click();
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByRole("button", { name: "Compare" }).click();
  await expect(page.getByRole("row", { name: /^Table/ }).first()).toBeVisible();
  await inspect(page, "results explained");
  await page.getByRole("button", { name: "Explain" }).click();
  await results(page).getByRole("button", { name: "Attic" }).click();
  await expect(page.getByRole("dialog").locator("pre")).toBeVisible();
  await inspect(page, "preview");
  await page.keyboard.press("Escape");
  await page.goto(`${alice.url}/#/search?q=wombat`);
  await expect(page.getByRole("heading", { name: "Nothing found" })).toBeVisible();
  await inspect(page, "nothing found");
  await page.goto(`${alice.url}/#/folders`);
  await expect(main.getByText("from bob")).toBeVisible();
  await inspect(page, "folders");
  for (const [button, dialog] of [["Share a folder", "Share a folder"], ["Edit", "Edit folder"], ["Stop sharing", "Stop sharing this folder?"]]) {
    await main.getByRole("button", { name: button }).click();
    await expect(page.getByRole("dialog", { name: dialog })).toBeVisible();
    await inspect(page, dialog);
    await page.keyboard.press("Escape");
  }
  await main.getByRole("link", { name: "Notes" }).click();
  await expect(main.getByText("a.bin")).toBeVisible();
  await inspect(page, "entries");
  await page.goto(`${alice.url}/#/peers`);
  const bobs = main.getByRole("listitem").filter({ has: page.getByText("bob", { exact: true }) });
  await bobs.getByText("bob", { exact: true }).click();
  await expect(bobs.getByRole("button", { name: "Remove from the network" })).toBeVisible();
  await inspect(page, "peers");
  await bobs.getByRole("button", { name: "Remove from the network" }).click();
  await inspect(page, "remove a member");
  await page.keyboard.press("Escape");
  await main.getByRole("button", { name: "Join a network" }).click();
  await inspect(page, "join");
  await page.keyboard.press("Escape");
  await main.getByRole("button", { name: "Pair a computer" }).click();
  await inspect(page, "invite");
  await page.getByRole("button", { name: "Create invitation" }).click();
  await expect(page.getByRole("textbox", { name: /Open this link/ })).toBeVisible();
  await inspect(page, "invitation");
  await (await node("dora")).call("POST", "/api/join", { link: await page.getByRole("textbox", { name: /Open this link/ }).inputValue() });
  await expect(page.getByRole("dialog")).toContainText("dora joined");
  await inspect(page, "words");
  await page.keyboard.press("Escape");
  await page.goto(`${alice.url}/#/activity`);
  await main.locator("summary").first().click();
  await inspect(page, "activity");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await inspect(page, "shortcuts");
});

test("a page that asks for the token can be used by everybody", async ({ node, page, watch }) => {
  watch.expects(/status of 401/, /WebSocket connection to/);
  const alice = await node("alice", "--require-token");
  await page.goto(alice.url);
  const dialog = page.getByRole("dialog", { name: /asks for its token/ });
  await expect(dialog).toBeVisible();
  await expect(page.locator('meta[name="shoal-token"]')).toHaveCount(0);
  await inspect(page, "unlock");
  await page.keyboard.press("Escape");
  await expect(dialog).toBeVisible();
  await dialog.getByRole("textbox", { name: "Token" }).fill(alice.token());
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "alice" })).toBeVisible();
  expect(page.url()).not.toContain(alice.token());
});

test("everything can be done by keyboard", async ({ node, page }) => {
  const alice = await node("alice");
  await alice.share("Notes", { "one.txt": "network one\n", "two.txt": "network two\n", "three.txt": "a network, too\n" });
  await alice.found("network", () => true);
  await page.goto(alice.url);
  await expect(page.getByRole("heading", { name: "alice" })).toBeVisible();
  await page.keyboard.press("/");
  const field = page.getByRole("searchbox");
  await expect(field).toBeFocused();
  await page.keyboard.type("netwrk");
  const hits = results(page).getByRole("heading").getByRole("button");
  await expect(hits).toHaveCount(3);
  await page.keyboard.press("ArrowDown");
  await expect(hits.nth(0)).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await expect(hits.nth(2)).toBeFocused();
  await page.keyboard.press("ArrowUp");
  await expect(hits.nth(1)).toBeFocused();
  const title = (await hits.nth(1).textContent()) ?? "";
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog", { name: title })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(hits.nth(1)).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(field).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(field).toHaveValue("");

  await page.keyboard.press("Escape");
  for (const [key, heading] of [["f", "Folders"], ["p", "Peers"], ["n", "Network"], ["a", "Activity"], ["d", "Delta"], ["t", "Table"], ["l", "Lessons"], ["h", "alice"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    const head = page.getByRole("heading", { name: heading, level: 1 });
    await expect(head).toBeVisible();
    await expect.soft(head, "a screen reader starts at the heading").toBeFocused({ timeout: 2000 });
  }
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
});

test("Tab reaches everything on a page and in a dialog, and stays in it", async ({ node, page }) => {
  const alice = await node("alice");
  await alice.share("Notes", { "one.txt": "network one\n" });
  for (const place of ["", "search?q=network", "folders", "peers", "network", "activity", "delta", "dht", "ranges", "words", "transfers"]) {
    await page.goto(`${alice.url}/#/${place}`);
    await expect(page.locator("h1")).toBeAttached();
    await expect(page.locator(".skeleton")).toHaveCount(0);
    expect.soft(await unreached(page, "body"), place).toEqual([]);
  }
  const dialogs: [string, string, string][] = [
    ["peers", "Pair a computer", "Create invitation"],
    ["peers", "Join a network", ""],
    ["peers", "Connect by hand", ""],
    ["folders", "Share a folder", ""],
    ["folders", "Edit", ""],
    ["folders", "Stop sharing", ""],
  ];
  for (const [place, name, then] of dialogs) {
    await page.goto(`${alice.url}/#/${place}`);
    const opener = page.getByRole("main").getByRole("button", { name });
    await opener.focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await expect(dialog).toBeVisible();
    expect.soft(await unreached(page, "dialog"), name).toEqual([]);
    if (then) {
      await dialog.getByRole("button", { name: then }).focus();
      await page.keyboard.press("Enter");
      await expect(dialog.getByRole("button", { name: "Copy link" })).toBeVisible();
      expect.soft(await unreached(page, "dialog"), then).toEqual([]);
    }
    expect(await page.locator("main [data-seen]:not(dialog *)").count(), `${name}: the page behind is out of reach`).toBe(0);
    await page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
    await expect(opener, "the focus goes back").toBeFocused();
  }
});

test("a page without trouble leaves the console empty", async ({ node, page }) => {
  const alice = await node("alice");
  const said: string[] = [];
  page.on("console", (m) => said.push(`${m.type()}: ${m.text()} ${m.location().url}`));
  const answers: string[] = [];
  page.on("response", (r) => r.status() >= 400 && answers.push(`${r.status()} ${r.url()}`));
  for (const place of ["", "search?q=netwrk", "folders", "peers", "network", "activity", "delta", "dht", "ranges", "words", "transfers"]) {
    await page.goto(`${alice.url}/#/${place}`);
    await page.reload();
    await expect(page.locator("h1")).toBeAttached();
    await page.waitForLoadState("networkidle");
  }
  expect.soft(said).toEqual([]);
  expect(answers).toEqual([]);
});

test("an empty node has samples to try", async ({ node, page }) => {
  const alice = await node("alice");
  await page.goto(alice.url);
  await page.getByRole("button", { name: /Try it with samples/ }).click();
  await expect(page.getByText("Showing results for network instead of netwrk")).toBeVisible();
  await expect(results(page).getByRole("listitem").first().locator("mark").first()).toHaveText(/^network/i);

  const bob = await node("bob");
  await page.goto(`${bob.url}/#/search`);
  await page.getByRole("button", { name: "Add sample documents" }).click();
  await expect(results(page).getByRole("listitem").first()).toBeVisible();
});

test("the lab's page switches between its nodes", async ({ lab, page }) => {
  const { url } = await lab(4);
  const asked: string[] = [];
  page.on("request", (r) => asked.push(new URL(r.url()).pathname));
  await page.goto(`${url}/#/peers`);
  const choice = page.getByLabel("Node of the lab");
  await expect(choice.getByRole("option")).toHaveCount(4);
  await expect(page.getByRole("main")).toContainText("3 links to 3 other computers");
  const names = (await choice.getByRole("option").allTextContents()).map((t) => t.replace(/^\d+ · /, ""));
  for (const i of [2, 0, 3]) {
    asked.length = 0;
    await choice.selectOption({ index: i });
    await expect(page.getByRole("main").getByRole("listitem").filter({ hasText: "this computer" })).toContainText(names[i]);
    expect(asked.filter((path) => path.includes("/api/") && !path.startsWith(`/n/${i}/api/`) && !(i === 0 && path.startsWith("/api/")))).toEqual([]);
  }
  await page.reload();
  await expect(choice).toHaveValue("3");
  await page.getByRole("link", { name: "Search", exact: true }).click();
  await page.getByRole("searchbox").fill("netwrk");
  await expect(page.getByText("from 4 computers")).toBeVisible();
  await inspect(page, "lab");
});
