// The page Transfers: a file that is dropped on one computer comes to another one by its link, piece by
// piece, with real processes and at a speed that can be watched.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";
import { network, type Node, until } from "./nodes";

interface Seed {
  id: string;
  name: string;
  state: string;
  path: string;
  link: string;
  here: number;
  pieces: number;
}

const main = (page: Page) => page.getByRole("main");
const rows = (page: Page, list: string) => page.getByRole("list", { name: list }).getByRole("listitem");
const sum = (data: Buffer) => createHash("sha256").update(data).digest("hex");
const seeds = async (node: Node) => (await node.call<{ items: Seed[] }>("GET", "/api/seeds")).items;

async function pair(node: (name: string, ...args: string[]) => Promise<Node>, ...args: string[]): Promise<[Node, Node]> {
  const both = await Promise.all([node("alice", ...args), node("bob")]);
  await network(...both);
  return both;
}

// drop lets go of a file above the page, as a person does with the mouse.
async function drop(page: Page, name: string, data: Buffer): Promise<void> {
  const files = await page.evaluateHandle(
    ([name, text]) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], name));
      return files;
    },
    [name, data.toString("base64")] as const,
  );
  await page.getByRole("group", { name: "Share a file" }).dispatchEvent("drop", { dataTransfer: files });
}

