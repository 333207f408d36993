import { describe, expect, it } from 'vitest';
import { diffLines, folded, lines, matches, tally, words, type Line } from './diff';

const signs = { same: ' ', gone: '-', new: '+' };
const show = (all: readonly Line[]) =>
  all.map(l => signs[l.kind] + l.spans.map(s => (s.changed ? `[${s.text}]` : s.text)).join(''));

// random is a small generator with a seed, so that a failure can be repeated.
function random(seed: number): (n: number) => number {
  let state = seed;
  return n => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

// longest is the length of a longest common subsequence, the slow and plain way.
function longest(a: readonly string[], b: readonly string[]): number {
  const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  const get = (i: number, j: number) => table[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const best = a[i - 1] === b[j - 1] ? get(i - 1, j - 1) + 1 : Math.max(get(i - 1, j), get(i, j - 1));
      (table[i] as number[])[j] = best;
    }
  }
  return get(a.length, b.length);
}

describe('lines', () => {
  it.each<[string, string, string[]]>([
    ['', '', []],
    ['a\nb\n', 'a\nb\n', [' a', ' b']],
    ['a\nb', 'a\r\nb\r\n', [' a', ' b']],
    ['', 'a\n', ['+a']],
    ['a\n', '', ['-a']],
    ['a\nb\nc\n', 'a\nc\n', [' a', '-b', ' c']],
    ['a\nc\n', 'a\nb\nc\n', [' a', '+b', ' c']],
    ['a\n', 'b\n', ['-a', '+b']],
    ['the red fish\n', 'the blue fish\n', ['-the [red] fish', '+the [blue] fish']],
    ['x\n1 one\ny\n', 'x\n2 one\n3 three\ny\n', [' x', '-[1] one', '+[2] one', '+3 three', ' y']],
    ['\n\n', '\n', [' ', '-']],
  ])('%j to %j', (a, b, want) => expect(show(diffLines(a, b))).toEqual(want));
  it('are numbered in both texts', () => {
    const numbers = diffLines('a\nb\nc', 'a\nx\ny\nc').map(l => [l.kind, l.ours, l.theirs]);
    expect(numbers).toEqual([
      ['same', 1, 1],
      ['gone', 2, 0],
      ['new', 0, 2],
      ['new', 0, 3],
      ['same', 3, 4],
    ]);
  });
  it('keep text as it is, whatever it says', () => {
    const [line] = diffLines('<b>x</b>', '');
    expect(line?.spans).toEqual([{ text: '<b>x</b>', changed: false }]);
  });
});

describe('any two texts', () => {
  it('can be put together again from what is told, with the fewest changes', () => {
    const next = random(7);
    for (let round = 0; round < 300; round++) {
      const text = () => Array.from({ length: next(14) }, () => 'abc'.charAt(next(3)));
      const [a, b] = [text(), text()];
      const all = diffLines(a.join('\n'), b.join('\n'));
      const of = (kind: Line['kind']) => all.filter(l => l.kind === kind || l.kind === 'same').map(line);
      const what = `${a.join('')} ${b.join('')}`;
      expect(of('gone'), what).toEqual(lines(a.join('\n')));
      expect(of('new'), what).toEqual(lines(b.join('\n')));
      expect(all.filter(l => l.kind === 'same').length, what).toBe(longest(a, b));
    }
  });
  it('are compared within bounds', () => {
    const a = Array.from({ length: 50_000 }, (_, i) => `a${i}`);
    const b = Array.from({ length: 50_000 }, (_, i) => `b${i}`);
    const all = diffLines(['same', ...a, 'end'].join('\n'), ['same', ...b, 'end'].join('\n'));
    expect(tally(all)).toEqual({ gone: 50_000, new: 50_000 });
    expect([all[0]?.kind, all.at(-1)?.kind]).toEqual(['same', 'same']);
    expect(matches(['x', 'a', 'b'], ['a', 'b', 'y'], 1)).toEqual([]);
  });
  const line = (l: Line) => l.spans.map(s => s.text).join('');
});

describe('words', () => {
  const cut = (a: string, b: string) => {
    const { ours, theirs } = words(a, b);
    const one = (spans: typeof ours | null) =>
      spans?.map(s => (s.changed ? `[${s.text}]` : s.text)).join('') ?? null;
    return [one(ours), one(theirs)];
  };
  it.each([
    ['300 litres.', '250 litres.', '[300] litres.', '[250] litres.'],
    ['naïve café', 'naïve cafés', 'naïve [café]', 'naïve [cafés]'],
    ['a(b)', 'a[b]', 'a[(]b[)]', 'a[[]b[]]'],
    ['indent', '  indent', 'indent', '[  ]indent'],
  ])('%j, %j', (a, b, ours, theirs) => expect(cut(a, b)).toEqual([ours, theirs]));
  it('of lines with little in common are not marked', () => {
    expect(cut('one line', 'something else entirely')).toEqual(['one line', null]);
  });
});

describe('folding', () => {
  const text = (n: number, at: number) =>
    Array.from({ length: n }, (_, i) => (i === at ? 'x' : `${i}`)).join('\n');
  it('keeps the lines around a difference', () => {
    const all = folded(diffLines(text(20, -1), text(20, 10)), 2);
    expect(all.map(l => (l.kind === 'gap' ? l.lines : l.kind))).toEqual([
      8,
      'same',
      'same',
      'gone',
      'new',
      'same',
      'same',
      7,
    ]);
  });
  it('leaves a single line where it is, and texts that are the same', () => {
    expect(folded(diffLines(text(5, -1), text(5, 4)), 3).map(l => l.kind)).not.toContain('gap');
    expect(folded(diffLines(text(5, -1), text(5, -1)))).toEqual([{ kind: 'gap', lines: 5 }]);
  });
});
