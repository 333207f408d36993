import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Api } from './client';
import { after, backoff, before, Stream, type Connection, type Socket } from './events';
import { asProblem, Problem, problemFrom } from './problem';
import { readSSE, SSE } from './sse';
import { subprotocols, Token } from './token';
import type { Event, SearchPart } from './types';

function memory() {
  const values = new Map<string, string>();
  return {
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
    removeItem: (key: string) => void values.delete(key),
  };
}

const reply = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), {
    status,
    headers: { 'Content-Type': 'application/json', ...headers },
  });

function api(answer: (request: Request) => Response, token = '') {
  const seen: Request[] = [];
  const fetcher = vi.fn(async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = input instanceof Request ? input : new Request(input, init);
    seen.push(request);
    return answer(request);
  });
  return { api: new Api('http://node.test/n/2/', new Token(token, memory()), fetcher), seen };
}

async function failure(promise: Promise<unknown>): Promise<Problem> {
  return asProblem(
    await promise.then(
      () => 'no failure',
      (error: unknown) => error,
    ),
  );
}

describe('token', () => {
  it('comes from the page, else from the tab', () => {
    const store = memory();
    expect(new Token('', store).value).toBe('');
    new Token('', store).set('  typed ');
    expect(new Token('', store)).toMatchObject({ value: 'typed', fromPage: false });
    expect(new Token('page', store)).toMatchObject({ value: 'page', fromPage: true });
    new Token('', store).set('');
    expect(new Token('', store).value).toBe('');
  });
  it('is a WebSocket subprotocol', () => {
    expect(subprotocols('abc')).toEqual(['shoal.token.abc']);
    expect(subprotocols('')).toEqual([]);
  });
});

describe('problem', () => {
  it('keeps what the node says', () => {
    const body = {
      type: '/problems/x',
      title: 'T',
      status: 400,
      detail: 'D',
      code: 'query_empty',
      hint: 'H',
    };
    expect(problemFrom(400, body)).toMatchObject({
      code: 'query_empty',
      message: 'D',
      hint: 'H',
      status: 400,
    });
  });
  it('adds a hint to codes it knows', () => {
    expect(problemFrom(410, { code: 'invite_expired', detail: 'late' }).hint).toContain('new invitation');
  });
  it.each([
    [502, '<html>', 'http_502', '<html>'],
    [401, null, 'token_required', 'The node answered with status 401.'],
    [500, { code: 7 }, 'http_500', 'The node answered with status 500.'],
  ])('reads a foreign body (%s)', (status, body, code, message) => {
    expect(problemFrom(status, body)).toMatchObject({ code, message });
  });
  it('has no advice about headers', () => {
    const problem = problemFrom(401, {
      code: 'token_required',
      detail: 'none',
      hint: 'Send the header Authorization',
    });
    expect([problem.aboutToken, problem.hint]).toEqual([true, expect.stringContaining('Enter the token')]);
    expect(problemFrom(403, { code: 'token_wrong', detail: 'd' }).aboutToken).toBe(true);
    expect(problemFrom(403, { code: 'not_admin', detail: 'd' }).aboutToken).toBe(false);
  });
  it.each([
    ['Ask again', 'Ask again.', 'Ask again'],
    [
      'A query has at most 1000 characters',
      'a query has at most 1000 characters',
      'A query has at most 1000 characters',
    ],
    [
      'query of 1200 characters, at most 1000: query too long',
      'A query has at most 1000 characters.',
      'query of 1200 characters, at most 1000: query too long',
    ],
    ['It is late.', 'Ask for a new one.', 'It is late. Ask for a new one.'],
    ['It is late:', 'Ask', 'It is late. Ask'],
    ['It is late', '', 'It is late'],
  ])('says nothing twice: %s %s', (detail, hint, whole) => {
    expect(new Problem({ code: 'x', detail, hint }).whole).toBe(whole);
  });
  it('tells a dead node from a broken page', () => {
    expect(asProblem(new TypeError('fetch failed')).code).toBe('node_unreachable');
    expect(asProblem(new Error('x')).code).toBe('page_error');
    expect(asProblem('x').message).toBe('x');
  });
});

