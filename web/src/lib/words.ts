// What the Words page asks, and answers in words.
import type { DhtStep, Published, QueryWords, WordsAnswer, WordsStep, WordsTerm } from '../api/types';
import { count, plural } from './format';
import { inOrder, own } from './playback';

export type Plan = WordsAnswer['plan'];

export const plans: readonly Plan[] = ['lists', 'sequential', 'parallel', 'pairs'];

export const planNames: Record<Plan, string> = {
  lists: 'Whole lists',
  sequential: 'Filters in turn',
  parallel: 'Filters at once',
  pairs: 'Pairs of words',
};

export const planWords: Record<Plan, string> = {
  lists: 'All documents of each word are fetched, and compared here.',
  sequential:
    'A Bloom filter of the rarest word’s documents goes to the next word, and so on; what comes out at the end is compared with the lists of the others.',
  parallel:
    'Bloom filters of all words are fetched at once; then each word is asked for what the filters of the others let through.',
  pairs:
    'Each two words of a document’s title have a place together, at the XOR of their keys. What only the text has is not found in this way.',
};

// Asked is the question; it is in the address.
export interface Asked {
  q: string;
  any: boolean;
  plan: Plan | '';
  similar: number;
}

export const mostText = 1000;

export function fromAddress(params: URLSearchParams): Asked {
  const similar = Number(params.get('similar'));
  return {
    q: (params.get('q') ?? '').slice(0, mostText),
    any: params.get('any') === '1',
    plan: plans.find(p => p === params.get('plan')) ?? '',
    similar: similar === 1 || similar === 2 ? similar : 0,
  };
}

export function toAddress(a: Asked): Record<string, string> {
  return { q: a.q, any: a.any ? '1' : '', plan: a.plan, similar: a.similar ? String(a.similar) : '' };
}

export function question(a: Asked): QueryWords {
  return {
    q: a.q,
    ...(a.any ? { any: true } : {}),
    ...(a.plan ? { plan: a.plan } : {}),
    ...(a.similar ? { similar: a.similar } : {}),
  };
}

// headline says what came of a question.
export function headline(a: WordsAnswer): string {
  const found = a.total === 0 ? 'Nothing was found' : plural(a.total, 'document');
  const shown = a.hits.length < a.total ? `, the best ${count(a.hits.length)} are shown` : '';
  return `${found}${shown}: ${plural(a.trace.messages, 'message')} in ${plural(a.trace.rounds, 'round')}`;
}

// Phase is a step of the plan, with its messages.
export interface Phase {
  step: WordsStep;
  first: number; // round of the whole; 0: none
  last: number;
  // Members that were asked, this computer not among them.
  asked: string[];
  // This computer had a part of it itself.
  here: boolean;
}

// phases cuts the messages of an answer into those of its steps: each step has its rounds.
export function phases(a: Pick<WordsAnswer, 'steps' | 'trace'>): Phase[] {
  const messages = inOrder(a.trace.steps);
  let round = 0;
  return a.steps.map(step => {
    const of = (m: DhtStep) => m.round > round && m.round <= round + step.rounds;
    const mine = messages.filter(of);
    const phase = {
      step,
      first: step.rounds > 0 ? round + 1 : 0,
      last: round + step.rounds,
      asked: [...new Set(mine.filter(m => !own(m)).map(m => m.to))],
      here: mine.some(own),
    };
    round += step.rounds;
    return phase;
  });
}

// termWords says what is known of a word.
export function termWords(t: WordsTerm): string {
  const documents =
    t.documents === undefined
      ? 'how many documents have it was not asked'
      : `${plural(t.documents, 'document')}${t.similar.length > 0 ? ', with similar words' : ''}`;
  if (t.dropped) return `${documents}: left out, it is so frequent that it tells next to nothing apart`;
  if (t.failed) return `${documents}; not all who keep it could be asked`;
  return documents;
}

// struck cuts a word into letters, and says which of them have to be deleted to get what is
// left.
export function struck(word: string, left: string): { letter: string; gone: boolean }[] {
  const rest = [...left];
  let at = 0;
  return [...word].map(letter => {
    const gone = rest[at] !== letter;
    if (!gone) at++;
    return { letter, gone };
  });
}

// bitsOf reads the bits of a filter, the lowest of each byte first.
export function bitsOf(base64: string): boolean[] {
  return [...atob(base64)].flatMap(c =>
    Array.from({ length: 8 }, (_, i) => ((c.charCodeAt(0) >> i) & 1) === 1),
  );
}

// columns of a drawn filter.
export const columns = 32;

// drawing is the path of the bits that are set, as squares of 1 on a grid.
export function drawing(bits: readonly boolean[]): { path: string; rows: number } {
  const squares = bits.map((set, i) => (set ? `M${i % columns} ${Math.floor(i / columns)}h1v1h-1z` : ''));
  return { path: squares.join(''), rows: Math.ceil(bits.length / columns) };
}

// Cost is what a question took in one way.
export interface Cost {
  plan: Plan;
  found: number;
  bytes: number;
  messages: number;
  rounds: number;
  tookMs: number;
  // same: what was found is what the first way found
  same: boolean;
}

export function costs(answers: readonly WordsAnswer[]): Cost[] {
  const key = (a: WordsAnswer) =>
    a.hits
      .map(h => [h.node, h.folder, h.path, h.id].join(' '))
      .sort()
      .join('\n');
  const first = answers[0];
  return answers.map(a => ({
    plan: a.plan,
    found: a.total,
    bytes: a.trace.bytes,
    messages: a.trace.messages,
    rounds: a.trace.rounds,
    tookMs: a.trace.took_ms,
    same: first !== undefined && a.total === first.total && key(a) === key(first),
  }));
}

// share is how long a bar is, of 100.
export function share(of: readonly number[], n: number): number {
  const most = Math.max(1, ...of);
  return Math.round((n / most) * 1000) / 10;
}

// several: there is more than one plan for the answer.
export const several = (a: WordsAnswer): boolean => !a.any && a.terms.length > 1;

// publishedWords says what this computer publishes.
export function publishedWords(p: Published): string {
  if (!p.enabled) return 'This computer publishes nothing: it can ask, and is not found.';
  const waiting =
    p.waiting > 0
      ? ` ${plural(p.waiting, 'document')} ${p.waiting === 1 ? 'waits' : 'wait'} for a turn.`
      : '';
  const skipped = p.skipped > 0 ? ` For ${count(p.skipped)} there is no room.` : '';
  return `${count(p.published)} of ${plural(p.documents, 'document')} ${p.published === 1 ? 'is' : 'are'} published, at ${plural(p.words, 'word')}.${waiting}${skipped}`;
}
