import { aborted, asProblem, type Problem } from '../api/problem';
import type { SearchParams } from '../api/client';
import type { Correction, Facets, Hit, SearchAnswer, SearchPart } from '../api/types';

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

export type Sort = 'relevance' | 'modified' | 'size' | 'name';
export type Order = '' | 'asc' | 'desc';
// Via is whom to ask: all computers, this one, or the table.
export type Via = '' | 'local' | 'dht';

// says: what is not found in that way.
export const vias: readonly { via: Via; label: string; says: string }[] = [
  { via: '', label: 'All computers', says: '' },
  { via: 'local', label: 'This computer', says: 'Nobody else is asked.' },
  {
    via: 'dht',
    label: 'The table',
    says: 'Few are asked: what computers publish is found, by whole words, sizes and times.',
  },
];

// Question is all that is asked; with a filter the query may be empty.
export interface Question {
  query: string;
  exact: boolean;
  filter: string;
  sort: Sort;
  order: Order;
  via: Via;
}

export interface View extends Question {
  // typing: the query changed and its turn has not come (paceMs). Hits of the last
  // query stay on the page until the first new ones come.
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
  // facets and answer are of the last whole answer.
  facets: Facets | null;
  answer: SearchAnswer | null;
}

export interface Ports {
  stream: (p: SearchParams, each: (part: SearchPart) => void, signal: AbortSignal) => Promise<SearchAnswer>;
  page: (p: SearchParams, signal: AbortSignal) => Promise<SearchAnswer>;
  // computers that will be asked, this one first.
  computers: () => Computer[];
  onChange: (view: View) => void;
}

// paceMs is how far apart questions are that go out while somebody types. The first key after a
// pause does not wait: most people's keys are further apart than this.
export const paceMs = 50;

export const noQuestion: Question = {
  query: '',
  exact: false,
  filter: '',
  sort: 'relevance',
  order: '',
  via: '',
};

export const nothing: View = {
  ...noQuestion,
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
  facets: null,
  answer: null,
};

export function same(a: Question, b: Question): boolean {
  return (
    a.query === b.query &&
    a.exact === b.exact &&
    a.filter === b.filter &&
    a.sort === b.sort &&
    a.order === b.order &&
    a.via === b.via
  );
}

// paramsOf is a question as the API takes it.
export function paramsOf(q: Question): SearchParams {
  return {
    q: q.query,
    ...(q.exact ? { fuzz: '0' as const } : {}),
    ...(q.filter ? { filter: q.filter } : {}),
    ...(q.sort !== 'relevance' ? { sort: q.sort } : {}),
    ...(q.order && q.sort !== 'relevance' ? { order: q.order } : {}),
    ...(q.via ? { via: q.via } : {}),
  };
}

// Search asks as you type. Only the newest question counts: older ones are
// aborted, and what still arrives from them is dropped.
export class Search {
  #view: View = nothing;
  #rest: ReturnType<typeof setTimeout> | null = null; // since the last question
  #due = false; // there is a question to ask after the rest
  #abort: AbortController | null = null;
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  get view(): View {
    return this.#view;
  }

