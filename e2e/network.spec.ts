// What somebody with a shell sees: three node processes, over real WebRTC.
import { expect, test } from "@playwright/test";
import { type Node as Shoal, Node, build, until } from "./nodes";

interface Peer {
  id: string;
  name: string;
  connected: boolean;
  path?: { kind: string; why: string; proto: string };
}
interface Event {
  topic: string;
  data: { words?: string[]; name?: string };
}
interface Hit {
  id: string;
  folder: string;
  path: string;
  node_name: string;
  local: boolean;
  snippet: { text: string; marks: [number, number][] };
}
interface Answer {
  hits: Hit[];
  corrections: { from: string; to: string; distance: number }[];
  partial: boolean;
  nodes_asked: number;
  nodes_answered: number;
}

let binary: string;
const nodes: Shoal[] = [];

test.beforeAll(() => {
  binary = build();
});
test.afterEach(async () => {
  await Promise.all(nodes.splice(0).map((n) => n.remove()));
});

async function node(name: string, ...args: string[]): Promise<Shoal> {
  const n = await Node.start(binary, name, ...args);
  nodes.push(n);
  return n;
}

async function three(): Promise<[Shoal, Shoal, Shoal]> {
  const all = await Promise.all([node("alice"), node("bob"), node("chiara")]);
  const link = await all[0].invite(2);
  for (const n of all.slice(1)) await n.call("POST", "/api/join", { link });
  await Promise.all(all.map((n) => n.linked(2)));
  return all as [Shoal, Shoal, Shoal];
}

test("three nodes link directly to each other, with the same words on both sides", async () => {
  const [alice, bob, chiara] = await Promise.all([node("alice"), node("bob"), node("chiara")]);
  const link = await alice.invite(2);
  for (const joiner of [bob, chiara]) {
    const { words } = await joiner.call<{ words: string[] }>("POST", "/api/join", { link });
    expect(words).toHaveLength(4);
    const { items } = await alice.call<{ items: Event[] }>("GET", "/api/events?since=0.0&timeout=0");
    expect(items.map((e) => e.topic)).toEqual(["reset"]);
    await until("the inviter sees the words", async () => {
      const { position } = await alice.call<{ position: string }>("GET", "/api/node");
      const all = await alice.call<{ items: Event[] }>("GET", `/api/events?since=${position.split(".")[0]}.0&timeout=0`);
      return all.items.some((e) => e.topic === "member.joined" && JSON.stringify(e.data.words) === JSON.stringify(words));
    });
  }
  const joined = Date.now();
  await Promise.all([alice, bob, chiara].map((n) => n.linked(2)));
  console.log(`all linked ${Date.now() - joined} ms after the last join`);
  const { items } = await bob.call<{ items: Peer[] }>("GET", "/api/peers");
  const other = items.find((p) => p.name === "chiara");
  expect(other?.path).toMatchObject({ kind: "direct", proto: "udp" });
  expect(other?.path?.why).not.toBe("");
});

test("a node that was stopped or killed comes back, also without the inviter", async () => {
  const [alice, bob, chiara] = await three();
  await bob.stop();
  await alice.linked(1);
  await bob.start();
  await Promise.all([alice, bob, chiara].map((n) => n.linked(2)));
  await alice.kill();
  await chiara.kill();
  const began = Date.now();
  await chiara.start();
  await chiara.linked(1);
  console.log(`back ${Date.now() - began} ms after the start`);
  await alice.start();
  await Promise.all([alice, bob, chiara].map((n) => n.linked(2)));
});

test("any node finds what any node holds, with a typo, and reads it", async () => {
  const [alice, bob, chiara] = await three();
  await alice.share("notes", { "plans/home.md": "# At home\n\nThe network in the attic needs a new cable.\n", "bread.md": "flour, water, salt\n" });
  await bob.share("work", { "report.txt": "Nothing about computers.\n" });
  await chiara.found("netwrk", (h) => h.path === "plans/home.md");
  const answer = await chiara.call<Answer>("GET", "/api/search?q=netwrk");
  expect(answer).toMatchObject({ partial: false, nodes_asked: 3, nodes_answered: 3 });
  expect(answer.corrections).toContainEqual({ from: "netwrk", to: "network", distance: 1 });
  const hit = answer.hits[0];
  expect(hit).toMatchObject({ path: "plans/home.md", node_name: "alice", local: false });
  const [[start, end]] = hit.snippet.marks;
  expect([...hit.snippet.text].slice(start, end).join("")).toBe("network");

  const url = `${chiara.url}/api/folders/${hit.folder}/content?path=${encodeURIComponent(hit.path)}`;
  const whole = await fetch(url);
  expect(await whole.text()).toContain("The network in the attic");
  expect(whole.headers.get("content-disposition")).toContain("attachment");
  const part = await fetch(url, { headers: { range: "bytes=2-8" } });
  expect([part.status, await part.text()]).toEqual([206, "At home"]);
  const again = await fetch(url, { headers: { "if-none-match": whole.headers.get("etag") ?? "" } });
  expect(again.status).toBe(304);

  const changed = Date.now();
  alice.write("notes", "bread.md", "flour, water, salt, and caraway\n");
  await chiara.found("caraway", (h) => h.path === "bread.md");
  console.log(`a change was found elsewhere after ${Date.now() - changed} ms`);
});

test("a revoked member is dropped and cannot come back", async () => {
  const [alice, bob, chiara] = await three();
  const { items } = await alice.call<{ items: { id: string; name: string }[] }>("GET", "/api/members");
  const id = items.find((m) => m.name === "chiara")?.id;
  await alice.call("DELETE", `/api/members/${id}`);
  await Promise.all([alice, bob].map((n) => n.linked(1)));
  await chiara.linked(0);
  await chiara.stop();
  await chiara.start();
  await bob.found("anything", () => true).catch(() => undefined);
  expect((await bob.call<{ items: Peer[] }>("GET", "/api/peers")).items.map((p) => p.name)).toEqual(["alice"]);
});

test("a bad invitation is refused in words", async () => {
  const [alice, bob, chiara] = await Promise.all([node("alice"), node("bob"), node("chiara")]);
  const join = async (n: Shoal, link: string) => {
    const response = await fetch(`${n.url}/api/join`, {
      method: "POST",
      headers: { authorization: `Bearer ${n.token()}`, "content-type": "application/json" },
      body: JSON.stringify({ link }),
    });
    return { status: response.status, code: ((await response.json()) as { code?: string }).code };
  };
  const link = await alice.invite(1);
  for (const bad of ["", "hello", link.slice(0, -9), link.replace(/.$/, (c) => (c === "A" ? "B" : "A"))]) {
    expect(await join(bob, bad), bad).toEqual({ status: 400, code: "invite_malformed" });
  }
  expect((await join(bob, link)).status).toBe(200);
  expect(await join(chiara, link)).toEqual({ status: 403, code: "invite_refused" });
  expect(await join(bob, link)).toEqual({ status: 200, code: undefined });
  await chiara.invite(1);
  expect(await join(alice, await chiara.invite(1))).toEqual({ status: 409, code: "network_not_empty" });
});
