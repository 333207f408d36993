// What other web pages, and other members, can do to the one who has the page
// open: nothing. Real Chromium, real nodes.
import { createServer, type Server } from "node:http";
import { mkdirSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { expect, test, type Page } from "./fixture";
import { type Node, network } from "./nodes";

// state is all that a page could have changed.
async function state(node: Node): Promise<unknown> {
  const { documents, folders, members, network, role } = await node.call<Record<string, unknown>>("GET", "/api/node");
  return { documents, folders, members, network, role };
}

test("a name that was rebound to this computer gets nothing", async ({ node, browserName }, info) => {
  expect(browserName).toBe("chromium");
  const alice = await node("alice");
  const before = await state(alice);
  const { executablePath, args = [] } = info.project.use.launchOptions ?? {};
  const browser = await chromium.launch({
    executablePath,
    // The browser's own protection is off: the node must not need it.
    args: [...args.filter((a) => !a.includes("host-resolver")), "--host-resolver-rules=MAP *.test 127.0.0.1", "--disable-features=LocalNetworkAccessChecks"],
  });
  try {
    for (const host of ["evil.test", "localhost.evil.test"]) {
      const page = await browser.newPage();
      const { port } = new URL(alice.url);
      const answer = await page.goto(`http://${host}:${port}/`);
      expect(answer?.status()).toBe(403);
      expect(await answer?.text()).not.toContain(alice.token());
      // To the browser the page and the node are one origin now.
      const got = await page.evaluate(async (token) => {
        const ask = (path: string, init?: RequestInit) => fetch(path, init).then((r) => r.status, () => "failed");
        const socket = new Promise((resolve) => {
          const s = new WebSocket(`ws://${location.host}/api/events`, [`shoal.token.${token}`]);
          s.onopen = () => resolve("open");
          s.onerror = () => resolve("refused");
        });
        const auth = { authorization: `Bearer ${token}`, "content-type": "application/json" };
        return [
          await ask("/api/node"),
          await ask("/api/search?q=a"),
          await ask("/healthz"),
          await ask("/api/documents", { method: "POST", headers: auth, body: '{"title":"evil"}' }),
          await socket,
        ];
      }, alice.token());
      expect(got).toEqual([403, 403, 403, 403, "refused"]);
    }
  } finally {
    await browser.close();
  }
  expect(await state(alice)).toEqual(before);
});

test("a page of another port of this computer sees nothing and changes nothing", async ({ node, browser }) => {
  const alice = await node("alice");
  await alice.share("Notes", { "secret.txt": "the secret network\n" });
  await alice.found("secret", () => true);
  const before = await state(alice);
  const evil = await serve("<!doctype html><title>evil</title><body></body>");
  try {
    for (const host of ["localhost", "127.0.0.1"]) {
      const page = await browser.newPage(); // of no watched context: it is meant to fail
      await page.goto(`http://${host}:${(evil.address() as AddressInfo).port}/`);
      expect(await page.evaluate(attack, { url: alice.url, token: alice.token() }), host).toEqual({
        "read": "failed",
        "read without cors": "failed",
        "read with the token": "failed",
        "post a simple form": "failed",
        "post json": "failed",
        "delete": "failed",
        "image": "failed",
        "icon": "failed",
        "script of the api": "failed",
        "script of the page": "failed",
        "style": "failed",
        "socket": "failed",
        "socket with the token": "failed",
        "event stream": "failed",
        "beacon": "sent",
        "frame": "hidden",
        "form": "hidden",
      });
      // A form that takes the whole tab along shows a refusal and changes nothing.
      const posted = page.waitForResponse((r) => r.url().endsWith("/api/documents") && r.request().isNavigationRequest());
      await page.evaluate((url) => {
        const form = document.createElement("form");
        Object.assign(form, { method: "POST", enctype: "text/plain", action: `${url}/api/documents` });
        const field = document.createElement("input");
        Object.assign(field, { name: '{"title":"evil","text":"', value: '"}' });
        form.append(field);
        document.body.append(form);
        form.submit();
      }, alice.url);
      expect((await posted).status()).toBe(403);
      await page.waitForURL(`${alice.url}/api/documents`);
      // A link to the dashboard opens it: invitations may stand anywhere. It
      // cannot be reached from the page that opened it.
      await page.goto(`http://${host}:${(evil.address() as AddressInfo).port}/`);
      const popup = page.waitForEvent("popup");
      await page.evaluate((url) => void Object.assign(window, { opened: window.open(`${url}/`) }), alice.url);
      const opened = await popup;
      await expect(opened.getByRole("heading", { name: "alice" })).toBeVisible();
      expect(await page.evaluate(() => (window as unknown as { opened: Window }).opened.closed)).toBe(true);
      await page.context().close();
    }
  } finally {
    evil.close();
  }
  expect(await state(alice)).toEqual(before);
});

// attack runs in the evil page and says what became of each attempt.
async function attack({ url, token }: { url: string; token: string }): Promise<Record<string, string>> {
  const ask = async (path: string, init?: RequestInit) => {
    try {
      const r = await fetch(url + path, init);
      const text = await r.text();
      return `${r.type} ${r.status} ${text}`;
    } catch {
      return "failed";
    }
  };
  const load = (tag: "img" | "script" | "link", path: string) =>
    new Promise<string>((resolve) => {
      const e = document.createElement(tag);
      e.onload = () => resolve("loaded");
      e.onerror = () => resolve("failed");
      if (e instanceof HTMLLinkElement) Object.assign(e, { rel: "stylesheet", href: url + path });
      else e.src = url + path;
      document.body.append(e);
    });
  const socket = (protocols: string[]) =>
    new Promise<string>((resolve) => {
      const s = new WebSocket(`${url.replace("http", "ws")}/api/events`, protocols);
      s.onopen = () => resolve("open");
      s.onerror = () => resolve("failed");
    });
  const stream = () =>
    new Promise<string>((resolve) => {
      const s = new EventSource(`${url}/api/events`);
      s.onopen = () => resolve("open");
      s.onerror = () => (s.close(), resolve("failed"));
    });
  const frame = (fill: (f: HTMLIFrameElement) => void) =>
    new Promise<string>((resolve) => {
      const f = document.createElement("iframe");
      f.name = "f" + Math.random();
      f.onload = () => {
        try {
          if (f.contentWindow?.location.href === "about:blank") return; // the empty frame before
          resolve(`shows ${f.contentDocument?.body.innerHTML}`);
        } catch {
          resolve("hidden");
        }
      };
      document.body.append(f);
      fill(f);
    });
  const json = { "content-type": "application/json" };
  const auth = { authorization: `Bearer ${token}` };
  const body = '{"title":"evil"}';
  const script = (await ask("/")).match(/src="\.?([^"]+\.js)"/)?.[1] ?? "/favicon.svg";
  return {
    "read": await ask("/api/search?q=secret"),
    "read without cors": await ask("/api/search?q=secret", { mode: "no-cors" }),
    "read with the token": await ask("/api/node", { headers: auth }),
    "post a simple form": await ask("/api/documents", { method: "POST", body }),
    "post json": await ask("/api/documents", { method: "POST", body, headers: { ...json, ...auth } }),
    "delete": await ask("/api/folders/Notes", { method: "DELETE", headers: auth }),
    "image": await load("img", "/api/folders/Notes/content?path=secret.txt"),
    "icon": await load("img", "/favicon.svg"),
    "script of the api": await load("script", "/api/search?q=secret"),
    "script of the page": await load("script", script),
    "style": await load("link", "/api/node"),
    "socket": await socket([]),
    "socket with the token": await socket([`shoal.token.${token}`]),
    "event stream": await stream(),
    "beacon": navigator.sendBeacon(`${url}/api/documents`, body) ? "sent" : "not sent",
    "frame": await frame((f) => (f.src = `${url}/`)),
    "form": await frame((f) => {
      const form = document.createElement("form");
      Object.assign(form, { method: "POST", action: `${url}/api/samples`, target: f.name });
      document.body.append(form);
      form.submit();
    }),
  };
}

