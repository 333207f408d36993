// What the Delta page shows of the node's explanation. Sums, matches and odds
// are the node's; here they are only put where a person looks.
import type { Explanation, LessonOp, LessonStep, Story } from '../api/types';
import { count, plural } from './format';
import { power } from './playback';
import type { Store } from '../api/token';

// Side is one of the two texts: typed, or a file of a folder of this node.
export type Side = { kind: 'text'; text: string } | { kind: 'file'; folder: string; path: string };

// Question is what the page asks the node; block 0 leaves the length to it.
export interface Question {
  old: Side;
  new: Side;
  block: number;
}

export const textSide = (text: string): Side => ({ kind: 'text', text });
export const storyQuestion = (s: Story): Question => ({
  old: textSide(s.old),
  new: textSide(s.new),
  block: s.block,
});

// mostAddress is how many characters of both texts the address keeps.
export const mostAddress = 4000;

// whole tells whether there is enough to ask for.
export function whole(q: Question): boolean {
  return [q.old, q.new].every(s => s.kind === 'text' || (s.folder !== '' && s.path.trim() !== ''));
}

// blank tells whether nothing has been typed.
export function blank(q: Question): boolean {
  return [q.old, q.new].every(s => s.kind === 'text' && s.text === '');
}

// body is the request for a question.
export function body(q: Question): Record<string, unknown> {
  const side = (name: 'old' | 'new', s: Side) =>
    s.kind === 'text' ? { [name]: s.text } : { [`${name}_path`]: { folder: s.folder, path: s.path.trim() } };
  return { ...side('old', q.old), ...side('new', q.new), ...(q.block > 0 ? { block: q.block } : {}) };
}

// storyOf is the story whose texts and block these are.
export function storyOf(q: Question, stories: readonly Story[]): Story | undefined {
  return stories.find(s => JSON.stringify(storyQuestion(s)) === JSON.stringify(q));
}

// mostText is how many characters a typed text may have, and mostFile how many
// bytes a file: more the node refuses.
export const mostText = 65_536;
export const mostFile = 16 * 1024 * 1024;

// tooLong says which text is too long to be sent; '' when none is.
export function tooLong(q: Question): string {
  for (const [side, name] of [
    [q.old, 'old'],
    [q.new, 'new'],
  ] as const) {
    if (side.kind !== 'text' || side.text.length <= mostText) continue;
    const length = [...side.text].length;
    if (length > mostText)
      return `The ${name} text has ${count(length)} characters, and a typed text may have ${count(mostText)}. A file of a shared folder may have 16 MiB: put it there and choose it.`;
  }
  return '';
}

// toAddress is the query of the page's address. Texts that are too long for it
// are left out, and kept is false: typed says that the tab remembers them.
export function toAddress(
  q: Question,
  step: number,
  stories: readonly Story[],
): { query: string; kept: boolean } {
  const params = new URLSearchParams();
  const story = storyOf(q, stories);
  let kept = true;
  if (story) params.set('story', story.name);
  else {
    const long = [q.old, q.new].reduce((sum, s) => sum + (s.kind === 'text' ? s.text.length : 0), 0);
    kept = long <= mostAddress;
    if (!kept) params.set('typed', '1');
    for (const name of ['old', 'new'] as const) {
      const s = q[name];
      if (s.kind === 'file') {
        params.set(`${name}_folder`, s.folder);
        params.set(`${name}_path`, s.path);
      } else if (kept) params.set(name, s.text);
    }
    if (q.block > 0) params.set('block', String(q.block));
  }
  if (step > 0) params.set('step', String(step));
  return { query: params.toString(), kept };
}

// opened is what the page begins with: what the address says, else what this tab
// remembers, else the first story.
export function opened(
  params: URLSearchParams,
  stories: readonly Story[],
  remembered: Question | null,
): { question: Question; step: number } | null {
  const said = fromAddress(params, stories);
  if (said && !params.has('typed')) return said;
  if (remembered) return { question: remembered, step: natural(params.get('step')) };
  const first = stories[0];
  return said ?? (first ? { question: storyQuestion(first), step: 0 } : null);
}

// remember keeps a question for as long as the tab lasts, so that a reload does
// not lose what was typed. Stories, nothing, and what is far too long are not kept.
export function remember(store: Store, key: string, q: Question, stories: readonly Story[]): void {
  const size = [q.old, q.new].reduce(
    (sum, s) => sum + (s.kind === 'text' ? s.text.length : s.path.length),
    0,
  );
  try {
    if (blank(q) || storyOf(q, stories) || size > 4 * mostText) store.removeItem(key);
    else store.setItem(key, JSON.stringify(q));
  } catch {
    // The browser has no room for it: then a reload loses it.
  }
}

