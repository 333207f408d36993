// What nodes speak on the wire is WebRTC that a browser speaks: a page of Chromium, with
// its own RTCPeerConnection and no signalling, gets through ICE, DTLS and SCTP to a node's
// p2p port, opens the channels of a link, and is greeted by the node. What it has to know
// is the port's address and, as browsers insist on it, the fingerprint of the node's
// certificate.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";
import { expect, test } from "./fixture";
import { type Node } from "./nodes";

// Chromium leaves out loopback, and a computer may have nothing else.
test.use({
  launchOptions: async ({ launchOptions }, use) => {
    await use({ ...launchOptions, args: [...(launchOptions.args ?? []), "--allow-loopback-in-peer-connection"] });
  },
});

test("a page's RTCPeerConnection reaches a node's p2p port without signalling", async ({ node, page }) => {
  const [alice, bob] = await Promise.all([node("alice"), node("bob")]);
  const fingerprint = await fingerprintOf(alice, bob);
  const { p2p, network } = await alice.call<{ p2p: string[]; network: { id: string } }>("GET", "/api/node");
  await page.goto(alice.url);
  const seen = await page.evaluate(connect, { at: p2p[0]!, fingerprint });
  expect(seen.states).toEqual({ ice: "connected", dtls: "connected", sctp: "connected" });
  expect(seen.open).toEqual([0, 1, 2, 3, 4, 5]);
  const hello = Buffer.from(seen.hello);
  expect(hello[0]).toBe(15); // a hello; see p2p/wire
  expect(hello.includes(unbase32(network.id)), "the hello says of which network the node is").toBe(true);
  // The other direction: who says something else than hello is shown out.
  expect(seen.closed).toBe(true);
});

test("a page that expects another certificate gets no further than ICE", async ({ node, page }) => {
  const alice = await node("alice");
  const { p2p } = await alice.call<{ p2p: string[] }>("GET", "/api/node");
  await page.goto(alice.url);
  const wrong = createHash("sha256").update("another certificate").digest("hex").toUpperCase().match(/../g)!.join(":");
  const seen = await page.evaluate(connect, { at: p2p[0]!, fingerprint: `sha-256 ${wrong}` });
  expect(seen.states.ice).toBe("connected");
  expect(seen.states.dtls).not.toBe("connected");
  expect(seen.open).toEqual([]);
});

interface Seen {
  states: { ice?: string; dtls?: string; sctp?: string };
  open: number[]; // channels
  hello: number[];
  closed: boolean;
}

// connect runs in the page. It leaves its own offer as the browser made it, and writes the
// node's answer itself: the node takes its user name and password from the check that
// comes (p2p/link/rtc/direct.go), so that both are known here beforehand.
async function connect({ at, fingerprint }: { at: string; fingerprint: string }): Promise<Seen> {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(at)!;
  const pc = new RTCPeerConnection();
  const channels = [0, 1, 2, 3, 4, 5].map((id) => {
    const channel = pc.createDataChannel(`${id}`, { negotiated: true, id, ordered: id !== 1 });
    channel.binaryType = "arraybuffer";
    return channel;
  });
  const once = (target: EventTarget, event: string) => new Promise<Event>((resolve) => target.addEventListener(event, resolve, { once: true }));
  const hello = once(channels[0]!, "message");
  const opened = Promise.all(channels.map((c) => once(c, "open")));
  const closed = once(channels[0]!, "close");
  const failed = new Promise<void>((resolve) =>
    pc.addEventListener("connectionstatechange", () => pc.connectionState === "failed" && resolve()),
  );
  await pc.setLocalDescription();
  const password = /^a=ice-pwd:(.*)$/m.exec(pc.localDescription!.sdp)![1]!.trim();
  const user = `shoal+v2/${password}`;
  await pc.setRemoteDescription({
    type: "answer",
    sdp: [
      "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite", "a=group:BUNDLE 0",
      "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0",
      `a=ice-ufrag:${user}`, `a=ice-pwd:${user}`, `a=fingerprint:${fingerprint}`, "a=setup:passive",
      "a=sctp-port:5000", "a=max-message-size:16640", `a=candidate:1 1 udp 2130706431 ${host} ${port} typ host`, "a=end-of-candidates", "",
    ].join("\r\n"),
  });
  const seen: Seen = { states: {}, open: [], hello: [], closed: false };
  await Promise.race([Promise.all([opened, hello]), failed]);
  const dtls = pc.sctp?.transport;
  seen.states = { ice: dtls?.iceTransport.state, dtls: dtls?.state, sctp: pc.sctp?.state };
  seen.open = channels.filter((c) => c.readyState === "open").map((c) => c.id!);
  if (seen.open.length > 0) {
    seen.hello = [...new Uint8Array(((await hello) as MessageEvent<ArrayBuffer>).data)];
    channels[0]!.send(new TextEncoder().encode("GET / HTTP/1.1"));
    await closed;
    seen.closed = true;
  }
  pc.close();
  return seen;
}

// fingerprintOf reads what has to be known of a node besides its address from a text that
// it has signed: the offer that its user would carry to bob's.
async function fingerprintOf(node: Node, bob: Node): Promise<string> {
  const { offer } = await node.call<{ offer: string }>("POST", "/api/handshakes", { link: await bob.invite() });
  const packed = Buffer.from(offer.replace("shoal://offer#", ""), "base64url").subarray(5); // a checksum and a version
  const text = inflateRawSync(packed, { dictionary: Buffer.from(dictionary(), "latin1") }).toString("latin1");
  return /a=fingerprint:(sha-256 [0-9A-F:]{95})/.exec(text)![1]!;
}

// dictionary is what the texts are compressed with; it is a constant of the program.
function dictionary(): string {
  const source = readFileSync(new URL("../p2p/link/rtc/handtext.go", import.meta.url), "utf8");
  const [, constant] = /const handDictionary = ((?:"[^\n]*"(?: \+\n\t)?)+)/.exec(source)!;
  return constant!.split(" +\n\t").map((part) => JSON.parse(part) as string).join("");
}

// unbase32 reads lower-case base32 without padding.
function unbase32(text: string): Buffer {
  const bits = [...text].map((c) => "abcdefghijklmnopqrstuvwxyz234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  return Buffer.from(bits.match(/.{8}/g)!.map((byte) => parseInt(byte, 2)));
}
