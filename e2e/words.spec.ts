// The page Words: what one computer publishes another one finds in the table, in each of the
// ways, with real processes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test as base, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";
import { network, type Node, until } from "./nodes";

const notes: Record<string, string> = {
  "tables.md": "# Distributed hash tables\n\nA table keeps records of everybody. They are found again by keys.\n",
  "trees.md": "# Distributed trees\n\nA tree keeps records in their order.\n",
  "songs.md": "# Another great song\n\nAnd here comes the text.\n",
};

interface Published {
  published: number;
  waiting: number;
}

// test has pair: alice, who publishes nothing, and bob, whose notes are at their words.
const test = base.extend<{ pair: () => Promise<[Node, Node]> }>({
  pair: async ({ node }, use) => {
    const dir = mkdtempSync(join(tmpdir(), "shoal-words-"));
    await use(async () => {
      const folder = join(dir, "notes");
      mkdirSync(folder);
      for (const [name, text] of Object.entries(notes)) writeFileSync(join(folder, name), text);
      const both = await Promise.all([node("alice"), node("bob", "--publish", "--folder", folder)]);
      const [alice, bob] = both;
      await network(alice, bob);
      for (const n of both) {
        await until(`${n.name} can ask both`, async () => {
          const { members } = await n.call<{ members: { alive: boolean }[] }>("GET", "/api/dht");
          return members.filter((m) => m.alive).length === 2;
        });
      }
      await until("bob has published", async () => {
        const p = await bob.call<Published>("GET", "/api/words/published");
        return p.published === Object.keys(notes).length && p.waiting === 0;
      });
      return [alice, bob];
    });
    rmSync(dir, { recursive: true, force: true });
  },
});

const ask = (page: Page) => page.getByRole("form", { name: "Ask" });
const documents = (page: Page) => page.getByRole("list", { name: "Documents" }).getByRole("listitem");
const steps = (page: Page) => page.getByRole("list", { name: "Steps" }).getByRole("listitem");
const main = (page: Page) => page.getByRole("main");

async function type(page: Page, words: string): Promise<void> {
  await ask(page).getByRole("textbox", { name: "Words" }).fill(words);
  await page.keyboard.press("Enter");
}

test("each plan finds the same, and says how", async ({ pair, page }) => {
  const [alice, bob] = await pair();
  await page.goto(alice.url);
  await page.keyboard.press("g");
  await page.keyboard.press("w");
  await expect(page.getByRole("heading", { name: "Words", level: 1 })).toBeFocused();
  await expect(main(page)).toContainText("This computer publishes nothing");
  await expect(main(page)).toContainText("shoal serve --publish");
  await type(page, "Distributed tables");
  await expect(documents(page)).toHaveText([/Distributed hash tables.*bob.*tables\.md.*at\s+(tables\s*distributed|distributed\s*tables)/s]);
  expect(new URL(page.url()).hash).toBe("#/words?q=Distributed+tables");
  await expect(main(page)).toContainText("How the answer came about: filters at once");
  await expect(steps(page)).toHaveText([/A filter of each word's documents.*keys\s*2.*round\s*1.*Asked in round 1: bob/s, /the filters of the others let through.*Asked in round 2: bob/s]);
  await expect(page.getByRole("img", { name: /^Filter of distributed: \d+ % of its bits are set, \d+ for what was found$/ })).toBeVisible();
  await expect(page.getByRole("list", { name: "Words of the question" })).toContainText(/distributed\s+2 documents.*tables\s+1 document/s);
  await expect(page.getByRole("region", { name: "What it took" }).getByRole("table")).toContainText("bob");

  for (const [way, heading, plan] of [["Whole lists", "whole lists", "lists"], ["Filters in turn", "filters in turn", "sequential"], ["Pairs of words", "pairs of words", "pairs"]] as const) {
    await ask(page).getByRole("button", { name: way }).click();
    await expect(page.getByRole("heading", { name: `How the answer came about: ${heading}` })).toBeVisible();
    await expect(documents(page)).toHaveText([/Distributed hash tables.*bob/s]);
    expect(new URL(page.url()).hash).toBe(`#/words?q=Distributed+tables&plan=${plan}`);
  }
  await page.getByRole("button", { name: "Compare" }).click();
  const ways = page.getByRole("table", { name: "What each way takes" }).locator("tbody tr");
  await expect(ways).toHaveText([/Whole lists.*the same: 1/s, /Filters in turn.*the same: 1/s, /Filters at once.*the same: 1/s, /Pairs of words.*the same: 1/s]);

  await ask(page).getByRole("button", { name: "Any of them" }).click();
  await expect(documents(page)).toHaveCount(2);
  await expect(page.getByRole("button", { name: "Compare" }), "there is one way").toHaveCount(0);

  // What was found is read from who has it.
  await documents(page).getByRole("button", { name: "Distributed hash tables" }).click();
  await expect(page.getByRole("dialog")).toContainText("They are found again by keys.");
  await page.keyboard.press("Escape");
  await page.goBack();
  await expect(ask(page).getByRole("button", { name: "Pairs of words" })).toHaveAttribute("aria-pressed", "true");
  await expect(documents(page)).toHaveCount(1);

  await page.goto(`${bob.url}/#/words`);
  await expect(main(page)).toContainText(/3 of 3 documents are published, at \d+ words\./);
});

test("a typo leads to the word that is meant", async ({ pair, page }) => {
  const [alice] = await pair();
  await page.goto(`${alice.url}/#/words?q=greet`);
  await expect(main(page)).toContainText("Nothing was found");
  await page.getByRole("button", { name: "one edit" }).click();
  await expect(documents(page)).toHaveText([/Another great song.*bob.*great/s]);
  expect(new URL(page.url()).hash).toBe("#/words?q=greet&similar=1");
  await expect(page.getByRole("list", { name: "Words of the question" })).toContainText("5 keys: the word, and what is left of it when letters are deleted. These lead to 1 other word");
  const similar = page.getByRole("list", { name: "Words like greet" }).getByRole("listitem");
  await expect(similar).toHaveText([/greet.*gret.*great.*1 edit/s]);
  await expect(similar.locator("del")).toHaveText(["e", "a"]);
  await expect(steps(page)).toHaveCount(2);
});

test("the page can be used by everybody", async ({ pair, page, watch }) => {
  watch.expects(/status of 400/);
  const [alice] = await pair();
  await page.goto(`${alice.url}/#/words`);
  await expect(main(page)).toContainText("This computer publishes nothing");
  await inspect(page, "no question");
  await ask(page).getByRole("button", { name: "Ask" }).click();
  await expect(ask(page)).toContainText("Type a word first.");
  await page.goto(`${alice.url}/#/words?q=...`);
  await expect(page.getByRole("alert")).toBeVisible();
  await page.goto(`${alice.url}/#/words?q=distribtued+records&similar=2&plan=sequential`);
  await expect(documents(page)).toHaveCount(2);
  await page.getByRole("button", { name: "Compare" }).click();
  await expect(page.getByRole("table", { name: "What each way takes" })).toBeVisible();
  await inspect(page, "an answer");
  expect.soft(await unreached(page, "body"), "by Tab").toEqual([]);
});