// remembered reads it back; null when there is nothing.
export function remembered(store: Store, key: string): Question | null {
  try {
    const q = JSON.parse(store.getItem(key) ?? 'null') as Partial<Question> | null;
    const side = (s: unknown): Side | null => {
      const { kind, text, folder, path } = (s ?? {}) as Record<string, unknown>;
      if (kind === 'text' && typeof text === 'string') return textSide(text);
      return kind === 'file' && typeof folder === 'string' && typeof path === 'string'
        ? { kind, folder, path }
        : null;
    };
    const [old, target] = [side(q?.old), side(q?.new)];
    return old && target ? { old, new: target, block: natural(String(q?.block ?? 0)) } : null;
  } catch {
    return null;
  }
}

// fromAddress reads the address back; null when it names nothing to explain.
export function fromAddress(
  params: URLSearchParams,
  stories: readonly Story[],
): { question: Question; step: number } | null {
  const step = natural(params.get('step'));
  const story = stories.find(s => s.name === params.get('story'));
  if (story) return { question: storyQuestion(story), step };
  const side = (name: string): Side | null => {
    const [folder, path, text] = [params.get(`${name}_folder`), params.get(`${name}_path`), params.get(name)];
    if (folder !== null || path !== null) return { kind: 'file', folder: folder ?? '', path: path ?? '' };
    return text === null ? null : textSide(text);
  };
  const [old, target] = [side('old'), side('new')];
  if (!old && !target) return null;
  return {
    question: { old: old ?? textSide(''), new: target ?? textSide(''), block: natural(params.get('block')) },
    step,
  };
}

function natural(text: string | null): number {
  const n = Number(text ?? 0);
  return Number.isSafeInteger(n) && n > 0 ? n : 0;
}

// stops are the lengths of blocks that the slider offers for an old text of that
// size; the one in use is always among them.
export function stops(size: number, used: number): number[] {
  const most = Math.min(Math.max(size, 4), 65_536);
  const out = new Set<number>(used > 0 ? [used] : []);
  for (let n = 1; n <= Math.min(most, 16); n++) out.add(n);
  for (let n = 16; n <= most; n *= 2) {
    out.add(n);
    if (n * 1.5 <= most) out.add(n * 1.5);
  }
  out.add(most);
  return [...out].sort((a, b) => a - b);
}

// bytesOf decodes what the API sends as base64.
export function bytesOf(text: string | undefined): Uint8Array {
  return Uint8Array.from(atob(text ?? ''), c => c.charCodeAt(0));
}

const signs: Record<string, string> = { '\n': '↵', '\r': '␍', '\t': '⇥' };
const hex = (byte: number) => byte.toString(16).padStart(2, '0');

// glyph shows one byte: a character of ASCII, a sign for white space, or two
// hexadecimal digits.
export function glyph(byte: number): string {
  const text = readable(Uint8Array.of(byte));
  return text === ' ' ? '␣' : (text ?? hex(byte));
}

// readable is a text that shows all there is in the bytes; null if they are not
// whole characters of UTF-8 that can be seen. The node's command line does the same
// (lesson.Quote).
function readable(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const shown = text.replace(/[\n\r\t]/g, c => signs[c] ?? c);
    return /^(?!\p{M})[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u.test(shown) ? shown : null;
  } catch {
    return null;
  }
}

// beginning is the first bytes, and no part of a character at its end.
function beginning(bytes: Uint8Array, most: number): Uint8Array {
  if (bytes.length <= most) return bytes;
  let n = most;
  while (n > 0 && n > most - 3 && ((bytes[n] ?? 0) & 0xc0) === 0x80) n--;
  return bytes.subarray(0, n);
}

// Glyphs are the characters of some bytes, or pairs of digits; more: some are left out.
export interface Glyphs {
  parts: { text: string; dim: boolean; pair: boolean }[];
  more: boolean;
}