function serve(html: string): Promise<Server> {
  const server = createServer((_, answer) => answer.writeHead(200, { "content-type": "text/html" }).end(html));
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const shot = "window.pwned=1";
const names = [
  `<img src=x onerror=${shot}>.txt`,
  `"><svg onload=${shot}>.txt`,
  `' onmouseover='${shot}' x='.txt`,
  `<script>${shot}<`,
  `javascript:${shot}.txt`,
  "{{constructor.constructor('window.pwned=1')()}}.txt",
  "${window.pwned=1}.txt",
  "invoice\u202etxt.exe.txt",
  "\u2066isolate\u2069 \u200bzero.txt",
  "line\nbreak.txt",
  "tab\tbell\u0007esc\u001b[31mred.txt",
  "back\\slash%2e%2e%2fcode.txt",
  "?query&a=b#hash.txt",
  "__proto__",
  " leading and trailing ",
  "\ud83d\udc1f\u0301e\u0301 e\u0301.txt",
  `${"x".repeat(251)}.txt`,
];
const evilText = `zebrafish <img src=x onerror=${shot}> </p></script><script>${shot}</script> \u202e\u0007 "quoted" 'zebrafish'`;

// harmless checks that nothing of the hostile text became an element or ran.
async function harmless(page: Page, where: string): Promise<void> {
  expect(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned), where).toBeUndefined();
  expect(await page.locator("body :is(img, script, iframe, object, embed, [onerror], [onload], [onmouseover])").count(), where).toBe(0);
  // The text of a file stands as it is, in a block of its own.
  const text = await page.evaluate(() => {
    const all = document.body.cloneNode(true) as HTMLElement;
    all.querySelectorAll("pre").forEach((e) => e.remove());
    return document.title + all.textContent;
  });
  expect(text, `${where}: nothing may turn the text around`).not.toMatch(/[\u202a-\u202e\u2066\u2067\u2068\u200b]/);
}

