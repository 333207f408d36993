// Versions of one value as a graph, drawn as programmers know it: one row for each,
// the newest on top, lines down to those that it replaces.

// Version is what is drawn; parents may be of versions that nobody keeps any more.
export interface Version {
  id: string;
  parents: readonly string[];
}

export interface Row<V extends Version> {
  version: V;
  row: number;
  lane: number;
  // head: no other version replaces it
  head: boolean;
}

// Line goes from a version down to one that it replaces; toRow is null where that is
// not kept any more.
export interface Line {
  fromRow: number;
  fromLane: number;
  toRow: number | null;
  toLane: number;
}

export interface Graph<V extends Version> {
  rows: Row<V>[];
  lines: Line[];
  lanes: number;
}

// number of a version, such as 3 of "3-a1b2…"
export function versionNumber(id: string): number {
  const n = Number(id.slice(0, Math.max(0, id.indexOf('-'))));
  return Number.isFinite(n) ? n : 0;
}

export function versionLabel(id: string): string {
  const mark = id.indexOf('-');
  return mark < 0 ? id : `${id.slice(0, mark)} · ${id.slice(mark + 1, mark + 7)}`;
}

// graph lays versions out. A version stands above all that it replaces, as the number
// of what follows is larger than that of its parents; where somebody's number lies, the
// line to its parent is left out.
export function graph<V extends Version>(versions: readonly V[]): Graph<V> {
  const sorted = [...new Map(versions.map(v => [v.id, v])).values()].sort(
    (a, b) => versionNumber(b.id) - versionNumber(a.id) || (a.id < b.id ? -1 : 1),
  );
  const at = new Map(sorted.map((v, row) => [v.id, row]));
  const replaced = new Set(sorted.flatMap(v => v.parents.filter(p => p !== v.id)));
  // Each lane waits for the version with which it goes on.
  const waiting: (string | null)[] = [];
  const free = () => {
    const i = waiting.indexOf(null);
    return i < 0 ? waiting.push(null) - 1 : i;
  };
  const rows: Row<V>[] = [];
  const pending: { fromRow: number; fromLane: number; parent: string; lane: number }[] = [];
  let lanes = 0;
  for (const [row, version] of sorted.entries()) {
    const reserved = waiting.indexOf(version.id);
    const lane = reserved < 0 ? free() : reserved;
    for (const [i, id] of waiting.entries()) if (id === version.id) waiting[i] = null;
    waiting[lane] = null;
    rows.push({ version, row, lane, head: !replaced.has(version.id) });
    for (const parent of new Set(version.parents)) {
      const to = at.get(parent);
      if (to !== undefined && to <= row) continue;
      let next = waiting.indexOf(parent);
      if (next < 0) {
        next = waiting[lane] === null ? lane : free();
        // What is gone needs no lane further down.
        if (to !== undefined) waiting[next] = parent;
      }
      pending.push({ fromRow: row, fromLane: lane, parent, lane: next });
    }
    lanes = Math.max(lanes, waiting.length);
  }
  const lines = pending.map(p => {
    const toRow = at.get(p.parent) ?? null;
    return {
      fromRow: p.fromRow,
      fromLane: p.fromLane,
      toRow,
      toLane: toRow === null ? p.lane : (rows[toRow]?.lane ?? 0),
    };
  });
  return { rows, lines, lanes };
}

// linePath draws a line: it changes lanes at once and runs down in that of the parent,
// which is kept free for it.
export function linePath(l: Line, lane: number, row: number): string {
  const x = (i: number) => (i + 0.5) * lane;
  const y = (i: number) => (i + 0.5) * row;
  const [x0, y0] = [x(l.fromLane), y(l.fromRow)];
  const x1 = x(l.toLane);
  const y1 = l.toRow === null ? y0 + row / 2 : y(l.toRow);
  if (x0 === x1 || l.toRow === null) return `M${x0} ${y0}L${x1} ${y1}`;
  const bend = y0 + row * 0.8;
  const middle = (y0 + bend) / 2;
  return `M${x0} ${y0}C${x0} ${middle} ${x1} ${middle} ${x1} ${bend}L${x1} ${y1}`;
}

// merged is a beginning for the value that replaces several: each, the newest first,
// without those that are the same or are contained in another.
export function merged(values: readonly string[]): string {
  const out: string[] = [];
  for (const v of values) {
    if (out.some(o => o.includes(v))) continue;
    out.push(v);
  }
  return out.filter((v, i) => !out.some((o, j) => j !== i && o.includes(v))).join('\n');
}
