import { asProblem, type Problem } from '../api/problem';

// Live is something read from the node that is read again as events come: one
// reading at a time, and not more often than every so many milliseconds.
export class Live<T> {
  value = $state.raw<T | null>(null);
  problem = $state.raw<Problem | null>(null);
  readonly #read: () => Promise<T>;
  readonly #every: number;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #reading = false;
  #again = false;
  #last = -Infinity;
  #stopped = false;

  constructor(read: () => Promise<T>, every = 1000) {
    this.#read = read;
    this.#every = every;
  }

  // soon reads at once, or when the time since the last reading has passed.
  soon(now = performance.now()): void {
    if (this.#stopped || this.#timer !== null) return;
    const wait = this.#last + this.#every - now;
    if (wait <= 0) void this.load(now);
    else this.#timer = setTimeout(() => void this.load(), wait);
  }

  load = async (now = performance.now()): Promise<void> => {
    this.#clear();
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    do {
      this.#again = false;
      this.#last = now;
      try {
        const value = await this.#read();
        if (this.#stopped) return;
        this.value = value;
        this.problem = null;
      } catch (error) {
        if (this.#stopped) return;
        this.problem = asProblem(error);
      }
    } while (this.#again);
    this.#reading = false;
  };

  stop(): void {
    this.#stopped = true;
    this.#clear();
  }

  #clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

// poll asks again and again while there is reason to and somebody looks, and
// returns what ends it.
export function poll(ask: () => Promise<void>, every = 2000, page: Document = document): () => void {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let over = false;
  let asking = false;
  const next = async () => {
    timer = null;
    if (over || asking || page.hidden) return;
    asking = true;
    await ask();
    asking = false;
    if (!over) timer = setTimeout(() => void next(), every);
  };
  const seen = () => {
    if (!page.hidden && timer === null) void next();
  };
  page.addEventListener('visibilitychange', seen);
  void next();
  return () => {
    over = true;
    if (timer !== null) clearTimeout(timer);
    page.removeEventListener('visibilitychange', seen);
  };
}
