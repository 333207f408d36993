// What the tests share: nodes that end with their test, and a watch over every
// page that fails the test for what a person would not see at once.
import { test as base, expect, type BrowserContext, type Page } from "@playwright/test";
import { Lab, Node, network } from "./nodes";

export { expect, type Page };

interface Fixtures {
  node: (name: string, ...args: string[]) => Promise<Node>;
  lab: (nodes: number) => Promise<Lab>;
  // trio: alice, bob and chiara, each linked to each; alice is the admin.
  trio: () => Promise<[Node, Node, Node]>;
  watch: Watch;
}


// Watch notes errors on the console, dialogs, violations of the content policy,
// and requests to anybody but a node of the test.
export class Watch {
  readonly faults: string[] = [];
  private readonly origins = new Set<string>();
  private readonly expected: RegExp[] = [];

  // expects names console errors that the test itself provokes.
  expects(...lines: RegExp[]): void {
    this.expected.push(...lines);
  }

  node(url: string): void {
    this.origins.add(new URL(url).host);
  }

  async attach(context: BrowserContext): Promise<void> {
    context.on("console", (m) => m.type() === "error" && this.error(`${m.text()} ${m.location().url}`));
    context.on("weberror", (e) => this.error(e.error().stack ?? e.error().message));
    context.on("dialog", (d) => {
      this.faults.push(`dialog: ${d.message()}`);
      void d.dismiss();
    });
    context.on("request", (r) => this.request(r.url()));
    context.on("page", (page) => page.on("websocket", (s) => this.request(s.url())));
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (e) => console.error(`content policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    });
  }

  private error(text: string): void {
    if (!this.expected.some((line) => line.test(text))) this.faults.push(`console: ${text}`);
  }

  private request(address: string): void {
    const { protocol, host } = new URL(address);
    if (/^(http|ws)/.test(protocol) && !this.origins.has(host)) this.faults.push(`request to ${address}`);
  }
}

export const test = base.extend<Fixtures>({
  node: async ({ watch }, use) => {
    const nodes: Node[] = [];
    await use(async (name, ...args) => {
      const node = await Node.start(binary(), name, ...args);
      nodes.push(node);
      watch.node(node.url);
      return node;
    });
    await Promise.all(nodes.map((n) => n.remove()));
  },
  lab: async ({ watch }, use) => {
    const labs: Lab[] = [];
    await use(async (nodes) => {
      const lab = await Lab.start(binary(), nodes);
      labs.push(lab);
      watch.node(lab.url);
      return lab;
    });
    await Promise.all(labs.map((l) => l.remove()));
  },
  trio: async ({ node }, use) => {
    await use(async () => {
      const [alice, bob, chiara] = await Promise.all([node("alice"), node("bob"), node("chiara")]);
      await network(alice, bob, chiara);
      return [alice, bob, chiara];
    });
  },
  watch: async ({}, use) => {
    const watch = new Watch();
    await use(watch);
    expect(watch.faults).toEqual([]);
  },
  context: async ({ context, watch }, use) => {
    await watch.attach(context);
    await use(context);
  },
});

function binary(): string {
  const path = process.env.SHOAL_E2E_BINARY;
  if (!path) throw new Error("SHOAL_E2E_BINARY is not set: the tests run with e2e/playwright.config.ts");
  return path;
}
