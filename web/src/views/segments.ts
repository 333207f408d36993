// Geometry of the drawing of segments: pure, so that it can be tested. A segment is a bar
// as wide as its keys; below a bar are the bars of its halves.
import type { RangeAnswer, RangeIndex, RangeVia } from '../api/types';
import { type AskedSegment, lastKey, segmentSpan, type Show } from '../lib/ranges';

export interface Segment {
  depth: number;
  from: number;
  to: number;
}

export interface Bar extends Segment {
  x: number;
  y: number;
  w: number;
  asked: AskedSegment | null;
  // cover: it is one of the fewest segments that make up the range
  cover: boolean;
  // known: it was not asked since this node knows it to be full
  known: boolean;
  name: string;
  text: string;
}

export interface Dot {
  x: number;
  key: number;
  values: string[];
  // text and line of its label; line -1: there is no room
  text: string;
  line: number;
}

export interface Drawing {
  bars: Bar[];
  dots: Dot[];
  // ticks are the keys that are named on the axis
  ticks: { x: number; text: string; anchor: 'start' | 'middle' | 'end' }[];
  // band: where the range is
  band: { x: number; w: number };
  from: number;
  to: number;
  axis: number;
  // bar: how high a bar is; one: it has one line of text, which is name
  bar: number;
  one: boolean;
  height: number;
  // left: how many segments are not drawn
  left: number;
}

// A row has two lines of text, or one where there are many rows.
const tall = { row: 52, bar: 44 };
const low = { row: 25, bar: 21 };
const mostTall = 5;
const lineHeight = 15;
const letter = 6.3; // width, at most, of most
const few = 31; // segments are all drawn, also those that were not asked
const mostBars = 300;

// depthOf is the depth of the smallest segments.
export function depthOf(index: RangeIndex, via: RangeVia): number {
  if (via === 'dst') return index.bits - index.leaf_bits;
  return via === 'pht' ? index.bits : Math.min(index.bits, 4);
}

// tree returns all segments, the widest first; null: there are too many to draw.
export function tree(index: RangeIndex, via: RangeVia): Segment[] | null {
  const depth = depthOf(index, via);
  const total = via === 'buckets' ? 2 ** depth : 2 ** (depth + 1) - 1;
  if (total > few) return null;
  const out: Segment[] = [];
  for (let d = via === 'buckets' ? depth : 0; d <= depth; d++) {
    const width = 2 ** (index.bits - d);
    for (let from = 0; from <= lastKey(index.bits); from += width)
      out.push({ depth: d, from, to: from + width - 1 });
  }
  return out;
}

// cover returns the fewest segments of a segment tree that make up a range; leaves may
// reach beyond it.
export function cover(index: RangeIndex, from: number, to: number): Segment[] {
  const out: Segment[] = [];
  const leaves = index.bits - index.leaf_bits;
  const leaf = 2 ** index.leaf_bits;
  const [lo, hi] = [from - (from % leaf), to - (to % leaf) + leaf - 1];
  const visit = (s: Segment) => {
    if (s.to < lo || s.from > hi) return;
    if ((s.from >= lo && s.to <= hi) || s.depth === leaves) {
      out.push(s);
      return;
    }
    const middle = s.from + (s.to - s.from + 1) / 2;
    visit({ depth: s.depth + 1, from: s.from, to: middle - 1 });
    visit({ depth: s.depth + 1, from: middle, to: s.to });
  };
  if (from <= to) visit({ depth: 0, from: 0, to: lastKey(index.bits) });
  return out;
}

// fit returns the first text that is no wider than so many pixels, or nothing.
export function fit(texts: readonly string[], width: number): string {
  return texts.find(t => t.length * letter + 8 <= width) ?? '';
}

function entries(n: number): string {
  return n === 1 ? '1 entry' : `${n} entries`;
}

// barTexts are what can stand in a bar, the longest first. The round comes first, since
// colour alone must not say it.
export function barTexts(s: AskedSegment | null, known = false): string[] {
  if (!s) return known ? ['not asked: known to be full', 'known to be full', 'full'] : ['not asked'];
  if (s.failed) return [`round ${s.round}: no answer`, 'no answer', `${s.round}: ?`];
  const state = s.mended ? ', full no more' : s.full ? ', full' : '';
  return [
    `round ${s.round}: ${entries(s.entries)}${state}`,
    `${s.round}: ${entries(s.entries)}${state}`,
    `${s.round}: ${s.entries}${state}`,
    `${s.round}: ${s.entries}`,
    `${s.round}`,
  ];
}

// viewOf is which keys are drawn: all of a small domain, else those of the range, or
// those near the entries where these lie close together.
export function viewOf(index: RangeIndex, whole: boolean, answer: RangeAnswer): { from: number; to: number } {
  const last = lastKey(index.bits);
  if (whole) return { from: 0, to: last };
  let [from, to] = [answer.from, Math.max(answer.from, answer.to)];
  const keys = answer.items.map(e => e.key);
  if (keys.length > 0) {
    const [lo, hi] = [Math.min(...keys), Math.max(...keys)];
    if (to - from > 32 * (hi - lo + 1)) [from, to] = [lo, hi];
  }
  const pad = Math.max(1, Math.round((to - from) * 0.06));
  return { from: Math.max(0, from - pad), to: Math.min(last, to + pad) };
}