describe('client', () => {
  it('asks below its prefix, with the token', async () => {
    const { api: a, seen } = api(() => reply({ items: [], next: null }), 'secret');
    await a.peers();
    expect(seen[0]?.url).toBe('http://node.test/n/2/api/peers');
    expect(seen[0]?.headers.get('Authorization')).toBe('Bearer secret');
  });
  it('sends no empty token', async () => {
    const { api: a, seen } = api(() => reply({ items: [], next: null }));
    await a.peers();
    expect(seen[0]?.headers.has('Authorization')).toBe(false);
  });
  it('throws the problem of an answer', async () => {
    const { api: a } = api(() => reply({ code: 'last_admin', detail: 'no' }, 409));
    expect(await failure(a.setRole('x', 'member'))).toMatchObject({ code: 'last_admin', status: 409 });
  });
  it('tells when the token is refused, and with which', async () => {
    const { api: a } = api(() => reply({ code: 'token_wrong', detail: 'no' }, 403), 'old');
    const refused = vi.fn();
    a.onRefused = refused;
    expect((await failure(a.node())).code).toBe('token_wrong');
    expect((await failure(a.head('f', 'n', 'p'))).code).toBe('token_wrong');
    expect(refused.mock.calls.map(([p, token]) => [(p as Problem).code, token as string])).toEqual([
      ['token_wrong', 'old'],
      ['token_wrong', 'old'],
    ]);
  });
  it('takes another refusal for no matter of the token', async () => {
    const { api: a } = api(() => reply({ code: 'not_admin', detail: 'no' }, 403), 'good');
    const refused = vi.fn();
    a.onRefused = refused;
    await failure(a.revoke('x'));
    expect(refused).not.toHaveBeenCalled();
  });
  it('takes an empty success of a deletion', async () => {
    const { api: a, seen } = api(() => new Response(null, { status: 204 }));
    await a.removeFolder('a/b');
    expect(seen[0]).toMatchObject({ method: 'DELETE', url: 'http://node.test/n/2/api/folders/a%2Fb' });
  });
  it('does not take an empty success for data', async () => {
    const { api: a } = api(() => new Response(null, { status: 204 }));
    expect((await failure(a.node())).code).toBe('answer_empty');
  });
  it('names the node when it is gone', async () => {
    const { api: a } = api(() => {
      throw new TypeError('fetch failed');
    });
    expect((await failure(a.node())).code).toBe('node_unreachable');
  });
  it('builds addresses', () => {
    const { api: a } = api(() => reply({}));
    expect(a.contentURL('f 1', '', 'ä/b&c')).toBe(
      'http://node.test/n/2/api/folders/f%201/content?path=%C3%A4%2Fb%26c',
    );
    expect(a.contentURL('f', 'n&1', 'a')).toBe(
      'http://node.test/n/2/api/folders/f/content?path=a&node=n%261',
    );
    expect(a.eventsURL('e.1')).toBe('ws://node.test/n/2/api/events?since=e.1');
    expect(a.eventsURL('')).toBe('ws://node.test/n/2/api/events');
    expect(a.searchURL({ q: 'a b', fuzz: '0' })).toBe('http://node.test/n/2/api/search?q=a+b&fuzz=0');
  });
});

describe('search parts', () => {
  const answer = { query: 'q', hits: [] };
  const run = (body: string, headers = { 'Content-Type': 'text/event-stream' }, status = 200) => {
    const parts: SearchPart[] = [];
    const { api: a } = api(() => reply(body, status, headers));
    const result = a.searchParts({ q: 'q' }, part => parts.push(part), new AbortController().signal);
    return { parts, result };
  };

  it('come before the answer', async () => {
    const { parts, result } = run(
      `event: part\ndata: {"node":"a"}\n\nevent: part\ndata: {"node":"b"}\n\nevent: done\ndata: ${JSON.stringify(answer)}\n\n`,
    );
    expect(await result).toEqual(answer);
    expect(parts.map(p => p.node)).toEqual(['a', 'b']);
  });
  it('may be missing when the node answers in one piece', async () => {
    expect(await run(JSON.stringify(answer), { 'Content-Type': 'application/json' }).result).toEqual(answer);
  });
  it('fail when the stream breaks off', async () => {
    expect((await failure(run('event: part\ndata: {"node":"a"}\n\n').result)).code).toBe('answer_cut');
  });
  it('fail with the problem in the stream or instead of it', async () => {
    expect((await failure(run('event: error\ndata: {"code":"x","detail":"d"}\n\n').result)).code).toBe('x');
    const refused = run(
      '{"code":"query_empty","detail":"d"}',
      { 'Content-Type': 'application/problem+json' },
      400,
    );
    expect((await failure(refused.result)).code).toBe('query_empty');
  });
});

describe('head of a file', () => {
  it('knows the whole size from the range', async () => {
    const { api: a, seen } = api(() => reply('abc', 206, { 'Content-Range': 'bytes 0-2/900' }));
    expect(await a.head('f', 'n', 'p')).toMatchObject({
      size: 900,
      cut: true,
      bytes: new Uint8Array([97, 98, 99]),
    });
    expect(seen[0]?.headers.get('Range')).toBe('bytes=0-199999');
  });
  it('reads no more than it shows when the range is not honoured', async () => {
    const { api: a } = api(() => reply('x'.repeat(300_000), 200, { 'Content-Length': '300000' }));
    const head = await a.head('f', 'n', 'p');
    expect([head.bytes.length, head.cut]).toEqual([200_000, true]);
  });
  it('takes an unsatisfiable range for an empty file', async () => {
    const { api: a } = api(() => reply('', 416));
    expect(await a.head('f', 'n', 'p')).toMatchObject({ size: 0, cut: false });
  });
});

