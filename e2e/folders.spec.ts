// Folders that several computers keep the same, on the page: joining, progress,
// conflicts, the trash, the brake, and folders that are read-only here.
import { randomFillSync } from "node:crypto";
import AxeBuilder from "@axe-core/playwright";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, type Page } from "./fixture";
import { network, until, type Node } from "./nodes";

interface Folder {
  id: string;
  label: string;
  state: string;
  conflicts: number;
  files: number;
  need_files: number;
}

const folders = async (node: Node) => (await node.call<{ items: Folder[] }>("GET", "/api/folders")).items;
const folder = async (node: Node, label: string) => (await folders(node)).find((f) => f.label === label);
const card = (page: Page, label: string) => page.getByRole("main").getByRole("listitem").filter({ has: page.getByRole("heading", { name: label, exact: true }) });
const read = (node: Node, path: string) => readFileSync(join(node.dir, path), "utf8");
const holds = (node: Node, path: string, text: string) => until(`${node.name} has ${path}`, async () => read(node, path) === text);

// keep makes a node keep a folder that another one offers, below its directory.
async function keep(node: Node, label: string): Promise<string> {
  await until(`${node.name} sees ${label}`, async () => (await folder(node, label))?.state === "offered");
  const { id } = await node.call<Folder>("POST", "/api/folders", { id: label, path: join(node.dir, label) });
  return id;
}

// still waits until all nodes have the same files of a folder and want nothing more.
async function still(label: string, files: number, ...nodes: Node[]): Promise<void> {
  await until(`${label} is the same everywhere`, async () => {
    const all = await Promise.all(nodes.map((n) => folder(n, label)));
    return all.every((f) => f?.state === "idle" && f.files === files && f.need_files === 0);
  });
}

// apart pauses a folder on some nodes while something is done to it there, so that
// it is done at once.
async function apart(label: string, nodes: Node[], act: () => void): Promise<void> {
  const set = (paused: boolean) => Promise.all(nodes.map(async (n) => n.call("PATCH", `/api/folders/${(await folder(n, label))?.id}`, { paused })));
  await set(true);
  act();
  await set(false);
}

