// What somebody with a shell sees: three node processes, over real WebRTC.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "./fixture";
import { type Node, until } from "./nodes";

interface Peer {
  id: string;
  name: string;
  connected: boolean;
  error: string;
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

async function memberID(asked: Node, name: string): Promise<string> {
  const { items } = await asked.call<{ items: { id: string; name: string }[] }>("GET", "/api/members");
  return items.find((m) => m.name === name)?.id ?? "";
}

async function peers(asked: Node): Promise<Peer[]> {
  return (await asked.call<{ items: Peer[] }>("GET", "/api/peers")).items;
}

// events of the node since it started.
async function events(asked: Node): Promise<Event[]> {
  const { position } = await asked.call<{ position: string }>("GET", "/api/node");
  return (await asked.call<{ items: Event[] }>("GET", `/api/events?since=${position.split(".")[0]}.0&timeout=0`)).items;
}

test("three nodes link directly to each other, with the same words on both sides", async ({ node }) => {
  const [alice, bob, chiara] = await Promise.all([node("alice"), node("bob"), node("chiara")]);
  const link = await alice.invite(2);
  let joined = 0;
  for (const joiner of [bob, chiara]) {
    const { words } = await joiner.call<{ words: string[] }>("POST", "/api/join", { link });
    joined = Date.now();
    expect(words).toHaveLength(4);
    await until("the inviter sees the words", async () => {
      return (await events(alice)).some((e) => e.topic === "member.joined" && JSON.stringify(e.data.words) === JSON.stringify(words));
    });
  }
  await Promise.all([alice, bob, chiara].map((n) => n.linked(2)));
  console.log(`all linked ${Date.now() - joined} ms after the last join`);
  const other = (await peers(bob)).find((p) => p.name === "chiara");
  expect(other?.path).toMatchObject({ kind: "direct", proto: "udp" });
  expect(other?.path?.why).not.toBe("");
  const gap = await alice.call<{ items: Event[] }>("GET", "/api/events?since=0.0&timeout=0");
  expect(gap.items.map((e) => e.topic)).toEqual(["reset"]);
});

test("an invitation of the command line joins by the command line", async ({ node }) => {
  const [alice, bob] = await Promise.all([node("alice"), node("bob")]);
  const invited = alice.shell("invite", "--uses", "1", "--expires", "2m");
  expect(invited).toMatchObject({ status: 0 });
  expect(invited.stdout).toMatch(/^http:\/\/localhost:8080\/#join=[\w-]+$/);
  const joined = bob.shell("join", invited.stdout);
  expect(joined).toMatchObject({ status: 0, stderr: "" });
  await Promise.all([alice.linked(1), bob.linked(1)]);
  const words = (await events(alice)).find((e) => e.topic === "member.joined")?.data.words ?? [];
  expect(words).toHaveLength(4);
  expect(joined.stdout).toContain(words.join(" "));
  expect(bob.shell("peers").stdout).toMatch(/^alice /m);
});

test("nodes that start with --invite-file and --join @FILE find each other", async ({ node }) => {
  const carrier = await node("carrier");
  const file = join(carrier.dir, "invitation");
  const early = await node("early", "--join", `@${file}`); // before there is a file
  const host = await node("host", "--invite-file", file);
  expect(existsSync(file)).toBe(true);
  expect(readFileSync(file, "utf8")).toMatch(/^http:\/\/localhost:8080\/#join=[\w-]+\n$/);
  const late = await node("late", "--join", `@${file}`);
  await Promise.all([early, host, late].map((n) => n.linked(2)));
  await late.stop();
  await late.start("--join", `@${file}`); // a member already
  await Promise.all([early, host, late].map((n) => n.linked(2)));
});

test("with a second admin the network grows and shrinks without the first", async ({ node }) => {
  const [alice, bob, chiara] = await Promise.all([node("alice"), node("bob"), node("chiara")]);
  await bob.call("POST", "/api/join", { link: await alice.invite() });
  await Promise.all([alice, bob].map((n) => n.linked(1)));
  expect(await bob.refusal("POST", "/api/invites", {})).toEqual({ status: 403, code: "not_admin" });
  const [a, b] = [await memberID(alice, "alice"), await memberID(alice, "bob")];
  expect(await alice.refusal("PATCH", `/api/members/${a}`, { role: "member" })).toEqual({ status: 409, code: "last_admin" });
  await alice.call("PATCH", `/api/members/${b}`, { role: "admin" });
  await until("bob knows that he is an admin", async () => (await bob.call<{ role: string }>("GET", "/api/node")).role === "admin");

  await alice.kill();
  await chiara.call("POST", "/api/join", { link: await bob.invite() });
  await alice.start();
  await Promise.all([alice, bob, chiara].map((n) => n.linked(2)));
  await bob.call("PATCH", `/api/members/${a}`, { role: "member" });
  await until("alice knows that she is none", async () => (await alice.call<{ role: string }>("GET", "/api/node")).role === "member");
  await bob.call("DELETE", `/api/members/${a}`);
  await Promise.all([bob, chiara].map((n) => n.linked(1)));
  await alice.linked(0);
});

test("a node that was stopped or killed comes back, also without the inviter", async ({ trio }) => {
  const [alice, bob, chiara] = await trio();
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

test("any node finds what any node holds, with a typo, and reads it", async ({ trio }) => {
  const [alice, bob, chiara] = await trio();
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

test("a revoked member is dropped and cannot come back", async ({ trio }) => {
  const [alice, bob, chiara] = await trio();
  await alice.call("DELETE", `/api/members/${await memberID(alice, "chiara")}`);
  await Promise.all([alice, bob].map((n) => n.linked(1)));
  await chiara.linked(0);
  await chiara.stop();
  const refused = () => [alice, bob].map((n) => n.log.match(/msg=refused/g)?.length ?? 0);
  const before = refused();
  await chiara.start();
  await until("chiara is refused by both, or asks nobody", async () => {
    const tried = await peers(chiara);
    return tried.length === 0 || (tried.every((p) => !p.connected && p.error !== "") && refused().some((n, i) => n > before[i]));
  });
  for (const n of [alice, bob]) expect((await peers(n)).map((p) => p.name)).toEqual([n === alice ? "bob" : "alice"]);
});

test("a bad invitation is refused in words", async ({ node }) => {
  const [alice, bob, chiara] = await Promise.all([node("alice"), node("bob"), node("chiara")]);
  const join = (n: Node, link: string) => n.refusal("POST", "/api/join", { link });
  const link = await alice.invite(1);
  for (const bad of ["", "hello", link.slice(0, -9), link.replace(/.$/, (c) => (c === "A" ? "B" : "A"))]) {
    expect(await join(bob, bad), bad).toEqual({ status: 400, code: "invite_malformed" });
  }
  await bob.call("POST", "/api/join", { link });
  await Promise.all([alice.linked(1), bob.linked(1)]);
  expect.soft(await join(chiara, link), "used up").toEqual({ status: 403, code: "invite_refused" });
  expect(await bob.call("POST", "/api/join", { link }), "a member already").toMatchObject({ members: 2, words: [] });
  expect(await join(alice, await chiara.invite(1))).toEqual({ status: 409, code: "network_not_empty" });
  const gone = await chiara.invite(1);
  await chiara.kill();
  expect(await join(await node("dmitri"), gone)).toEqual({ status: 504, code: "inviter_unreachable" });
});
