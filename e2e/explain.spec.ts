// Whom the search page asks, and what its Explain panel draws of an answer, with real processes.
import { deflateSync } from "node:zlib";
import { expect, test as base, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";
import { network, type Node, until } from "./nodes";

// png is a picture of 60 by 40 points, of one colour: what the drawing needs, without checksums
// being looked at by anybody but the browser.
function png(): Uint8Array {
  const crc = (b: Buffer) => {
    let c = ~0;
    for (const byte of b) {
      c ^= byte;
      for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0);
    }
    return ~c >>> 0;
  };
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(8);
    out.writeUInt32BE(data.length, 0);
    out.writeUInt32BE(crc(body), 4);
    return Buffer.concat([out.subarray(0, 4), body, out.subarray(4)]);
  };
  const head = Buffer.from([0, 0, 0, 60, 0, 0, 0, 40, 8, 2, 0, 0, 0]);
  const rows = Buffer.concat(Array.from({ length: 40 }, () => Buffer.concat([Buffer.from([0]), Buffer.alloc(180, 0x90)])));
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

// files are bob's; their sizes are in their names.
const files: Record<string, string | Uint8Array> = {
  "table 3k.txt": `A distributed table of keys.\n${"harbour ".repeat(375)}`,
  "table 20k.txt": `A distributed table of segments.\n${"harbour ".repeat(2500)}`,
  "table 90k.txt": `A distributed table of filters.\n${"harbour ".repeat(11_250)}`,
  "tree 40k.txt": `A distributed tree.\n${"lantern ".repeat(5000)}`,
  "picture.png": png(),
};

// test has pair: alice, who publishes nothing, and bob, whose files are in the table.
const test = base.extend<{ pair: () => Promise<[Node, Node]> }>({
  pair: async ({ node }, use) => {
    await use(async () => {
      const [alice, bob] = await Promise.all([node("alice"), node("bob", "--publish")]);
      await network(alice, bob);
      for (const n of [alice, bob]) {
        await until(`${n.name} can ask both`, async () => {
          const { members } = await n.call<{ members: { alive: boolean }[] }>("GET", "/api/dht");
          return members.filter((m) => m.alive).length === 2;
        });
      }
      await bob.share("Work", files);
      await until("bob has published", async () => {
        const p = await bob.call<{ published: number; waiting: number }>("GET", "/api/words/published");
        return p.published === Object.keys(files).length && p.waiting === 0;
      });
      return [alice, bob];
    });
  },
});

const main = (page: Page) => page.getByRole("main");
const hits = (page: Page) => page.getByRole("list", { name: "Results" }).getByRole("heading");
const panel = (page: Page) => page.getByRole("region", { name: "How the answer came about" });
const whom = (page: Page) => page.getByRole("group", { name: "Whom to ask" });
const ways = (page: Page) => page.getByRole("table", { name: "What each way takes" }).locator("tbody tr");

test("whom to ask is a choice of the search, and in its address", async ({ pair, page, watch }) => {
  watch.expects(/status of 400/);
  const [alice] = await pair();
  await alice.call("POST", "/api/documents", { title: "Milk", text: "a distributed shopping list" });
  await page.goto(`${alice.url}/#/search?q=distributed`);
  await expect(hits(page)).toHaveCount(5);
  await expect(whom(page).getByRole("button", { name: "All computers" })).toHaveAttribute("aria-pressed", "true");
  await whom(page).getByRole("button", { name: "This computer" }).click();
  await expect(hits(page)).toHaveText(["Milk"]);
  await expect(main(page)).toContainText("1 result from one computer");
  expect(new URL(page.url()).hash).toBe("#/search?q=distributed&via=local");

  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(whom(page).getByRole("button", { name: "The table" })).toBeFocused();
  await expect(whom(page).getByRole("button", { name: "The table" })).toHaveAttribute("aria-pressed", "true");
  await expect(hits(page), "what alice has is not published").toHaveCount(4);
  await expect(main(page)).toContainText("4 results from the table");
  await expect(main(page)).toContainText("Few are asked: what computers publish is found, by whole words, sizes and times.");
  await page.reload();
  await expect(hits(page)).toHaveCount(4);
  await expect(page.getByRole("searchbox")).toHaveValue("distributed");
  await page.getByRole("searchbox").fill("size:10kb..50kb");
  await expect(hits(page)).toHaveText(["table 20k.txt", "tree 40k.txt"]);
  expect(new URL(page.url()).hash).toBe("#/search?q=size%3A10kb..50kb&via=dht");
  await page.getByRole("searchbox").fill("distr*");
  await expect(page.getByRole("alert")).toContainText("the table finds whole words");
  await whom(page).getByRole("button", { name: "All computers" }).click();
  await expect(hits(page)).toHaveCount(5);
  expect(new URL(page.url()).hash).toBe("#/search?q=distr*");
});

