// How long the Search page takes from a key to the first results, in a real browser, of a node
// with many documents:
//
//   node e2e/bench/page.mjs [--documents N] [--queries N] [--pause MS] [--repository DIR] [--keep DIR]
//
// The documents are those of e2e/bench/searchlocal, as files of a shared folder. Of each of four
// kinds --queries are typed, letter by letter, a key every --pause milliseconds. Of each key is
// measured when its event came, when the question left the page, when the first bytes of the answer
// were here, when the first results were in the document, and when the frame with them was drawn.
// --repository has another version of shoal measured; --keep keeps the documents and the node for the
// next run. The figures of record are in BENCHMARKS.md.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "@playwright/test";
import { runnerImport } from "vite";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { module } = await runnerImport(join(root, "e2e/nodes.ts"), { configFile: false, logLevel: "error" });
const { Node, until } = module;

const { values: flags } = parseArgs({
  options: {
    documents: { type: "string", default: "100000" },
    queries: { type: "string", default: "20" },
    pause: { type: "string", default: "150" },
    repository: { type: "string", default: root },
    keep: { type: "string" },
  },
});
const documents = Number(flags.documents);

function run(cwd, name, ...args) {
  const { status, stderr } = spawnSync(name, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr}`);
}

// observe runs in the page: it notes in window.keys what became of each key.
function observe() {
  performance.setResourceTimingBufferSize(100_000);
  const keys = (window.keys = []);
  const list = () => document.querySelector('ul[aria-label="Results"]');
  let pressed = 0;
  addEventListener("keydown", (e) => (pressed = e.timeStamp), true);
  addEventListener("input", (e) => keys.push({ text: e.target.value, pressed, found: 0, drawn: 0 }));
  new MutationObserver(() => {
    const last = keys.at(-1);
    const results = list();
    if (!last || last.found > 0 || !results || results.classList.contains("stale") || results.childElementCount === 0) return;
    last.found = performance.now();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (last.drawn = performance.now());
    requestAnimationFrame(() => port2.postMessage(0)); // that comes behind the drawing
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
}

// collect runs in the page: the keys with the times of their questions.
function collect() {
  const asked = new Map();
  for (const e of performance.getEntriesByType("resource")) {
    const url = new URL(e.name);
    if (url.pathname === "/api/search") asked.set(url.searchParams.get("q"), e);
  }
  const keys = window.keys.map((k) => {
    const e = asked.get(k.text);
    return { ...k, sent: e?.startTime ?? 0, first: e?.responseStart ?? 0 };
  });
  window.keys.length = 0;
  performance.clearResourceTimings();
  return keys;
}

async function type(page, text, pause) {
  const field = page.getByRole("searchbox");
  await field.fill("");
  await page.waitForTimeout(300);
  await page.evaluate(collect); // and forget
  for (const letter of text) {
    const next = Date.now() + pause;
    await page.keyboard.press(letter === " " ? "Space" : letter);
    await page.waitForTimeout(Math.max(0, next - Date.now()));
  }
  await page.waitForTimeout(700);
  return page.evaluate(collect);
}

function quantile(all, q) {
  const sorted = all.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(q * sorted.length), sorted.length - 1)] ?? NaN;
}

const both = (all) => `${quantile(all, 0.5).toFixed(0)} / ${quantile(all, 0.95).toFixed(0)}`;

// row says of keys that had results how long each part took.
function row(name, keys, of) {
  const span = (from, to) => both(keys.map((k) => k[to] - k[from]));
  console.log(`| ${name} | ${keys.length} of ${of} | ${span("pressed", "sent")} | ${span("sent", "first")} | ${span("first", "found")} | ${span("pressed", "found")} | ${span("found", "drawn")} | **${span("pressed", "drawn")}** |`);
}

function report(queries) {
  console.log("| ms: p50 / p95 | results for | key to question | to first bytes | to results in the document | together | to the frame | key to frame |\n|---|---|---|---|---|---|---|---|");
  const good = (k) => k.drawn > 0 && k.first > 0;
  const kinds = [...new Set(queries.map((q) => q.kind))];
  for (const kind of kinds) {
    const last = queries.filter((q) => q.kind === kind).map((q) => q.keys.at(-1));
    row(`${kind}, last key`, last.filter(good), last.length);
  }
  const last = queries.map((q) => q.keys.at(-1));
  row("all queries, last key", last.filter(good), last.length);
  const all = queries.flatMap((q) => q.keys);
  row("every key", all.filter(good), all.length);
}

const dir = flags.keep ? resolve(flags.keep) : mkdtempSync(join(tmpdir(), "shoal-page-"));
const began = existsSync(join(dir, "queries.json"));
let node, browser;
try {
  mkdirSync(join(dir, "node"), { recursive: true });
  const binary = join(dir, "shoal");
  run(resolve(flags.repository), "go", "build", "-o", binary, ".");
  if (!began) run(root, "go", "run", "./e2e/bench/searchlocal", "-documents", `${documents}`, "-queries", flags.queries, "-write", dir);
  const queries = JSON.parse(readFileSync(join(dir, "queries.json"), "utf8")).slice(0, 4 * Number(flags.queries));
  node = await Node.at(join(dir, "node"), binary, "alone");
  const start = Date.now();
  if (!began) await node.call("POST", "/api/folders", { path: join(dir, "files"), label: "files" });
  await until("all documents are found", async () => (await node.call("GET", "/api/node")).documents >= documents, 3_600_000);
  await until("the folder is idle", async () => (await node.call("GET", "/api/folders")).items.every((f) => f.state === "idle"), 3_600_000);
  console.log(`${documents} documents there after ${((Date.now() - start) / 1000).toFixed(0)} s\n`);

  browser = await chromium.launch({ executablePath: process.env.SHOAL_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.addInitScript(observe);
  await page.goto(`${node.url}/#/search`);
  await type(page, "warm", 150);
  for (const q of queries) q.keys = await type(page, q.text, Number(flags.pause));
  report(queries);
} finally {
  await browser?.close();
  await node?.stop();
  if (!flags.keep) rmSync(dir, { recursive: true, force: true });
}
