import { describe, expect, it } from 'vitest';
import type { RangeAnswer, RangeIndex } from '../api/types';
import { segmentName } from '../lib/ranges';
import { barTexts, cover, draw, fit, staggered, tree, viewOf } from './segments';

const index: RangeIndex = {
  name: 'lecture',
  bits: 3,
  leaf_bits: 1,
  capacity: 2,
  via: ['dst', 'pht', 'buckets'],
};
const segment = { depth: 1, from: 0, to: 3, round: 1, entries: 2, full: true, mended: false, failed: false };
const answer: RangeAnswer = {
  name: 'lecture',
  via: 'dst',
  bits: 3,
  from: 1,
  to: 5,
  partial: false,
  items: [1, 2, 3, 5].map(key => ({
    entry: `${key}`,
    key,
    value: `v${key}`,
    author: 'x',
    author_name: 'alice',
  })),
  segments: [
    segment,
    { ...segment, depth: 2, from: 4, to: 5, entries: 1, full: false },
    { ...segment, depth: 2, from: 0, to: 1, round: 2, entries: 1, full: false },
    { ...segment, depth: 2, from: 2, to: 3, round: 2, entries: 2, full: false },
  ],
  trace: { rounds: 2, messages: 3, bytes: 400, took_ms: 5, steps: [] },
};

describe('segments', () => {
  it('of a small index are all known', () => {
    expect(tree(index, 'dst')?.map(segmentName)).toEqual([
      '[0..7]',
      '[0..3]',
      '[4..7]',
      '[0..1]',
      '[2..3]',
      '[4..5]',
      '[6..7]',
    ]);
    expect(tree(index, 'pht')).toHaveLength(15);
    expect(tree(index, 'buckets')?.map(segmentName)).toEqual([
      '[0..0]',
      '[1..1]',
      '[2..2]',
      '[3..3]',
      '[4..4]',
      '[5..5]',
      '[6..6]',
      '[7..7]',
    ]);
    expect(tree({ ...index, bits: 53 }, 'pht')).toBeNull();
  });
  it('that make up a range are as few as can be', () => {
    const names = (from: number, to: number) => cover(index, from, to).map(segmentName).join(' ');
    expect(names(1, 5)).toBe('[0..3] [4..5]');
    expect(names(0, 7)).toBe('[0..7]');
    expect(names(2, 5)).toBe('[2..3] [4..5]');
    expect(names(6, 6)).toBe('[6..7]');
    expect(names(5, 2)).toBe('');
    expect(cover({ ...index, bits: 53, leaf_bits: 0 }, 1, 2 ** 53 - 2)).toHaveLength(104);
  });
});

describe('the drawing', () => {
  it('has a row for each level, and bars as wide as their keys', () => {
    const d = draw(index, answer, 800);
    const at = new Map(d.bars.map(b => [segmentName(b), b]));
    expect(d.bars).toHaveLength(7);
    expect(at.get('[4..5]')).toMatchObject({
      x: 401.5,
      w: 197,
      y: 104,
      cover: true,
      text: 'round 1: 1 entry',
    });
    expect(at.get('[0..3]')).toMatchObject({ cover: true, text: 'round 1: 2 entries, full' });
    expect(at.get('[2..3]')).toMatchObject({ cover: false, text: 'round 2: 2 entries' });
    expect(at.get('[6..7]')).toMatchObject({ asked: null, text: 'not asked' });
    expect(d.band).toEqual({ x: 100, w: 500 });
    expect(d.dots.map(p => [p.key, p.x, p.line])).toEqual([
      [1, 150, 0],
      [2, 250, 0],
      [3, 350, 0],
      [5, 550, 0],
    ]);
    expect(d.ticks.map(t => t.text).join('')).toBe('01234567');
    expect(d.left).toBe(0);
  });
  it('writes keys as they are to be read', () => {
    const d = draw(index, answer, 800, key => `${key} kB`);
    expect(d.bars.find(b => b.from === 4 && b.to === 5)?.name).toBe('[4 kB..5 kB]');
    expect(d.ticks.map(t => t.text)).toEqual(['0 kB', '7 kB']);
  });
  it('says less where there is less room, the round always', () => {
    expect(barTexts(segment).map(t => t.length)).toEqual([24, 18, 10, 4, 1]);
    expect(fit(barTexts(segment), 20)).toBe('1');
    expect(fit(['long'], 10)).toBe('');
    expect(draw(index, answer, 200).bars.find(b => b.from === 2 && b.to === 3)?.text).toBe('2: 2');
  });
  it('says what was not asked because it is known to be full', () => {
    const again = { ...answer, segments: answer.segments.slice(1) };
    const at = new Map(draw(index, again, 800).bars.map(b => [segmentName(b), b]));
    expect(at.get('[0..3]')).toMatchObject({ known: true, asked: null, text: 'not asked: known to be full' });
    expect(at.get('[0..7]')).toMatchObject({ known: false, text: 'not asked' });
    expect(at.get('[6..7]')?.known).toBe(false);
  });
  it('has low rows where there are many', () => {
    const deep = {
      ...answer,
      segments: Array.from({ length: 8 }, (_, i) => ({
        ...segment,
        depth: i,
        from: 0,
        to: 2 ** (53 - i) - 1,
      })),
    };
    const d = draw({ ...index, bits: 53 }, { ...deep, via: 'pht' }, 800);
    expect(d).toMatchObject({ one: true, bar: 21 });
    expect(d.bars[3]).toMatchObject({ y: 75, text: '' });
    expect(d.bars[3]?.name).toContain('round 1: 2 entries, full');
  });
  it('of a large index shows the part where something is', () => {
    const big = { ...index, bits: 53, leaf_bits: 0 };
    const far = {
      ...answer,
      bits: 53,
      from: 0,
      to: 2 ** 53 - 1,
      items: answer.items.map(e => ({ ...e, key: e.key + 1_800_000_000 })),
    };
    const view = viewOf(big, false, far);
    expect(view).toEqual({ from: 1_800_000_000, to: 1_800_000_006 });
    const d = draw(
      big,
      {
        ...far,
        segments: [
          { ...segment, depth: 0, from: 0, to: 2 ** 53 - 1 },
          { ...segment, depth: 52, from: 0, to: 1 },
        ],
      },
      700,
    );
    expect(d.bars).toHaveLength(1);
    expect(d.bars[0]).toMatchObject({ x: 1.5, w: 697 });
    expect(d.left).toBe(1);
    expect(viewOf(big, false, { ...far, from: 100, to: 199, items: [] })).toEqual({ from: 94, to: 205 });
  });
  it('puts several entries of a key into one dot', () => {
    const two = { ...answer, items: [...answer.items, { ...answer.items[0]!, entry: 'z', value: 'again' }] };
    expect(draw(index, two, 800).dots[0]).toMatchObject({ values: ['v1', 'again'], text: 'v1 +1' });
  });
  it('has no label over another', () => {
    const labels = Array.from({ length: 6 }, (_, i) => ({ x: 20 * i, text: 'communication' }));
    expect(staggered(labels, 400, 3)).toEqual([0, 1, 2, -1, -1, -1]);
  });
});
