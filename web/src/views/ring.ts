// Geometry of the circle of keys: pure, so that it can be tested.
import { turn } from '../lib/table';

export interface Point {
  x: number;
  y: number;
}

export interface Spot extends Point {
  id: string;
  name: string;
  // turn: how far round, from 0 at the top
  turn: number;
  // level: how many steps inside the circle it is drawn, so that no other one hides it
  level: number;
  // label: where the name stands and the line to it ends; null: a list stands in
  label: (Point & { side: 'left' | 'right'; elbow: Point }) | null;
}

export interface Ring {
  width: number;
  height: number;
  centre: Point;
  radius: number;
  spots: Spot[];
}

// labelled is how wide a picture must be to have names beside the circle.
export const labelled = 420;
const lineHeight = 17;
const column = 116;
const edge = 26;
const mostRadius = 190;
// Two that are nearer to each other are drawn on two levels.
const apart = 15;
export const levelHeight = 15;
// The inner half of the circle is for messages.
const mostDepth = 0.6;

export function pointAt(ring: Pick<Ring, 'centre' | 'radius'>, at: number, out = 0): Point {
  const angle = 2 * Math.PI * at;
  return {
    x: ring.centre.x + (ring.radius + out) * Math.sin(angle),
    y: ring.centre.y - (ring.radius + out) * Math.cos(angle),
  };
}

// layout places members on a circle in a picture of that width, in the order of their
// positions. Names stand in a column on each side, where no two of them touch.
export function layout(
  members: readonly { id: string; name: string; position: string }[],
  width: number,
): Ring {
  const names = width >= labelled;
  const sorted = members
    .map(m => ({ id: m.id, name: m.name, turn: turn(m.position) }))
    .sort((a, b) => a.turn - b.turn || (a.id < b.id ? -1 : 1));
  const right = sorted.filter(m => m.turn < 0.5);
  const left = sorted.filter(m => m.turn >= 0.5).reverse();
  const radius = Math.max(60, Math.min(mostRadius, names ? width / 2 - column - edge : width / 2 - edge));
  const rows = names ? Math.max(right.length, left.length) : 0;
  const height = Math.max(2 * (radius + edge), rows * lineHeight + lineHeight);
  const ring: Ring = { width, height, centre: { x: width / 2, y: height / 2 }, radius, spots: [] };
  for (const [side, list] of [
    ['right', right],
    ['left', left],
  ] as const) {
    const ys = spread(
      list.map(m => pointAt(ring, m.turn, 20).y),
      lineHeight,
      lineHeight / 2,
      height - lineHeight / 2,
    );
    const x = side === 'right' ? width - column + 6 : column - 6;
    for (const [i, m] of list.entries()) {
      const p = pointAt(ring, m.turn);
      const y = ys[i] ?? p.y;
      const label = names ? { x, y, side, elbow: pointAt(ring, m.turn, 14) } : null;
      ring.spots.push({ ...p, ...m, level: 0, label });
    }
  }
  ring.spots.sort((a, b) => a.turn - b.turn || (a.id < b.id ? -1 : 1));
  stack(ring);
  return ring;
}

// stack moves those towards the centre that others would hide.
function stack(ring: Ring): void {
  const levels = Math.max(1, Math.floor((mostDepth * ring.radius) / levelHeight));
  for (const [i, s] of ring.spots.entries()) {
    const before = ring.spots.slice(0, i);
    const free = (level: number) => {
      const p = pointAt(ring, s.turn, -level * levelHeight);
      return before.every(o => Math.hypot(o.x - p.x, o.y - p.y) >= apart - 0.01);
    };
    let level = 0;
    while (level < levels && !free(level)) level++;
    if (level === levels) level = 0;
    Object.assign(s, pointAt(ring, s.turn, -level * levelHeight), { level });
  }
}

