// Real node processes for tests: each has its own data directory and ports on
// loopback, and is ended by its own process handle.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import type { EventEmitter } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

// build compiles the program into dir and returns its path.
export function build(dir: string): string {
  const binary = join(dir, "shoal");
  const { status, stderr } = spawnSync("go", ["build", "-o", binary, "."], { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`go build: ${stderr}`);
  return binary;
}

// given are the ports that freePort gave away.
const given = new Set<number>();

// freePort returns a port that nobody else gets: not one of those that the
// system lends to whoever makes a connection, and free for TCP and for UDP.
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (given.has(port) || !(await free(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error("no port is free");
}

async function free(port: number): Promise<boolean> {
  const server = createServer();
  const tcp = await bound(server, () => server.listen(port, "127.0.0.1"));
  if (tcp) await new Promise<void>((resolve) => server.close(() => resolve()));
  const socket = createSocket("udp4");
  const udp = await bound(socket, () => socket.bind(port, "127.0.0.1"));
  if (udp) await new Promise<void>((resolve) => socket.close(() => resolve()));
  return tcp && udp;
}

// bound says whether what bind starts ends well.
function bound(emitter: EventEmitter, bind: () => void): Promise<boolean> {
  return new Promise((resolve) => {
    emitter.once("error", () => resolve(false));
    emitter.once("listening", () => resolve(true));
    bind();
  });
}

// Program is one process that serves a dashboard.
class Program {
  readonly url: string;
  log = "";
  private process?: ChildProcess;

  protected constructor(
    protected readonly binary: string,
    readonly name: string,
    protected readonly http: number,
  ) {
    this.url = `http://localhost:${http}`;
  }

  // run starts the process and waits until it serves.
  protected async run(args: string[]): Promise<void> {
    this.process = spawn(this.binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream?.on("data", (b: Buffer) => (this.log += b.toString()));
    await until(`${this.name} serves`, async () => {
      if (this.process?.exitCode != null) throw new Error(`${this.name} ended: ${this.log}`);
      return (await fetch(`${this.url}/healthz`)).ok;
    }, 60_000); // who has many documents reads them first
  }

  // kill ends the process as a power cut would.
  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  // stop ends the process cleanly.
  stop(): Promise<void> {
    return this.end("SIGTERM");
  }

  async remove(): Promise<void> {
    await this.kill();
  }

  private end(signal: NodeJS.Signals): Promise<void> {
    const process = this.process;
    if (!process || process.exitCode != null || process.signalCode != null) return Promise.resolve();
    return new Promise((resolve) => {
      process.once("exit", () => resolve());
      process.kill(signal);
    });
  }
}

// Lab is a process with several nodes that forget everything.
export class Lab extends Program {
  static async start(binary: string, nodes: number): Promise<Lab> {
    const lab = new Lab(binary, "lab", await freePort());
    await lab.run(["lab", "--nodes", `${nodes}`, "--http", `127.0.0.1:${lab.http}`]);
    return lab;
  }
}

export class Node extends Program {
  private constructor(
    binary: string,
    name: string,
    http: number,
    private readonly p2p: number,
    readonly dir: string,
  ) {
    super(binary, name, http);
  }

  static async start(binary: string, name: string, ...args: string[]): Promise<Node> {
    return Node.at(mkdtempSync(join(tmpdir(), "shoal-e2e-")), binary, name, ...args);
  }

  // at starts a node whose data are in dir, as they were left or new.
  static async at(dir: string, binary: string, name: string, ...args: string[]): Promise<Node> {
    const node = new Node(binary, name, await freePort(), await freePort(), dir);
    await node.start(...args);
    return node;
  }

  start(...args: string[]): Promise<void> {
    const own = ["--data", this.data(), "--http", `127.0.0.1:${this.http}`, "--p2p", `127.0.0.1:${this.p2p}`, "--name", this.name];
    return this.run(["serve", ...own, ...args]);
  }

  private data(): string {
    return join(this.dir, "data");
  }

  // share puts files into a folder of this node's own and shares it.
  async share(label: string, files: Record<string, string | Uint8Array>): Promise<string> {
    const path = this.files(label, files);
    await this.call("POST", "/api/folders", { path, label });
    return path;
  }

  // files makes a folder that nobody shares yet.
  files(folder: string, files: Record<string, string | Uint8Array>): string {
    const path = join(this.dir, folder);
    mkdirSync(path, { recursive: true });
    for (const [name, text] of Object.entries(files)) this.write(folder, name, text);
    return path;
  }

  write(folder: string, name: string, text: string | Uint8Array): void {
    const file = join(this.dir, folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  token(): string {
    return readFileSync(join(this.data(), "token"), "utf8").trim();
  }

  // call makes a request with the node's token and returns the JSON answer.
  async call<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.request(method, path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${this.name}: ${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  // refusal makes a request that must fail and returns why it did.
  async refusal(method: string, path: string, body?: unknown): Promise<{ status: number; code: string }> {
    const response = await this.request(method, path, body);
    const { code } = (await response.json()) as { code: string };
    return { status: response.status, code };
  }

  private request(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.token()}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  // shell runs a verb of the program against this node, as its user would.
  shell(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const env = { ...process.env, SHOAL_DATA: this.data() };
    const { status, stdout, stderr } = spawnSync(this.binary, args, { env, encoding: "utf8" });
    return { status, stdout: stdout.trim(), stderr };
  }

  async invite(maxUses = 1): Promise<string> {
    return (await this.call<{ link: string }>("POST", "/api/invites", { max_uses: maxUses })).link;
  }

  // linked waits until this node has direct links to n others.
  async linked(n: number): Promise<void> {
    await until(`${this.name} is linked to ${n}`, async () => (await this.call<{ peers: number }>("GET", "/api/node")).peers === n);
  }

  // found waits until a search gives a hit that the predicate accepts.
  async found(q: string, accept: (hit: { path: string; title: string; node_name: string }) => boolean): Promise<void> {
    await until(`${this.name} finds ${q}`, async () => {
      const { hits } = await this.call<{ hits: { path: string; title: string; node_name: string }[] }>("GET", `/api/search?q=${encodeURIComponent(q)}`);
      return hits.some(accept);
    });
  }

  override async remove(): Promise<void> {
    await super.remove();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

// network makes the first node invite the others, and waits until each is
// linked to each.
export async function network(first: Node, ...others: Node[]): Promise<void> {
  const link = await first.invite(others.length);
  for (const n of others) await n.call("POST", "/api/join", { link });
  await Promise.all([first, ...others].map((n) => n.linked(others.length)));
}

// until asks again and again, 20 times a second, until the answer is yes. An
// error counts as no and is told when time is up.
export async function until(what: string, ask: () => Promise<boolean>, ms = 15_000): Promise<void> {
  const end = Date.now() + ms;
  let last: unknown = "it did not happen";
  while (Date.now() < end) {
    try {
      if (await ask()) return;
    } catch (err) {
      last = err;
    }
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`${what}: not within ${ms} ms: ${String(last)}`);
}
