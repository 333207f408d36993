import createClient, { type Client } from 'openapi-fetch';
import { Problem, asProblem, aborted, problemFrom } from './problem';
import type { components, paths } from './schema.gen';
import { readSSE } from './sse';
import { subprotocols, type Token } from './token';
import type { Folder, GetValues, KeptSeed, QueryRange, QueryWords, SearchAnswer, SearchPart } from './types';

type Schemas = components['schemas'];
type Reply<T> = Promise<{ data?: T; error?: unknown; response: Response }>;
export interface SearchParams {
  q: string;
  fuzz?: 'auto' | '0' | '1' | '2' | '3';
  via?: 'auto' | 'local' | 'mesh' | 'dht';
  plan?: 'auto' | 'lists' | 'sequential' | 'parallel' | 'pairs' | 'dst' | 'pht' | 'buckets';
  filter?: string;
  sort?: 'relevance' | 'modified' | 'size' | 'name';
  order?: 'asc' | 'desc';
  facets?: boolean;
  limit?: number;
  cursor?: string;
  explain?: boolean;
}

// previewBytes is how much of a file the side panel reads.
export const previewBytes = 200_000;

// refusals are the statuses that may be about the token.
const refusals = new Set([401, 403, 429]);

// Api speaks with one node. Every method throws a Problem when it fails, and
// an AbortError when its signal ends it.
export class Api {
  readonly base: string;
  readonly token: Token;
  readonly #client: Client<paths>;
  readonly #fetch: typeof fetch;
  // onRefused is told when the node does not take the token that a request had.
  onRefused: (problem: Problem, token: string) => void = () => undefined;

