// What differs between two texts: lines first, and words inside of lines that
// were changed. Both are Myers' algorithm, bounded, because the texts come from
// other computers.

export interface Span {
  text: string;
  changed: boolean;
}

export interface Line {
  kind: 'same' | 'gone' | 'new';
  // Numbers from 1 of the line in either text; 0: not in it.
  ours: number;
  theirs: number;
  spans: Span[];
}

// A Gap stands for lines that are the same and far from every difference.
export interface Gap {
  kind: 'gap';
  lines: number;
}

// maxEdits: texts that differ in more lines are shown as replaced as a whole. It
// bounds time and memory by its square.
const maxEdits = 1000;
const maxWordEdits = 200;
// Lines that share less than this are not one line that was changed.
const alike = 0.3;

// lines of a text. An end without a line break counts as one with it, and both
// kinds of line break are one.
export function lines(text: string): string[] {
  const out = text.split(/\r\n|\n|\r/);
  if (out.at(-1) === '') out.pop();
  return out;
}

// diffLines compares two texts line by line, in order.
export function diffLines(ours: string, theirs: string): Line[] {
  const a = lines(ours);
  const b = lines(theirs);
  const out: Line[] = [];
  let at = { ours: 0, theirs: 0 };
  for (const [x, y] of [...matches(a, b, maxEdits), [a.length, b.length] as const]) {
    out.push(...changed(a.slice(at.ours, x), b.slice(at.theirs, y), at));
    if (x < a.length && y < b.length) {
      out.push({ kind: 'same', ours: x + 1, theirs: y + 1, spans: [{ text: a[x] ?? '', changed: false }] });
    }
    at = { ours: x + 1, theirs: y + 1 };
  }
  return out;
}

// folded leaves out what is the same, but for some lines around each difference.
export function folded(all: readonly Line[], around = 3): (Line | Gap)[] {
  const near = new Uint8Array(all.length);
  all.forEach((line, i) => {
    if (line.kind !== 'same') near.fill(1, Math.max(0, i - around), i + around + 1);
  });
  const out: (Line | Gap)[] = [];
  for (let i = 0; i < all.length;) {
    let end = i;
    while (end < all.length && near[end] === 0) end++;
    // To fold a single line would save nothing.
    if (end - i > 1) out.push({ kind: 'gap', lines: end - i });
    else if (end > i) out.push(...all.slice(i, end));
    for (i = end; i < all.length && near[i] === 1; i++) out.push(all[i] as Line);
  }
  return out;
}

// tally counts the lines that only one of the texts has.
export function tally(all: readonly Line[]): { gone: number; new: number } {
  const of = (kind: Line['kind']) => all.filter(line => line.kind === kind).length;
  return { gone: of('gone'), new: of('new') };
}

// changed pairs the lines of a difference, first with first, to mark words.
function changed(a: readonly string[], b: readonly string[], at: { ours: number; theirs: number }): Line[] {
  const pairs = a.map((text, i) => words(text, b[i]));
  const back = b.map((text, i) => pairs[i]?.theirs ?? [{ text, changed: false }]);
  return [
    ...pairs.map((pair, i): Line => ({ kind: 'gone', ours: at.ours + i + 1, theirs: 0, spans: pair.ours })),
    ...back.map((spans, i): Line => ({ kind: 'new', ours: 0, theirs: at.theirs + i + 1, spans })),
  ];
}

// words marks what differs inside of two lines, unless they have little in common.
export function words(ours: string, theirs: string | undefined): { ours: Span[]; theirs: Span[] | null } {
  const whole = { ours: [{ text: ours, changed: false }], theirs: null };
  if (theirs === undefined) return whole;
  const a = tokens(ours);
  const b = tokens(theirs);
  const same = matches(a, b, maxWordEdits);
  const shared = same.reduce((sum, [x]) => sum + (a[x] ?? '').trim().length, 0);
  if (shared < alike * Math.max(ours.trim().length, theirs.trim().length)) return whole;
  const inA = new Set(same.map(([x]) => x));
  const inB = new Set(same.map(([, y]) => y));
  return { ours: spans(a, i => !inA.has(i)), theirs: spans(b, i => !inB.has(i)) };
}

function tokens(line: string): string[] {
  return line.match(/[\p{L}\p{M}\p{N}_]+|\s+|[^\p{L}\p{M}\p{N}_\s]/gu) ?? [];
}

function spans(tokens: readonly string[], differs: (i: number) => boolean): Span[] {
  const out: Span[] = [];
  tokens.forEach((text, i) => {
    const last = out.at(-1);
    if (last && last.changed === differs(i)) last.text += text;
    else out.push({ text, changed: differs(i) });
  });
  return out;
}

// matches returns the places of a longest common subsequence, in order; where
// more than most edits lie between the texts, only what they begin and end with.
export function matches(a: readonly string[], b: readonly string[], most: number): [number, number][] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  const short = Math.min(a.length, b.length) - start;
  while (end < short && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const inner = middle(a.slice(start, a.length - end), b.slice(start, b.length - end), most);
  return [
    ...Array.from({ length: start }, (_, i): [number, number] => [i, i]),
    ...inner.map(([x, y]): [number, number] => [x + start, y + start]),
    ...Array.from({ length: end }, (_, i): [number, number] => [a.length - end + i, b.length - end + i]),
  ];
}

function middle(a: readonly string[], b: readonly string[], most: number): [number, number][] {
  if (a.length === 0 || b.length === 0) return [];
  const bound = Math.min(most, a.length + b.length);
  // reach[k + bound + 1] is how far in a the best path on diagonal k comes.
  const reach = new Int32Array(2 * bound + 3);
  const before: Int32Array[] = [];
  for (let d = 0; d <= bound; d++) {
    before.push(reach.slice(bound - d, bound + d + 3));
    for (let k = -d; k <= d; k += 2) {
      const i = k + bound + 1;
      let x = down(k, d, reach, i) ? at(reach, i + 1) : at(reach, i - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      reach[i] = x;
      if (x >= a.length && x - k >= b.length) return trace(before, a.length, b.length);
    }
  }
  return [];
}

function down(k: number, d: number, reach: Int32Array, i: number): boolean {
  return k === -d || (k !== d && at(reach, i - 1) < at(reach, i + 1));
}

// trace walks back from the end; before[d] is the part of reach around diagonal 0
// as it was when step d began.
function trace(before: readonly Int32Array[], x: number, y: number): [number, number][] {
  const out: [number, number][] = [];
  for (let d = before.length - 1; d >= 0; d--) {
    const reach = before[d] as Int32Array;
    const k = x - y;
    const i = k + d + 1;
    const from = d === 0 ? 0 : down(k, d, reach, i) ? at(reach, i + 1) : at(reach, i - 1) + 1;
    while (x > from) out.push([--x, --y]);
    if (d === 0) break;
    if (down(k, d, reach, i)) y--;
    else x--;
  }
  return out.reverse();
}

function at(reach: Int32Array, i: number): number {
  return reach[i] ?? 0;
}
