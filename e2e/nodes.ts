// Real node processes for tests: each has its own data directory and ports on
// loopback, and is ended by its own process handle.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

// build compiles the program once for a test run.
export function build(): string {
  const binary = join(mkdtempSync(join(tmpdir(), "shoal-e2e-bin-")), "shoal");
  const { status, stderr } = spawnSync("go", ["build", "-o", binary, "."], { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`go build: ${stderr}`);
  return binary;
}

// freePort asks the system for a port that nothing uses now.
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const s = createServer();
    s.once("error", reject);
    s.listen(0, "127.0.0.1", () => {
      const address = s.address();
      s.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

export class Node {
  readonly dir: string;
  readonly url: string;
  log = "";
  private process?: ChildProcess;

  private constructor(
    private readonly binary: string,
    readonly name: string,
    private readonly http: number,
    private readonly p2p: number,
  ) {
    this.dir = mkdtempSync(join(tmpdir(), `shoal-e2e-${name}-`));
    this.url = `http://localhost:${http}`;
  }

  static async start(binary: string, name: string, ...args: string[]): Promise<Node> {
    const node = new Node(binary, name, await freePort(), await freePort());
    await node.start(...args);
    return node;
  }

  // start runs the program and waits until it serves.
  async start(...args: string[]): Promise<void> {
    this.process = spawn(
      this.binary,
      ["serve", "--data", join(this.dir, "data"), "--http", `127.0.0.1:${this.http}`, "--p2p", `127.0.0.1:${this.p2p}`, "--name", this.name, ...args],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const stream of [this.process.stdout, this.process.stderr]) stream?.on("data", (b: Buffer) => (this.log += b.toString()));
    await until(`${this.name} serves`, async () => {
      if (this.process?.exitCode != null) throw new Error(`${this.name} ended: ${this.log}`);
      return (await fetch(`${this.url}/healthz`)).ok;
    });
  }

  // share puts files into a folder of this node's own and shares it.
  async share(label: string, files: Record<string, string>): Promise<string> {
    const path = join(this.dir, label);
    mkdirSync(path, { recursive: true });
    for (const [name, text] of Object.entries(files)) this.write(label, name, text);
    await this.call("POST", "/api/folders", { path, label });
    return path;
  }

  write(label: string, name: string, text: string): void {
    const file = join(this.dir, label, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  token(): string {
    return readFileSync(join(this.dir, "data", "token"), "utf8").trim();
  }

  // call makes a request with the node's token and returns the JSON answer.
  async call<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.token()}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${this.name}: ${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
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

  // kill ends the process as a power cut would.
  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  // stop ends the process cleanly.
  stop(): Promise<void> {
    return this.end("SIGTERM");
  }

  private end(signal: NodeJS.Signals): Promise<void> {
    const process = this.process;
    if (!process || process.exitCode != null || process.signalCode != null) return Promise.resolve();
    return new Promise((resolve) => {
      process.once("exit", () => resolve());
      process.kill(signal);
    });
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
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
