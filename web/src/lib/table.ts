// What the Table page shows of the distributed table: where keys and members lie,
// what the forms ask for, and answers in words. Who keeps a key is the node's to say.
import type { Problem } from '../api/problem';
import type {
  DhtPut,
  DhtQuery,
  DhtRecord,
  DhtRenew,
  DhtRule,
  DhtStatus,
  DhtVersionPut,
  Event,
  GetValues,
} from '../api/types';
import { text } from './journal';
import { power } from './playback';

const zeros = '0'.repeat(64);
const hexKey = /^[0-9a-f]{64}$/;

// turn is how far round the circle of keys a position lies: 0 at the top, up to 1.
// 52 of its bits are exact.
export function turn(position: string): number {
  const n = parseInt(position.slice(0, 13), 16);
  return Number.isFinite(n) ? n / 2 ** 52 : 0;
}

// xor is the distance of two keys of the same length, all in hexadecimal digits.
export function xor(a: string, b: string): string {
  let out = '';
  for (let i = 0; i < Math.min(a.length, b.length); i++) out += (digit(a, i) ^ digit(b, i)).toString(16);
  return out;
}

// commonPrefix is with how many bits two keys begin alike.
export function commonPrefix(a: string, b: string): number {
  return zeroBits(xor(a, b));
}

// zeroBits is with how many zero bits a number begins.
export function zeroBits(hex: string): number {
  for (let i = 0; i < hex.length; i++) {
    const d = digit(hex, i);
    if (d !== 0) return 4 * i + Math.clz32(d) - 28;
  }
  return 4 * hex.length;
}

// magnitude writes a distance as a power of two: "2²⁵³·⁴" would say no more than "2²⁵³".
export function magnitude(distance: string): string {
  const bits = 4 * distance.length - zeroBits(distance);
  return bits === 0 ? '0' : `≈ ${power(2, bits - 1)}`;
}

function digit(hex: string, at: number): number {
  return parseInt(hex[at] ?? '0', 16) || 0;
}

export function shortKey(hex: string): string {
  return hex.slice(0, 8);
}

// Asked is what the page looks at: it is in the address.
export interface Asked {
  key: string;
  domain: string;
  content: string;
  // what of it: the newest of each content, or the graph of versions.
  view: 'values' | 'versions';
  // old versions too
  all: boolean;
  // of every domain
  domains: boolean;
}

export const nothing: Asked = {
  key: '',
  domain: '',
  content: '',
  view: 'values',
  all: false,
  domains: false,
};

export function fromAddress(params: URLSearchParams): Asked {
  const get = (name: string) => (params.get(name) ?? '').slice(0, 1024);
  return {
    key: get('key'),
    domain: get('domain'),
    content: get('content'),
    view: params.get('view') === 'versions' ? 'versions' : 'values',
    all: params.get('all') === '1',
    domains: params.get('domains') === '1',
  };
}

export function toAddress(a: Asked): Record<string, string> {
  return {
    key: a.key,
    domain: a.domains ? '' : a.domain,
    content: a.content,
    view: a.view === 'values' ? '' : a.view,
    all: a.all && a.view === 'values' ? '1' : '',
    domains: a.domains && a.view === 'values' ? '1' : '',
  };
}

export type Action = 'get' | 'put' | 'version' | 'renew' | 'remove';

// Form is all that can be typed; each action takes what it needs.
export interface Form {
  key: string;
  domain: string;
  content: string;
  value: string;
  // kind: the value itself, or an element of a set or list at this place.
  kind: 'one' | 'set' | 'list';
  ttl: string;
  unit: Unit;
  absent: boolean;
  protectDomain: boolean;
  protectEntry: boolean;
  owner: string;
  all: boolean;
  domains: boolean;
  append: boolean;
  parents: string[];
  optimistic: boolean;
  // version: of a record that is to be renewed
  version: string;
}

export type Unit = 's' | 'min' | 'h' | 'd';
export const units: Record<Unit, number> = { s: 1, min: 60, h: 3600, d: 86_400 };

export const blank: Form = {
  key: '',
  domain: '',
  content: '',
  value: '',
  kind: 'one',
  ttl: '',
  unit: 'min',
  absent: false,
  protectDomain: false,
  protectEntry: false,
  owner: '',
  all: false,
  domains: false,
  append: false,
  parents: [],
  optimistic: false,
  version: '',
};

// mostTTL is what the table takes: ten years.
const mostTTL = 315_360_000;

