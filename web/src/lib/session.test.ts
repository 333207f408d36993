import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Api } from '../api/client';
import { Token } from '../api/token';
import { Session } from './session.svelte';

// Sockets of the fake browser never open; they are counted.
let sockets: { protocols: string[]; closed: boolean }[] = [];
class Socket {
  onclose: (() => void) | null = null;
  readonly mine: { protocols: string[]; closed: boolean };
  constructor(_: string, protocols: string[]) {
    this.mine = { protocols, closed: false };
    sockets.push(this.mine);
  }
  close() {
    this.mine.closed = true;
  }
}

beforeEach(() => {
  sockets = [];
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', Socket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const values = new Map<string, string>();
const store = {
  getItem: (key: string) => values.get(key) ?? null,
  setItem: (key: string, value: string) => void values.set(key, value),
  removeItem: (key: string) => void values.delete(key),
};

// locked is a node that wants the token "right" for everything.
function locked(start: string) {
  values.clear();
  const token = new Token('', store);
  token.set(start);
  let reached = true;
  const fetcher = vi.fn(async (input: RequestInfo | URL) => {
    if (!reached) throw new TypeError('fetch failed');
    const sent = (input as Request).headers.get('Authorization');
    const refused = !sent ? [401, 'token_required'] : sent !== 'Bearer right' ? [403, 'token_wrong'] : null;
    const body = refused ? { code: refused[1], detail: 'no' } : { items: [], position: 'e.5', name: 'alice' };
    return new Response(JSON.stringify(body), {
      status: (refused?.[0] as number | undefined) ?? 200,
      headers: { 'Content-Type': 'application/json' },
    });
  });
  const session = new Session(new Api('http://node.test', token, fetcher));
  return { session, token, fetcher, leave: () => (reached = false) };
}

describe('a locked node', () => {
  it('asks for the token, and opens no socket without it', async () => {
    const { session } = locked('');
    await session.open();
    expect([session.locked, session.refusal?.code, sockets.length]).toEqual([true, 'token_required', 0]);
    session.retry();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(0);
  });
  it('asks again after a wrong one, and keeps none that is wrong', async () => {
    const { session, token, fetcher } = locked('');
    await session.open();
    expect(await session.unlock('wrong')).toBe(false);
    expect([session.refusal?.code, token.value, values.size]).toEqual(['token_wrong', '', 0]);
    const asked = fetcher.mock.calls.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect([fetcher.mock.calls.length, sockets.length]).toEqual([asked, 0]);
  });
  it('opens with the right one, also after a wrong one', async () => {
    const { session } = locked('wrong');
    await session.open();
    expect(session.refusal?.code).toBe('token_wrong');
    expect(await session.unlock('right')).toBe(true);
    expect([session.locked, session.node?.name, session.peers, session.problems]).toEqual([
      false,
      'alice',
      [],
      {},
    ]);
    expect(sockets.map(s => s.protocols)).toEqual([['shoal.token.right']]);
  });
  it('stops the socket when the token goes bad', async () => {
    const { session } = locked('right');
    await session.open();
    expect(await session.unlock('wrong')).toBe(false);
    expect([session.locked, sockets[0]?.closed, session.connection.phase]).toEqual([
      true,
      true,
      'connecting',
    ]);
  });
  it('stays locked while the node is away, and says so', async () => {
    const { session, leave } = locked('');
    await session.open();
    leave();
    expect(await session.unlock('right')).toBe(false);
    expect([session.locked, session.refusal?.code]).toEqual([true, 'node_unreachable']);
  });
  it('takes no late answer to an older token for one to the new', async () => {
    const { session } = locked('wrong');
    const old = session.open();
    const entered = session.unlock('right');
    await Promise.all([old, entered]);
    expect([session.locked, session.node?.name, session.peers]).toEqual([false, 'alice', []]);
  });
});