test("Explain draws filters, trees and the cost of each way", async ({ pair, page, watch }) => {
  watch.expects(/status of 400/);
  const [alice] = await pair();
  await page.goto(`${alice.url}/#/search?q=distribtued+table+size:%3E10kb`);
  await expect(hits(page)).toHaveCount(2);
  await page.getByRole("button", { name: "Explain" }).click();
  await expect(panel(page)).toContainText("up to 3 edits");
  await expect(panel(page).getByRole("img"), "nobody was asked in the table").toHaveCount(0);
  await panel(page).getByRole("button", { name: "Compare the ways" }).click();
  await expect(ways(page)).toHaveText([/All computers.*2$/s, /Table: filters at once.*2$/s, /Table: whole lists.*2$/s, /Table: filters in turn.*2$/s, /Table: pairs of words.*\d$/s, /Table: prefix hash tree \(PHT\), filters at once.*2$/s, /Table: segment tree \(DST\), filters at once.*2$/s, /Table: equal buckets, filters at once.*2$/s]);

  // With a range the segment tree is drawn, and the filters beside it.
  await expect(panel(page).getByRole("heading", { name: "In the table: segment tree (DST), filters at once" })).toBeVisible();
  await expect(panel(page)).toContainText("Sizes from 10 kB to the last that there is.");
  await expect(panel(page).getByRole("img", { name: /^The segments of keys .* segments were asked in 1 round/ })).toBeVisible();
  const segments = panel(page).getByRole("table", { name: "The segments that were asked" }).locator("tbody tr");
  await expect(segments.filter({ hasText: "[65.5 kB..131 kB]" })).toHaveText(/1\s*\[65\.5\skB\.\.131\skB\]\s*1/);
  await expect(panel(page).getByRole("img", { name: /^Filter of table: \d+ % of its bits are set, \d+ for what was found$/ })).toBeVisible();
  await expect(panel(page).getByRole("list", { name: "Words like distribtued" })).toContainText("distributed");

  // Another way is chosen by keyboard.
  const lists = ways(page).getByRole("button", { name: "Table: whole lists" });
  await lists.focus();
  await page.keyboard.press("Enter");
  await expect(lists).toHaveAttribute("aria-pressed", "true");
  await expect(panel(page).getByRole("heading", { name: "In the table: whole lists" })).toBeVisible();
  await expect(panel(page).getByRole("img")).toHaveCount(0);
  await expect(panel(page).getByRole("list", { name: "Steps" })).toContainText("All documents of each word");

  // What the table was asked for the answer itself is drawn at once.
  await whom(page).getByRole("button", { name: "The table" }).click();
  await expect(panel(page).getByRole("heading", { name: "In the table: filters at once" })).toBeVisible();
  await expect(panel(page).getByRole("img", { name: /^Filter of table/ })).toBeVisible();
  await page.getByRole("searchbox").fill("modified:2020..2020");
  await expect(panel(page).getByRole("heading", { name: "In the table: prefix hash tree (PHT)" })).toBeVisible();
  await expect(panel(page)).toContainText("Last changes from 2020-01-01 to 2020-12-31.");

  // What the table cannot do is said, and the rest is there.
  await whom(page).getByRole("button", { name: "All computers" }).click();
  await page.getByRole("searchbox").fill('"distributed table"');
  await expect(hits(page)).toHaveCount(3);
  await panel(page).getByRole("button", { name: "Compare the ways" }).click();
  await expect(panel(page)).toContainText("the table finds whole words");
  await expect(ways(page)).toHaveText([/All computers.*3$/s]);
});

test("titles begin at one place, beside a picture too", async ({ pair, page }) => {
  const [alice] = await pair();
  await page.goto(`${alice.url}/#/search?q=type:image,text`);
  await expect(hits(page)).toHaveCount(5);
  await expect(page.getByRole("list", { name: "Results" }).locator("canvas.drawn")).toHaveCount(1);
  for (const width of [1280, 320]) {
    await page.setViewportSize({ width, height: 900 });
    const left = await hits(page).evaluateAll((all) => all.map((e) => Math.round(e.getBoundingClientRect().left)));
    expect(new Set(left).size, `${width}: ${left.join()}`).toBe(1);
  }
});

test("the panel can be used by everybody", async ({ pair, page }) => {
  const [alice] = await pair();
  await page.goto(`${alice.url}/#/search?q=distribtued+table+size:%3E1kb&via=dht`);
  await page.getByRole("button", { name: "Explain" }).click();
  await panel(page).getByRole("button", { name: "Compare the ways" }).click();
  await expect(ways(page)).toHaveCount(8);
  await expect(panel(page).getByRole("heading", { name: /^In the table: segment tree/ })).toBeVisible();
  await inspect(page, "explained");
  expect.soft(await unreached(page, "body"), "by Tab").toEqual([]);
});
