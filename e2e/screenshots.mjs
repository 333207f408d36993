// The pictures of the README, by hand: node e2e/screenshots.mjs. It starts three
// nodes with folders as people have them and takes the pages in a real browser.
import { mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "@playwright/test";
import { runnerImport } from "vite";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "screenshots");
const most = 150_000; // bytes of a picture
const { module } = await runnerImport(join(here, "nodes.ts"), { configFile: false, logLevel: "error" });
const { Node, build, network, until } = module;
const beds = "# Garden beds\n\nTomatoes after beans, never after potatoes.\nWater the raised bed in the evening.\n";

const folders = [
  {
    label: "House",
    files: {
      "attic/network cabling.md":
        "# Network cabling in the attic\n\nThe network cable from the study to the attic is a Cat 6 of 25 metres. It enters behind the chimney and ends in the grey box next to the window.\n\n## To do\n\n- label both ends\n- replace the switch, which gets warm\n- test the network with the door of the box closed\n",
      "attic/insulation.md": "# Insulation\n\nTwo layers of wood fibre, 18 cm in total. Keep the cables on top of the first layer.\n",
      "garden/beds.md": beds,
      "garden/rain barrel.txt": "The barrel holds 300 litres. Clean the filter before winter and after the first frost.\n",
      "receipts/2026-03 heating.csv": "date,item,amount\n2026-03-02,service of the boiler,148.00\n2026-03-19,new valve,36.50\n",
      "readme.txt": "Everything about the house, by room. Ask Alice before you throw anything away.\n",
    },
  },
  {
    label: "Lecture notes",
    files: {
      "distributed systems/01 introduction.md":
        "# What makes a system distributed\n\nA distributed system is one in which a computer you did not know existed can stop yours from working. The network between them loses, delays and repeats messages.\n",
      "distributed systems/04 overlay networks.md":
        "# Overlay networks\n\nAn overlay network links computers above the real network: each knows a few others, and messages travel from one to the next. Chord keeps log n fingers, so any key is found in few steps.\n",
      "distributed systems/06 churn.md": "# Churn\n\nComputers come and go. A network that heals must notice who is gone before it is asked for them.\n",
      "statistics/bayes.md": "# Bayes\n\nWhat is likely depends on what was likely before. Draw the tree, then count the leaves.\n",
      "exam dates.txt": "Distributed systems, 3 February, room 204. Statistics, 10 February, online.\n",
    },
  },
  {
    label: "Makerspace",
    files: {
      "3d printer.md": "# The 3D printer\n\nHeat the bed to 60 degrees, clean it with alcohol, and stay for the first layer.\n",
      "guest network.md":
        "# Guest network\n\nGuests get the network named makerspace-guest. It is cut off from the machines: the laser cutter and the printer stand in a network of their own.\n",
      "laser cutter/materials.csv": "material,thickness,speed,power\nplywood,3 mm,20,65\nacrylic,3 mm,14,70\nleather,2 mm,30,40\n",
      "minutes/october.md": "# Minutes, October\n\nWe buy a second soldering station. The door code changes on the first of November. Chiara looks after the network until spring.\n",
    },
  },
];

// shoot takes what the page shows and checks that it stays small.
async function shoot(page, name) {
  const path = join(out, `${name}.png`);
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path, animations: "disabled", caret: "hide" });
  const { size } = statSync(path);
  console.log(`${name}.png ${size} bytes`);
  if (size > most) throw new Error(`${path}: ${size} bytes, at most ${most} are wanted`);
}