  // type follows the keyboard.
  type(question: Question): void {
    if (same(question, this.#view) && this.#view.phase !== 'failed') return;
    this.#stop();
    if (isEmpty(question)) {
      this.#set({ ...nothing, ...question });
      return;
    }
    this.#set({
      ...this.#view,
      ...question,
      phase: 'typing',
      stale: this.#view.hits.length > 0,
      problem: null,
    });
    if (this.#rest === null) void this.#run();
    else this.#due = true;
  }

  // submit asks at once, also the same question again.
  submit(question: Question): void {
    this.#stop();
    if (isEmpty(question)) {
      this.#set({ ...nothing, ...question });
      return;
    }
    this.#set({ ...this.#view, ...question, stale: this.#view.hits.length > 0, problem: null });
    void this.#run();
  }

  // expect adds computers that turned out to be asked too, while they are.
  expect(): void {
    if (this.#view.phase !== 'searching' || this.#view.via) return;
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
      const answer = await this.#ports.page({ ...paramsOf(this.#view), cursor: next }, abort.signal);
      if (abort.signal.aborted) return;
      const hits = merged(this.#view.hits, answer.hits, null);
      this.#set({ ...this.#view, hits, next: answer.next, loadingMore: false });
    } catch (error) {
      if (abort.signal.aborted || aborted(error)) return;
      this.#set({ ...this.#view, loadingMore: false, problem: asProblem(error) });
    }
  }

  stop(): void {
    this.#stop();
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#rest = null;
  }

  #rested(): void {
    this.#rest = null;
    if (this.#due) void this.#run();
  }

  async #run(): Promise<void> {
    this.#due = false;
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#rested(), paceMs);
    const abort = new AbortController();
    this.#abort = abort;
    const computers = this.#ports.computers();
    const asked = { '': computers, local: computers.slice(0, 1), dht: [] }[this.#view.via];
    const waiting = asked.map(waitingFor);
    this.#set({ ...this.#view, phase: 'searching', progress: waiting, loadingMore: false, next: null });
    try {
      const each = (part: SearchPart) => {
        if (!abort.signal.aborted) this.#set(withPart(this.#view, part));
      };
      const answer = await this.#ports.stream(
        // The table counts nothing.
        { ...paramsOf(this.#view), ...(this.#view.via === 'dht' ? {} : { facets: true }) },
        each,
        abort.signal,
      );
      if (!abort.signal.aborted) this.#set(withAnswer(this.#view, answer));
    } catch (error) {
      if (abort.signal.aborted || aborted(error)) return;
      const problem = asProblem(error);
      // What is not understood yet is mostly not written to its end yet: what was found last stays.
      const kept =
        problem.code === 'query_invalid'
          ? { hits: this.#view.hits, facets: this.#view.facets, stale: true }
          : {};
      this.#set({ ...nothing, ...this.#question(), ...kept, phase: 'failed', problem });
    }
  }

  #question(): Question {
    const { query, exact, filter, sort, order, via } = this.#view;
    return { query, exact, filter, sort, order, via };
  }

  #stop(): void {
    this.#due = false;
    this.#abort?.abort();
    this.#abort = null;
  }

  #set(view: View): void {
    this.#view = view;
    this.#ports.onChange(view);
  }
}

function isEmpty(question: Question): boolean {
  return question.query.trim() === '' && question.filter.trim() === '';
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
    hits: merged(old.hits, part.hits, view),
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
    facets: answer.facets ?? null,
    answer,
  };
}

function progressed(list: Progress[], one: Progress): Progress[] {
  return list.some(p => p.id === one.id) ? list.map(p => (p.id === one.id ? one : p)) : [...list, one];
}

export function hitKey(hit: Hit): string {
  return `${hit.node} ${hit.folder} ${hit.path} ${hit.id}`;
}

// merged adds hits that are new; with a question they are sorted as it asks while parts come.
function merged(old: Hit[], more: Hit[], question: Question | null): Hit[] {
  const keys = new Set(old.map(hitKey));
  const all = [...old, ...more.filter(hit => !keys.has(hitKey(hit)))];
  return question ? all.sort(compareFor(question)) : all;
}

function compareFor({ sort, order }: Question): (a: Hit, b: Hit) => number {
  const sign = (order || (sort === 'name' ? 'asc' : 'desc')) === 'asc' ? 1 : -1;
  const by: Record<Sort, (a: Hit, b: Hit) => number> = {
    relevance: (a, b) => a.distance - b.distance || b.score - a.score,
    modified: (a, b) => sign * (Date.parse(a.modified) - Date.parse(b.modified)),
    size: (a, b) => sign * (a.size - b.size),
    name: (a, b) => sign * nameOf(a).localeCompare(nameOf(b)),
  };
  // What was typed comes before what is similar.
  return (a, b) =>
    Math.min(a.distance, 1) - Math.min(b.distance, 1) || by[sort](a, b) || (hitKey(a) < hitKey(b) ? -1 : 1);
}

function nameOf(hit: Hit): string {
  return hit.path ? hit.path.slice(hit.path.lastIndexOf('/') + 1) : hit.title;
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

// unlikely is where, of results by likelihood, those begin that are two edits further away than
// the first one: with fewer nobody knows which word was meant. -1: there are none.
export function unlikely(found: readonly Found[], sort: Question['sort']): number {
  const nearest = found[0]?.hit.distance ?? 0;
  return sort === 'relevance' ? found.findIndex(f => f.hit.distance >= nearest + 2) : -1;
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
      const from =
        view.via === 'dht' ? 'the table' : answered === 1 ? 'one computer' : `${answered} computers`;
      if (total === 0) return `Nothing found ${view.via === 'dht' ? 'in' : 'on'} ${from}`;
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
