// What the Ranges page asks of ordered indexes, and answers in words.
import type {
  QueryRange,
  RangeAnswer,
  RangeDefinition,
  RangeEntry,
  RangeIndex,
  RangeVia,
} from '../api/types';
import { count, plural } from './format';

export const ways: readonly RangeVia[] = ['dst', 'pht', 'buckets'];

export const wayNames: Record<RangeVia, string> = {
  dst: 'Segment tree (DST)',
  pht: 'Prefix hash tree (PHT)',
  buckets: 'Equal buckets',
};

export const wayWords: Record<RangeVia, string> = {
  dst: 'An entry is at the segment of each level that has its key, as long as there is room. A range is cut into the fewest segments that make it up.',
  pht: 'An entry is once in the tree, at the widest segment that has room. A range begins where all its keys begin alike, and goes down where a segment is full.',
  buckets:
    'The keys are cut into equal parts, of which each keeps whatever comes. A range asks all parts that it meets.',
};

// example is what the lecture has: eight keys, two of them in a leaf, two entries to a
// segment. The lecture counts keys from 1 to 8.
export const example: { index: RangeDefinition; entries: RangeEntry[]; from: number; to: number } = {
  index: { name: 'lecture', bits: 3, leaf_bits: 1, capacity: 2, via: [...ways] } as RangeDefinition,
  entries: [
    [1, 'test'],
    [2, 'hallo'],
    [3, 'world'],
    [5, 'sys'],
    [7, 'communication'],
  ].map(([key, value]) => ({ key, value }) as RangeEntry),
  from: 1,
  to: 5,
};

// lastKey is the last key of an index; 53 bits are exact.
export const lastKey = (bits: number): number => 2 ** bits - 1;

// Asked is the question; it is in the address.
export interface Asked {
  from: number | null;
  to: number | null;
  via: RangeVia | '';
  descending: boolean;
  limit: number;
}

export const usualLimit = 100;
const mostLimit = 4096;

export function fromAddress(params: URLSearchParams): Asked {
  const key = (name: string) => {
    const text = params.get(name) ?? '';
    return /^\d{1,16}$/.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER ? Number(text) : null;
  };
  const via = params.get('via') ?? '';
  const limit = Math.round(Number(params.get('limit')));
  return {
    from: key('from'),
    to: key('to'),
    via: ways.find(w => w === via) ?? '',
    descending: params.get('descending') === '1',
    limit: limit >= 1 && limit <= mostLimit ? limit : usualLimit,
  };
}

export function toAddress(a: Asked): Record<string, string> {
  return {
    from: a.from === null ? '' : String(a.from),
    to: a.to === null ? '' : String(a.to),
    via: a.via,
    descending: a.descending ? '1' : '',
    limit: a.limit === usualLimit ? '' : String(a.limit),
  };
}

export function question(a: Asked, after = ''): QueryRange {
  return {
    ...(a.from === null ? {} : { from: a.from }),
    ...(a.to === null ? {} : { to: a.to }),
    ...(a.via ? { via: a.via } : {}),
    ...(a.descending ? { descending: true } : {}),
    ...(a.limit === usualLimit ? {} : { limit: a.limit }),
    ...(after ? { after } : {}),
  } as QueryRange;
}

const size = /^(\d+(?:\.\d+)?)\s*([kmgt])(i?)b?$/i;
const time = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/;

// keyOf reads a key: a whole number, a size such as 20mb or 1.5 GiB, or a time such as
// 2026-01-31, which is in seconds since 1970 UTC; null: none of them. A day has many keys, a
// minute sixty: this is the first or, with last, the last of them.
export function keyOf(text: string, last = false): number | null {
  const word = text.trim();
  let n = NaN;
  const bytes = size.exec(word);
  if (/^\d{1,16}$/.test(word)) n = Number(word);
  else if (bytes) {
    const base = bytes[3] ? 1024 : 1000;
    n = Math.floor(Number(bytes[1]) * base ** ('kmgt'.indexOf((bytes[2] ?? '').toLowerCase()) + 1));
  } else if (time.test(word)) {
    const [, minute, second, , zone] = time.exec(word) ?? [];
    n = Math.floor(Date.parse(minute && !zone ? `${word}Z` : word) / 1000);
    if (last && !second) n += minute ? 59 : 86_399;
  }
  return Number.isSafeInteger(n) && n >= 0 ? n : null;
}

// mostEntries is what one request takes.
export const mostEntries = 5000;
const mostValue = 65_528;

// entriesOf reads lines: a key, a blank or a tab, and a value in each.
export function entriesOf(text: string, bits: number): { entries: RangeEntry[]; wrong: string } {
  const entries: RangeEntry[] = [];
  const fail = (wrong: string) => ({ entries: [], wrong });
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const tab = line.indexOf('\t');
    const [, word = '', rest = ''] =
      tab >= 0 ? [line, line.slice(0, tab), line.slice(tab + 1)] : (/^\s*(\S+)(?:\s(.*))?$/.exec(line) ?? []);
    const key = keyOf(word);
    const where = `Line ${count(i + 1)}: `;
    if (key === null)
      return fail(
        `${where}“${word.slice(0, 40)}” is no key. A key is a whole number, a size such as 20mb, or a time such as 2026-01-31.`,
      );
    if (key > lastKey(bits)) return fail(`${where}keys of this index end at ${count(lastKey(bits))}.`);
    if (new TextEncoder().encode(rest).length > mostValue)
      return fail(`${where}a value has at most 65.5 kB.`);
    entries.push({ key, value: rest } as RangeEntry);
  }
  if (entries.length === 0) return fail('Type a key and a value first, such as: 5 sys');
  if (entries.length > mostEntries) return fail(`At most ${count(mostEntries)} lines at once.`);
  return { entries, wrong: '' };
}

