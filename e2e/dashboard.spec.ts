// What a person does with the page, on real nodes.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, type Page } from "./fixture";
import { type Node, network } from "./nodes";

// visit opens a node's dashboard in a tab of its own.
async function visit(page: Page, node: Node, place = ""): Promise<Page> {
  const tab = await page.context().newPage();
  await tab.goto(`${node.url}/#/${place}`);
  return tab;
}

// invitation makes one on the Peers page and returns the link that it shows.
async function invitation(page: Page): Promise<string> {
  await page.getByRole("button", { name: "Pair a computer" }).click();
  await page.getByRole("button", { name: "Create invitation" }).click();
  return page.getByRole("textbox", { name: /Open this link/ }).inputValue();
}

async function words(page: Page): Promise<string[]> {
  const list = page.getByRole("dialog").getByRole("listitem");
  await expect(list).toHaveCount(4);
  return list.allTextContents();
}

// ask types a query as a person does.
async function ask(page: Page, query: string): Promise<void> {
  const field = page.getByRole("searchbox");
  await field.fill("");
  await field.pressSequentially(query, { delay: 20 });
}

const results = (page: Page) => page.getByRole("list", { name: "Results" }).getByRole("listitem");
// row of a list of folders or computers, by what stands in its head.
const row = (page: Page, name: string) => page.getByRole("main").getByRole("listitem").filter({ has: page.locator("summary, h3").getByText(name, { exact: true }) });

test("pairing by pasting the invitation shows both sides the same words", async ({ node, page, watch }) => {
  watch.expects(/status of 400 .*\/api\/join/);
  const [alice, bob] = await Promise.all([node("alice"), node("bob")]);
  const a = await visit(page, alice, "peers");
  const b = await visit(page, bob, "peers");
  const link = await invitation(a);
  expect(link).toContain("#join=");
  await b.getByRole("button", { name: "Join a network" }).click();
  await b.getByLabel("Invitation").fill("nonsense");
  await b.getByRole("button", { name: "Join", exact: true }).click();
  await expect(b.getByRole("alert")).toContainText(/invitation/i);
  await b.getByLabel("Invitation").fill(`  ${link}\n`);
  await b.getByRole("button", { name: "Join", exact: true }).click();
  const seen = await words(b);
  expect(new Set(seen).size).toBeGreaterThan(1);
  expect(await words(a)).toEqual(seen);
  await expect(a.getByRole("dialog")).toContainText("bob joined");
  await b.getByRole("link", { name: "Done" }).click();
  await a.getByRole("button", { name: "Done" }).click();
  await expect(row(a, "bob")).toContainText("linked");
  await expect(row(b, "alice")).toContainText("linked");
  await expect(b.getByRole("main")).toContainText("1 link to 1 other computer");
});

test("an invitation opened as a link asks before it joins", async ({ node, page }) => {
  const [alice, chiara] = await Promise.all([node("alice"), node("chiara")]);
  const a = await visit(page, alice, "peers");
  const { hash } = new URL(await invitation(a));
  const c = await page.context().newPage();
  await c.goto(`${chiara.url}/${hash}`);
  await expect(c.getByRole("dialog", { name: "Join a network" })).toContainText("You opened an invitation");
  expect(c.url(), "the secret leaves the address").not.toContain("join");
  expect((await chiara.call<{ members: number }>("GET", "/api/node")).members).toBe(1);
  await c.getByRole("button", { name: "Join", exact: true }).click();
  expect(await words(c)).toEqual(await words(a));

  // Opening it once more, in a tab that is there already, changes nothing.
  await c.getByRole("link", { name: "Done" }).click();
  await c.evaluate((hash) => (location.hash = hash), hash);
  await c.getByRole("button", { name: "Join", exact: true }).click();
  await expect(c.getByRole("dialog")).toContainText("already belongs");
});