test("hostile names, texts and titles of another member are shown as text", async ({ node, page }) => {
  const mallory = await node(`<b onclick=${shot}>mallory</b>`);
  const bob = await node("bob");
  await network(bob, mallory);
  const path = join(mallory.dir, `<img src=x onerror=${shot}> \u202e"label"`);
  mkdirSync(path);
  for (const name of names) writeFileSync(join(path, name), evilText);
  writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff, 0xfe, 0x3c])]), evilText);
  writeFileSync(join(path, "title.md"), `# <script>${shot}</script> zebrafish\n\n[zebrafish](javascript:${shot})\n`);
  writeFileSync(join(path, "page.html"), `<title><img src=x onerror=${shot}> zebrafish</title><script>${shot}</script>zebrafish`);
  await mallory.call("POST", "/api/folders", { path });
  await mallory.call("POST", "/api/documents", { title: `<img src=x onerror=${shot}> zebrafish`, text: evilText, fields: { [`<i onclick=${shot}>`]: `<img src=x onerror=${shot}>` } });
  await bob.found("zebrafish", (h) => h.path === "title.md");

  await page.goto(`${bob.url}/#/search?q=zebrafish`);
  const results = page.getByRole("list", { name: "Results" }).getByRole("heading").getByRole("button");
  await expect(page.getByText(/ results from 2 computers/)).toBeVisible();
  // All names that can be shared turn up; one that is no text is left out.
  await expect.poll(() => results.count()).toBeGreaterThanOrEqual(names.length);
  await harmless(page, "search");
  for (let i = 0; i < (await results.count()); i++) {
    await results.nth(i).click();
    await expect(page.getByRole("dialog")).toBeVisible();
    await expect(page.getByRole("dialog").locator("pre, .note").first()).toBeVisible();
    await harmless(page, `preview ${i}`);
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toBeHidden();
  }
  await page.goto(`${bob.url}/#/folders`);
  const folder = page.getByRole("main").getByRole("heading", { level: 3 }).getByRole("link");
  await expect(folder).toContainText("<img src=x onerror=");
  await harmless(page, "folders");
  await folder.click();
  await expect(page.getByRole("main").getByRole("button", { name: "title.md" })).toBeVisible();
  await expect(page.getByText("invoice\\u{202e}txt.exe.txt")).toBeVisible();
  await harmless(page, "entries");
  for (const place of ["", "peers", "activity"]) {
    await page.goto(`${bob.url}/#/${place}`);
    await expect(page.getByRole("main").getByText("mallory").first()).toBeVisible();
    for (const e of await page.getByRole("main").locator("summary").all()) await e.click();
    await harmless(page, place);
  }
});

