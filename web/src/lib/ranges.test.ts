import { describe, expect, it } from 'vitest';
import type { RangeAnswer } from '../api/types';
import {
  costs,
  definition,
  entriesOf,
  example,
  fromAddress,
  headline,
  joined,
  keyOf,
  question,
  segmentWords,
  spanOf,
  toAddress,
} from './ranges';

const answer: RangeAnswer = {
  name: 'lecture',
  via: 'dst',
  bits: 3,
  from: 1,
  to: 5,
  partial: false,
  items: [{ entry: 'aa', key: 1, value: 'test', author: 'x', author_name: 'alice' }],
  segments: [{ depth: 1, from: 0, to: 3, round: 1, entries: 1, full: true, mended: false, failed: false }],
  trace: { rounds: 2, messages: 3, bytes: 400, took_ms: 5, steps: [] },
};

describe('the address', () => {
  it('holds the question, and nothing that is usual', () => {
    for (const text of ['', 'from=1&to=5&via=pht&descending=1&limit=20', 'to=9007199254740991']) {
      const address = toAddress(fromAddress(new URLSearchParams(text)));
      expect(new URLSearchParams(Object.entries(address).filter(([, v]) => v !== '')).toString()).toBe(text);
    }
  });
  it('does not believe what is no question', () => {
    expect(fromAddress(new URLSearchParams('from=-1&to=9007199254740992&via=tree&limit=5000'))).toEqual({
      from: null,
      to: null,
      via: '',
      descending: false,
      limit: 100,
    });
  });
  it('becomes a request', () => {
    expect(question(fromAddress(new URLSearchParams('from=0&descending=1')), 'ab')).toEqual({
      from: 0,
      descending: true,
      after: 'ab',
    });
  });
});

describe('keys', () => {
  it.each([
    ['0', 0],
    [' 42 ', 42],
    ['20mb', 20e6],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['2k', 2000],
    ['1970-01-02T00:00:00Z', 86_400],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s is %d', (text, key) => expect(keyOf(text)).toBe(key));
  it('of a day is its beginning here', () => {
    expect(keyOf('2026-01-31')).toBe(Date.UTC(2026, 0, 31) / 1000);
    expect(keyOf('2026-01-31', true)).toBe(Date.UTC(2026, 1, 1) / 1000 - 1);
    expect(keyOf('2026-01-31T12:00', true)).toBe(Date.UTC(2026, 0, 31, 12, 0, 59) / 1000);
    expect(keyOf('2026-01-31T12:00:05+01:00', true)).toBe(Date.UTC(2026, 0, 31, 11, 0, 5) / 1000);
    expect(keyOf('20mb', true)).toBe(20e6);
  });
  it.each(['', '-1', '1.5', 'five', '9007199254740992', '1e3', '20xb', '2026-13-01', '99999tb'])(
    '%s is none',
    text => {
      expect(keyOf(text)).toBeNull();
    },
  );
});

describe('lines', () => {
  it('are a key and a value', () => {
    expect(entriesOf('1 test\r\n\n  2\thallo there\n3', 3)).toEqual({
      entries: [
        { key: 1, value: 'test' },
        { key: 2, value: 'hallo there' },
        { key: 3, value: '' },
      ],
      wrong: '',
    });
    expect(entriesOf('1mb a  b ', 53).entries).toEqual([{ key: 1e6, value: 'a  b ' }]);
  });
  it('say what is wrong with them, and where', () => {
    expect(entriesOf(' \n', 3).wrong).toContain('first');
    expect(entriesOf('1 a\nx b', 3).wrong).toContain('Line 2: “x” is no key');
    expect(entriesOf('8 a', 3).wrong).toBe('Line 1: keys of this index end at 7.');
    expect(entriesOf(`1 ${'é'.repeat(33_000)}`, 3).wrong).toContain('65.5 kB');
    expect(entriesOf('1 a\n'.repeat(5001), 3).wrong).toContain('5,000 lines');
  });
  it('have the example of the lecture', () => {
    expect(example.entries.map(e => `${e.key} ${e.value}`)).toEqual([
      '1 test',
      '2 hallo',
      '3 world',
      '5 sys',
      '7 communication',
    ]);
    expect(example.entries.every(e => e.key <= 7)).toBe(true);
  });
});

describe('a range', () => {
  it('is read from both ends', () => {
    expect(spanOf('', '5', 3)).toEqual({ from: null, to: 5, wrong: '' });
    expect(spanOf('x', '5', 3).wrong).toContain('no key');
    expect(spanOf('8', '', 3).wrong).toContain('end at 7');
    expect(spanOf('5', '2', 3).wrong).toContain('ends before it begins');
  });
});

describe('an index', () => {
  const d = { name: ' days ', bits: null, leaf: null, capacity: null, via: ['pht' as const] };
  it('leaves out what is usual', () =>
    expect(definition(d)).toEqual({ body: { name: 'days', via: ['pht'] }, wrong: '' }));
  it.each([
    [{ name: ' ' }, 'name'],
    [{ bits: 54 }, '53 bits'],
    [{ bits: 2.5 }, '53 bits'],
    [{ bits: 3, leaf: 4 }, 'no more bits'],
    [{ capacity: 0 }, '1,024'],
    [{ via: [] }, 'at least one'],
  ])('%j is refused', (part, wrong) => expect(definition({ ...d, ...part }).wrong).toContain(wrong));
});

describe('an answer', () => {
  it('is said in words', () => {
    expect(headline(answer, false)).toBe('1 entry: 1 segment asked in 2 rounds');
    expect(headline({ ...answer, items: [] }, false)).toBe('Nothing is there: 1 segment asked in 2 rounds');
    expect(headline(answer, true)).toContain('and there is more');
    const s = answer.segments[0]!;
    expect(segmentWords(s, 'dst')).toContain('instead');
    expect(segmentWords(s, 'pht')).toContain('too');
    expect(segmentWords({ ...s, mended: true }, 'dst')).toContain('was full');
    expect(segmentWords({ ...s, failed: true }, 'dst')).toContain('could not');
    expect(segmentWords({ ...s, full: false }, 'dst')).toBe('');
  });
  it('goes on where it ended', () => {
    const both = joined(
      { ...answer, next: 'aa' },
      { ...answer, items: [{ ...answer.items[0]!, entry: 'bb' }] },
    );
    expect(both.items.map(e => e.entry)).toEqual(['aa', 'bb']);
    expect(both.next).toBeUndefined();
    expect(both.segments.map(s => s.round)).toEqual([1, 2]);
    expect(both.trace).toMatchObject({ rounds: 4, messages: 6, bytes: 800 });
    expect(joined(answer, { ...answer, next: 'cc' }).next).toBe('cc');
  });
  it('is compared with that of other ways', () => {
    const [a, b] = costs([answer, { ...answer, via: 'pht', items: [] }]);
    expect(a).toMatchObject({
      via: 'dst',
      entries: 1,
      rounds: 2,
      messages: 3,
      bytes: 400,
      segments: 1,
      same: true,
    });
    expect(b).toMatchObject({ via: 'pht', entries: 0, same: false });
  });
});
