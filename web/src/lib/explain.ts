// How the answer of a search came about, out of its trace.
import type { SearchAnswer } from '../api/types';
import { bytes } from './format';
import { wayNames } from './ranges';
import { type Plan, planNames, plans } from './words';

// Meant is a word that one of the query's may stand for, on all computers together.
export interface Meant {
  word: string;
  distance: number;
  prefix: boolean;
  documents: number;
  computers: number;
  // left is what is left of both words when letters are deleted; empty if that is not told.
  left: string;
}

// Typed is a word of the query.
export interface Typed {
  word: string;
  tolerance: number;
  // count is how many words were searched for it on the computer with most.
  count: number;
  meant: Meant[];
}

export interface Asked {
  id: string;
  name: string;
  documents: number;
  matched: number;
  sent: number;
  bytes: number;
  ms: number;
  error: string;
}

// Way is what the same question takes in one way, and what is known of how.
export interface Way {
  name: string;
  found: number;
  bytes: number;
  messages: number;
  rounds: number;
  answer: SearchAnswer;
}

type Data = Record<string, unknown>;

const text = (v: unknown) => (typeof v === 'string' ? v : '');
const number = (v: unknown) => (typeof v === 'number' ? v : 0);
const list = (v: unknown) => (Array.isArray(v) ? (v as Data[]) : []);

function events(answer: SearchAnswer, topic: string): Data[] {
  return (answer.trace ?? []).filter(e => e.topic === topic).map(e => e.data as Data);
}

// typed merges what the computers tell of each word of the query, the likeliest first.
export function typed(answer: SearchAnswer): Typed[] {
  const words = new Map<string, Typed>();
  for (const e of events(answer, 'search.expanded')) {
    const word = text(e.word);
    const of = words.get(word) ?? { word, tolerance: 0, count: 0, meant: [] };
    words.set(word, of);
    of.tolerance = Math.max(of.tolerance, number(e.tolerance));
    of.count = Math.max(of.count, number(e.count));
    for (const c of list(e.candidates)) {
      let one = of.meant.find(m => m.word === text(c.word) && m.prefix === (c.prefix === true));
      if (!one) {
        one = {
          word: text(c.word),
          distance: number(c.distance),
          prefix: c.prefix === true,
          documents: 0,
          computers: 0,
          left: '',
        };
        of.meant.push(one);
      }
      one.documents += number(c.documents);
      one.computers++;
      one.left ||= text(c.left);
    }
  }
  for (const of of words.values())
    of.meant.sort(
      (a, b) => a.distance - b.distance || Number(a.prefix) - Number(b.prefix) || b.documents - a.documents,
    );
  return [...words.values()];
}

// asked is what each computer did, this one first.
export function asked(answer: SearchAnswer): Asked[] {
  const scored = new Map(events(answer, 'search.scored').map(e => [text(e.node), e]));
  const told = new Map(events(answer, 'search.answered').map(e => [text(e.node), e]));
  return answer.nodes.map(n => {
    const [s, a] = [scored.get(n.node), told.get(n.node)];
    return {
      id: n.node,
      name: n.node_name,
      documents: number(s?.documents),
      matched: number(s?.matched),
      sent: number(a?.hits),
      bytes: number(a?.bytes),
      ms: n.took_ms,
      error: n.error,
    };
  });
}

// meshWay is a question that was asked of computers.
export function meshWay(answer: SearchAnswer): Way {
  const others = asked(answer).slice(1);
  return {
    name: others.length > 0 ? 'All computers' : 'This computer',
    found: answer.total,
    bytes: others.reduce((sum, n) => sum + n.bytes, 0),
    messages: 2 * others.length,
    rounds: others.length > 0 ? 1 : 0,
    answer,
  };
}

// inTable are the parts of what the table was asked, in the order of asking.
function inTable({ table }: SearchAnswer) {
  return [table?.tree, table?.words].filter(part => part !== undefined);
}

// tableName says in which way the table was asked.
export function tableName({ table }: SearchAnswer): string {
  const parts = [
    ...(table?.tree ? [wayNames[table.tree.via]] : []),
    ...(table?.words ? [planNames[table.words.plan]] : []),
  ];
  return parts.map((name, i) => (i > 0 ? name.toLowerCase() : name)).join(', ');
}

// tableWay is a question that was asked of the table.
export function tableWay(answer: SearchAnswer): Way {
  const traces = inTable(answer).map(part => part.trace);
  const sum = (of: 'bytes' | 'messages' | 'rounds') => traces.reduce((all, t) => all + t[of], 0);
  return {
    name: `Table: ${tableName(answer).replace(/^./, c => c.toLowerCase())}`,
    found: answer.total,
    bytes: sum('bytes'),
    messages: sum('messages'),
    rounds: sum('rounds'),
    answer,
  };
}

// otherPlans are those by which the table can answer a question as well, besides the one by which it
// did.
export function otherPlans({ table, range }: SearchAnswer): TablePlan[] {
  const words = table?.words;
  return [
    ...(words && !words.any && words.terms.length > 1 ? plans.filter(p => p !== words.plan) : []),
    ...(range ? trees.filter(t => t !== table?.tree?.via) : []),
  ];
}

const trees = ['pht', 'dst', 'buckets'] as const;
export type TablePlan = Plan | (typeof trees)[number];

// showKey writes the keys of a field: sizes, days, or numbers, of which keys are the first half (see
// SearchRange).
export function showKey(field: string): (key: number) => string {
  if (field.startsWith('fields.')) return key => numeral(readKey(key), key >= 2 ** 31 ? '∞' : '−∞');
  return field === 'size'
    ? key => bytes(key).replace(/ (?:bytes?$)?/, space => (space === ' ' ? '\u00a0' : '\u00a0B'))
    : key => new Date(key * 1000).toISOString().slice(0, 10);
}

function readKey(key: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, key >= 2 ** 31 ? key - 2 ** 31 : ~key);
  if (key < 2 ** 31) view.setUint32(4, 2 ** 32 - 1);
  return view.getFloat64(0);
}

// numeral writes a number with the digits that a key has, and as beyond what is none: keys beyond all.
const numeral = (n: number, beyond: string): string =>
  Number.isFinite(n) ? String(Number(n.toPrecision(6))) : beyond;

const named = (field: string): string =>
  field === 'size' ? 'Sizes' : field === 'modified' ? 'Last changes' : field.slice('fields.'.length);

// rangeWords says which range it was.
export function rangeWords({ field, from, to }: { field: string; from: number; to: number }): string {
  const show = showKey(field);
  const last = to >= 2 ** 32 - 1 ? 'the last that there is' : show(to);
  return `${named(field)} from ${show(from)} to ${last}`;
}