  // base is origin and prefix of the node, such as "http://localhost:8080/n/3".
  constructor(base: string, token: Token, fetcher: typeof fetch = (...args) => fetch(...args)) {
    this.base = base.replace(/\/$/, '');
    this.token = token;
    this.#fetch = async (input, init) => {
      const headers = input instanceof Request ? input.headers : new Headers(init?.headers);
      const sent = headers.get('Authorization')?.replace(/^Bearer /, '') ?? '';
      const response = await fetcher(input, init);
      if (refusals.has(response.status)) {
        const problem = problemFrom(response.status, await bodyOf(response.clone()));
        if (problem.aboutToken) this.onRefused(problem, sent);
      }
      return response;
    };
    this.#client = createClient<paths>({
      baseUrl: this.base,
      fetch: request => this.#fetch(request),
    });
    this.#client.use({
      onRequest: ({ request }) => {
        for (const [name, value] of Object.entries(this.#auth())) request.headers.set(name, value);
        return request;
      },
    });
  }

  node = (signal?: AbortSignal) => unwrap(this.#client.GET('/api/node', { signal }));
  lab = () => unwrap(this.#client.GET('/api/lab'));
  addSamples = () => unwrap(this.#client.POST('/api/samples'));

  search(params: SearchParams, signal?: AbortSignal): Promise<SearchAnswer> {
    // The answer is JSON or a stream of parts; without the Accept header it is JSON.
    const reply = this.#client.GET('/api/search', {
      params: { query: params },
      signal,
    });
    return unwrap(reply as Reply<SearchAnswer>);
  }

  // searchParts calls each as computers answer, and returns the whole answer.
  async searchParts(
    params: SearchParams,
    each: (part: SearchPart) => void,
    signal: AbortSignal,
  ): Promise<SearchAnswer> {
    const headers = {
      Accept: 'text/event-stream, application/json;q=0.5',
      ...this.#auth(),
    };
    try {
      const response = await this.#fetch(this.searchURL(params), {
        headers,
        signal,
      });
      if (!response.ok) throw problemFrom(response.status, await bodyOf(response));
      if (!response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        return (await response.json()) as SearchAnswer;
      }
      for await (const message of readSSE(response.body ?? new ReadableStream())) {
        if (message.event === 'part') each(JSON.parse(message.data) as SearchPart);
        if (message.event === 'done') return JSON.parse(message.data) as SearchAnswer;
        if (message.event === 'error') throw problemFrom(502, JSON.parse(message.data));
      }
    } catch (error) {
      if (aborted(error)) throw error;
      throw asProblem(error);
    }
    throw new Problem({
      code: 'answer_cut',
      detail: 'The answer broke off before its end.',
    });
  }

  searchURL(params: SearchParams): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(params)) {
      if (value !== undefined) query.set(name, String(value));
    }
    return `${this.base}/api/search?${query}`;
  }

  completions = (q: string, limit: number, signal?: AbortSignal) =>
    unwrap(
      this.#client.GET('/api/search/completions', {
        params: { query: { q, limit } },
        signal,
      }),
    );

  words = (query: QueryWords, signal?: AbortSignal) =>
    unwrap(this.#client.GET('/api/words', { params: { query }, signal }));
  wordsURL = (query: QueryWords): string =>
    `${this.base}/api/words?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))}`;
  published = (signal?: AbortSignal) => unwrap(this.#client.GET('/api/words/published', { signal }));

  document = (id: string, node: string, signal?: AbortSignal) =>
    unwrap(
      this.#client.GET('/api/documents/{id}', {
        params: { path: { id }, query: node ? { node } : {} },
        signal,
      }),
    );

  peers = () => unwrap(this.#client.GET('/api/peers'));
  peerPath = (id: string, signal?: AbortSignal) =>
    unwrap(
      this.#client.GET('/api/peers/{id}/path', {
        params: { path: { id } },
        signal,
      }),
    );
  network = () => unwrap(this.#client.GET('/api/network'));
  makeNetwork = (body: Schemas['NetworkNew']) => unwrap(this.#client.POST('/api/network', { body }));
  checkNetwork = () => unwrap(this.#client.POST('/api/network/check'));
  members = () => unwrap(this.#client.GET('/api/members'));
  invite = (body: Schemas['InviteNew']) => unwrap(this.#client.POST('/api/invites', { body }));
  join = (link: string) => unwrap(this.#client.POST('/api/join', { body: { link } }));
  // An offer that people carry, its answer, and the link that comes of them.
  handshakes = () => unwrap(this.#client.GET('/api/handshakes'));
  offer = (body: Schemas['HandshakeNew']) => unwrap(this.#client.POST('/api/handshakes', { body }));
  answer = (offer: string) => unwrap(this.#client.POST('/api/handshakes/answer', { body: { offer } }));
  finish = (id: string, answer: string) =>
    unwrap(
      this.#client.POST('/api/handshakes/{id}', {
        params: { path: { id } },
        body: { answer },
      }),
    );
  cancelHandshake = (id: string) =>
    done(this.#client.DELETE('/api/handshakes/{id}', { params: { path: { id } } }));
  setRole = (id: string, role: Schemas['Role']) =>
    unwrap(
      this.#client.PATCH('/api/members/{id}', {
        params: { path: { id } },
        body: { role },
      }),
    );
  revoke = (id: string) => done(this.#client.DELETE('/api/members/{id}', { params: { path: { id } } }));

  folders = () => unwrap(this.#client.GET('/api/folders'));
  folder = (id: string) => unwrap(this.#client.GET('/api/folders/{id}', { params: { path: { id } } }));
  addFolder(body: Omit<Schemas['FolderNew'], 'preview'>): Promise<Folder> {
    // Only with preview the answer is another one, and there is a route for that.
    return unwrap(
      this.#client.POST('/api/folders', {
        body: body as Schemas['FolderNew'],
      }) as Reply<Folder>,
    );
  }
  previewFolder = (body: Schemas['PreviewNew'], signal?: AbortSignal) =>
    unwrap(this.#client.POST('/api/folders/preview', { body, signal }));
  changeFolder = (id: string, body: Schemas['FolderChange']) =>
    unwrap(
      this.#client.PATCH('/api/folders/{id}', {
        params: { path: { id } },
        body,
      }),
    );
  removeFolder = (id: string) => done(this.#client.DELETE('/api/folders/{id}', { params: { path: { id } } }));
  scanFolder = (id: string) =>
    done(this.#client.POST('/api/folders/{id}/scan', { params: { path: { id } } }));
  skipped = (id: string) =>
    unwrap(
      this.#client.GET('/api/folders/{id}/skipped', {
        params: { path: { id } },
      }),
    );
  unread = (id: string, query: { reason?: Schemas['UnreadReason']; cursor?: string }) =>
    unwrap(
      this.#client.GET('/api/folders/{id}/unread', {
        params: { path: { id }, query },
      }),
    );
  // Here and below node is the one that shares the folder: another one may offer
  // a folder with the same id.
  entries = (
    id: string,
    node: string,
    prefix: string,
    cursor?: string,
    signal?: AbortSignal,
    limit?: number,
  ) =>
    unwrap(
      this.#client.GET('/api/folders/{id}/entries', {
        params: {
          path: { id },
          query: {
            prefix,
            ...(node ? { node } : {}),
            ...(cursor ? { cursor } : {}),
            ...(limit ? { limit } : {}),
          },
        },
        signal,
      }),
    );

  transfers = () => unwrap(this.#client.GET('/api/transfers'));
  seeds = (signal?: AbortSignal) => unwrap(this.#client.GET('/api/seeds', { signal }));
  linkSeed = (id: string, body: Schemas['SeedLinkNew']) =>
    unwrap(this.#client.POST('/api/seeds/{id}/link', { ...at(id), body }));
  addSeed = (body: Schemas['SeedNew']) => unwrap(this.#client.POST('/api/seeds', { body }));
  pauseSeed = (id: string, paused: boolean) =>
    unwrap(this.#client.PATCH('/api/seeds/{id}', { ...at(id), body: { paused } }));
  removeSeed = (id: string, files: boolean) =>
    done(
      this.#client.DELETE('/api/seeds/{id}', {
        params: { path: { id }, query: { files } },
      }),
    );
  swarm = (id: string, signal?: AbortSignal) =>
    unwrap(this.#client.GET('/api/seeds/{id}/swarm', { ...at(id), signal }));
  download = (body: Schemas['DownloadNew']) => unwrap(this.#client.POST('/api/downloads', { body }));
  tracked = (signal?: AbortSignal) => unwrap(this.#client.GET('/api/tracker', { signal }));
  limits = () => unwrap(this.#client.GET('/api/limits'));
  setLimits = (body: Schemas['LimitsNew']) => unwrap(this.#client.PUT('/api/limits', { body }));
  seedURL = (id: string, what: 'content' | 'text' | 'pieces'): string =>
    `${this.base}/api/seeds/${id}/${what}`;

  // upload shares a file that the page was given; told hears how many of its bytes are sent. fetch
  // does not tell that.
  upload(file: File, told: (sent: number) => void, signal: AbortSignal): Promise<KeptSeed> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const end = () => request.abort();
      const answered = () => {
        signal.removeEventListener('abort', end);
        let body: unknown = request.responseText;
        try {
          body = JSON.parse(request.responseText);
        } catch {
          // Something in between has answered.
        }
        if (request.status === 201) return resolve(body as KeptSeed);
        const problem = problemFrom(request.status, body);
        if (problem.aboutToken) this.onRefused(problem, this.token.value);
        reject(problem);
      };
      request.upload.onprogress = event => told(event.loaded);
      request.onload = answered;
      request.onerror = () => reject(asProblem(new TypeError('upload')));
      request.onabort = () => reject(new DOMException('cancelled', 'AbortError'));
      request.open('POST', `${this.base}/api/seeds/upload?name=${encodeURIComponent(file.name)}`);
      for (const [name, value] of Object.entries(this.#auth())) request.setRequestHeader(name, value);
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      signal.addEventListener('abort', end);
      request.send(file);
    });
  }

  held = (id: string) => unwrap(this.#client.GET('/api/folders/{id}/held', at(id)));
  decide = (id: string, body: Schemas['HeldDecision']) =>
    done(this.#client.POST('/api/folders/{id}/held', { ...at(id), body }));
  conflicts = (id: string) => unwrap(this.#client.GET('/api/folders/{id}/conflicts', at(id)));
  resolve = (id: string, keep: Schemas['Keep'], numbers: number[]) =>
    unwrap(
      this.#client.POST('/api/folders/{id}/conflicts', {
        ...at(id),
        body: { keep, numbers },
      }),
    );
  trash = (id: string, cursor?: string) =>
    unwrap(
      this.#client.GET('/api/folders/{id}/trash', {
        params: {
          path: { id },
          query: { limit: 500, ...(cursor ? { cursor } : {}) },
        },
      }),
    );
  restore = (id: string, numbers: number[]) =>
    unwrap(
      this.#client.POST('/api/folders/{id}/restore', {
        ...at(id),
        body: { numbers },
      }),
    );
  changes = (id: string) => unwrap(this.#client.GET('/api/folders/{id}/changes', at(id)));
  revert = (id: string, paths?: string[]) =>
    done(
      this.#client.POST('/api/folders/{id}/revert', {
        ...at(id),
        body: paths ? { paths } : {},
      }),
    );

  stories = (signal?: AbortSignal) => unwrap(this.#client.GET('/api/rsync/stories', { signal }));
  explain = (body: Schemas['ExplainNew'], signal?: AbortSignal) =>
    unwrap(this.#client.POST('/api/rsync/explain', { body, signal }));

  dht = () => unwrap(this.#client.GET('/api/dht'));
  changeDht = (body: Schemas['DhtChange']) => unwrap(this.#client.PATCH('/api/dht', { body }));
  responsible = (key: string, signal?: AbortSignal) =>
    unwrap(
      this.#client.GET('/api/dht/responsible', {
        params: { query: { key } },
        signal,
      }),
    );
  lookup = (key: string, signal?: AbortSignal) =>
    unwrap(
      this.#client.GET('/api/dht/lookup', {
        params: { query: { key } },
        signal,
      }),
    );
  buckets = () => unwrap(this.#client.GET('/api/dht/buckets'));
  values = (query: GetValues, signal?: AbortSignal) =>
    unwrap(this.#client.GET('/api/dht/values', { params: { query }, signal }));
  putValue = (body: Schemas['DhtPut']) => unwrap(this.#client.POST('/api/dht/values', { body }));
  removeValues = (body: Schemas['DhtQuery']) => unwrap(this.#client.POST('/api/dht/remove', { body }));
  renewValue = (body: Schemas['DhtRenew']) => unwrap(this.#client.POST('/api/dht/renew', { body }));
  versions = (query: Pick<GetValues, 'key' | 'domain' | 'content'>, signal?: AbortSignal) =>
    unwrap(this.#client.GET('/api/dht/versions', { params: { query }, signal }));
  putVersion = (body: Schemas['DhtVersionPut']) => unwrap(this.#client.POST('/api/dht/versions', { body }));
  records = (limit: number, cursor: string) =>
    unwrap(
      this.#client.GET('/api/dht/records', {
        params: { query: { limit, ...(cursor ? { cursor } : {}) } },
      }),
    );
  repairDht = () => done(this.#client.POST('/api/dht/repair'));
  sendData = (body: Schemas['DataNew']) => unwrap(this.#client.POST('/api/dht/send', { body }));
  inbox = () => unwrap(this.#client.GET('/api/dht/inbox'));
  replyData = (n: number, data: string) =>
    done(
      this.#client.POST('/api/dht/inbox/{n}', {
        params: { path: { n } },
        body: { data },
      }),
    );
  ranges = (signal?: AbortSignal) => unwrap(this.#client.GET('/api/ranges', { signal }));
  makeRange = (body: Schemas['RangeDefinition']) => unwrap(this.#client.POST('/api/ranges', { body }));
  range = (name: string, query: QueryRange, signal?: AbortSignal) =>
    unwrap(
      this.#client.GET('/api/ranges/{name}', {
        params: { path: { name }, query },
        signal,
      }),
    );
  insertRange = (name: string, entries: Schemas['RangeEntry'][]) =>
    unwrap(
      this.#client.POST('/api/ranges/{name}', {
        params: { path: { name } },
        body: { entries },
      }),
    );
  removeRange = (name: string, entry: string) =>
    done(
      this.#client.DELETE('/api/ranges/{name}/{entry}', {
        params: { path: { name, entry } },
      }),
    );
  rangeURL(name: string, query: QueryRange): string {
    const params = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
    return `${this.base}/api/ranges/${encodeURIComponent(name)}${params.size > 0 ? `?${params}` : ''}`;
  }
  lessons = (signal?: AbortSignal) => unwrap(this.#client.GET('/api/lessons', { signal }));
  lesson = (name: string, signal?: AbortSignal) =>
    unwrap(
      this.#client.GET('/api/lessons/{name}', {
        params: { path: { name } },
        signal,
      }),
    );
  playLesson = (file: string) => unwrap(this.#client.POST('/api/lessons/play', { body: { file } }));

  contentURL(folder: string, node: string, path: string): string {
    const query = `path=${encodeURIComponent(path)}${node ? `&node=${encodeURIComponent(node)}` : ''}`;
    return `${this.base}/api/folders/${encodeURIComponent(folder)}/content?${query}`;
  }

  // head reads the first bytes of a file and tells its whole size; cut says
  // that there are more.
  async head(
    folder: string,
    node: string,
    path: string,
    signal?: AbortSignal,
    most = previewBytes,
  ): Promise<{ bytes: Uint8Array<ArrayBuffer>; size: number; cut: boolean }> {
    const headers = { Range: `bytes=0-${most - 1}`, ...this.#auth() };
    try {
      const response = await this.#fetch(this.contentURL(folder, node, path), {
        headers,
        signal,
      });
      // A range of an empty file cannot be satisfied: there is nothing to show.
      if (response.status === 416) return { bytes: new Uint8Array(), size: 0, cut: false };
      if (!response.ok) throw problemFrom(response.status, await bodyOf(response));
      const bytes = await firstBytes(response, most);
      const range = /\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
      const size = Number(range?.[1] ?? response.headers.get('Content-Length') ?? bytes.length);
      return { bytes, size, cut: size > bytes.length };
    } catch (error) {
      if (aborted(error)) throw error;
      throw asProblem(error);
    }
  }

  blob = (folder: string, node: string, path: string, signal?: AbortSignal): Promise<Blob> =>
    this.blobAt(this.contentURL(folder, node, path), signal);

  async blobAt(url: string, signal?: AbortSignal): Promise<Blob> {
    try {
      const response = await this.#fetch(url, {
        headers: this.#auth(),
        ...(signal ? { signal } : {}),
      });
      if (!response.ok) throw problemFrom(response.status, await bodyOf(response));
      return await response.blob();
    } catch (error) {
      if (aborted(error)) throw error;
      throw asProblem(error);
    }
  }

  eventsURL(since: string): string {
    const url = new URL(`${this.base}/api/events`);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    if (since) url.searchParams.set('since', since);
    return url.href;
  }

  eventsProtocols = (): string[] => subprotocols(this.token.value);

  #auth(): Record<string, string> {
    return this.token.value ? { Authorization: `Bearer ${this.token.value}` } : {};
  }
}

// at names a folder of this node.
function at(id: string): { params: { path: { id: string } } } {
  return { params: { path: { id } } };
}

async function unwrap<T>(reply: Reply<T>): Promise<T> {
  const data = await settled(reply);
  if (data === undefined)
    throw new Problem({
      code: 'answer_empty',
      detail: 'The node sent an empty answer.',
    });
  return data;
}

async function done(reply: Reply<unknown>): Promise<void> {
  await settled(reply);
}

async function settled<T>(reply: Reply<T>): Promise<T | undefined> {
  try {
    const { data, error, response } = await reply;
    if (!response.ok) throw problemFrom(response.status, error);
    return data;
  } catch (error) {
    if (aborted(error)) throw error;
    throw asProblem(error);
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

// firstBytes stops reading at most, should the node not honour the range.
async function firstBytes(response: Response, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const most = Math.min(limit, Number(response.headers.get('Content-Length') ?? limit));
  const out = new Uint8Array(most);
  let length = 0;
  const reader = response.body?.getReader();
  while (reader && length < most) {
    const { done: end, value } = await reader.read();
    if (end) break;
    const part = value.subarray(0, most - length);
    out.set(part, length);
    length += part.length;
  }
  await reader?.cancel();
  return out.subarray(0, length);
}
