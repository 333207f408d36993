// What every page is held against, in light, dark and on a narrow screen.
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page } from "./fixture";

const wide = { width: 1280, height: 900 };
const narrow = { width: 320, height: 640 };
const looks = [
  { look: "light", colorScheme: "light", size: wide },
  { look: "dark", colorScheme: "dark", size: wide },
  { look: "narrow", colorScheme: "light", size: narrow },
] as const;

// inspect checks what the page shows now, in every look. A dialog makes the rest
// of the page inert, so only the dialog is looked at.
export async function inspect(page: Page, what: string): Promise<void> {
  for (const { look, colorScheme, size } of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    // There is no frame in the page, so the checks need no page of their own.
    const axe = new AxeBuilder({ page }).setLegacyMode();
    if (look === "dark") axe.withRules(["color-contrast"]);
    else axe.withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]);
    if ((await page.locator("dialog[open]").count()) > 0) axe.include("dialog[open]");
    const { violations } = await axe.analyze();
    const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html}\n${n.failureSummary}`).join("\n")}`);
    expect.soft(found, `${what}, ${look}`).toEqual([]);
    const over = await page.evaluate(() => {
      const root = document.documentElement;
      const inside = [...document.querySelectorAll("dialog[open]")];
      return [root, ...inside].map((e) => e.scrollWidth - e.clientWidth).filter((n) => n > 0);
    });
    expect.soft(over, `${what}, ${look}: wider than the screen`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(wide);
}

// unreached presses Tab often enough to go round, and returns what in root can be
// used but was not reached.
export async function unreached(page: Page, root: string): Promise<string[]> {
  await page.evaluate(() => {
    document.querySelectorAll("[data-seen]").forEach((e) => e.removeAttribute("data-seen"));
    document.addEventListener("focusin", (e) => (e.target as Element).setAttribute("data-seen", ""));
  });
  const all = `${root} :is(a[href], button, input, select, textarea, summary, [tabindex="0"])`;
  const count = await page.locator(all).count();
  for (let i = 0; i < count + 5; i++) await page.keyboard.press("Tab");
  return page.evaluate((all) => {
    // Of a group of radio buttons only the chosen one takes the focus.
    const passed = (e: Element) => e.matches(":disabled") || (e.matches("input[type=radio]") && !e.matches(":checked"));
    const missed = [...document.querySelectorAll(all)].filter((e) => e.checkVisibility() && !passed(e) && !e.hasAttribute("data-seen"));
    return missed.map((e) => e.outerHTML.slice(0, 120));
  }, all);
}