// spanOf reads both ends of a question.
export function spanOf(
  from: string,
  to: string,
  bits: number,
): { from: number | null; to: number | null; wrong: string } {
  const ends = [from, to].map((text, i) => (text.trim() === '' ? null : keyOf(text, i === 1)));
  const bad = [from, to].find((text, i) => text.trim() !== '' && ends[i] === null);
  const [first = null, last = null] = ends;
  let wrong = '';
  if (bad !== undefined) wrong = `“${bad.slice(0, 40)}” is no key.`;
  else if (first !== null && first > lastKey(bits))
    wrong = `Keys of this index end at ${count(lastKey(bits))}.`;
  else if (last !== null && (first ?? 0) > last) wrong = 'The range ends before it begins.';
  return { from: first, to: last, wrong };
}

// Defined is the form that makes an index, as it is typed.
export interface Defined {
  name: string;
  bits: number | null;
  leaf: number | null;
  capacity: number | null;
  via: RangeVia[];
}

// definition returns the body that makes an index, or what is wrong with it.
export function definition(d: Defined): { body: RangeDefinition; wrong: string } {
  const whole = (n: number | null, least: number, most: number) =>
    n === null || (Number.isInteger(n) && n >= least && n <= most);
  const name = d.name.trim();
  let wrong = '';
  if (name === '') wrong = 'Give it a name.';
  else if (!whole(d.bits, 1, 53)) wrong = 'Keys have 1 to 53 bits.';
  else if (!whole(d.leaf, 0, d.bits ?? 53)) wrong = 'A leaf has no more bits than a key.';
  else if (!whole(d.capacity, 1, 1024)) wrong = 'A segment has room for 1 to 1,024 entries.';
  else if (d.via.length === 0) wrong = 'Choose at least one way to keep it.';
  const body = {
    name,
    ...(d.bits === null ? {} : { bits: d.bits }),
    ...(d.leaf === null ? {} : { leaf_bits: d.leaf }),
    ...(d.capacity === null ? {} : { capacity: d.capacity }),
    via: ways.filter(w => d.via.includes(w)),
  } as RangeDefinition;
  return { body, wrong };
}

export function keysWords(x: Pick<RangeIndex, 'bits'>): string {
  return x.bits <= 20 ? `keys 0 to ${count(lastKey(x.bits))}` : `keys of ${x.bits} bits`;
}

export type AskedSegment = RangeAnswer['segments'][number];

// Show writes a key: as it is, or as a size or a day.
export type Show = (key: number) => string;

export const segmentSpan = (s: { from: number; to: number }, show: Show): string =>
  `[${show(s.from)}..${show(s.to)}]`;

export const segmentName = (s: { from: number; to: number }): string => segmentSpan(s, String);

// segmentWords says what a segment had, and what followed from it.
export function segmentWords(s: AskedSegment, via: RangeVia): string {
  if (s.failed) return 'could not be asked';
  if (s.mended) return 'was full; it has all that is below it again';
  if (!s.full) return '';
  return via === 'pht' ? 'full, so its halves were asked too' : 'full, so its halves were asked instead';
}

// headline says what came of a question.
export function headline(a: RangeAnswer, more: boolean): string {
  const found =
    a.items.length === 0
      ? 'Nothing is there'
      : `${plural(a.items.length, 'entry', 'entries')}${more ? ', and there is more' : ''}`;
  return `${found}: ${plural(a.segments.length, 'segment')} asked in ${plural(a.trace.rounds, 'round')}`;
}

// joined is an answer with what comes next.
export function joined(a: RangeAnswer, next: RangeAnswer): RangeAnswer {
  const rounds = Math.max(0, ...a.segments.map(s => s.round));
  const { next: after, ...rest } = next;
  return {
    ...rest,
    ...(after === undefined ? {} : { next: after }),
    items: [...a.items, ...next.items],
    partial: a.partial || next.partial,
    segments: [...a.segments, ...next.segments.map(s => ({ ...s, round: s.round + rounds }))],
    trace: {
      ...next.trace,
      rounds: a.trace.rounds + next.trace.rounds,
      messages: a.trace.messages + next.trace.messages,
      bytes: a.trace.bytes + next.trace.bytes,
      took_ms: a.trace.took_ms + next.trace.took_ms,
    },
  };
}

// Cost is what a question took in one way.
export interface Cost {
  via: RangeVia;
  entries: number;
  rounds: number;
  messages: number;
  bytes: number;
  segments: number;
  tookMs: number;
  // same: the entries are those of the first way
  same: boolean;
}

export function costs(answers: readonly RangeAnswer[]): Cost[] {
  const first = answers[0]?.items.map(e => e.entry).join();
  return answers.map(a => ({
    via: a.via,
    entries: a.items.length,
    rounds: a.trace.rounds,
    messages: a.trace.messages,
    bytes: a.trace.bytes,
    segments: a.segments.length,
    tookMs: a.trace.took_ms,
    same: a.items.map(e => e.entry).join() === first,
  }));
}
