// How computers are linked: the pages Peers and Network, on real nodes.
import { expect, test, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";
import { until } from "./nodes";

const row = (page: Page, name: string) => page.getByRole("main").getByRole("listitem").filter({ has: page.getByText(name, { exact: true }) }).first();

interface Step {
  at_ms: number;
  kind: string;
  text: string;
}
interface View {
  path: { kind: string; tried: { result: string }[] } | null;
  trace: { steps: Step[] } | null;
}

test("a link is told as both ends see it, step by step", async ({ trio, page }) => {
  const [alice, bob] = await trio();
  await page.goto(`${alice.url}/#/peers`);
  const bobs = row(page, "bob");
  await expect(bobs).toContainText("Direct");
  await expect(bobs.locator("summary").first()).toContainText(/↓ .+\/s ↑ .+\/s/, { timeout: 15_000 });
  await bobs.locator("summary").first().press("Enter");
  for (const side of ["Seen from here", "Seen from bob"]) {
    const section = bobs.getByRole("region", { name: side });
    await expect(section).toContainText("Direct over UDP");
    await expect(section.getByRole("list", { name: "Pairs of addresses that were tried" }).getByRole("listitem").filter({ hasText: "in use" })).toHaveCount(1);
  }
  const steps = bobs.getByRole("region", { name: "What happened, step by step" });
  const shown = steps.locator("ol li:visible");
  await expect(shown.last()).toContainText(/the link is up/);
  await expect(shown.filter({ hasText: "so that packets go both ways" }).first()).toBeVisible();
  await expect(shown.filter({ hasText: "agreed on keys" })).toHaveCount(1);
  const own = await shown.allTextContents();
  await steps.getByRole("button", { name: "Seen from bob" }).press("Enter");
  await expect(steps.getByRole("button", { name: "Seen from bob" })).toHaveAttribute("aria-pressed", "true");
  await expect(shown.last()).toContainText(/alice has proven who it is/);
  expect(await shown.allTextContents()).not.toEqual(own);
  expect(await unreached(page, "body")).toEqual([]);
  await inspect(page, "a path");

  // What the page shows is what the node and the shell tell, in order.
  const id = (await alice.call<{ items: { id: string; name: string }[] }>("GET", "/api/peers")).items.find((p) => p.name === "bob")?.id;
  const told = await alice.call<{ kind: string; here: View; there: View | null }>("GET", `/api/peers/${id}/path`);
  expect(told).toMatchObject({ kind: "direct", here: { path: { kind: "direct" } }, there: { path: { kind: "direct" } } });
  for (const view of [told.here, told.there]) {
    const at = view?.trace?.steps.map((s) => s.at_ms) ?? [];
    expect(at.length).toBeGreaterThan(5);
    expect(at).toEqual(at.toSorted((a, b) => a - b));
  }
  const shell = alice.shell("peers", "bob");
  expect(shell.status).toBe(0);
  expect(shell.stdout).toContain("What happened there, as it says");
  expect(shell.stdout).toContain(told.here.trace?.steps.at(-1)?.text);

  // Of a computer that is off: why, and what was tried.
  await bob.kill();
  await until("a link to bob was tried in vain", async () => {
    const now = await alice.call<{ connected: boolean; here: View }>("GET", `/api/peers/${id}/path`);
    return !now.connected && now.here.trace?.steps.at(-1)?.kind === "failed";
  }, 30_000);
  await expect(bobs).toContainText("not linked");
  await expect(steps).toContainText("What was tried last");
  await expect(shown.filter({ hasText: "It did not get through" }).first()).toBeVisible();
  await expect(shown.last()).toContainText("It came to nothing");
  await inspect(page, "no path");
});

test("the network page shows the report as a picture, and checks again", async ({ node, page }) => {
  const [alice, bob] = await Promise.all([node("alice"), node("bob")]);
  await page.goto(`${alice.url}/#/`);
  await expect(page.getByRole("heading", { name: "alice" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("n");
  await expect(page.getByRole("heading", { name: "Network", level: 1 })).toBeFocused();
  const main = page.getByRole("main");
  await expect(main.getByRole("heading", { name: "Nobody there who could look" })).toBeVisible();
  await inspect(page, "an empty network page");
  await main.getByRole("button", { name: "Check now" }).press("Enter");
  await expect(page.getByRole("status").filter({ hasText: "The check is done." })).toHaveCount(1);

  // A computer joins, and the page fills itself.
  await bob.call("POST", "/api/join", { link: await alice.invite() });
  await alice.linked(1);
  const stations = main.getByRole("list", { name: "The way to other computers" }).getByRole("listitem");
  await expect(stations).toHaveCount(4);
  await expect(stations.nth(0)).toContainText(/alice.*UDP/s, { timeout: 20_000 });
  await expect(stations.nth(1)).toContainText("No NAT");
  await expect(stations.nth(2)).toContainText(/127\.0\.0\.1:\d+.*where others see this computer.*Everybody can reach it/s);
  await expect(stations.nth(3)).toContainText("1 link up");
  const facts = main.getByRole("region", { name: "Findings" }).getByRole("listitem");
  await expect(facts).toHaveCount(11);
  const report = await alice.call<{ findings: { sentence: string }[] }>("GET", "/api/network");
  for (const [i, { sentence }] of report.findings.entries()) await expect(facts.nth(i)).toContainText(sentence);
  // On one computer a check takes no time: the answer is held until it was waited for.
  let answer = () => {};
  const waited = new Promise<void>((resolve) => (answer = resolve));
  await page.route("**/api/network/check", async (r) => {
    await waited;
    await r.continue();
  });
  await main.getByRole("button", { name: "Check now" }).click();
  await expect(main.getByRole("button", { name: "Checking…" })).toHaveAttribute("aria-disabled", "true");
  await expect(main).toContainText("at most half a minute");
  answer();
  await expect(main.getByRole("button", { name: "Check now" })).toBeVisible();
  await expect(main).toContainText("Checked just now");
  await expect(main.getByText("shoal netcheck", { exact: true })).toBeVisible();
  expect(await unreached(page, "body")).toEqual([]);
  // How the link came about, step by step, from either end.
  const links = main.getByRole("region", { name: "How links came about" });
  await expect(links.getByRole("combobox", { name: "The link to" })).toContainText("bob, direct");
  await expect(links).toContainText(/proven who it is: the link is up/);
  await links.getByRole("button", { name: "Seen from bob" }).click();
  await expect(links).toContainText(/alice has proven who it is/);
  await inspect(page, "network");
  await page.goto(`${alice.url}/#/activity`);
  await expect(main).toContainText(/Others see this computer at 127\.0\.0\.1:\d+, and can reach it there\./);
});
