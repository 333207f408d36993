import type { Event } from './types';

export type Connection =
  | { phase: 'connecting' }
  | { phase: 'open' }
  // until: when the next attempt starts, in milliseconds since the epoch.
  | { phase: 'lost'; until: number };

export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: never) => void) | null;
  close(): void;
}

export interface StreamOptions {
  url: (since: string) => string;
  protocols: () => string[];
  onEvent: (event: Event) => void;
  onState: (state: Connection) => void;
  open?: (url: string, protocols: string[]) => Socket;
  random?: () => number;
  now?: () => number;
}

// delay before attempt n (from 0), in milliseconds: doubling from half a
// second to 15, and jittered to half of that, so that many tabs do not knock at once.
export function backoff(attempt: number, random: number): number {
  const full = Math.min(15_000, 500 * 2 ** attempt);
  return Math.round(full / 2 + (full / 2) * random);
}

// Stream keeps one WebSocket to the node's events open and goes on where it
// was after every break.
export class Stream {
  readonly #o: Required<StreamOptions>;
  #since: string;
  #socket: Socket | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #attempt = 0;
  #closed = false;

  constructor(options: StreamOptions, since: string) {
    this.#o = {
      open: (url, protocols) => new WebSocket(url, protocols) as unknown as Socket,
      random: Math.random,
      now: Date.now,
      ...options,
    };
    this.#since = since;
    this.#connect();
  }

  get since(): string {
    return this.#since;
  }

  // retry cuts the waiting short: the user asked, or the network is back.
  retry(): void {
    if (this.#timer === null || this.#closed) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#drop();
  }

  #connect(): void {
    this.#timer = null;
    this.#o.onState({ phase: 'connecting' });
    let socket: Socket;
    try {
      socket = this.#o.open(this.#o.url(this.#since), this.#o.protocols());
    } catch {
      this.#wait();
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      this.#o.onState({ phase: 'open' });
    };
    socket.onmessage = message => this.#receive(message.data);
    socket.onclose = () => {
      this.#drop();
      if (!this.#closed) this.#wait();
    };
  }

  #receive(data: unknown): void {
    const event = parse(data);
    if (!event) return;
    if (event.id) this.#since = event.id;
    this.#o.onEvent(event);
  }

  #wait(): void {
    const delay = backoff(this.#attempt++, this.#o.random());
    this.#o.onState({ phase: 'lost', until: this.#o.now() + delay });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

function parse(data: unknown): Event | null {
  if (typeof data !== 'string') return null;
  try {
    const value = JSON.parse(data) as Partial<Event> | null;
    if (typeof value?.topic !== 'string') return null;
    return {
      id: value.id ?? '',
      time: value.time ?? new Date().toISOString(),
      topic: value.topic,
      data: value.data ?? {},
    };
  } catch {
    return null;
  }
}

// before is the position up to count events earlier, so that a fresh page can
// show what led here. An id that is not EPOCH.SEQ is returned as it is.
export function before(position: string, count: number): string {
  const match = /^(.+)\.(\d+)$/.exec(position);
  if (!match) return position;
  return `${match[1]}.${Math.max(0, Number(match[2]) - count)}`;
}

// after tells whether an event came later than a position of the same epoch;
// events of another epoch count as later.
export function after(id: string, position: string): boolean {
  const a = /^(.+)\.(\d+)$/.exec(id);
  const b = /^(.+)\.(\d+)$/.exec(position);
  if (!a || !b || a[1] !== b[1]) return true;
  return Number(a[2]) > Number(b[2]);
}