// glyphs shows the first bytes: at most so many of a text, or a third of that in
// pairs of digits.
export function glyphs(bytes: Uint8Array, most: number): Glyphs {
  const part = beginning(bytes, most);
  const text = readable(part);
  if (text !== null) {
    const parts = [...text].map(c => ({
      text: c === ' ' ? '␣' : c,
      dim: c === ' ' || Object.values(signs).includes(c),
      pair: false,
    }));
    return { parts, more: part.length < bytes.length };
  }
  const pairs = bytes.subarray(0, Math.max(1, Math.floor(most / 3)));
  return {
    parts: [...pairs].map(b => ({ text: hex(b), dim: true, pair: true })),
    more: pairs.length < bytes.length,
  };
}

const mostQuoted = 24;

// quote shows some bytes in a sentence: a text in quotes, or pairs of digits.
export function quote(bytes: Uint8Array, at: number, length: number): string {
  const all = bytes.subarray(at, at + length);
  const part = beginning(all, mostQuoted);
  const text = readable(part);
  if (text !== null) return `“${text}”${part.length < all.length ? ' …' : ''}`;
  const pairs = all.subarray(0, mostQuoted / 3);
  return [...pairs].map(hex).join(' ') + (pairs.length < all.length ? ' …' : '');
}

// Scene is what is known after a number of steps; before the first one it is 0.
export interface Scene {
  step: number;
  current: LessonStep | null;
  // done: so many bytes of the new text have been decided.
  done: number;
  ops: LessonOp[];
  // copied are the blocks that have been copied so far.
  copied: ReadonlySet<number>;
  windows: number;
  alarms: number;
  matches: number;
}

export function sceneAt(e: Explanation, step: number): Scene {
  const at = Math.max(0, Math.min(step, e.steps.length));
  const seen = e.steps.slice(0, at);
  const current = seen[at - 1] ?? null;
  const next = e.steps[at];
  const done = next ? next.at : at === e.steps.length ? e.new_size : 0;
  const copied = new Set<number>();
  for (const s of seen) if (s.outcome === 'match' && s.candidate) copied.add(s.candidate.block);
  return {
    step: at,
    current,
    done,
    ops: clipped(e.ops, done, e.block),
    copied,
    windows: seen.filter(s => s.outcome !== 'rest').length,
    alarms: seen.filter(s => s.outcome === 'false_alarm' || s.outcome === 'collision').length,
    matches: seen.filter(s => s.outcome === 'match').length,
  };
}

// clipped are the operations as far as they make the first bytes of the new text.
function clipped(ops: readonly LessonOp[], done: number, block: number): LessonOp[] {
  const out: LessonOp[] = [];
  for (const op of ops) {
    if (op.at >= done) break;
    const length = Math.min(op.length, done - op.at);
    if (length === op.length || !op.from) out.push({ ...op, length });
    else
      out.push({
        ...op,
        length,
        from: { ...op.from, blocks: Math.ceil(length / block) },
      });
  }
  return out;
}

// Cell is one byte of the new text as it is shown.
export interface Cell {
  at: number;
  text: string;
  state: 'ahead' | 'data' | 'copy';
  // window: part of it; edge: whether it begins or ends there.
  window: boolean;
  edge: '' | 'first' | 'last' | 'both';
  // leaves, enters: by rolling to here.
  leaves: boolean;
  enters: boolean;
}

// cells are the bytes from one offset of the new text to another.
export function cells(bytes: Uint8Array, scene: Scene, from: number, to: number): Cell[] {
  const c = scene.current;
  const [begin, end] = c ? [c.at, c.at + c.length] : [-1, -1];
  const out: Cell[] = [];
  let op = 0;
  for (let at = from; at < Math.min(to, bytes.length); at++) {
    while (op < scene.ops.length && (scene.ops[op]?.at ?? 0) + (scene.ops[op]?.length ?? 0) <= at) op++;
    const window = at >= begin && at < end;
    out.push({
      at,
      text: glyph(bytes[at] ?? 0),
      state: at < scene.done ? (scene.ops[op]?.op ?? 'ahead') : 'ahead',
      window,
      edge: !window ? '' : end - begin === 1 ? 'both' : at === begin ? 'first' : at === end - 1 ? 'last' : '',
      leaves: !!c?.roll && at === begin - 1,
      enters: !!c?.roll && at === end - 1,
    });
  }
  return out;
}

// scope is the part of a long list to show, so that what is at stays in sight.
// It moves by halves, not with every step.
export function scope(total: number, at: number, most: number): [from: number, to: number] {
  if (total <= most) return [0, total];
  const half = Math.floor(most / 2);
  const from = Math.max(
    0,
    Math.min((Math.floor(at / half) - (at % half < half / 2 ? 1 : 0)) * half, total - most),
  );
  return [from, from + most];
}