// spread moves values as little as possible (least squares), so that neighbours are at
// least gap apart and all lie from low to high; they stay in order. Where there is no
// room for that they are as far apart as there is. wanted must not decrease.
// With z[i] = y[i] - i·gap it is isotonic regression, which pooling neighbours solves.
export function spread(wanted: readonly number[], gap: number, low: number, high: number): number[] {
  const n = wanted.length;
  if (n === 0) return [];
  const step = Math.min(gap, n > 1 ? (high - low) / (n - 1) : gap);
  const pools: { sum: number; n: number }[] = [];
  for (const [i, w] of wanted.entries()) {
    let pool = { sum: w - i * step, n: 1 };
    for (;;) {
      const last = pools.at(-1);
      if (!last || last.sum / last.n <= pool.sum / pool.n) break;
      pools.pop();
      pool = { sum: last.sum + pool.sum, n: last.n + pool.n };
    }
    pools.push(pool);
  }
  const most = high - (n - 1) * step;
  const out: number[] = [];
  for (const pool of pools) {
    const z = Math.min(most, Math.max(low, pool.sum / pool.n));
    for (let k = 0; k < pool.n; k++) out.push(z + out.length * step);
  }
  return out;
}

// Arrow is a curve and the three corners of its head.
export interface Arrow {
  path: string;
  head: string;
}

const size = 9;

// arrow goes from one point of the circle to another, bent towards the centre so that
// neighbours can be told apart; of a point to itself it is a loop outside the circle.
// trim is how much of both ends is left free.
export function arrow(ring: Pick<Ring, 'centre' | 'radius'>, from: Point, to: Point, trim = 10): Arrow {
  const c = ring.centre;
  if (Math.hypot(from.x - to.x, from.y - to.y) < 1) {
    const out = unit(c, from);
    const side = { x: -out.y, y: out.x };
    const a = { x: from.x + out.x * 4 + side.x * 8, y: from.y + out.y * 4 + side.y * 8 };
    const b = { x: from.x + out.x * 4 - side.x * 8, y: from.y + out.y * 4 - side.y * 8 };
    const [p, q] = [a, b].map(s => ({ x: s.x + out.x * 20, y: s.y + out.y * 20 })) as [Point, Point];
    return { path: `M${at(a)}C${at(p)} ${at(q)} ${at(b)}`, head: head(b, { x: -out.x, y: -out.y }) };
  }
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const bent = { x: c.x + (middle.x - c.x) * 0.45, y: c.y + (middle.y - c.y) * 0.45 };
  const [leave, arrive] = [unit(from, bent), unit(bent, to)];
  const start = { x: from.x + leave.x * trim, y: from.y + leave.y * trim };
  const end = { x: to.x - arrive.x * trim, y: to.y - arrive.y * trim };
  const shaft = { x: end.x - arrive.x * size * 0.7, y: end.y - arrive.y * size * 0.7 };
  return { path: `M${at(start)}Q${at(bent)} ${at(shaft)}`, head: head(end, arrive) };
}

function unit(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  return { x: (to.x - from.x) / length, y: (to.y - from.y) / length };
}

function head(tip: Point, way: Point): string {
  const back = { x: tip.x - way.x * size, y: tip.y - way.y * size };
  const half = size / 2.2;
  return [
    tip,
    { x: back.x - way.y * half, y: back.y + way.x * half },
    { x: back.x + way.y * half, y: back.y - way.x * half },
  ]
    .map(at)
    .join(' ');
}

function at(p: Point): string {
  return `${round(p.x)},${round(p.y)}`;
}

const round = (n: number) => Math.round(n * 10) / 10;

// neighbour is the spot that an arrow key leads to from one of them.
export function neighbour(total: number, at: number, key: string): number | null {
  if (total === 0) return null;
  switch (key) {
    case 'ArrowRight':
    case 'ArrowDown':
      return (at + 1) % total;
    case 'ArrowLeft':
    case 'ArrowUp':
      return (at - 1 + total) % total;
    case 'Home':
      return 0;
    case 'End':
      return total - 1;
    default:
      return null;
  }
}
