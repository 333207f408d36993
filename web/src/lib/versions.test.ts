import { describe, expect, it } from 'vitest';
import { graph, linePath, merged, versionLabel, versionNumber } from './versions';

const v = (id: string, ...parents: string[]) => ({ id, parents });
const lanesOf = (g: ReturnType<typeof graph>) => Object.fromEntries(g.rows.map(r => [r.version.id, r.lane]));

describe('a graph of versions', () => {
  it('draws a history without forks as one line', () => {
    const g = graph([v('1-a'), v('2-b', '1-a'), v('3-c', '2-b')]);
    expect(g.rows.map(r => r.version.id)).toEqual(['3-c', '2-b', '1-a']);
    expect(g.lanes).toBe(1);
    expect(g.rows.map(r => r.head)).toEqual([true, false, false]);
    expect(g.lines).toEqual([
      { fromRow: 0, fromLane: 0, toRow: 1, toLane: 0 },
      { fromRow: 1, fromLane: 0, toRow: 2, toLane: 0 },
    ]);
  });
  it('shows both heads of a fork side by side, and what merges them', () => {
    const fork = [v('1-a'), v('2-b', '1-a'), v('2-c', '1-a')];
    const open = graph(fork);
    expect(open.rows.filter(r => r.head).map(r => r.version.id)).toEqual(['2-b', '2-c']);
    expect(lanesOf(open)).toEqual({ '2-b': 0, '2-c': 1, '1-a': 0 });
    expect(open.lines.find(l => l.fromLane === 1)).toEqual({ fromRow: 1, fromLane: 1, toRow: 2, toLane: 0 });
    const closed = graph([...fork, v('3-d', '2-b', '2-c')]);
    expect(closed.rows.filter(r => r.head).map(r => r.version.id)).toEqual(['3-d']);
    expect(closed.lines.filter(l => l.fromRow === 0).map(l => l.toLane)).toEqual([0, 1]);
  });
  it('never draws two versions in one place, nor a line through another version', () => {
    let seed = 7;
    const random = (n: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    for (let round = 0; round < 200; round++) {
      const all: { id: string; parents: string[] }[] = [];
      for (let i = 0; i < 12; i++) {
        const n = 1 + random(5);
        const before = all.filter(o => versionNumber(o.id) < n);
        const parents = before.length
          ? [...new Set([before[random(before.length)]?.id ?? '', before[random(before.length)]?.id ?? ''])]
          : [];
        all.push({ id: `${n}-${round}x${i}`, parents });
      }
      const g = graph(all);
      expect(g.rows).toHaveLength(all.length);
      for (const [i, r] of g.rows.entries()) expect(r.row).toBe(i);
      for (const l of g.lines) {
        if (l.toRow === null) continue;
        expect(l.toRow).toBeGreaterThan(l.fromRow);
        // It runs down in the lane of the parent.
        const lane = l.toLane;
        for (const r of g.rows)
          if (r.row > l.fromRow && r.row < l.toRow)
            expect(r.lane === lane, `${r.version.id} on a line`).toBe(false);
      }
    }
  });
  it('survives what nobody should send', () => {
    const own = graph([v('1-a', '1-a'), v('1-a'), v('nonsense', '9-z'), v('1-b', '5-x'), v('5-x')]);
    expect(own.rows).toHaveLength(4);
    expect(own.rows.find(r => r.version.id === '1-a')?.head).toBe(true);
    expect(own.lines, 'a parent that is gone').toContainEqual(expect.objectContaining({ toRow: null }));
    expect(graph([])).toEqual({ rows: [], lines: [], lanes: 0 });
  });
  it('names versions', () => {
    expect(versionLabel('3-fb954f911e78727a3c34d64a')).toBe('3 · fb954f');
    expect(versionLabel('odd')).toBe('odd');
    expect([versionNumber('12-ab'), versionNumber('odd'), versionNumber('x-1')]).toEqual([12, 0, 0]);
  });
  it('draws lines that begin and end at their versions', () => {
    expect(linePath({ fromRow: 0, fromLane: 0, toRow: 2, toLane: 0 }, 20, 50)).toBe('M10 25L10 125');
    expect(linePath({ fromRow: 0, fromLane: 1, toRow: 2, toLane: 0 }, 20, 50)).toMatch(
      /^M30 25C.* 10 65L10 125$/,
    );
    expect(linePath({ fromRow: 1, fromLane: 0, toRow: null, toLane: 0 }, 20, 50)).toBe('M10 75L10 100');
  });
});

describe('a value that merges others', () => {
  it('begins with all of them, and says nothing twice', () => {
    expect(merged(['one two', 'one', 'three'])).toBe('one two\nthree');
    expect(merged(['one', 'one two'])).toBe('one two');
    expect(merged(['same', 'same'])).toBe('same');
    expect(merged([])).toBe('');
  });
});