describe('server-sent events', () => {
  const all = 'event: part\ndata: 1\n\n: note\ndata: a\ndata: b\n\nid: 7\r\nevent:done\r\ndata:2\r\n\r\n';
  const want = [
    { event: 'part', data: '1', id: '' },
    { event: 'message', data: 'a\nb', id: '' },
    { event: 'done', data: '2', id: '7' },
  ];
  it.each([1, 2, 3, 7, 1000])('are the same in pieces of %i', size => {
    const sse = new SSE();
    const got = [];
    for (let i = 0; i < all.length; i += size) got.push(...sse.push(all.slice(i, i + size)));
    expect(got).toEqual(want);
  });
  it('join characters that are cut between pieces', async () => {
    const bytes = new TextEncoder().encode('data: 🐟\n\n');
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    const got = [];
    for await (const message of readSSE(stream)) got.push(message.data);
    expect(got).toEqual(['🐟']);
  });
});

describe('positions', () => {
  it.each([
    ['ab.50', 20, 'ab.30'],
    ['ab.5', 20, 'ab.0'],
    ['a.b.5', 2, 'a.b.3'],
    ['odd', 2, 'odd'],
    ['', 2, ''],
  ])('before %s', (position, count, want) => expect(before(position, count)).toBe(want));
  it.each([
    ['a.10', 'a.9', true],
    ['a.9', 'a.9', false],
    ['b.1', 'a.9', true],
    ['odd', 'a.9', true],
  ])('%s after %s', (id, position, want) => expect(after(id, position)).toBe(want));
  it('backs off up to 15 s, jittered', () => {
    expect([0, 1, 5, 60].map(n => backoff(n, 1))).toEqual([500, 1000, 15_000, 15_000]);
    expect(backoff(0, 0)).toBe(250);
  });
});

describe('event stream', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  class Fake implements Socket {
    onopen: ((event: never) => void) | null = null;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: never) => void) | null = null;
    closed = false;
    constructor(readonly url: string) {}
    close() {
      this.closed = true;
    }
    open = () => this.onopen?.(undefined as never);
    say = (value: unknown) =>
      this.onmessage?.({ data: typeof value === 'string' ? value : JSON.stringify(value) });
    break = () => this.onclose?.(undefined as never);
  }

  function start() {
    const sockets: Fake[] = [];
    const events: Event[] = [];
    const states: Connection[] = [];
    const stream = new Stream(
      {
        url: since => `ws://x?since=${since}`,
        protocols: () => [],
        onEvent: event => events.push(event),
        onState: state => states.push(state),
        open: url => {
          sockets.push(new Fake(url));
          return sockets.at(-1) as Fake;
        },
        random: () => 1,
        now: () => 0,
      },
      'e.5',
    );
    return { stream, sockets, events, states };
  }

  it('goes on where it was', () => {
    const { sockets, events, states } = start();
    sockets[0]?.open();
    sockets[0]?.say({ id: 'e.6', time: 't', topic: 'peer.linked', data: {} });
    sockets[0]?.break();
    expect(states.at(-1)).toEqual({ phase: 'lost', until: 500 });
    vi.advanceTimersByTime(500);
    expect(sockets.map(s => s.url)).toEqual(['ws://x?since=e.5', 'ws://x?since=e.6']);
    expect(events).toHaveLength(1);
  });
  it('waits longer each time, and starts over once it was open', () => {
    const { sockets, states } = start();
    const until = () => (states.at(-1) as { until: number }).until;
    sockets[0]?.break();
    expect(until()).toBe(500);
    vi.advanceTimersByTime(500);
    sockets[1]?.break();
    expect(until()).toBe(1000);
    vi.advanceTimersByTime(1000);
    sockets[2]?.open();
    sockets[2]?.break();
    expect(until()).toBe(500);
  });
  it('takes a reset, which may lack everything else', () => {
    const { sockets, events, stream } = start();
    sockets[0]?.say({ topic: 'reset' });
    expect(events[0]).toMatchObject({ topic: 'reset', data: {} });
    expect(stream.since).toBe('e.5');
  });
  it('survives what is no event', () => {
    const { sockets, events } = start();
    for (const bad of ['{', 'null', '[]', '{"topic":3}']) sockets[0]?.say(bad);
    expect(events).toEqual([]);
  });
  it('retries at once when told to, but opens one socket only', () => {
    const { sockets, stream } = start();
    stream.retry();
    expect(sockets).toHaveLength(1);
    sockets[0]?.break();
    stream.retry();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(2);
  });
  it('is silent once closed', () => {
    const { sockets, stream } = start();
    stream.close();
    expect(sockets[0]).toMatchObject({ closed: true, onclose: null });
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});