// inspect checks what the page shows now in light, dark and on a narrow screen.
async function inspect(page: Page, what: string): Promise<void> {
  const looks = [
    { look: "light", colorScheme: "light", width: 1280 },
    { look: "dark", colorScheme: "dark", width: 1280 },
    { look: "narrow", colorScheme: "light", width: 320 },
  ] as const;
  for (const { look, colorScheme, width } of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    const axe = new AxeBuilder({ page }).setLegacyMode().withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]);
    if ((await page.locator("dialog[open]").count()) > 0) axe.include("dialog[open]");
    const { violations } = await axe.analyze();
    const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html}\n${n.failureSummary}`).join("\n")}`);
    expect.soft(found, `${what}, ${look}`).toEqual([]);
    const over = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll("dialog[open]")].map((e) => e.scrollWidth - e.clientWidth).filter((n) => n > 0));
    expect.soft(over, `${what}, ${look}: wider than the screen`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function pair(node: (name: string) => Promise<Node>): Promise<[Node, Node]> {
  const nodes: [Node, Node] = await Promise.all([node("alice"), node("bob")]);
  await network(...nodes);
  return nodes;
}

test("a folder is kept on a second computer, after a look at what would happen", async ({ node, page, watch }) => {
  watch.expects(/status of 422 .*\/api\/folders\/preview/);
  const [alice, bob] = await pair(node);
  await alice.share("Notes", { "plan.md": "# Plan\n", "same.txt": "same\n", "differs.txt": "of alice\n", "deep/er.txt": "deep\n" });
  bob.files("mine", { "same.txt": "same\n", "differs.txt": "of bob\n", "own.txt": "own\n" });
  await page.goto(`${bob.url}/#/folders`);
  await card(page, "Notes").getByRole("button", { name: "Keep Notes here" }).click();
  const dialog = page.getByRole("dialog", { name: "Keep Notes here" });
  const place = dialog.getByRole("textbox");
  await expect(place).toHaveValue(/shoal.Notes$/);
  await expect(dialog).toContainText("4 files only there: fetched");
  await expect(dialog).toContainText("Nothing is deleted");
  await inspect(page, "keep");

  await place.fill("mine");
  await expect(dialog.getByRole("alert")).toContainText("not a whole path");
  await expect(dialog.getByRole("button", { name: "Keep it here" })).toBeDisabled();
  await place.fill(join(bob.dir, "mine"));
  await expect(dialog).toContainText("2 files only there: fetched");
  await expect(dialog).toContainText("1 file the same on both sides");
  await expect(dialog).toContainText("1 file only here: shared");
  await expect(dialog).toContainText("1 file different on each side: both are kept");
  await dialog.getByText("Show files").click();
  await expect(dialog.getByRole("listitem").filter({ hasText: "differs.txt" })).toContainText("differ");
  await inspect(page, "what would happen");
  expect(existsSync(join(bob.dir, "mine", "plan.md")), "nothing has happened yet").toBe(false);
  await dialog.getByRole("button", { name: "Keep it here" }).click();
  await expect(dialog).toBeHidden();

  await expect(page.getByRole("list", { name: "Kept here" })).toContainText("Notes");
  await holds(bob, "mine/plan.md", "# Plan\n");
  await holds(bob, "mine/deep/er.txt", "deep\n");
  await holds(alice, "Notes/own.txt", "own\n");
  const versions = () => readdirSync(join(bob.dir, "mine")).filter((name) => name.startsWith("differs")).map((name) => read(bob, `mine/${name}`));
  await until("both versions are there", async () => versions().sort().join("") === "of alice\nof bob\n");
  await expect(card(page, "Notes")).toContainText("1 conflict");
  await expect(page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: /Folders/ })).toContainText("1 conflict");
  await inspect(page, "folders");

  bob.write("mine", "plan.md", "# Plan of bob\n");
  await holds(alice, "Notes/plan.md", "# Plan of bob\n");
  await card(page, "Notes").getByRole("link", { name: "Notes" }).click();
  await expect(page.getByRole("main")).toContainText("Also on alice");
  await inspect(page, "folder");
  await page.goto(`${alice.url}/#/activity`);
  await expect(page.getByRole("log")).toContainText(/bob made \d+ changes? in Notes/);
  await expect(page.getByRole("log")).toContainText("1 conflict waits for your decision in Notes");

  await page.goto(`${bob.url}/#/folders`);
  await card(page, "Notes").getByRole("button", { name: "Stop keeping" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Stop keeping" }).click();
  await expect(card(page, "Notes").getByRole("button", { name: "Keep Notes here" })).toBeVisible();
  expect(read(bob, "mine/plan.md")).toBe("# Plan of bob\n");
});

test("a large file shows how far it is", async ({ node, page }) => {
  const [alice, bob] = await pair(node);
  const path = alice.files("Film", { "readme.txt": "a film\n" });
  await alice.call("POST", "/api/folders", { path });
  await keep(bob, "Film");
  await still("Film", 1, alice, bob);
  await page.goto(`${bob.url}/#/folders`);
  await expect(card(page, "Film")).toContainText("in sync");
  const film = randomFillSync(new Uint8Array(500_000_000)); // what packs well would be there at once
  writeFileSync(join(path, "film.bin"), film);
  await expect(card(page, "Film")).toContainText(/Syncing 1 file/, { timeout: 60_000 });
  await expect(card(page, "Film").getByRole("progressbar").first()).toBeVisible();
  await expect(card(page, "Film")).toContainText("in sync", { timeout: 60_000 });
  await expect(card(page, "Film").getByRole("progressbar")).toHaveCount(0);
});

test("conflicts are compared and resolved, by mouse and by keyboard", async ({ node, page }) => {
  const [alice, bob] = await pair(node);
  const before = Object.fromEntries(["a", "b", "c", "d", "e"].map((name) => [`${name}.txt`, "one\nthe red fish\nthree\n"]));
  await alice.share("Notes", before);
  await keep(bob, "Notes");
  await still("Notes", 5, alice, bob);
  await apart("Notes", [alice, bob], () => {
    for (const name of Object.keys(before)) {
      alice.write("Notes", name, "one\nthe blue fish\nthree\n");
      bob.write("Notes", name, "one\nthe green fish\nthree\nfour\n");
    }
  });
  await page.goto(`${bob.url}/#/folders`);
  await expect(page.getByText("5 conflicts to decide")).toBeVisible({ timeout: 20_000 });
  await page.getByRole("link", { name: "Decide" }).click();
  const list = page.getByRole("list", { name: "Conflicts" });
  const row = (name: string) => list.locator("> li").filter({ has: page.getByRole("checkbox", { name: `Choose ${name}` }) });
  await expect(list.locator("> li")).toHaveCount(5);
  await row("a.txt").getByRole("button", { name: /a\.txt/ }).click();
  const diff = row("a.txt").getByRole("group", { name: "Differences" });
  await expect(diff.locator("del")).toHaveText(/^(blue|green)$/);
  await expect(diff.locator("ins")).toHaveText(/^(blue|green)$/);
  await inspect(page, "conflicts");

  const ours = read(bob, "Notes/a.txt");
  const other = ours.includes("blue") ? "one\nthe green fish\nthree\nfour\n" : "one\nthe blue fish\nthree\n";
  await row("a.txt").getByRole("button", { name: "Keep the copy" }).click();
  await expect(list.locator("> li")).toHaveCount(4);
  await holds(bob, "Notes/a.txt", other);
  await holds(alice, "Notes/a.txt", other);

  // The keyboard alone. The next one is open already.
  const name = (file: string) => row(file).getByRole("button", { name: new RegExp(`^${file}`) });
  await expect(name("b.txt")).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(name("c.txt")).toBeFocused();
  await page.keyboard.press("k");
  await expect(name("b.txt")).toBeFocused();
  await expect(name("b.txt")).toHaveAttribute("aria-expanded", "true");
  const kept = read(bob, "Notes/b.txt");
  await page.keyboard.press("o");
  await expect(list.locator("> li")).toHaveCount(3);
  await holds(alice, "Notes/b.txt", kept);
  await expect(name("c.txt")).toBeFocused();
  await page.keyboard.press("b");
  await expect(list.locator("> li")).toHaveCount(2);
  await until("both are files of their own", async () => readdirSync(join(alice.dir, "Notes")).filter((n) => n.startsWith("c")).sort().join() === "c 2.txt,c.txt");

  await page.getByRole("checkbox", { name: "All" }).check();
  await expect(page.getByRole("main")).toContainText("2 conflicts chosen");
  await page.getByRole("group", { name: "Several at once" }).getByRole("button", { name: "Keep the file" }).click();
  await inspect(page, "keep all of ours");
  await page.getByRole("dialog").getByRole("button", { name: "Keep the file (2)" }).click();
  await expect(page.getByText("No conflicts.")).toBeVisible();
  for (const n of [alice, bob]) await until(`${n.name} has no conflict`, async () => (await folder(n, "Notes"))?.conflicts === 0);
  await inspect(page, "no conflicts");
});

test("a deletion that met an edit is explained, and pictures are compared", async ({ node, page }) => {
  const [alice, bob] = await pair(node);
  const png = (colour: string) => Buffer.from(`iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42${colour}AAAAABJRU5ErkJggg==`, "base64");
  const path = await alice.share("Photos", { "old.txt": "old\n", "keep.txt": "keep\n" });
  writeFileSync(join(path, "cat.png"), png("mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="));
  await keep(bob, "Photos");
  await still("Photos", 3, alice, bob);
  await apart("Photos", [alice, bob], () => {
    rmSync(join(alice.dir, "Photos", "old.txt"));
    bob.write("Photos", "old.txt", "old, but changed\n");
    writeFileSync(join(alice.dir, "Photos", "cat.png"), png("mP8z8BQDwAEhQGAhKmMIQ"));
    writeFileSync(join(bob.dir, "Photos", "cat.png"), png("mNkYPhfDwAChwGA60e6kgAAAAB"));
  });
  await until("both have both conflicts", async () => (await folder(alice, "Photos"))?.conflicts === 2);
  await page.goto(`${alice.url}/#/folders`);
  await card(page, "Photos").getByRole("link", { name: "2 conflicts" }).click();
  await page.getByRole("button", { name: /^old\.txt/ }).click();
  const main = page.getByRole("main");
  await expect(main).toContainText("Deleted by this computer while bob changed or renamed it. It was kept.");
  await inspect(page, "deleted and changed");
  await page.getByRole("button", { name: /^cat\.png/ }).click();
  await expect(main.locator("figure")).toHaveCount(2);
  await inspect(page, "pictures");
  await page.getByRole("button", { name: /^old\.txt/ }).click();
  await page.getByRole("list", { name: "Conflicts" }).getByRole("button", { name: "Delete it" }).click();
  await until("it is gone everywhere", async () => !existsSync(join(alice.dir, "Photos", "old.txt")) && !existsSync(join(bob.dir, "Photos", "old.txt")));
});

test("what was deleted comes back from the trash", async ({ node, page }) => {
  const [alice, bob] = await pair(node);
  await alice.share("Notes", { "one.txt": "one\n", "two.txt": "two\n", "sub/three.txt": "three\n", "stays.txt": "stays\n" });
  await keep(bob, "Notes");
  await still("Notes", 4, alice, bob);
  for (const name of ["one.txt", "two.txt", "sub/three.txt"]) rmSync(join(bob.dir, "Notes", name));
  bob.write("Notes", "stays.txt", "stays, changed\n");
  await page.goto(`${alice.url}/#/folders`);
  await card(page, "Notes").getByRole("link", { name: "Trash" }).click();
  const list = page.getByRole("list", { name: "Trash" });
  await expect(list.getByRole("listitem").filter({ hasText: ".txt" })).toHaveCount(4);
  await expect(list.getByRole("listitem").filter({ hasText: "one.txt" })).toContainText("deleted by bob");
  await expect(list.getByRole("listitem").filter({ hasText: "stays.txt" })).toContainText("replaced by bob");
  await inspect(page, "trash");
  await page.getByRole("searchbox", { name: "Find in the trash" }).fill("three");
  await expect(list.getByRole("listitem")).toHaveCount(1);
  await page.getByRole("searchbox", { name: "Find in the trash" }).fill("nothing like it");
  await expect(page.getByText("Nothing in the trash matches.")).toBeVisible();
  await page.getByRole("searchbox", { name: "Find in the trash" }).fill("");
  await page.getByRole("button", { name: "Restore one.txt" }).click();
  await expect(page.getByText("Restored as one.txt")).toBeVisible();
  await holds(alice, "Notes/one.txt", "one\n");
  await holds(bob, "Notes/one.txt", "one\n");
  await page.getByRole("checkbox", { name: "Choose two.txt" }).check();
  await page.getByRole("checkbox", { name: "Choose sub/three.txt" }).check();
  await page.getByRole("button", { name: "Restore 2 files" }).click();
  await expect(page.getByText(/2 files restored/)).toBeVisible();
  await holds(bob, "Notes/two.txt", "two\n");
  await holds(bob, "Notes/sub/three.txt", "three\n");
});

test("the page says what a change took on the network", async ({ node, page }) => {
  const [alice, bob] = await pair(node);
  const big = Array.from({ length: 200_000 }, (_, i) => `line ${i} ${Math.imul(i, 2654435761) >>> 0}\n`).join("");
  await alice.share("Notes", { "big.txt": big });
  await keep(bob, "Notes");
  await still("Notes", 1, alice, bob);
  await page.goto(`${alice.url}/#/folders`);
  await card(page, "Notes").getByRole("link", { name: "Notes" }).click();
  await page.getByRole("link", { name: "What came" }).click();
  await expect(page.getByText("Nothing has come since this computer started.")).toBeVisible();
  const changed = `${big.slice(0, 2_000_000)}a line more\n${big.slice(2_000_000)}`;
  bob.write("Notes", "big.txt", changed);
  await holds(alice, "Notes/big.txt", changed);
  const row = page.getByRole("list", { name: "What came of late" }).getByRole("listitem");
  await expect(row).toHaveCount(1);
  await expect(row).toContainText(/big\.txt.*\d(\.\d)? kB over the network.*MB from this disk.*from bob/s);
  await inspect(page, "what came");
  const [transfer] = (await alice.call<{ items: { bytes_wire: number; bytes_total: number }[] }>("GET", "/api/transfers")).items;
  expect(transfer?.bytes_total).toBe(changed.length);
  expect(transfer?.bytes_wire).toBeLessThan(20_000);
});

for (const decision of ["Let it through", "Refuse (keep my files)"]) {
  test(`a computer that deletes very much is held back: ${decision}`, async ({ node, page }) => {
    const [alice, bob] = await pair(node);
    const files = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`file ${i}.txt`, `number ${i}\n`]));
    await alice.share("Notes", files);
    await keep(bob, "Notes");
    await still("Notes", 60, alice, bob);
    const count = (n: Node) => readdirSync(join(n.dir, "Notes")).filter((name) => name.endsWith(".txt")).length;
    await page.goto(`${alice.url}/#/folders`);
    await expect(card(page, "Notes")).toContainText("in sync");
    await apart("Notes", [bob], () => Object.keys(files).forEach((name) => rmSync(join(bob.dir, "Notes", name))));
    const held = card(page, "Notes").getByRole("group", { name: "Held back" });
    await expect(held).toContainText("bob deletes 60 files. None of this was done.", { timeout: 20_000 });
    expect(count(alice)).toBe(60);
    await held.getByText("Show what would happen").click();
    await expect(held.getByRole("listitem").filter({ hasText: "file 7.txt" })).toContainText("delete");
    await inspect(page, "held");
    await held.getByRole("button", { name: decision }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog).toContainText(decision === "Let it through" ? "60 deletions" : "60 files");
    await inspect(page, decision);
    await dialog.getByRole("button", { name: /60/ }).click();
    await expect(dialog).toBeHidden();
    const left = decision === "Let it through" ? 0 : 60;
    for (const n of [alice, bob]) await until(`${n.name} has ${left} files`, async () => count(n) === left, 30_000);
    await expect(held).toBeHidden();
    await expect(card(page, "Notes")).toContainText("in sync");
  });
}

