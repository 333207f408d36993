import { describe, expect, it } from 'vitest';
import type { Explanation, Story } from '../api/types';
import {
  blank,
  body,
  bytesOf,
  cells,
  chance,
  fromAddress,
  glyph,
  glyphs,
  halves,
  match,
  mostAddress,
  mostText,
  much,
  nextFind,
  opened,
  quote,
  remember,
  remembered,
  sceneAt,
  scope,
  stops,
  storyOf,
  storyQuestion,
  textSide,
  toAddress,
  told,
  tooLong,
  whole,
  type Question,
} from './delta';
import { moved, moveOf, power } from './playback';

// What the node says of "catbabdog", "catacadog" and blocks of 3.
const alarm: Explanation = {
  block: 3,
  old_size: 9,
  new_size: 9,
  detailed: true,
  old: 'Y2F0YmFiZG9n',
  new: 'Y2F0YWNhZG9n',
  blocks: [
    { offset: 0, length: 3, weak: '025f0138', strong: '0b1af42c', matches: 1 },
    { offset: 3, length: 3, weak: '024a0125', strong: 'e8e63c55', matches: 0 },
    { offset: 6, length: 3, weak: '0271013a', strong: '79e3115b', matches: 1 },
  ],
  blocks_total: 3,
  steps: [
    { at: 0, length: 3, weak: '025f0138', candidate: { block: 0, strong: '0b1af42c' }, outcome: 'match' },
    {
      at: 3,
      length: 3,
      weak: '024a0125',
      candidate: { block: 1, strong: 'e74514e9' },
      outcome: 'false_alarm',
    },
    {
      at: 4,
      length: 3,
      weak: '024f0128',
      roll: { before: '024a0125', out: 97, in: 100 },
      outcome: 'unknown',
    },
    {
      at: 5,
      length: 3,
      weak: '025a0134',
      roll: { before: '024f0128', out: 99, in: 111 },
      outcome: 'unknown',
    },
    {
      at: 6,
      length: 3,
      weak: '0271013a',
      roll: { before: '025a0134', out: 97, in: 103 },
      candidate: { block: 2, strong: '79e3115b' },
      outcome: 'match',
    },
  ],
  ops: [
    { op: 'copy', at: 0, length: 3, from: { block: 0, blocks: 1, offset: 0 } },
    { op: 'data', at: 3, length: 3 },
    { op: 'copy', at: 6, length: 3, from: { block: 2, blocks: 1, offset: 6 } },
  ],
  ops_total: 3,
  totals: {
    windows: 5,
    known: 3,
    false_alarms: 1,
    collisions: 0,
    matches: 2,
    matched_bytes: 6,
    literal_bytes: 3,
    copies: 2,
    pieces: 1,
  },
  wire: { signature: 24, operations: 20, literals: 3, total: 47, whole: 9 },
  odds: {
    blocks: 3,
    offsets: 7,
    short: 0,
    pairs: 21,
    weak_bits: 17.44,
    short_weak_bits: 0,
    false_alarms: 0.000118,
    impossible: false,
    wrong: [{ strong_bits: 32, log2: -45.05 }],
  },
};
const empty: Explanation = {
  ...alarm,
  old: '',
  new: '',
  old_size: 0,
  new_size: 0,
  blocks: [],
  blocks_total: 0,
  steps: [],
  ops: [],
};
const bytes = bytesOf(alarm.new);
const story: Story = { name: 'charla', title: 'Talk', block: 2, old: 'charla', new: 'gocharla', text: [] };
const ask = (old: string, target: string, block = 0): Question => ({
  old: textSide(old),
  new: textSide(target),
  block,
});