// seconds is the time to live that was typed; 0: until it is removed.
export function seconds(f: Pick<Form, 'ttl' | 'unit'>): number {
  const n = Number(String(f.ttl).trim().replace(',', '.'));
  return Number.isFinite(n) && n > 0 ? Math.min(mostTTL, Math.max(1, Math.round(n * units[f.unit]))) : 0;
}

// place is where a record is, without the parts that nobody named.
function place(f: Pick<Form, 'key' | 'domain' | 'content'>): {
  key: string;
  domain?: string;
  content?: string;
} {
  return {
    key: f.key,
    ...(f.domain ? { domain: f.domain } : {}),
    ...(f.content ? { content: f.content } : {}),
  };
}

const living = (f: Form) => (seconds(f) > 0 ? { ttl_s: seconds(f) } : {});

export function putBody(f: Form): DhtPut {
  const protect: ('domain' | 'entry')[] = [];
  if (f.protectDomain) protect.push('domain');
  if (f.protectEntry) protect.push('entry');
  const named = f.kind === 'one' ? f : { ...f, content: '' };
  return {
    ...place(named),
    value: f.value,
    ...living(f),
    ...(f.absent ? { absent: true } : {}),
    ...(f.kind === 'set' ? { add: true } : f.kind === 'list' ? { list: true } : {}),
    ...(protect.length > 0 ? { protect } : {}),
    ...(protect.length > 0 && f.owner ? { owner: f.owner } : {}),
  } as DhtPut;
}

export function versionBody(f: Form): DhtVersionPut {
  return {
    ...place(f),
    value: f.value,
    ...living(f),
    ...(f.append ? { append: true } : {}),
    ...(f.parents.length > 0 ? { parents: f.parents } : {}),
    ...(f.optimistic ? { optimistic: true } : {}),
  } as DhtVersionPut;
}

export function renewBody(f: Form): DhtRenew {
  const version = f.version ? { version: f.version } : {};
  return { ...place(f), ...version, ...(f.owner ? { owner: f.owner } : { ttl_s: seconds(f) }) };
}

export function removeBody(f: Form): DhtQuery {
  return {
    ...place(f),
    ...(f.domains ? { all_domains: true } : {}),
    ...(f.all ? { versions: 'all' } : {}),
  } as DhtQuery;
}

export function getQuery(a: Asked): GetValues {
  return {
    ...place(a.domains ? { ...a, domain: '' } : a),
    ...(a.domains ? { all_domains: true } : {}),
    ...(a.all ? { versions: 'all' } : {}),
  };
}

// mostValue is what the table takes, in bytes.
export const mostValue = 65_536;

// lacks says in words what keeps a form from being sent; empty when nothing does.
export function lacks(action: Action, f: Form): string {
  if (f.key === '') return 'Type a key first: any text.';
  for (const part of [f.key, f.domain, f.content]) {
    if (part.startsWith('hex:') && !/^hex:[0-9a-fA-F]{64}$/.test(part))
      return 'Behind “hex:” there must be 64 hexadecimal digits.';
  }
  if ((action === 'put' || action === 'version') && new TextEncoder().encode(f.value).length > mostValue)
    return 'A value has at most 65.5 kB. Share a file in a folder, and put its name into the table.';
  return '';
}

// exactPlace names a record's own place, so that nothing else is meant.
export function exactPlace(r: DhtRecord, key: string): Pick<Form, 'key' | 'domain' | 'content' | 'version'> {
  return {
    key: key || `hex:${r.location}`,
    domain: r.domain === zeros ? '' : `hex:${r.domain}`,
    content: `hex:${r.content}`,
    version: r.version ?? '',
  };
}

export const unnamed = (hex: string): boolean => hex === zeros;

// partLabel says what a domain or content is: the text it was made from where that is
// known, a member whose own it is, or its first digits.
export function partLabel(hex: string, typed: string, members: readonly Owner[]): string {
  if (hex === zeros) return '';
  if (typed && !typed.startsWith('hex:')) return typed;
  const member = members.find(m => m.key === hex);
  return member ? `${member.name}’s own (${shortKey(hex)}…)` : `${shortKey(hex)}…`;
}

export interface Owner {
  key: string;
  name: string;
}

const stored: Record<DhtStatus, string> = {
  ok: 'has it now',
  ok_unchanged: 'had it already',
  ok_prepared: 'has prepared it',
  failed: 'could not be asked',
  stale: 'has a newer one',
  not_absent: 'has something there already',
  protected: 'says that it belongs to somebody else',
  version_fork: 'has another version of the same parent',
  not_found: 'has nothing there',
  deleted: 'knows that it was removed',
  not_responsible: 'says that others are nearer',
  quota: 'keeps no more of this computer',
  malformed: 'does not understand it',
  bad_signature: 'does not believe the signature',
  too_large: 'has no room for it at this place',
  from_the_future: 'says that its number is from the future: are the clocks right?',
  expired: 'says that it ended long ago',
  no_quorum: 'does not see that a majority has prepared it',
};

