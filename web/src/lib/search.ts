import { aborted, asProblem, type Problem } from '../api/problem';
import type { SearchParams } from '../api/client';
import type { Correction, Hit, SearchAnswer, SearchPart } from '../api/types';

export interface Computer {
  id: string;
  name: string;
}

export interface Progress extends Computer {
  state: 'waiting' | 'answered' | 'failed';
  hits: number;
  tookMs: number;
  error: string;
}

export interface View {
  query: string;
  exact: boolean;
  // typing: the query changed and waits for a pause. Hits of the last query
  // stay on the page until the first new ones come.
  phase: 'empty' | 'typing' | 'searching' | 'done' | 'failed';
  stale: boolean;
  hits: Hit[];
  total: number;
  corrections: Correction[];
  progress: Progress[];
  // lacking: no document has all words of the query; these lack so many.
  lacking: number;
  partial: boolean;
  truncated: boolean;
  tookMs: number;
  next: string | null;
  loadingMore: boolean;
  problem: Problem | null;
}

export interface Ports {
  stream: (p: SearchParams, each: (part: SearchPart) => void, signal: AbortSignal) => Promise<SearchAnswer>;
  page: (p: SearchParams, signal: AbortSignal) => Promise<SearchAnswer>;
  // computers that will be asked, this one first.
  computers: () => Computer[];
  onChange: (view: View) => void;
}

// pause after the last key before the question goes out.
export const debounceMs = 50;

export const nothing: View = {
  query: '',
  exact: false,
  phase: 'empty',
  stale: false,
  hits: [],
  total: 0,
  corrections: [],
  progress: [],
  lacking: 0,
  partial: false,
  truncated: false,
  tookMs: 0,
  next: null,
  loadingMore: false,
  problem: null,
};

// Search asks as you type. Only the newest question counts: older ones are
// aborted, and what still arrives from them is dropped.
export class Search {
  #view: View = nothing;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #abort: AbortController | null = null;
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  get view(): View {
    return this.#view;
  }

  // type follows the keyboard.
  type(query: string, exact: boolean): void {
    if (this.#same(query, exact) && this.#view.phase !== 'failed') return;
    this.#stop();
    if (query.trim() === '') {
      this.#set({ ...nothing, query });
      return;
    }
    this.#set({
      ...this.#view,
      query,
      exact,
      phase: 'typing',
      stale: this.#view.hits.length > 0,
      problem: null,
    });
    this.#timer = setTimeout(() => void this.#run(), debounceMs);
  }

  // submit asks at once, also the same question again.
  submit(query: string, exact: boolean): void {
    this.#stop();
    if (query.trim() === '') {
      this.#set({ ...nothing, query });
      return;
    }
    this.#set({ ...this.#view, query, exact, stale: this.#view.hits.length > 0, problem: null });
    void this.#run();
  }

  // expect adds computers that turned out to be asked too, while they are.
  expect(): void {
    if (this.#view.phase !== 'searching') return;
    const known = new Set(this.#view.progress.map(p => p.id));
    const late = this.#ports.computers().filter(computer => !known.has(computer.id));
    if (late.length > 0)
      this.#set({ ...this.#view, progress: [...this.#view.progress, ...late.map(waitingFor)] });
  }

  async more(): Promise<void> {
    const { next, phase, loadingMore } = this.#view;
    if (!next || phase !== 'done' || loadingMore) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.#set({ ...this.#view, loadingMore: true, problem: null });
    try {
      const answer = await this.#ports.page({ ...this.#params(), cursor: next }, abort.signal);
      if (abort.signal.aborted) return;
      const hits = merged(this.#view.hits, answer.hits, false);
      this.#set({ ...this.#view, hits, next: answer.next, loadingMore: false });
    } catch (error) {
      if (abort.signal.aborted || aborted(error)) return;
      this.#set({ ...this.#view, loadingMore: false, problem: asProblem(error) });
    }
  }

  stop(): void {
    this.#stop();
  }

  async #run(): Promise<void> {
    this.#timer = null;
    const abort = new AbortController();
    this.#abort = abort;
    const waiting = this.#ports.computers().map(waitingFor);
    this.#set({ ...this.#view, phase: 'searching', progress: waiting, loadingMore: false, next: null });
    try {
      const each = (part: SearchPart) => {
        if (!abort.signal.aborted) this.#set(withPart(this.#view, part));
      };
      const answer = await this.#ports.stream(this.#params(), each, abort.signal);
      if (!abort.signal.aborted) this.#set(withAnswer(this.#view, answer));
    } catch (error) {
      if (abort.signal.aborted || aborted(error)) return;
      this.#set({ ...nothing, ...this.#question(), phase: 'failed', problem: asProblem(error) });
    }
  }

  #params(): SearchParams {
    const { query, exact } = this.#view;
    return exact ? { q: query, fuzz: '0' } : { q: query };
  }

  #question(): Pick<View, 'query' | 'exact'> {
    return { query: this.#view.query, exact: this.#view.exact };
  }

  #same(query: string, exact: boolean): boolean {
    return query === this.#view.query && exact === this.#view.exact;
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#abort?.abort();
    this.#abort = null;
  }

  #set(view: View): void {
    this.#view = view;
    this.#ports.onChange(view);
  }
}