// staggered puts labels on lines so that none covers another: -1 where there is no room.
export function staggered(
  labels: readonly { x: number; text: string }[],
  width: number,
  lines: number,
): number[] {
  const ends: number[] = Array<number>(lines).fill(-Infinity);
  return labels.map(({ x, text }) => {
    const half = (text.length * letter) / 2;
    const at = Math.min(Math.max(x, half), width - half);
    const line = ends.findIndex(end => at - half > end + 6);
    if (line >= 0) ends[line] = at + half;
    return line;
  });
}

const clipped = (text: string) => (text.length > 16 ? `${text.slice(0, 15)}…` : text);

export function draw(index: RangeIndex, answer: RangeAnswer, width: number, show: Show = String): Drawing {
  const all = tree(index, answer.via);
  const view = viewOf(index, all !== null, answer);
  const keys = view.to - view.from + 1;
  const place = (key: number) => ((key - view.from) / keys) * width;
  const id = (s: Segment) => `${s.depth}:${s.from}`;
  const asked = new Map(answer.segments.map(s => [id(s), s]));
  const covers = new Map(
    (answer.via === 'dst' ? cover(index, answer.from, answer.to) : []).map(s => [id(s), s]),
  );
  // A segment of the cover that was passed over, and those below it whose halves were
  // asked, are full as far as this node knows.
  const passed = (s: Segment) =>
    answer.via === 'dst' &&
    !asked.has(id(s)) &&
    [...covers.values()].some(c => c.depth <= s.depth && c.from <= s.from && c.to >= s.to) &&
    answer.segments.some(a => a.depth > s.depth && a.from >= s.from && a.to <= s.to);
  const seen = (all ?? answer.segments).filter(s => s.to >= view.from && s.from <= view.to);
  const depths = [...new Set(seen.map(s => s.depth))].sort((a, b) => a - b);
  const one = depths.length > mostTall;
  const size = one ? low : tall;
  const bars = seen.slice(0, mostBars).map(s => {
    const [from, to] = [Math.max(0, place(s.from)), Math.min(width, place(s.to + 1))];
    const w = Math.max(3, to - from - 3);
    const had = asked.get(id(s)) ?? null;
    const known = passed(s);
    const names = [segmentSpan(s, show), s.from === s.to ? show(s.from) : `${show(s.from)}..${show(s.to)}`];
    const texts = barTexts(had, known);
    return {
      depth: s.depth,
      from: s.from,
      to: s.to,
      x: Math.min(from + 1.5, width - w),
      y: depths.indexOf(s.depth) * size.row,
      w,
      asked: had,
      known,
      cover: covers.has(id(s)),
      name: fit(one ? [...texts.map(t => `${names[0]} ${t}`), ...texts.slice(1)] : names, w),
      text: one ? '' : fit(texts, w),
    };
  });
  const axis = depths.length * size.row + 8;

  const at = new Map<number, string[]>();
  for (const e of answer.items) {
    if (e.key < view.from || e.key > view.to) continue;
    const value = e.value ?? '(no text)';
    const here = at.get(e.key);
    if (here) here.push(value);
    else at.set(e.key, [value]);
  }
  const points = [...at]
    .sort(([a], [b]) => a - b)
    .map(([key, values]) => {
      const text = clipped((values[0] ?? '').replaceAll(/\s+/g, ' '));
      return {
        key,
        values,
        x: place(key + 0.5),
        text: values.length > 1 ? `${text} +${values.length - 1}` : text,
      };
    });
  const lines = staggered(points, width, 3);
  const dots = points.map((p, i) => ({ ...p, line: points.length <= 24 ? (lines[i] ?? -1) : -1 }));

  const every = show === String && keys <= 64 && width / keys >= 18;
  const ticks: Drawing['ticks'] = every
    ? Array.from({ length: keys }, (_, i) => ({
        x: place(view.from + i + 0.5),
        text: String(view.from + i),
        anchor: 'middle' as const,
      }))
    : [
        { x: 0, text: show(view.from), anchor: 'start' },
        { x: width, text: show(view.to), anchor: 'end' },
      ];
  const [left, right] = [place(Math.max(view.from, answer.from)), place(Math.min(view.to, answer.to) + 1)];
  const used = Math.max(-1, ...dots.map(d => d.line));
  return {
    bars,
    dots,
    ticks,
    band: { x: left, w: Math.max(0, right - left) },
    from: view.from,
    to: view.to,
    axis,
    bar: size.bar,
    one,
    height: axis + 34 + (used + 1) * lineHeight,
    left: (all ?? answer.segments).length - bars.length,
  };
}