test("files shared on the page are found from another node as one types", async ({ trio, page }) => {
  const [alice, bob, chiara] = await trio();
  const path = alice.files("Home", { "attic.md": "# The attic\n\nThe network there needs a new cable.\n", "bread.txt": "flour, water, salt\n" });
  await bob.share("Work", { "report.txt": "The network was down on Monday.\n" });
  const a = await visit(page, alice, "folders");
  await a.getByRole("button", { name: "Share a folder" }).first().click();
  await a.getByLabel(/^Path on/).fill(path);
  await a.getByRole("button", { name: "Share", exact: true }).click();
  await expect(row(a, "Home")).toContainText("2 files");
  await expect(row(a, "Work")).toContainText("from bob");

  const c = await visit(page, chiara, "search");
  await expect(async () => {
    await ask(c, "netwrk");
    await expect(results(c)).toHaveCount(2, { timeout: 1000 });
  }).toPass();
  for (const [name, title] of [["alice", "attic"], ["bob", "report"]]) {
    const hit = results(c).filter({ hasText: name });
    await expect(hit).toContainText(title);
    await expect(hit.locator("mark")).toHaveText(["network"]);
  }
  await expect(c.getByText("Showing results for network instead of netwrk")).toBeVisible();
  expect(c.url()).toContain("q=netwrk");
  await c.getByRole("button", { name: "search exactly" }).click();
  await expect(c.getByRole("heading", { name: "Nothing found" })).toBeVisible();
  expect(c.url()).toContain("fuzz=0");
  await c.reload();
  await expect(c.getByText("Searching exactly for netwrk")).toBeVisible();
  await c.getByRole("button", { name: "allow typos" }).click();
  await expect(results(c)).toHaveCount(2);
});

test("a search is narrowed down, sorted, and told where it is not understood", async ({ trio, page, watch }) => {
  watch.expects(/status of 400/);
  const [alice, bob, chiara] = await trio();
  await alice.share("Home", { "b.md": "# Attic\n\nA shared folder of the network.\n", "a.txt": "The network, a folder that is shared with the whole street.\n" });
  await bob.share("Work", { "c.md": "# Report\n\nThe network was down.\n" });
  await chiara.found("network", (h) => h.node_name === "bob");
  await chiara.found("attic", (h) => h.node_name === "alice");
  const c = await visit(page, chiara, "search?q=network");
  await expect(results(c)).toHaveCount(3);
  await c.getByRole("button", { name: "markdown 2" }).click();
  await expect(results(c)).toHaveCount(2);
  await expect(c.getByRole("searchbox")).toBeFocused();
  await c.getByRole("button", { name: "bob 1" }).click();
  await expect(results(c)).toHaveCount(1);
  await expect(results(c)).toContainText("Report");
  await c.reload();
  await expect(results(c)).toHaveCount(1);
  await c.getByRole("button", { name: "Remove the filter on bob" }).click();
  await c.getByRole("button", { name: "Remove the filter type markdown" }).click();
  await expect(results(c)).toHaveCount(3);
  await c.getByLabel("Sort").selectOption("By name, Z to A");
  await expect(results(c).first()).toContainText("Report");
  expect(c.url()).toContain("sort=name&order=desc");
  await c.getByRole("button", { name: "JSON" }).click();
  await expect(c.getByLabel("curl", { exact: true })).toContainText("sort=name&order=desc");
  await expect(c.getByLabel("JSON", { exact: true })).toContainText('"nodes_answered": 3');

  await c.getByRole("searchbox").fill('"shared folder"');
  await expect(results(c)).toHaveCount(1);
  await c.getByRole("searchbox").fill("network -shared");
  await expect(results(c)).toHaveCount(1);
  await expect(results(c)).toContainText("Report");
  await c.getByRole("searchbox").fill("network size:large");
  await expect(c.getByRole("alert")).toContainText("Expected a size such as 10mb");
  await expect(c.getByRole("alert").locator("mark")).toHaveText("large");
  await expect(results(c)).toHaveCount(1);
  await c.getByRole("searchbox").fill("network size:<1mb");
  await expect(results(c)).toHaveCount(3);
  await expect(c.getByRole("alert")).toBeHidden();
});