function waitingFor(computer: Computer): Progress {
  return { ...computer, state: 'waiting', hits: 0, tookMs: 0, error: '' };
}

export function withPart(view: View, part: SearchPart): View {
  const old = view.stale ? { ...view, hits: [], total: 0, corrections: [], lacking: 0 } : view;
  const known = old.corrections.map(c => `${c.from} ${c.to}`);
  return {
    ...old,
    stale: false,
    hits: merged(old.hits, part.hits, true),
    total: old.total + part.total,
    corrections: [...old.corrections, ...part.corrections.filter(c => !known.includes(`${c.from} ${c.to}`))],
    progress: progressed(old.progress, {
      id: part.node,
      name: part.node_name,
      state: part.error ? 'failed' : 'answered',
      hits: part.total,
      tookMs: part.took_ms,
      error: part.error,
    }),
  };
}

export function withAnswer(view: View, answer: SearchAnswer): View {
  let progress = view.progress;
  for (const n of answer.nodes) {
    progress = progressed(progress, {
      id: n.node,
      name: n.node_name,
      state: n.error ? 'failed' : 'answered',
      hits: n.hits,
      tookMs: n.took_ms,
      error: n.error,
    });
  }
  return {
    ...view,
    phase: 'done',
    stale: false,
    hits: answer.hits,
    total: answer.total,
    corrections: answer.corrections,
    // Who went away between the question and the answer was not asked.
    progress: progress.filter(p => p.state !== 'waiting'),
    lacking: answer.missing,
    partial: answer.partial,
    truncated: answer.truncated,
    tookMs: answer.took_ms,
    next: answer.next,
    problem: null,
  };
}

function progressed(list: Progress[], one: Progress): Progress[] {
  return list.some(p => p.id === one.id) ? list.map(p => (p.id === one.id ? one : p)) : [...list, one];
}

export function hitKey(hit: Hit): string {
  return `${hit.node} ${hit.folder} ${hit.path} ${hit.id}`;
}

// merged adds hits that are new; sorted keeps the best first while parts come.
function merged(old: Hit[], more: Hit[], sorted: boolean): Hit[] {
  const keys = new Set(old.map(hitKey));
  const all = [...old, ...more.filter(hit => !keys.has(hitKey(hit)))];
  return sorted ? all.sort((a, b) => b.score - a.score || (hitKey(a) < hitKey(b) ? -1 : 1)) : all;
}

// Found is a hit, and the same file or document on other computers.
export interface Found {
  hit: Hit;
  also: Hit[];
}

// grouped shows what several computers have once, in the place of the best: this computer's,
// if it has it.
export function grouped(hits: readonly Hit[]): Found[] {
  const groups = new Map<string, Found>();
  for (const hit of hits) {
    const key = [hit.id, hit.folder, hit.path, hit.size, hit.modified].join(' ');
    const known = groups.get(key);
    if (!known) groups.set(key, { hit, also: [] });
    else if (hit.local) groups.set(key, { hit, also: [known.hit, ...known.also] });
    else known.also.push(hit);
  }
  return [...groups.values()];
}

// headline says in one sentence what came out; it is also what is read aloud.
export function headline(view: View): string {
  // What several computers have is one result, as far as it is known here.
  const total = view.total - (view.hits.length - grouped(view.hits).length);
  switch (view.phase) {
    case 'searching':
      return view.hits.length > 0 && !view.stale ? `${total} so far…` : 'Searching…';
    case 'done': {
      const answered = view.progress.filter(p => p.state === 'answered').length;
      const from = answered === 1 ? 'one computer' : `${answered} computers`;
      if (total === 0) return `Nothing found on ${from}`;
      return `${total === 1 ? '1 result' : `${total} results`} from ${from}`;
    }
    case 'failed':
      return 'The search failed';
    default:
      return '';
  }
}

// missing names the computers that did not answer, for the notice of a partial answer.
export function missing(view: View): Progress[] {
  return view.progress.filter(p => p.state === 'failed');
}