describe('a scene', () => {
  it('begins with nothing decided, and ends with everything', () => {
    expect(sceneAt(alarm, 0)).toMatchObject({ step: 0, current: null, done: 0, ops: [], windows: 0 });
    expect(sceneAt(alarm, 99)).toMatchObject({
      step: 5,
      done: 9,
      ops: alarm.ops,
      windows: 5,
      alarms: 1,
      matches: 2,
    });
    expect(sceneAt(empty, 3)).toMatchObject({ step: 0, current: null, done: 0, ops: [] });
  });
  it('has the operations as far as they have grown', () => {
    expect(sceneAt(alarm, 3).ops).toEqual([alarm.ops[0], { op: 'data', at: 3, length: 2 }]);
    expect([...sceneAt(alarm, 4).copied]).toEqual([0]);
    expect([...sceneAt(alarm, 5).copied]).toEqual([0, 2]);
  });
  it('cuts a copy of several blocks between two of them', () => {
    const three: Explanation = {
      ...alarm,
      steps: [0, 2, 4].map((at, block) => ({
        at,
        length: 2,
        weak: '00000000',
        candidate: { block, strong: '' },
        outcome: 'match' as const,
      })),
      block: 2,
      new_size: 5,
      ops: [{ op: 'copy', at: 0, length: 5, from: { block: 0, blocks: 3, offset: 0 } }],
    };
    expect(sceneAt(three, 2).ops).toEqual([
      { op: 'copy', at: 0, length: 4, from: { block: 0, blocks: 2, offset: 0 } },
    ]);
  });
  it('shows each byte where it is', () => {
    const shown = cells(bytes, sceneAt(alarm, 3), 0, 9);
    expect(shown.map(c => c.text).join('')).toBe('catacadog');
    expect(shown.map(c => c.state[0]).join('')).toBe('cccddaaaa');
    expect(shown.map(c => (c.window ? 'w' : '.')).join('')).toBe('....www..');
    expect(shown.map(c => (c.leaves ? '-' : c.enters ? '+' : '.')).join('')).toBe('...-..+..');
    expect(shown.map(c => c.edge).filter(Boolean)).toEqual(['first', 'last']);
    expect(cells(bytes, sceneAt(alarm, 3), 6, 99)).toHaveLength(3);
  });
  it('finds the next step at which something is found', () => {
    expect([0, 1, 2, 5].map(n => nextFind(alarm, n))).toEqual([1, 2, 5, 5]);
  });
});

describe('what is told', () => {
  it.each([
    [0, 'The old text is cut into 3 blocks of 3 bytes'],
    [
      1,
      'Step 1 of 5, byte 0. “cat” has the weak sum 025f0138, which block 0 has, and the strong sum 0b1af42c agrees.',
    ],
    [
      2,
      'False alarm: “aca” has the weak sum 024a0125, which block 1 has, but the strong sums differ. “a” is literal.',
    ],
    [3, 'which no block has. “c” is literal.'],
  ])('step %d', (step, want) => expect(told(alarm, bytes, step)).toContain(want));
  it('knows texts that are empty, and what is left', () => {
    expect(told(empty, bytes, 0)).toBe('The old text is empty: there are no blocks to find.');
    expect(told({ ...alarm, steps: [] }, bytes, 0)).toContain('The new text is empty');
    const rest: Explanation = { ...alarm, steps: [{ at: 7, length: 2, weak: '00000000', outcome: 'rest' }] };
    expect(told(rest, bytes, 1)).toContain('“og” is too short for a whole block.');
    const none = { ...rest, old_size: 0, blocks_total: 0 };
    expect(told(none, bytes, 1)).toContain(
      'The old text is empty, so that there are no blocks to find in “og”.',
    );
    const one = { ...rest, old_size: 2, blocks_total: 1 };
    expect(told(one, bytes, 1)).toContain('No block can be in “og”: the only one has 2 bytes');
    const short: Explanation = {
      ...one,
      old_size: 2,
      steps: [{ at: 8, length: 1, weak: '00000000', outcome: 'rest' }],
    };
    expect(told(short, bytes, 1)).toContain('“g” is too short for the only block, which has 2 bytes.');
  });
  it.each([
    ['ü', '“ü”', 'ü'],
    ['a b\r\n\t', '“a b␍↵⇥”', 'a␣b␍↵⇥'],
    ['\u0301', 'cc 81', 'cc81'],
    ['a\u202e', '61 e2 80 ae', '61e280ae'],
    ['abcdefghijkü', '“abcdefghijkü”', 'abcdefghijk…'],
  ])('shows letters as letters, and other bytes in pairs: %j', (text, quoted, shown) => {
    const all = new TextEncoder().encode(text);
    expect(quote(all, 0, all.length)).toBe(quoted);
    const { parts, more } = glyphs(all, 12);
    expect(parts.map(p => p.text).join('') + (more ? '…' : '')).toBe(shown);
  });
  it('shows half a letter in pairs', () => {
    expect(quote(new TextEncoder().encode('aü'), 0, 2)).toBe('61 c3');
    expect(glyphs(Uint8Array.of(0xbc, 0x64), 12).parts).toEqual([
      { text: 'bc', dim: true, pair: true },
      { text: '64', dim: true, pair: true },
    ]);
  });
  it('shows any byte', () => {
    expect([0x41, 0x20, 0x0a, 0x09, 0x00, 0xc3].map(glyph)).toEqual(['A', '␣', '↵', '⇥', '00', 'c3']);
    expect(quote(Uint8Array.of(0x41, 0xc3, 0x0a), 0, 3)).toBe('41 c3 0a');
    expect(quote(new Uint8Array(50).fill(0x61), 0, 50)).toBe(`“${'a'.repeat(24)}” …`);
    expect(quote(new Uint8Array(50).fill(0xff), 0, 50)).toBe('ff ff ff ff ff ff ff ff …');
    expect(halves('014100d2')).toEqual({ b: '0141', a: '00d2' });
  });
});