test("downloads keep hostile names harmless and the bytes exact", async ({ node, page }) => {
  const alice = await node("alice");
  alice.files("Names", {});
  for (const name of names) writeFileSync(join(alice.dir, "Names", name), evilText);
  const { id } = await alice.call<{ id: string }>("POST", "/api/folders", { path: join(alice.dir, "Names") });
  await expect.poll(async () => (await alice.call<{ files: number }>("GET", `/api/folders/${id}`)).files).toBeGreaterThanOrEqual(names.length - 1);
  const { items } = await alice.call<{ items: { path: string }[] }>("GET", `/api/folders/${id}/entries`);
  for (const { path } of items) {
    const answer = await fetch(`${alice.url}/api/folders/${id}/content?path=${encodeURIComponent(path)}`);
    expect(await answer.text()).toBe(evilText);
    expect(answer.headers.get("content-disposition"), path).toMatch(/^attachment; filename="[^"\\\r\n]*"/);
  }
  // Chromium drops the eleventh download of a tab within a second.
  for (let first = 0; first < items.length; first += 10) {
    const tab = await page.context().newPage();
    await tab.goto(`${alice.url}/#/folders/${id}`);
    const links = tab.getByRole("main").locator("a[download]");
    await expect(links).toHaveCount(items.length);
    for (let i = first; i < Math.min(first + 10, items.length); i++) {
      const download = tab.waitForEvent("download");
      await links.nth(i).click();
      const name = (await download).suggestedFilename();
      expect(name, "no way out of the download folder").not.toMatch(/[/\u0000-\u001f\u202a-\u202e]/);
    }
    await harmless(tab, "after the downloads");
  }
});

test("web pages in shared folders are downloaded, never shown", async ({ node, page, browser }) => {
  const alice = await node("alice");
  const files = {
    "page.html": `<script>${shot};document.title=top.origin</script>`,
    "picture.svg": `<svg xmlns="http://www.w3.org/2000/svg" onload="${shot}"><script>${shot}</script></svg>`,
    "feed.xml": `<?xml version="1.0"?><x:script xmlns:x="http://www.w3.org/1999/xhtml">${shot}</x:script>`,
    "app.js": shot,
    "archive.mhtml": `MIME-Version: 1.0\nContent-Type: text/html\n\n<script>${shot}</script>`,
    "nothing": `<html><script>${shot}</script>`,
  };
  await alice.share("Web", files);
  await alice.found("pwned", () => true);
  await page.goto(alice.url);
  await expect(page.getByRole("heading", { name: "alice" })).toBeVisible();
  for (const [name, text] of Object.entries(files)) {
    const url = `${alice.url}/api/folders/Web/content?path=${name}`;
    const download = page.waitForEvent("download");
    await page.evaluate((url) => void (location.href = url), url);
    expect((await download).suggestedFilename()).toBe(name);
    expect(new URL(page.url()).pathname, "the page stays").toBe("/");
    const { headers, body } = await page.evaluate(async (url) => {
      const r = await fetch(url);
      return { headers: Object.fromEntries(r.headers), body: await r.text() };
    }, url);
    expect(body).toBe(text);
    expect(headers["content-disposition"]).toMatch(/^attachment/);
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["content-security-policy"]).toContain("sandbox");
    expect(headers["content-type"]).not.toMatch(/html|svg|xml|javascript/);
  }
  await harmless(page, "downloads");

  // Neither does a tab that goes there by itself.
  const tab = await browser.newPage();
  await expect(tab.goto(`${alice.url}/api/folders/Web/content?path=page.html`)).rejects.toThrow(/Download is starting|ERR_ABORTED/);
  await tab.close();
});