async function take(browser, alice) {
  const screen = { deviceScaleFactor: 1, reducedMotion: "reduce" };
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...screen });
  const page = await context.newPage();
  const main = page.getByRole("main");
  const results = page.getByRole("list", { name: "Results" }).getByRole("listitem");

  await page.goto(`${alice.url}/#/`);
  await main.getByText("What happens now").waitFor();
  await shoot(page, "home");
  await page.goto(`${alice.url}/#/search?q=netwrk`);
  await page.getByText(/results from 3 computers/).waitFor();
  await results.nth(4).waitFor();
  await page.evaluate(() => document.activeElement?.blur());
  await shoot(page, "search");
  await page.emulateMedia({ colorScheme: "dark" });
  await results.first().getByRole("heading").getByRole("button").click();
  await page.getByRole("dialog").locator("pre").waitFor();
  await shoot(page, "search-dark");
  await page.keyboard.press("Escape");
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(`${alice.url}/#/folders`);
  await main.getByText("from chiara").waitFor();
  await main.getByText("2 conflicts to decide").waitFor();
  await shoot(page, "folders");
  await page.getByRole("link", { name: "Decide" }).click();
  await main.getByRole("button", { name: /^beds\.md/ }).click();
  await main.getByRole("group", { name: "Differences" }).waitFor();
  await shoot(page, "conflicts");
  await page.goto(`${alice.url}/#/peers`);
  const bob = main.getByRole("listitem").filter({ has: page.getByText("bob", { exact: true }) });
  await bob.getByText("bob", { exact: true }).click();
  await bob.getByText("Traffic").waitFor();
  await shoot(page, "peers");
  const phone = await (await browser.newContext({ viewport: { width: 390, height: 800 }, isMobile: true, ...screen })).newPage();
  await phone.goto(`${alice.url}/#/search?q=netwrk`);
  await phone.getByRole("list", { name: "Results" }).getByRole("listitem").nth(4).waitFor();
  await phone.evaluate(() => document.activeElement?.blur());
  await shoot(phone, "search-mobile");
}

// keepHouse has bob keep alice's first folder, and both change the same files at once.
async function keepHouse(alice, bob) {
  const house = async (node) => (await node.call("GET", "/api/folders")).items.find((f) => f.label === "House");
  await until("bob sees the folder", async () => (await house(bob))?.state === "offered");
  const place = join(demo, "bob", "House");
  const { id } = await bob.call("POST", "/api/folders", { id: "House", path: place });
  const all = Object.keys(folders[0].files).length;
  await until("bob has the folder", async () => (await house(bob)).files === all && (await house(alice)).state === "idle");
  for (const node of [alice, bob]) await node.call("PATCH", `/api/folders/${id}`, { paused: true });
  writeFileSync(join(demo, "alice", "House", "garden/beds.md"), beds.replace("in the evening", "in the morning").replace("never after potatoes", "never after potatoes or peppers"));
  writeFileSync(join(place, "garden/beds.md"), beds.replace("the raised bed", "both raised beds") + "Ask Chiara about the fence.\n");
  writeFileSync(join(demo, "alice", "House", "garden/rain barrel.txt"), "The barrel holds 300 litres and leaks.\n");
  rmSync(join(place, "garden/rain barrel.txt"));
  for (const node of [alice, bob]) await node.call("PATCH", `/api/folders/${id}`, { paused: false });
  await until("there are conflicts", async () => (await house(alice)).conflicts === 2);
}

// write puts files where one person has them, as if they had grown over weeks.
function write(place, files) {
  for (const [i, [name, text]] of Object.entries(files).entries()) {
    const file = join(place, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    const then = Date.now() / 1000 - 86_400 * (1 + 5 * i);
    utimesSync(file, then, then);
  }
}

const demo = join(tmpdir(), "shoal-demo");
mkdirSync(demo); // is it there already, then somebody else takes pictures
mkdirSync(out, { recursive: true });
const nodes = [];
const browser = await chromium.launch({
  executablePath: process.env.SHOAL_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  const binary = build(demo);
  for (const name of ["alice", "bob", "chiara"]) nodes.push(await Node.start(binary, name));
  await network(...nodes);
  for (const [i, { label, files }] of folders.entries()) {
    const path = join(demo, nodes[i].name, label);
    write(path, files);
    await nodes[i].call("POST", "/api/folders", { path });
    await nodes[0].found("network", (hit) => hit.node_name === nodes[i].name);
  }
  await keepHouse(nodes[0], nodes[1]);
  await take(browser, nodes[0]);
} finally {
  await browser.close();
  await Promise.all(nodes.map((n) => n.remove()));
  rmSync(demo, { recursive: true, force: true });
}