test("a file is dropped, its link is copied, and the pieces come one by one", async ({ node, page, context }) => {
  const [alice, bob] = await pair(node, "--limit-up", "3MB");
  const data = randomBytes(12 << 20);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(alice.url);
  await page.keyboard.press("g");
  await page.keyboard.press("x");
  await expect(page.getByRole("heading", { name: "Transfers", level: 1 })).toBeFocused();
  await expect(main(page)).toContainText("Nothing yet. Drop a file above");
  await drop(page, "lecture.bin", data);
  await expect(rows(page, "Shared from here")).toHaveText([/lecture\.bin.*shared.*12\.6 MB/s]);
  await page.getByRole("button", { name: "Link to lecture.bin" }).click();
  const dialog = page.getByRole("dialog", { name: "Share a link" });
  await expect(dialog.getByRole("img", { name: "The link as QR code" })).toBeVisible();
  await dialog.getByRole("button", { name: "Copy link" }).click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toMatch(/^http:\/\/localhost:\d+\/#get=seed\/[0-9a-f]{64}\?len=12582912&name=lecture\.bin$/);
  await page.keyboard.press("Escape");

  // On the other computer it opens the question whether to get it, and is gone from the address.
  await page.goto(link.replace(alice.url, bob.url));
  const get = page.getByRole("dialog", { name: "Get a file" });
  await expect(get).toContainText("lecture.bin, 12.6 MB");
  expect(new URL(page.url()).hash).not.toContain("get=");
  await get.getByRole("button", { name: "Get", exact: true }).click();
  await expect(page.getByRole("heading", { name: "lecture.bin", level: 1 })).toBeVisible();
  const table = page.getByRole("table", { name: "Who has which piece" });
  const own = table.getByRole("row", { name: /^This computer/ });
  await expect(own).toContainText(/\d+ of 192/);
  // The bar fills, as the figures beside it do.
  const part = async () => Number(/(\d+) %/.exec((await own.getByRole("img").getAttribute("aria-label")) ?? "")?.[1]);
  await expect.poll(part).toBeGreaterThan(5);
  const before = await part();
  await expect.poll(part).toBeGreaterThan(before);
  await expect(table.getByRole("row", { name: /alice/ })).toContainText(/all.*MB.*pieces?/s);

  // It stops, stays where it is, and goes on from there.
  await page.getByRole("button", { name: "Pause lecture.bin" }).click();
  await expect(main(page).locator(".chip").first()).toHaveText("paused");
  const [paused] = await seeds(bob);
  expect(paused).toMatchObject({ state: "paused" });
  expect(paused?.here).toBeGreaterThan(0);
  await page.getByRole("button", { name: "Go on with lecture.bin" }).click();
  await expect(main(page).locator(".chip").first()).toHaveText("shared", { timeout: 30_000 });
  await expect(own).toContainText("192 of 192");
  await expect(table.getByRole("row", { name: /^Where it came from/ }).getByRole("img")).toBeVisible();
  const [here] = await seeds(bob);
  expect(sum(readFileSync(here?.path ?? "")), "the same bytes").toBe(sum(data));

  // Whoever has it serves any part of it to any program.
  const ranged = await fetch(`${bob.url}/api/seeds/${here?.id}/content`, { headers: { range: "bytes=1000000-1000099" } });
  expect([ranged.status, Buffer.from(await ranged.arrayBuffer()).equals(data.subarray(1_000_000, 1_000_100))]).toEqual([206, true]);

  await page.getByRole("link", { name: "Back to all transfers" }).click();
  await page.getByRole("button", { name: "Share no longer: lecture.bin" }).click();
  await page.getByRole("checkbox", { name: "Delete the file too" }).check();
  await page.getByRole("button", { name: "Stop and delete" }).click();
  await expect(rows(page, "In the network")).toHaveText([/lecture\.bin.*on 1 computer/s]);
  expect(await seeds(bob)).toEqual([]);
});

test("what the network has comes by a click, and a .seed file by being chosen", async ({ node, page, watch }) => {
  watch.expects(/status of 422/);
  const [alice, bob] = await pair(node);
  alice.files("out", { "notes.txt": "A few words.\n", "more.txt": "Some more.\n" });
  const made: Seed[] = [];
  for (const name of ["notes.txt", "more.txt"]) made.push(await alice.call<Seed>("POST", "/api/seeds", { path: `${alice.dir}/out/${name}` }));
  await page.goto(`${bob.url}/#/transfers`);
  await expect(rows(page, "In the network")).toHaveCount(2);
  await page.getByRole("button", { name: "Get notes.txt" }).click();
  await expect(rows(page, "Shared from here")).toHaveText([/notes\.txt.*shared/s]);

  const text = await (await fetch(`${alice.url}/api/seeds/${made[1]?.id}/text`)).text();
  await page.getByLabel("Files to share").setInputFiles({ name: "more.txt.seed", mimeType: "text/plain", buffer: Buffer.from(text) });
  const get = page.getByRole("dialog", { name: "Get a file" });
  await expect(get).toContainText("more.txt, 11 bytes");
  await get.getByText("Put it elsewhere").click();
  await get.getByLabel("Directory on the computer").fill(`${bob.dir}/nowhere`);
  await get.getByRole("button", { name: "Get", exact: true }).click();
  await expect(get.getByRole("alert")).toContainText("no such file or directory");
  await get.getByLabel("Directory on the computer").fill(bob.files("in", {}));
  await get.getByRole("button", { name: "Get", exact: true }).click();
  await expect(main(page)).toContainText(`${bob.dir}/in/more.txt`);
  await until("it is there", async () => readFileSync(`${bob.dir}/in/more.txt`, "utf8") === "Some more.\n");
});

test("a wrong link says what is wrong, and limits are checked and kept", async ({ node, page, watch }) => {
  watch.expects(/status of 400/);
  const alice = await node("alice");
  await page.goto(`${alice.url}/#/transfers`);
  await page.getByRole("button", { name: "Get by link" }).click();
  const get = page.getByRole("dialog", { name: "Get a file" });
  const field = get.getByLabel("Link, or the text of a .seed file");
  for (const [text, says] of [
    ["shoal:seed/12", /its ID has 2 characters.*Copy the whole link/s],
    ["https://example.org/x", /not a link to a seed/],
  ] as const) {
    await field.fill(text);
    await get.getByRole("button", { name: "Get", exact: true }).click();
    await expect(get.getByRole("alert")).toContainText(says);
  }
  await page.keyboard.press("Escape");

  const sending = page.getByLabel("Sending, Mbit/s");
  await sending.fill("fast");
  await expect(main(page)).toContainText("A number such as 20 or 2.5");
  await expect(page.getByRole("button", { name: "Set", exact: true })).toBeDisabled();
  await sending.fill("20");
  await sending.press("Enter");
  await expect(main(page)).toContainText("Now: 2.5 MB/s up.");
  await page.goto("about:blank"); // the page would complain that nobody answers
  await alice.stop();
  await alice.start();
  expect(await alice.call("GET", "/api/limits")).toEqual({ up: 2_500_000, down: 0, peer_up: 0, peer_down: 0 });
});

test("the page can be used by everybody", async ({ node, page }) => {
  const [alice, bob] = await pair(node, "--limit-up", "1MB");
  await page.goto(`${bob.url}/#/transfers`);
  await expect(main(page)).toContainText("Nothing yet");
  await inspect(page, "nothing yet");
  alice.files("out", { "a <b>name</b>.bin": "x".repeat(9_000_000), "small.txt": "small" });
  const big = await alice.call<Seed>("POST", "/api/seeds", { path: `${alice.dir}/out/a <b>name</b>.bin`, name: "a long name of a file, such as people give them.bin" });
  await alice.call<Seed>("POST", "/api/seeds", { path: `${alice.dir}/out/small.txt` });
  await until("bob knows of both", async () => (await bob.call<{ items: unknown[] }>("GET", "/api/tracker")).items.length === 2);
  await bob.call("POST", "/api/downloads", { link: big.link });
  await expect(rows(page, "On their way here")).toHaveCount(1);
  await expect(rows(page, "In the network")).toHaveCount(1);
  await page.getByRole("button", { name: "Get small.txt" }).click();
  await expect(rows(page, "Shared from here")).toHaveCount(1);
  await inspect(page, "a download");
  expect.soft(await unreached(page, "body"), "by Tab").toEqual([]);
  await page.goto(`${bob.url}/#/transfers/${big.id}`);
  await expect(page.getByRole("table", { name: "Who has which piece" }).getByRole("row", { name: /alice/ })).toBeVisible();
  await inspect(page, "a swarm");
  await page.getByRole("button", { name: /^Link to/ }).click();
  await inspect(page, "the link");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: /^(Give up|Share no longer)/ }).click();
  await inspect(page, "the question");
  await page.keyboard.press("Escape");
  await page.goto(`${bob.url}/#get=${big.link.replace("shoal:", "")}`);
  await expect(page.getByRole("dialog", { name: "Get a file" })).toBeVisible();
  await inspect(page, "the dialog to get one");
});
