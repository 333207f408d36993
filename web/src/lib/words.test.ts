import { describe, expect, it } from 'vitest';
import type { DhtStep, WordsAnswer, WordsStep, WordsTerm } from '../api/types';
import {
  bitsOf,
  costs,
  drawing,
  fromAddress,
  headline,
  phases,
  publishedWords,
  question,
  several,
  share,
  struck,
  termWords,
  toAddress,
} from './words';

const term: WordsTerm = {
  word: 'greet',
  similar: [],
  residuals: 5,
  documents: 1,
  dropped: false,
  failed: false,
};
const hit = { node: 'n', folder: 'f', path: 'a.md', id: '' } as WordsAnswer['hits'][number];
const step = (rounds: number): WordsStep => ({
  what: 'x',
  keys: 1,
  rounds,
  messages: 1,
  bytes: 1,
  got: 1,
  filters: [],
  drawn: [],
});
const message = (round: number, to: string, from = 'me'): DhtStep =>
  ({ round, from, to, at_ms: 0 }) as DhtStep;
const answer: WordsAnswer = {
  query: 'tables hash',
  any: false,
  plan: 'parallel',
  terms: [term, term],
  hits: [hit],
  total: 1,
  truncated: false,
  partial: false,
  steps: [],
  trace: { rounds: 2, messages: 3, bytes: 400, took_ms: 5, steps: [] },
};

describe('the address', () => {
  it('holds the question, and nothing that is usual', () => {
    for (const text of ['q=hash+tables', 'q=hash&any=1&plan=pairs&similar=2']) {
      const address = toAddress(fromAddress(new URLSearchParams(text)));
      expect(new URLSearchParams(Object.entries(address).filter(([, v]) => v !== '')).toString()).toBe(text);
    }
  });
  it('does not believe what is no question', () => {
    const asked = fromAddress(new URLSearchParams(`plan=best&similar=3&any=yes&q=${'x'.repeat(2000)}`));
    expect(asked).toEqual({ q: 'x'.repeat(1000), any: false, plan: '', similar: 0 });
  });
  it('becomes a request', () => {
    expect(question({ q: 'a b', any: false, plan: '', similar: 0 })).toEqual({ q: 'a b' });
    expect(question({ q: 'a', any: true, plan: 'lists', similar: 1 })).toEqual({
      q: 'a',
      any: true,
      plan: 'lists',
      similar: 1,
    });
  });
});

describe('an answer', () => {
  it('is said in words', () => {
    expect(headline(answer)).toBe('1 document: 3 messages in 2 rounds');
    expect(headline({ ...answer, total: 0, hits: [] })).toBe('Nothing was found: 3 messages in 2 rounds');
    expect(headline({ ...answer, total: 30 })).toBe(
      '30 documents, the best 1 are shown: 3 messages in 2 rounds',
    );
    expect([
      several(answer),
      several({ ...answer, any: true }),
      several({ ...answer, terms: [term] }),
    ]).toEqual([true, false, false]);
  });
  it('has the messages of each of its steps', () => {
    const trace = {
      ...answer.trace,
      steps: [message(3, 'b'), message(1, 'b'), message(1, 'me'), message(2, 'c'), message(2, 'b')],
    };
    const got = phases({ steps: [step(2), step(0), step(1)], trace });
    expect(got.map(p => [p.first, p.last, p.asked, p.here])).toEqual([
      [1, 2, ['b', 'c'], true],
      [0, 2, [], false],
      [3, 3, ['b'], false],
    ]);
  });
  it('is compared with that of other plans', () => {
    const other = { ...answer, plan: 'pairs' as const, hits: [], total: 0 };
    expect(costs([answer, { ...answer, plan: 'lists' }, other]).map(c => [c.plan, c.found, c.same])).toEqual([
      ['parallel', 1, true],
      ['lists', 1, true],
      ['pairs', 0, false],
    ]);
    expect([share([10, 40], 10), share([0, 0], 0)]).toEqual([25, 0]);
  });
});

describe('a word', () => {
  it('says what is known of it', () => {
    expect(termWords(term)).toBe('1 document');
    expect(termWords({ ...term, documents: 9000, dropped: true })).toContain('left out');
    expect(termWords({ ...term, failed: true })).toContain('could be asked');
    const unknown: WordsTerm = { word: 'x', similar: [], residuals: 0, dropped: false, failed: false };
    expect(termWords(unknown)).toContain('was not asked');
  });
  it('loses letters', () => {
    const gone = (word: string, left: string) =>
      struck(word, left)
        .map(l => (l.gone ? `(${l.letter})` : l.letter))
        .join('');
    expect(gone('greet', 'gret')).toBe('gre(e)t');
    expect(gone('great', 'gret')).toBe('gre(a)t');
    expect(gone('gret', 'gret')).toBe('gret');
    expect(gone('straße', 'strae')).toBe('stra(ß)e');
  });
});

describe('a filter', () => {
  it('is drawn bit by bit', () => {
    const bits = bitsOf(btoa('\x01\x80\x00\x00\x02'));
    expect(bits.flatMap((set, i) => (set ? [i] : []))).toEqual([0, 15, 33]);
    expect(drawing(bits)).toEqual({ path: 'M0 0h1v1h-1zM15 0h1v1h-1zM1 1h1v1h-1z', rows: 2 });
  });
});

describe('what is published', () => {
  const p = { enabled: true, documents: 3, published: 2, words: 40, skipped: 0, waiting: 1, ttl_s: 3600 };
  it('is said', () => {
    expect(publishedWords(p)).toBe(
      '2 of 3 documents are published, at 40 words. 1 document waits for a turn.',
    );
    expect(publishedWords({ ...p, skipped: 2, waiting: 0 })).toContain('For 2 there is no room.');
    expect(publishedWords({ ...p, enabled: false })).toContain('publishes nothing');
  });
});
