// The Lessons page: stories that nodes play, on a real node.
import { expect, test, type Page } from "./fixture";
import { inspect } from "./inspect";

const stage = (page: Page) => page.getByRole("region", { name: "Step by step" });

test("a lesson is told step by step, also by keyboard", async ({ node, page }) => {
  const alice = await node("alice");
  await page.goto(`${alice.url}/#/lessons`);
  await expect(page.getByRole("heading", { name: "Put and get" })).toBeVisible();
  await expect(stage(page)).toContainText("Eight computers keep a table together.");
  await expect(stage(page)).not.toContainText("nodes 8");
  await page.keyboard.press("ArrowRight");
  await expect(stage(page)).toContainText("nodes 8");
  await page.keyboard.press("End");
  await expect(stage(page)).toContainText("Ada: ok, 3 copies; 1 round, 3 messages");
  await expect(stage(page).getByRole("button", { name: "Step on" })).toBeDisabled();
  await inspect(page, "at the end");
  await page.keyboard.press("Home");
  await expect(stage(page)).not.toContainText("nodes 8");

  await page.getByRole("link", { name: "A failed proposer" }).click();
  await expect(stage(page)).toContainText("P fails in the middle of phase two");
  await page.keyboard.press("End");
  await expect(stage(page)).toContainText("Prepare(1.P)");
  await expect(stage(page)).toContainText("2,124 ms");
  await inspect(page, "Paxos");

  await page.getByRole("link", { name: "Two homes punch a hole" }).click();
  await expect(stage(page)).toContainText("neither can begin");
  await page.keyboard.press("End");
  await expect(stage(page)).toContainText("has a way to bob, punched");
});

test("a lesson asks before it shows, and plays as fast as one likes", async ({ node, page }) => {
  const alice = await node("alice");
  await page.goto(`${alice.url}/#/lessons/protection-1`);
  const question = stage(page).getByRole("group", { name: "Question" });
  await expect(stage(page)).toContainText("A location has domains");
  while (!(await question.isVisible())) await page.keyboard.press("ArrowRight");
  await expect(question).toContainText("What do those say who keep it?");
  await inspect(page, "a question");
  await question.getByRole("button", { name: "somebody else" }).click();
  await expect(stage(page)).toContainText("You said: They refuse it: it belongs to somebody else.");
  await expect(stage(page)).toContainText("Peer1: ok, 3 copies");
  await expect(stage(page)).toContainText("0 of 1 right");
  // What plays waits for an answer, and goes on with it.
  await stage(page).getByRole("combobox", { name: "Speed" }).selectOption("fast");
  await stage(page).getByRole("button", { name: "Play" }).click();
  await expect(question).toBeVisible();
  await expect(stage(page)).toContainText('put Peer3 k "hello"');
  await expect(stage(page)).not.toContainText("Peer3: protected");
  await question.getByRole("button", { name: "somebody else" }).click();
  await expect(stage(page)).toContainText("1 of 2 right");
  // Without questions it plays to its end.
  await stage(page).getByRole("checkbox", { name: "Ask me first" }).uncheck();
  await expect(stage(page).getByRole("button", { name: "Play" })).toBeVisible({ timeout: 20_000 });
  await expect(stage(page).getByRole("button", { name: "Step on" })).toBeDisabled();
  await page.reload();
  await expect(stage(page).getByRole("checkbox", { name: "Ask me first" })).not.toBeChecked();
});

test("a story of one's own begins as a lesson", async ({ node, page, watch }) => {
  watch.expects(/status of 422 .*\/api\/lessons\/play/);
  const alice = await node("alice");
  await page.goto(`${alice.url}/#/lessons/protection-1`);
  await page.getByRole("button", { name: "Make it your own" }).click();
  const story = page.getByRole("textbox", { name: "Your story" });
  await expect(story).toHaveValue(/MASTER_PUBLIC_KEY/);
  await story.fill('title Mine\nnodes 4\nput Ada k "v"\nget Ben k\nexpect value "w"\n');
  await page.getByRole("button", { name: "Play it" }).click();
  await expect(page.getByRole("heading", { name: "Mine" })).toBeVisible();
  await stage(page).getByRole("button", { name: "To the end" }).click();
  await expect(stage(page)).toContainText('value "w": no, "v"');
  await expect(stage(page)).toContainText("1 expectation not met");
  await inspect(page, "a story of one's own");

  await story.fill("title Mine\nfly away\n");
  await page.getByRole("button", { name: "Play it" }).click();
  await expect(page.getByRole("alert")).toContainText("line 2: fly: there is no such command");
});