describe('the address', () => {
  it.each<[Question, number]>([
    [ask('a b&c=d\n', 'ü#?', 3), 0],
    [ask('', 'x'), 7],
    [ask('', ''), 0],
    [{ old: { kind: 'file', folder: 'f', path: 'a/b c.txt' }, new: textSide('x'), block: 0 }, 0],
    [storyQuestion(story), 4],
  ])('says %j at step %d', (question, step) => {
    const { query, kept } = toAddress(question, step, [story]);
    expect(kept).toBe(true);
    expect(fromAddress(new URLSearchParams(query), [story])).toEqual({ question, step });
  });
  it('is short for a story, and names nothing where there is nothing', () => {
    expect(toAddress(storyQuestion(story), 0, [story]).query).toBe('story=charla');
    expect(fromAddress(new URLSearchParams(''), [story])).toBeNull();
    expect(fromAddress(new URLSearchParams('story=other&step=3'), [story])).toBeNull();
  });
  it('does not keep long texts', () => {
    const { query, kept } = toAddress(ask('x'.repeat(mostAddress), 'y', 8), 2, []);
    expect([query, kept]).toEqual(['typed=1&block=8&step=2', false]);
  });
  it.each(['-1', '1.5', 'x', '1e99', ''])('takes no number from %j', text => {
    expect(fromAddress(new URLSearchParams({ old: 'a', block: text, step: text }), [])).toEqual({
      question: ask('a', ''),
      step: 0,
    });
  });
});