export function statusWords(status: string): string {
  return stored[status as DhtStatus] ?? status;
}

// reason explains a refusal, with what the page knows of the place.
export function reason(problem: Problem, owners: readonly string[], heads: number): string {
  const whose = owners.length > 0 ? owners.join(' and ') : 'somebody else';
  switch (problem.code) {
    case 'dht_not_absent':
      return 'You asked to be the first here, and somebody was faster.';
    case 'protected':
      return `This place belongs to ${whose}, who has claimed it. Whoever keeps it looks at the signature of what comes, and this computer’s is not the owner’s.`;
    case 'dht_version_fork':
      return heads > 1
        ? `There are ${heads} newest versions, none of which knows of the others. Choose in the graph those that the new one is to replace.`
        : 'Somebody else has written a version of the same parents at the same time.';
    case 'dht_deleted':
      return 'Somebody removed it, and that is remembered for a while, so that no old copy comes back.';
    case 'dht_quota':
      return 'Every computer keeps only so much for each other one.';
    case 'dht_failed':
    case 'dht_no_replica':
      return 'Those who should keep it are off or cannot be reached now.';
    default:
      return '';
  }
}

// guards are the names of those who have claimed the place of a refused write.
export function guards(records: readonly DhtRecord[]): string[] {
  return [
    ...new Set(records.filter(r => r.protect.length > 0).map(r => r.owner_name ?? r.author_name)),
  ].slice(0, 4);
}

// ruleWords explains one of the four rules, as TomP2P names them.
export function ruleWords(rule: DhtRule, what: 'domain' | 'entry'): string {
  const master =
    what === 'domain' ? 'the member whose key the domain is' : 'the member whose key the content is';
  if (rule.claim === 'all') {
    return rule.master
      ? `Whoever comes first may claim it. But ${master} can take it over.`
      : `Whoever comes first may claim it and keeps it, even against ${master}.`;
  }
  return rule.master
    ? `Only ${master} can protect it, and takes it over from whoever has claimed it before. What others claim is stored, and not protected.`
    : `Only ${master} can protect it, and only while nobody else’s claim stands. What others claim is stored, and not protected.`;
}

export function ruleName(rule: DhtRule): string {
  return `${rule.claim.toUpperCase()}, ${rule.master ? 'MASTER_PUBLIC_KEY' : 'NO_MASTER'}`;
}

// left is how many seconds a record has when so many milliseconds have passed since it
// was read; null: until it is removed.
export function left(r: Pick<DhtRecord, 'left_s'>, since: number): number | null {
  return r.left_s === undefined ? null : Math.max(0, r.left_s - since / 1000);
}

// countdown writes a time that runs down: every second counts.
export function countdown(s: number): string {
  const whole = Math.ceil(s);
  if (whole <= 0) return 'over';
  if (whole < 100) return `${whole} s`;
  const [d, h, m] = [
    Math.floor(whole / 86_400),
    Math.floor((whole % 86_400) / 3600),
    Math.floor((whole % 3600) / 60),
  ];
  if (d > 0) return `${d} d ${h} h`;
  return h > 0 ? `${h} h ${m} min` : `${m} min ${whole % 60} s`;
}

const topics = /^(dht|direct)\.|^route\.hop$/;

// news are the events of the table, newest first.
export function news(events: readonly Event[], most: number): Event[] {
  const out: Event[] = [];
  for (const e of events) {
    if (topics.test(e.topic) && out.push(e) >= most) break;
  }
  return out;
}

export interface Pulse {
  id: string;
  member: string;
  // in: it came here from the member
  in: boolean;
}

// pulses are the members that were heard of after an event, newest first.
export function pulses(events: readonly Event[], after: string, most: number): Pulse[] {
  const out: Pulse[] = [];
  for (const e of events) {
    if (e.id === after || out.length >= most) break;
    const member =
      e.topic === 'dht.step' ? text(e, 'to') : topics.test(e.topic) ? text(e, 'from', 'with') : '';
    if (member) out.push({ id: e.id, member, in: e.topic !== 'dht.step' });
  }
  return out;
}

export const isKey = (hex: string): boolean => hexKey.test(hex);