test("a hit on another computer can be read and downloaded", async ({ trio, page }) => {
  const [alice, , chiara] = await trio();
  const text = "# Lighthouse\r\n\r\nKeeper’s log, with a naïve <b>tag</b> & 🐟.\r\n" + "line\n".repeat(5000);
  await alice.share("Log", { "keeper's log.md": text });
  await chiara.found("lighthouse", (h) => h.node_name === "alice");
  const c = await visit(page, chiara, "search?q=lighthouse");
  await results(c).getByRole("button", { name: "Lighthouse" }).click();
  const panel = c.getByRole("dialog", { name: "Lighthouse" });
  await expect(panel).toContainText("alice");
  await expect(panel.locator("pre")).toContainText("Keeper’s log, with a naïve <b>tag</b> & 🐟.");
  const download = c.waitForEvent("download");
  await panel.getByRole("link", { name: "Download" }).click();
  const file = await download;
  expect(file.suggestedFilename()).toBe("keeper's log.md");
  expect(readFileSync(await file.path())).toEqual(Buffer.from(text));
  await c.keyboard.press("Escape");
  await expect(panel).toBeHidden();
});

// A green pixel.
const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mNgaGAAAAEEAIFOCxQJAAAAAElFTkSuQmCC", "base64");

test("pictures of another computer are shown, and nothing else that calls itself one", async ({ trio, page }) => {
  const [alice, , chiara] = await trio();
  await alice.share("Pictures", { "harbour.png": png, "harbour drawing.png": '<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1"/>', "harbour map.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>' });
  await chiara.found("harbour", (h) => h.path === "harbour map.svg");
  await chiara.found("harbour", (h) => h.path === "harbour.png");
  const c = await visit(page, chiara, "search?q=harbour");
  await expect(results(c)).toHaveCount(3);
  await expect(c.locator("canvas.drawn")).toHaveCount(1);
  await results(c).getByRole("button", { name: "harbour.png", exact: true }).click();
  const panel = c.getByRole("dialog");
  await expect(panel).toContainText("1 × 1 pixels");
  expect(await panel.getByRole("img", { name: "harbour.png" }).getAttribute("src")).toMatch(/^data:image\/png;base64,/);
  await c.keyboard.press("Escape");
  for (const name of ["harbour drawing.png", "harbour map.svg"]) {
    await results(c).getByRole("button", { name, exact: true }).click();
    await expect(panel.locator("pre, .note")).toBeVisible();
    await expect(panel.getByRole("img")).toHaveCount(0);
    await c.keyboard.press("Escape");
  }
});

test("words of all computers complete what is typed, and the answer is explained", async ({ trio, page }) => {
  const [alice, bob, chiara] = await trio();
  await alice.share("Home", { "a.txt": "The lighthouse keeper.\n" });
  await bob.share("Work", { "b.txt": "A lighthouse and its keeper.\n" });
  await chiara.found("lighthouse", (h) => h.node_name === "alice");
  await chiara.found("lighthouse", (h) => h.node_name === "bob");
  const c = await visit(page, chiara, "search");
  const words = c.getByRole("list", { name: "Words of all computers" });
  await expect(async () => {
    await ask(c, "keeper lightho");
    await expect(words).toContainText("lighthouse", { timeout: 1000 });
  }).toPass();
  await expect(results(c)).toHaveCount(2);
  await c.keyboard.press("Tab");
  await c.keyboard.press("Enter");
  await expect(c.getByRole("searchbox")).toHaveValue("keeper lighthouse ");
  await expect(c.getByRole("searchbox")).toBeFocused();
  await expect(results(c)).toHaveCount(2);

  await c.getByRole("searchbox").fill("keeper lighthuose");
  await c.getByRole("button", { name: "Explain" }).click();
  const how = c.getByRole("region", { name: "How the answer came about" });
  await expect(how.getByRole("list", { name: "Words searched for lighthuose" })).toContainText("1 edit, in 2 documents on 2 computers");
  await expect(how.getByRole("row", { name: /^bob/ })).toBeVisible();
  await how.getByRole("button", { name: "Compare" }).click();
  await expect(how.getByRole("row", { name: /^Table: filters at once/ })).toBeVisible();
});

test("the page tells when a computer goes and when it is back", async ({ trio, page }) => {
  const [alice, bob, chiara] = await trio();
  await alice.share("A", { "one.txt": "an umbrella in the hall\n" });
  await bob.share("B", { "two.txt": "the umbrella of the neighbour\n" });
  await chiara.found("umbrella", (h) => h.node_name === "alice");
  await chiara.found("umbrella", (h) => h.node_name === "bob");
  const p = await visit(page, chiara, "peers");
  const s = await visit(page, chiara, "search?q=umbrella");
  await expect(results(s)).toHaveCount(2);
  await expect(p.getByRole("main")).toContainText("2 links to 2 other computers");

  const killed = Date.now();
  await bob.kill();
  await s.getByRole("searchbox").fill("umbrella hall");
  await s.getByRole("searchbox").fill("umbrella");
  await expect(s.getByText("Some results may be missing: bob did not answer")).toBeVisible();
  await expect(results(s)).toHaveCount(1);
  await expect(row(p, "bob")).toContainText("not linked", { timeout: 15_000 });
  console.log(`seen as gone ${Date.now() - killed} ms after it was killed`);
  await expect(p.getByRole("main")).toContainText("1 link to 2 other computers");

  await bob.start();
  await expect(p.getByRole("main")).toContainText("2 links to 2 other computers");
  await expect(row(p, "bob")).not.toContainText("not linked");
  await s.getByRole("searchbox").fill("umbrella ");
  await expect(results(s)).toHaveCount(2);
  await expect(s.getByText("Some results may be missing")).toBeHidden();
});

test("the page survives its own node", async ({ node, page, watch }) => {
  const alice = await node("alice");
  const bob = await node("bob");
  await network(alice, bob);
  // While it is away nobody answers, and while it starts it says that it does.
  watch.expects(/ERR_CONNECTION_REFUSED|WebSocket connection to|status of 503/);
  await page.goto(`${alice.url}/#/folders`);
  await expect(page.getByText("Nothing is shared from this computer yet")).toBeVisible();
  await alice.kill();
  await expect(page.getByText("Connection to the node lost")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Folders" }), "what was there stays").toBeVisible();
  await alice.start();
  await expect(page.getByText("Connection to the node lost")).toBeHidden({ timeout: 20_000 });
  await alice.share("Again", { "one.txt": "back\n" });
  await expect(row(page, "Again")).toContainText("1 file");
  const path = alice.files("More", { "two.txt": "more\n" });
  await page.getByRole("button", { name: "Share a folder" }).click();
  await page.getByLabel(/^Path on/).fill(path);
  await page.getByRole("button", { name: "Share", exact: true }).click();
  await expect(row(page, "More")).toContainText("1 file");
});

test("people are told why a folder cannot be shared, and can take one back", async ({ node, page, watch }) => {
  watch.expects(/status of 4(09|22) .*\/api\/folders/);
  const alice = await node("alice");
  const path = alice.files("Notes", { "a.txt": "walnut\n" });
  writeFileSync(join(path, "big.bin"), new Uint8Array(5000));
  await page.goto(`${alice.url}/#/folders`);
  const share = async (path: string) => {
    await page.getByLabel(/^Path on/).fill(path);
    await page.getByRole("button", { name: "Share", exact: true }).click();
  };
  await page.getByRole("button", { name: "Share a folder" }).first().click();
  await share(join(path, "nowhere"));
  await expect(page.getByRole("alert")).toBeVisible();
  await share(path);
  await expect(row(page, "Notes")).toContainText("2 files");
  await page.getByRole("button", { name: "Share a folder" }).click();
  await share(alice.dir);
  await expect(page.getByRole("alert")).toContainText(/folder|directory/i);
  await page.getByRole("button", { name: "Close" }).click();

  await row(page, "Notes").getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Label").fill("Diary");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(row(page, "Diary")).toBeVisible();
  await page.getByRole("link", { name: "Diary" }).click();
  await page.getByRole("button", { name: "a.txt" }).click();
  await expect(page.getByRole("dialog").locator("pre")).toHaveText("walnut\n");
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Back to all folders" }).click();
  await row(page, "Diary").getByRole("button", { name: "Stop sharing" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Stop sharing" }).click();
  await expect(page.getByText("Nothing is shared from this computer yet")).toBeVisible();
  expect(readFileSync(join(path, "a.txt"), "utf8")).toBe("walnut\n");
});
