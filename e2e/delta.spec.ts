// The Delta page: rsync step by step, on a real node.
import { expect, test, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";

const stage = (page: Page) => page.getByRole("region", { name: "Step by step" });
const blocks = (page: Page) => page.getByRole("list", { name: "Blocks of the old text" }).getByRole("listitem");
const sent = (page: Page) => page.getByRole("list", { name: "Operations so far" }).getByRole("listitem");
const query = (page: Page) => new URLSearchParams(new URL(page.url()).hash.split("?")[1] ?? "");

test("the talk's example is there at once, and goes by keyboard", async ({ node, page }) => {
  const alice = await node("alice");
  await page.goto(`${alice.url}/#/delta`);
  await expect(stage(page)).toContainText("Step 0 of 5");
  await expect(page.getByRole("textbox", { name: "Old text" })).toHaveValue("charla");
  await expect(blocks(page)).toHaveText([/ch.*012e00cb.*5982e9e5/s, /ar.*013400d3.*1c2fb9a8/s, /la.*013900cd.*ab9e1994/s]);
  await expect(sent(page)).toHaveText(["Nothing yet."]);

  await page.keyboard.press("ArrowRight");
  await expect(stage(page)).toContainText("“go” has the weak sum 013d00d6, which no block has. “g” is literal.");
  await page.keyboard.press("ArrowRight");
  await expect(stage(page)).toContainText("406019b is not the sum of any two bytes");
  await expect(stage(page)).toContainText("before013d00d6");
  await expect(stage(page)).toContainText("− g (67) + c (63)");
  await page.keyboard.press("ArrowRight");
  await expect(blocks(page).nth(0)).toContainText("found");
  await expect(sent(page)).toHaveText([/data.*“go”.*2 bytes/s, /copy.*block 0.*2 bytes/s]);
  await expect(page.getByRole("status").filter({ hasText: "Step 3 of 5" })).toContainText("The first match");

  // The address keeps the state.
  await expect.poll(() => query(page).toString()).toBe("story=charla&step=3");
  await page.reload();
  await expect(stage(page)).toContainText("Step 3 of 5");
  await page.keyboard.press("ArrowLeft");
  await expect(stage(page)).toContainText("Step 2 of 5");
  await page.keyboard.press("End");
  await expect(sent(page)).toHaveText([/data/, /copy.*blocks 0 to 2.*6 bytes/s]);
  await expect(stage(page).getByRole("button", { name: "Step on" })).toBeDisabled();
  await page.keyboard.press("Home");
  await expect(stage(page)).toContainText("Step 0 of 5");
  await page.getByLabel("Speed").selectOption("fast");
  await page.getByLabel("Speed").blur();
  await page.keyboard.press("Space");
  await expect(stage(page)).toContainText("Step 5 of 5");
  await expect(stage(page).getByRole("button", { name: "Play" })).toBeVisible();

  // Keys belong to the field that has the focus.
  await page.getByRole("textbox", { name: "New text" }).press("ArrowLeft");
  await expect(stage(page)).toContainText("Step 5 of 5");
  await expect(page.getByRole("main")).toContainText("38 bytes");
  await expect(page.getByRole("main")).toContainText("there can be no false alarm");
});

test("a false alarm, blocks of other lengths, and texts of one's own", async ({ node, page }) => {
  const alice = await node("alice");
  await page.goto(`${alice.url}/#/delta`);
  await page.getByRole("button", { name: "A false alarm" }).click();
  await stage(page).getByRole("button", { name: "Next find" }).click();
  await stage(page).getByRole("button", { name: "Next find" }).click();
  await expect(blocks(page).nth(1)).toContainText("false alarm");
  await expect(stage(page)).toContainText("e74514e9 not e8e63c55");
  await expect(page.getByRole("main")).toContainText("1 in 3.6 × 10¹³");

  const slider = page.getByRole("slider", { name: "Block size" });
  await slider.focus();
  await page.keyboard.press("ArrowLeft");
  await expect(blocks(page)).toHaveCount(5);
  await expect(slider).toHaveAttribute("aria-valuetext", "2 bytes");
  await expect(stage(page), "the slider's keys are its own").toContainText("Step 0 of");

  await page.getByRole("textbox", { name: "Old text" }).fill("hello world\n");
  await page.getByRole("textbox", { name: "New text" }).fill("hello, wörld\n");
  await expect(stage(page)).toContainText("New text: 14 bytes");
  await expect.poll(() => query(page).get("new")).toBe("hello, wörld\n");
  await page.reload();
  await expect(page.getByRole("textbox", { name: "New text" })).toHaveValue("hello, wörld\n");
  await page.getByRole("textbox", { name: "Old text" }).fill("");
  await page.getByRole("textbox", { name: "New text" }).fill("");
  await expect(page.getByRole("main")).toContainText("Type an old and a new text");
});

test("files of a shared folder, long ones without steps, and what is not there", async ({ node, page, watch }) => {
  watch.expects(/status of 404 .*\/api\/rsync\/explain/);
  const alice = await node("alice");
  const long = Array.from({ length: 3000 }, (_, i) => `line ${i}\n`).join("");
  await alice.share("Notes", { "old.txt": "charla", "sub/new.txt": "gocharla", "long.txt": long, "longer.txt": `in front\n${long}` });
  await page.goto(`${alice.url}/#/delta`);
  // A file is chosen from a list: by mouse, or by words and keys.
  await page.getByRole("group", { name: "Old text" }).getByText("Shared file").click();
  await expect(stage(page), "what is shown would be of the earlier texts").toBeHidden();
  await page.getByRole("combobox", { name: "Old text: path in the folder" }).click();
  await expect(page.getByRole("listbox").getByRole("option")).toHaveText([/long\.txt/, /longer\.txt/, /old\.txt/, /sub\/new\.txt/]);
  await inspect(page, "the list of files");
  await page.getByRole("listbox").getByRole("option", { name: "old.txt" }).click();
  await page.getByRole("group", { name: "New text" }).getByText("Shared file").click();
  const choice = page.getByRole("combobox", { name: "New text: path in the folder" });
  await choice.fill("new");
  await expect(page.getByRole("listbox").getByRole("option")).toHaveText([/sub\/new\.txt/]);
  await choice.press("ArrowDown");
  await choice.press("Enter");
  await expect(choice).toHaveValue("sub/new.txt");
  await expect(page.getByRole("listbox")).toBeHidden();
  await expect(stage(page)).toContainText("New text: 8 bytes");
  await page.getByLabel("Old text: path in the folder").fill("long.txt");
  await page.getByLabel("New text: path in the folder").fill("longer.txt");
  await expect(page.getByRole("main")).toContainText("too much to tell each step");
  await expect(page.getByRole("main")).toContainText("170 blocks × ");
  await inspect(page, "long files");
  await page.reload();
  await expect(page.getByRole("main")).toContainText("too much to tell each step");
  await page.getByLabel("Old text: path in the folder").fill("missing.txt");
  await page.getByLabel("Old text: path in the folder").press("Enter");
  await expect(page.getByRole("alert")).toContainText("no file “missing.txt”".replaceAll(/[“”]/g, '"'));
  await inspect(page, "trouble");
});

test("letters are letters, long texts outlast a reload, and limits are told before", async ({ node, page }) => {
  const alice = await node("alice");
  await page.goto(`${alice.url}/#/delta?${new URLSearchParams({ old: "niño", new: "ñandú", block: "2" })}`);
  await expect(blocks(page).nth(1)).toContainText("ñ");
  await page.keyboard.press("ArrowRight");
  await expect(stage(page)).toContainText("“ñ” has the weak sum");
  await page.keyboard.press("End");
  await expect(sent(page).last()).toContainText("“andú”");
  const [old, target] = [page.getByRole("textbox", { name: "Old text" }), page.getByRole("textbox", { name: "New text" })];
  const long = "The herring are back. ".repeat(300);
  await old.fill(long);
  await target.fill(`${long}!`);
  await expect(page.getByRole("main")).toContainText("only in this tab");
  await expect(stage(page)).toContainText("New text: 6,601 bytes");
  await expect.poll(() => query(page).get("typed")).toBe("1");
  await page.reload();
  await expect(target).toHaveValue(`${long}!`);
  await expect(stage(page)).toContainText("New text: 6,601 bytes");
  await target.fill("x".repeat(65_537));
  await expect(page.getByRole("alert")).toContainText("The new text has 65,537 characters");
  await expect(page.getByRole("button", { name: "Try again" })).toBeHidden();
  await inspect(page, "too long");
});

test("the Delta page can be used by everybody", async ({ node, page }) => {
  test.setTimeout(120_000);
  const alice = await node("alice");
  for (const [what, hash, step] of [
    ["the beginning", "", "Step 0 of 5"],
    ["a match", "?story=charla&step=3", "Step 3 of 5"],
    ["a false alarm", "?story=false-alarm&step=2", "Step 2 of 5"],
    ["a roll", "?story=false-alarm&step=4", "Step 4 of 5"],
  ]) {
    await page.goto(`${alice.url}/#/delta${hash}`);
    await expect(stage(page)).toContainText(step);
    await inspect(page, what);
  }
  expect(await unreached(page, "body")).toEqual([]);
  await page.goto(`${alice.url}/#/delta?old=&new=`);
  await expect(page.getByRole("main")).toContainText("Type an old and a new text");
  await inspect(page, "nothing typed");
});
