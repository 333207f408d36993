import { cleanup, render, screen } from '@testing-library/svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DhtMember } from '../api/types';
import { arrow, labelled, layout, levelHeight, neighbour, pointAt, spread } from './ring';
import TableRing from './TableRing.svelte';

afterEach(cleanup);

// Positions as a hash gives them: all over the place, some close together.
function members(n: number, cluster = 1) {
  let seed = 42;
  return Array.from({ length: n }, (_, i) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    const at = Math.floor((seed / 0x7fffffff) * cluster * 0xffffffff);
    return { id: `m${i}`, name: `laptop ${i}`, position: at.toString(16).padStart(8, '0').padEnd(64, '0') };
  });
}

describe('the circle of keys', () => {
  it('has 0 at the top and goes clockwise', () => {
    const ring = { centre: { x: 100, y: 100 }, radius: 50 };
    const at = [0, 0.25, 0.5, 0.75].map(t => pointAt(ring, t)).map(p => [Math.round(p.x), Math.round(p.y)]);
    expect(at).toEqual([
      [100, 50],
      [150, 100],
      [100, 150],
      [50, 100],
    ]);
  });
  it.each([
    [1, 1],
    [8, 1],
    [30, 1],
    [64, 1],
    [64, 0.1],
    [200, 1],
  ])('names %i computers, in %f of the circle, without two names touching', (n, cluster) => {
    const ring = layout(members(n, cluster), 640);
    expect(ring.spots).toHaveLength(n);
    for (const side of ['left', 'right']) {
      const ys = ring.spots.flatMap(s => (s.label?.side === side ? [s.label.y] : [])).sort((a, b) => a - b);
      for (const [i, y] of ys.entries()) {
        expect(y).toBeGreaterThanOrEqual(0);
        expect(y).toBeLessThanOrEqual(ring.height);
        if (i > 0) expect(y - (ys[i - 1] ?? 0)).toBeGreaterThan(16.9);
      }
    }
    for (const s of ring.spots) {
      expect(Math.hypot(s.x - ring.centre.x, s.y - ring.centre.y)).toBeCloseTo(
        ring.radius - s.level * levelHeight,
      );
    }
  });
  it('hides nobody behind somebody else', () => {
    for (const [n, width] of [
      [30, 640],
      [64, 640],
      [30, 256],
    ] as const) {
      const { spots } = layout(members(n), width);
      for (const [i, a] of spots.entries()) {
        for (const b of spots.slice(i + 1)) expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(14.9);
      }
    }
    const twins = layout([...members(1), { ...members(1)[0]!, id: 'twin' }], 640).spots;
    expect(twins.map(s => s.level)).toEqual([0, 1]);
  });
  it('has no names where there is no room, and fits a phone', () => {
    const ring = layout(members(30), 256);
    expect(ring.spots.every(s => s.label === null)).toBe(true);
    expect(2 * ring.radius).toBeLessThan(256);
    expect(layout(members(3), labelled).spots.every(s => s.label)).toBe(true);
    expect(layout([], 0).spots).toEqual([]);
  });
});

describe('values that are spread', () => {
  it('stay where there is room', () => {
    expect(spread([10, 40, 90], 20, 0, 100)).toEqual([10, 40, 90]);
  });
  it('give way to both sides', () => {
    expect(spread([50, 50, 50], 20, 0, 100)).toEqual([30, 50, 70]);
    expect(spread([0, 0], 20, 0, 100)).toEqual([0, 20]);
    expect(spread([100, 100], 20, 0, 100)).toEqual([80, 100]);
  });
  it('share what there is where it is too little', () => {
    expect(spread([5, 5, 5], 20, 0, 10)).toEqual([0, 5, 10]);
    expect(spread([], 20, 0, 10)).toEqual([]);
  });
});

describe('an arrow', () => {
  const ring = { centre: { x: 100, y: 100 }, radius: 50 };
  it('leaves both ends free, and bends to the centre', () => {
    const [from, to] = [pointAt(ring, 0), pointAt(ring, 0.25)];
    const { path, head } = arrow(ring, from, to, 10);
    const [x = 0, y = 0] = path.slice(1).split('Q')[0]?.split(',').map(Number) ?? [];
    expect(Math.hypot(x - from.x, y - from.y)).toBeCloseTo(10, 0);
    const [tipX = 0, tipY = 0] = head.split(' ')[0]?.split(',').map(Number) ?? [];
    expect(Math.hypot(tipX - to.x, tipY - to.y)).toBeCloseTo(10, 0);
  });
  it('of a computer to itself is a loop outside', () => {
    const p = pointAt(ring, 0);
    expect(arrow(ring, p, p).path).toMatch(/^M[\d.,]+C/);
    expect(arrow(ring, p, p).path).not.toContain('NaN');
    expect(arrow(ring, ring.centre, ring.centre).path).not.toContain('NaN');
  });
});

describe('arrow keys', () => {
  it('go round the circle', () => {
    expect(neighbour(3, 2, 'ArrowRight')).toBe(0);
    expect(neighbour(3, 0, 'ArrowUp')).toBe(2);
    expect([
      neighbour(3, 1, 'Home'),
      neighbour(3, 1, 'End'),
      neighbour(3, 1, 'x'),
      neighbour(0, 0, 'Home'),
    ]).toEqual([0, 2, null, null]);
  });
});

describe('the picture', () => {
  const member = (id: string, name: string, position: string, more: Partial<DhtMember> = {}): DhtMember => ({
    id,
    name,
    position: position.padEnd(64, '0'),
    key: '',
    alive: true,
    self: false,
    ...more,
  });
  const all = [
    member('a', '<img src=x onerror=alert(1)>\u202e', '1', { self: true }),
    member('b', 'Ben', '5', { alive: false }),
    member('c', 'Chiara', 'c'),
  ];

  it('shows names as text, says who is off and who keeps the key, and can be walked by keys', () => {
    const onchoose = vi.fn();
    const near = [{ ...all[2], distance: '0'.repeat(64), keeps: true }] as never;
    const { container } = render(TableRing, {
      members: all,
      near,
      position: 'c1'.padEnd(64, '0'),
      label: '<b>',
      scene: { now: null, same: [], before: [] },
      beats: [],
      chosen: '',
      onchoose,
    });
    expect(container.querySelectorAll('img, b')).toHaveLength(0);
    expect(
      screen.getByRole('button', { name: /^<img src=x onerror=alert\(1\)>\\u\{202e\}, this computer/ }),
    ).toBeTruthy();
    expect(screen.getByRole('button', { name: /^Ben, off/ })).toBeTruthy();
    const chiara = screen.getByRole('button', { name: /^Chiara, keeps the key/ });
    chiara.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
    expect(onchoose).toHaveBeenCalledWith('a');
    expect(screen.getAllByRole('button').filter(b => b.getAttribute('tabindex') === '0')).toHaveLength(1);
  });
});
