// Two people who carry two texts from one page to the other.
import { expect, test, type Page } from "./fixture";
import { inspect, unreached } from "./inspect";
import { type Node } from "./nodes";

async function open(page: Page, node: Node): Promise<Page> {
  const tab = await page.context().newPage();
  await tab.clock.install(); // for who waits too long
  await tab.goto(`${node.url}/#/peers`);
  await tab.getByRole("button", { name: "Connect by hand" }).click();
  return tab;
}

// carried is the text that the dialog shows. It is selected, to be copied.
async function carried(page: Page): Promise<string> {
  const field = page.getByRole("dialog").locator("textarea[readonly]");
  await expect(field).toBeFocused();
  const text = await field.inputValue();
  expect(await page.evaluate(() => window.getSelection()?.toString())).toBe(text);
  return text;
}

async function words(page: Page): Promise<string[]> {
  const list = page.getByRole("dialog").getByRole("listitem");
  await expect(list).toHaveCount(4);
  return list.allTextContents();
}

test("a computer joins by two texts, and both sides show the same words", async ({ node, page }) => {
  const [alice, bob] = await Promise.all([node("alice"), node("bob")]);
  const link = await alice.invite(1);
  const b = await open(page, bob);
  await b.getByRole("button", { name: /^Start here/ }).click();
  await b.getByLabel("Invitation").fill(link);
  await b.keyboard.press("Tab");
  await b.keyboard.press("Enter");
  const offer = await carried(b);
  expect(offer).toMatch(/^shoal:\/\/offer#[\w-]+$/);
  await expect(b.getByRole("dialog")).toContainText("good for 10 min");

  const a = await open(page, alice);
  await a.getByRole("button", { name: /^I was sent a text/ }).click();
  const sent = a.getByRole("textbox", { name: "The text that you were sent" });
  await expect(sent).toBeFocused();
  await sent.fill(link);
  await expect(a.getByRole("dialog")).toContainText("This is an invitation");
  await expect(a.getByRole("button", { name: "Make the answer" })).toBeDisabled();
  await sent.fill(`Here it is:\n${offer.slice(0, 70)}\n${offer.slice(70)}\n`);
  await a.getByRole("button", { name: "Make the answer" }).click();
  const answer = await carried(a);
  expect(answer).toMatch(/^shoal:\/\/answer#[\w-]+$/);
  await expect(a.getByRole("dialog")).toContainText("Waiting for bob");

  const paste = b.getByRole("textbox", { name: /Paste the answer/ });
  await paste.fill(offer);
  await expect(b.getByRole("dialog")).toContainText("This is an offer");
  await paste.fill(answer);
  await b.getByRole("button", { name: "Link", exact: true }).click();
  await expect(b.getByRole("dialog")).toContainText("Linked with alice");
  await expect(a.getByRole("dialog")).toContainText("Linked with bob");
  expect(await words(a)).toEqual(await words(b));
  await b.getByRole("link", { name: "Done" }).click();
  await Promise.all([alice.linked(1), bob.linked(1)]);
});

test("wrong texts are told apart, and what waits is there again", async ({ node, page, watch }) => {
  watch.expects(/status of 4\d\d .*\/api\/handshakes/);
  const [alice, bob, chiara] = await Promise.all([node("alice"), node("bob"), node("chiara")]);
  const link = await alice.invite(1);
  const b = await open(page, bob);
  await b.getByRole("button", { name: /^Start here/ }).click();
  await b.getByLabel("Invitation").fill(link);
  await b.getByRole("button", { name: "Make the text" }).click();
  const offer = await carried(b);

  const c = await open(page, chiara);
  await c.getByRole("button", { name: /^I was sent a text/ }).click();
  const sent = c.getByRole("textbox", { name: "The text that you were sent" });
  await sent.fill(offer);
  await c.getByRole("button", { name: "Make the answer" }).click();
  await expect(c.getByRole("alert")).toContainText("from bob");
  await expect(c.getByRole("alert")).toContainText("this computer is chiara");
  await sent.fill(offer.slice(0, -9));
  await c.getByRole("button", { name: "Make the answer" }).click();
  await expect(c.getByRole("alert")).toContainText("not a whole offer");

  // The dialog can be closed: the text is the same when it is opened again.
  await b.keyboard.press("Escape");
  await b.reload();
  await b.getByRole("button", { name: "Connect by hand" }).click();
  expect(await carried(b)).toBe(offer);
  await b.getByRole("button", { name: "Cancel" }).click();
  await expect(b.getByRole("button", { name: /^Start here/ })).toBeVisible();
  await expect.poll(() => bob.call("GET", "/api/handshakes")).toMatchObject({ items: [] });
});

test("a join that finds no way offers it, with the invitation", async ({ node, page, watch }) => {
  watch.expects(/status of 504 .*\/api\/join/);
  const [alice, bob] = await Promise.all([node("alice"), node("bob")]);
  const link = await alice.invite(1);
  await alice.kill();
  await page.goto(`${bob.url}/#/peers`);
  await page.getByRole("button", { name: "Join a network" }).click();
  await page.getByLabel("Invitation").fill(link);
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Connect by hand" }).click({ timeout: 30_000 });
  await expect(page.getByLabel("Invitation")).toHaveValue(link);
  await inspect(page, "whom to connect with");
  await page.getByRole("button", { name: "Make the text" }).click();
  await page.getByText("Show it as a QR code").click();
  await expect(page.getByRole("img", { name: "The text as QR code" })).toBeVisible();
  await inspect(page, "an offer");
  expect(await unreached(page, "dialog")).toEqual([]);
});

test("the steps of connecting by hand fit every screen", async ({ node, page }) => {
  const [alice, bob] = await Promise.all([node("alice"), node("bob")]);
  const link = await alice.invite(1);
  const { offer } = await bob.call<{ offer: string }>("POST", "/api/handshakes", { link });
  const a = await open(page, alice);
  await inspect(a, "the choice");
  expect(await unreached(a, "dialog")).toEqual([]);
  await a.getByRole("button", { name: /^I was sent a text/ }).click();
  await inspect(a, "an offer to paste");
  await a.getByRole("textbox", { name: "The text that you were sent" }).fill(offer);
  await a.getByRole("button", { name: "Make the answer" }).click();
  await expect(a.getByRole("dialog")).toContainText("Waiting for bob");
  await inspect(a, "an answer");
  await a.clock.fastForward("11:00");
  await expect(a.getByRole("alert")).toContainText("Nothing came in time");
  await inspect(a, "too late");
  await expect(a.getByRole("button", { name: "Begin again" })).toBeFocused();
  await a.keyboard.press("Enter");
  await expect(a.getByRole("button", { name: /^Start here/ })).toBeFocused();
});