describe('what the tab remembers', () => {
  const shelf = () => {
    const kept = new Map<string, string>();
    return {
      kept,
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
  };
  it('comes back where the address does not say it', () => {
    const store = shelf();
    const long = ask('x'.repeat(mostAddress), 'ü', 8);
    remember(store, 'k', long, [story]);
    expect(remembered(store, 'k')).toEqual(long);
    const { query } = toAddress(long, 2, [story]);
    expect(opened(new URLSearchParams(query), [story], remembered(store, 'k'))).toEqual({
      question: long,
      step: 2,
    });
    expect(opened(new URLSearchParams(''), [story], long)?.question).toEqual(long);
    expect(opened(new URLSearchParams('old=a'), [story], long)?.question).toEqual(ask('a', ''));
    expect(opened(new URLSearchParams(''), [story], null)?.question).toEqual(storyQuestion(story));
  });
  it('is bounded, and no story', () => {
    const store = shelf();
    for (const q of [ask('x'.repeat(4 * mostText), 'y'), storyQuestion(story), ask('', '')]) {
      store.setItem('k', 'before');
      remember(store, 'k', q, [story]);
      expect(store.kept.size).toBe(0);
    }
    for (const text of ['', '{', '3', '{"old":{"kind":"text"}}']) {
      store.setItem('k', text);
      expect(remembered(store, 'k')).toBeNull();
    }
  });
});

describe('limits', () => {
  it('are told before anything is sent', () => {
    expect(tooLong(ask('x'.repeat(mostText), '🐟'.repeat(mostText)))).toBe('');
    expect(tooLong(ask('', 'x'.repeat(mostText + 1)))).toContain('The new text has 65,537 characters, and');
  });
});

describe('the files that are offered', () => {
  const files = ['a/old.txt', 'b/notes.txt', 'old/x', 'older'].map(path => ({ path }));
  it.each([
    ['', ['a/old.txt', 'b/notes.txt', 'old/x', 'older']],
    ['old', ['a/old.txt', 'older', 'old/x']],
    ['TXT a', ['a/old.txt']],
    ['none', []],
  ])('for %j', (typed, want) => expect(match(files, typed, 9).map(f => f.path)).toEqual(want));
  it('are not too many', () => expect(match(files, '', 2)).toHaveLength(2));
});

describe('a question', () => {
  it('becomes a request', () => {
    expect(body(ask('a', 'b', 2))).toEqual({ old: 'a', new: 'b', block: 2 });
    expect(body({ old: { kind: 'file', folder: 'f', path: ' p ' }, new: textSide(''), block: 0 })).toEqual({
      old_path: { folder: 'f', path: 'p' },
      new: '',
    });
  });
  it('is whole when both files are named', () => {
    expect(whole(ask('', ''))).toBe(true);
    expect(whole({ ...ask('', ''), old: { kind: 'file', folder: 'f', path: ' ' } })).toBe(false);
    expect(whole({ ...ask('', ''), old: { kind: 'file', folder: '', path: 'p' } })).toBe(false);
    expect([blank(ask('', '')), blank(ask('', 'x'))]).toEqual([true, false]);
  });
  it('is a story only with its block', () => {
    expect(storyOf(storyQuestion(story), [story])).toBe(story);
    expect(storyOf({ ...storyQuestion(story), block: 3 }, [story])).toBeUndefined();
  });
});

describe('the slider', () => {
  it('offers lengths that make sense, and the one in use', () => {
    expect(stops(6, 2)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(stops(0, 0)).toEqual([1, 2, 3, 4]);
    expect(stops(100, 99)).toEqual([
      ...Array.from({ length: 16 }, (_, i) => i + 1),
      24,
      32,
      48,
      64,
      96,
      99,
      100,
    ]);
    expect(stops(16 << 20, 4096).at(-1)).toBe(65_536);
  });
});

describe('a part of a long list', () => {
  it('holds what is at, and has its length', () => {
    expect(scope(5, 3, 10)).toEqual([0, 5]);
    for (let at = 0; at < 1000; at++) {
      const [from, to] = scope(1000, at, 48);
      expect(from).toBeLessThanOrEqual(at);
      expect(to).toBeGreaterThan(at);
      expect(to - from).toBe(48);
    }
  });
});

describe('keys', () => {
  const key = (name: string, more = {}) => ({
    key: name,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    shiftKey: false,
    ...more,
  });
  it('move, but not in fields and not against the browser', () => {
    expect(['ArrowLeft', 'ArrowRight', 'Home', 'End', ' ', 'x'].map(k => moveOf(key(k), 'page'))).toEqual([
      'back',
      'on',
      'first',
      'last',
      'play',
      null,
    ]);
    expect(moveOf(key('ArrowLeft'), 'field')).toBeNull();
    expect(moveOf(key('ArrowLeft', { altKey: true }), 'page')).toBeNull();
    expect([moveOf(key(' '), 'button'), moveOf(key('End'), 'button')]).toEqual([null, 'last']);
  });
  it('stay within the steps', () => {
    expect(moved(0, 'back', 5)).toBe(0);
    expect(moved(5, 'on', 5)).toBe(5);
    expect([moved(2, 'on', 5), moved(2, 'first', 5), moved(2, 'last', 5)]).toEqual([3, 0, 5]);
  });
});

describe('numbers', () => {
  it('say a probability', () => {
    expect(chance(0)).toBe('certain');
    expect(chance(-10)).toBe('1 in 1,024');
    expect(chance(-45.05)).toBe('1 in 3.6 × 10¹³');
  });
  it('of any size', () => {
    expect([0, 21, 1234567, 4e12, 0.25, 0.000118].map(much)).toEqual([
      '0',
      '21',
      '1,234,567',
      '4 × 10¹²',
      '0.25',
      '1.2 × 10⁻⁴',
    ]);
    expect(much(9.96e9)).toBe('1 × 10¹⁰');
    expect(power(2, -64)).toBe('2⁻⁶⁴');
  });
});