// nextFind is the next step, from 1, at which something was found; or the last.
export function nextFind(e: Explanation, step: number): number {
  const i = e.steps.findIndex((s, i) => i >= step && s.candidate);
  return i < 0 ? e.steps.length : i + 1;
}

// told says in a sentence what a step finds out; it is also what is read aloud.
export function told(e: Explanation, bytes: Uint8Array, step: number): string {
  const s = e.steps[step - 1];
  if (!s) {
    if (e.blocks_total === 0) return 'The old text is empty: there are no blocks to find.';
    const cut =
      e.old_size < e.block
        ? `The old text is one block, which is shorter than ${plural(e.block, 'byte')}, and summed twice.`
        : `The old text is cut into ${plural(e.blocks_total, 'block')} of ${plural(e.block, 'byte')}, and each is summed twice.`;
    return e.steps.length > 0
      ? `${cut} Step on to move the window over the new text.`
      : `${cut} The new text is empty: there is nothing to find.`;
  }
  const where = `Step ${count(step)} of ${count(e.steps.length)}, byte ${count(s.at)}.`;
  const window = quote(bytes, s.at, s.length);
  const literal = s.length < e.block ? 'All of it is literal.' : `${quote(bytes, s.at, 1)} is literal.`;
  const sum = `${window} has the weak sum ${s.weak}`;
  const block = s.candidate?.block ?? 0;
  switch (s.outcome) {
    case 'match':
      return `${where} ${sum}, which block ${block} has, and the strong sum ${s.candidate?.strong} agrees. The block is copied.`;
    case 'false_alarm':
      return `${where} False alarm: ${sum}, which block ${block} has, but the strong sums differ. ${literal}`;
    case 'collision':
      return `${where} Collision: ${sum}, and the strong sum is that of block ${block} too, but the bytes differ. Only the sum of the whole file would show it. ${literal}`;
    case 'rest':
      return `${where} ${restOf(e, s, window)} It is literal.`;
    default:
      return s.length < e.block
        ? `${where} ${sum}, and the short last block has another one. ${literal}`
        : `${where} ${sum}, which no block has. ${literal}`;
  }
}

// restOf says why no block is looked for in what is left.
function restOf(e: Explanation, s: LessonStep, window: string): string {
  const last = plural(e.old_size % e.block, 'byte');
  if (e.blocks_total === 0) return `The old text is empty, so that there are no blocks to find in ${window}.`;
  if (e.old_size >= e.block) return `${window} is too short for a whole block.`;
  if (s.length < e.old_size % e.block && s.at + s.length === e.new_size)
    return `${window} is too short for the only block, which has ${last}.`;
  return `No block can be in ${window}: the only one has ${last} and can only be at the very end.`;
}

// match are the files that are meant by what was typed: all words are in the path.
// Those whose name begins so come first.
export function match<F extends { path: string }>(files: readonly F[], typed: string, most: number): F[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (f: F) => {
    const path = f.path.toLowerCase();
    return path.slice(path.lastIndexOf('/') + 1).startsWith(words[0] ?? '') ? 0 : 1;
  };
  const found = files.filter(f => words.every(w => f.path.toLowerCase().includes(w)));
  return [...found.filter(f => rank(f) === 0), ...found.filter(f => rank(f) === 1)].slice(0, most);
}

// halves are the two parts of a classic weak sum: b before a.
export function halves(sum: string): { a: string; b: string } {
  return { a: sum.slice(4), b: sum.slice(0, 4) };
}

// chance says a probability for people.
export function chance(log2: number): string {
  if (log2 >= 0) return 'certain';
  const exact = -log2;
  if (exact < 20) return `1 in ${count(Math.round(2 ** exact))}`;
  return `1 in ${scientific(exact * Math.log10(2))}`;
}

// much writes a number of any size.
export function much(n: number): string {
  if (n === 0) return '0';
  if (n >= 1e9 || n < 1e-3) return scientific(Math.log10(n));
  return n >= 100 ? count(Math.round(n)) : String(Number(n.toPrecision(2)));
}

function scientific(log10: number): string {
  let exponent = Math.floor(log10);
  let digits = Number((10 ** (log10 - exponent)).toPrecision(2));
  if (digits >= 10) [digits, exponent] = [digits / 10, exponent + 1];
  return `${digits} × ${power(10, exponent)}`;
}