test("a folder that is read-only here shows what was changed, and takes it back", async ({ node, page }) => {
  const [alice, bob] = await pair(node);
  const path = alice.files("Course", { "slides.txt": "slide 1\n", "dates.txt": "monday\n" });
  await alice.call("POST", "/api/folders", { path, access: "read" });
  await page.goto(`${bob.url}/#/folders`);
  await card(page, "Course").getByRole("button", { name: "Keep Course here" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toContainText("It is read only");
  await dialog.getByRole("textbox").fill(join(bob.dir, "Course"));
  await dialog.getByRole("button", { name: "Keep it here" }).click();
  await holds(bob, "Course/slides.txt", "slide 1\n");
  await expect(card(page, "Course")).toContainText("read only here");
  bob.write("Course", "slides.txt", "slide 1, with a note\n");
  bob.write("Course", "own.txt", "a note\n");
  const mine = card(page, "Course").getByRole("group", { name: "Changed here" });
  await expect(mine).toContainText("2 changes of this computer go nowhere", { timeout: 20_000 });
  await mine.getByText("Show them").click();
  await inspect(page, "changes here");
  await mine.getByRole("button", { name: "Undo slides.txt here" }).click();
  await holds(bob, "Course/slides.txt", "slide 1\n");
  await expect(mine).toContainText("1 change of this computer goes nowhere");
  expect(read(alice, "Course/slides.txt")).toBe("slide 1\n");
  expect(existsSync(join(alice.dir, "Course", "own.txt"))).toBe(false);
});

test("who may do what with a folder is said for all, and for single members", async ({ trio, page, context }) => {
  const [alice, bob, chiara] = await trio();
  const path = alice.files("Course", { "slides.txt": "slide 1\n" });
  await page.goto(`${alice.url}/#/folders`);
  await page.getByRole("main").getByRole("button", { name: "Share a folder" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Path on alice").fill(path);
  await dialog.getByRole("radio", { name: "everybody, only to read" }).check();
  await dialog.getByRole("button", { name: "Add an exception" }).click();
  const who = dialog.getByRole("combobox", { name: "Computer", exact: true });
  await expect(who).toBeFocused();
  await expect(who.getByRole("option")).toHaveText(["Which computer?", "bob", "chiara"]);
  await dialog.getByRole("button", { name: "Share", exact: true }).click();
  await expect(dialog, "nobody is named yet").toBeVisible();
  await who.selectOption("bob");
  await expect(dialog.getByRole("combobox", { name: "What bob may do" })).toHaveValue("write");
  await inspect(page, "share with an exception");
  await dialog.getByRole("button", { name: "Share", exact: true }).click();
  await expect(card(page, "Course")).toContainText("others only read");

  const others = await context.newPage();
  await others.goto(`${chiara.url}/#/folders`);
  await expect(card(others, "Course")).toContainText("read only");
  await others.goto(`${bob.url}/#/folders`);
  await expect(card(others, "Course").getByRole("button", { name: "Keep Course here" })).toBeVisible();
  await expect(card(others, "Course")).not.toContainText("read only");

  await card(page, "Course").getByRole("link", { name: "Course" }).click();
  await page.getByRole("main").getByRole("button", { name: "bob may change it" }).click();
  await dialog.getByRole("combobox", { name: "What bob may do" }).selectOption("no access");
  await inspect(page, "edit an exception");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toBeHidden();
  const chip = page.getByRole("main").getByRole("button", { name: "bob has no access" });
  await expect(chip).toBeVisible();
  await inspect(page, "folder with an exception");
  await expect(card(others, "Course"), "bob does not see it any more").toHaveCount(0);
  expect(await folder(bob, "Course")).toBeUndefined();
  expect((await folder(chiara, "Course"))?.state).toBe("offered");

  await chip.click();
  await dialog.getByRole("button", { name: "Remove the exception for bob" }).click();
  await expect(dialog.getByRole("button", { name: "Add an exception" })).toBeFocused();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(chip).toBeHidden();
  await expect(card(others, "Course")).toContainText("read only");

  await page.getByRole("main").getByRole("button", { name: "Edit" }).click();
  await dialog.getByRole("radio", { name: "nobody but those named below" }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("main")).toContainText("nobody else sees it");
  await expect(card(others, "Course")).toHaveCount(0);
  await until("chiara does not see it", async () => (await folder(chiara, "Course")) === undefined);
});
