import type { KeptSeed, Limits, Swarm } from '../api/types';
import { bytes, count, plural, span } from './format';

export type SeedState = KeptSeed['state'];

// label says what becomes of a seed, tone how good that is.
export const labels: Record<SeedState, string> = {
  reading: 'being read',
  seeding: 'shared',
  downloading: 'coming',
  streaming: 'read on demand',
  waiting: 'waiting',
  paused: 'paused',
  error: 'stopped',
  changed: 'changed',
};
export const tones: Record<SeedState, '' | 'good' | 'warn' | 'bad' | 'accent'> = {
  reading: 'accent',
  seeding: 'good',
  downloading: 'accent',
  streaming: 'accent',
  waiting: 'warn',
  paused: 'warn',
  error: 'bad',
  changed: 'bad',
};

// coming tells whether a file is on its way, or could be.
export const coming = (s: Pick<KeptSeed, 'state' | 'here' | 'pieces'>): boolean =>
  ['downloading', 'streaming', 'waiting', 'paused', 'error'].includes(s.state) && s.here < s.pieces;

type Facts = Pick<
  KeptSeed,
  'state' | 'size' | 'bytes_done' | 'bytes_sent' | 'rate_down' | 'rate_up' | 'eta_s' | 'sources' | 'takers'
>;

// facts are what to say of a seed in a line.
export function facts(s: Facts): string[] {
  if (s.state === 'seeding' || s.state === 'changed') {
    return [
      bytes(s.size),
      s.bytes_sent > 0 ? `${bytes(s.bytes_sent)} sent` : '',
      s.takers > 0
        ? `${plural(s.takers, 'computer')} ${s.takers === 1 ? 'gets' : 'get'} it now, ${bytes(s.rate_up)}/s`
        : '',
    ].filter(Boolean);
  }
  const out = [`${bytes(s.bytes_done)} of ${bytes(s.size)}`];
  if (s.state === 'waiting') out.push('nobody who has it is there');
  if (s.state === 'downloading') {
    out.push(`${bytes(s.rate_down)}/s from ${plural(s.sources, 'source')}`);
    if (s.takers > 0) out.push(`${bytes(s.rate_up)}/s to ${count(s.takers)}`);
    if (s.eta_s !== null) out.push(`${span(s.eta_s)} left`);
  }
  return out;
}

// share is how much of a seed is here, as a part of 1. Only all is all.
export function share(s: Pick<KeptSeed, 'size' | 'bytes_done'>): number {
  return s.size > 0 ? Math.min(1, s.bytes_done / s.size) : 1;
}

export interface Wanted {
  link?: string;
  seed?: string;
  // as whoever made the text says
  name: string;
  size: number;
}

// wanted reads a link in either form, or the text of a seed; null: it is neither.
export function wanted(text: string): Wanted | null {
  return linked(text.trim()) ?? sown(text);
}

function linked(text: string): Wanted | null {
  const at = text.indexOf('#get=');
  const link = /^https?:/i.test(text) && at > 0 ? `shoal:${text.slice(at + '#get='.length)}` : text;
  const parts = /^shoal:seed\/[0-9a-f]{64}\?(\S*)$/i.exec(link);
  if (!parts) return null;
  const fields = new URLSearchParams((parts[1] ?? '').replaceAll('+', '%2B'));
  const size = Number(fields.get('len') ?? NaN);
  const name = fields.get('name') ?? '';
  return name && Number.isSafeInteger(size) && size >= 0 ? { link, name, size } : null;
}

function sown(text: string): Wanted | null {
  const name = /^file_name:[ \t]*(.+?)\r?$/m.exec(text)?.[1];
  const size = /^file_len:[ \t]*(\d+)\r?$/m.exec(text)?.[1];
  return name && size ? { seed: text, name, size: Number(size) } : null;
}

// pageLink is the link as one that opens in a browser, at the dashboard of a computer that runs shoal.
export function pageLink(link: string, origin: string): string {
  return `${origin}/#get=${link.replace(/^shoal:/, '')}`;
}

// cells are the shares of a swarm's columns: 0 none of the pieces, 255 all.
export function cells(have: string | null): Uint8Array | null {
  if (have === null) return null;
  try {
    return Uint8Array.from(atob(have), c => c.charCodeAt(0));
  } catch {
    return null;
  }
}

// squeeze makes of cells as many as there is room for: each the mean of those that fall together.
export function squeeze(all: Uint8Array, room: number): Uint8Array {
  const n = Math.max(1, Math.min(Math.floor(room), all.length));
  const out = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    const from = Math.floor((i * all.length) / n);
    const to = Math.max(from + 1, Math.floor(((i + 1) * all.length) / n));
    let sum = 0;
    for (let j = from; j < to; j++) sum += all[j] ?? 0;
    // Neither none nor all may be rounded to either.
    const mean = sum / (to - from);
    out[i] = sum === 0 ? 0 : Math.min(mean < 255 ? 254 : 255, Math.max(1, Math.round(mean)));
  }
  return out;
}

// senders says of each column who sent it: -1 it is not here, 0 it was here, else a number of members from 1.
export function senders(s: Pick<Swarm, 'from' | 'columns'>): Int32Array {
  const out = new Int32Array(s.columns).fill(-1);
  let at = 0;
  for (const [who = -1, n = 0] of s.from) {
    out.fill(who, at, at + n);
    at += n;
  }
  return out;
}

// letter names the i-th member of a swarm in the picture and beside it.
export function letter(i: number): string {
  return i < 26 ? String.fromCharCode(65 + i) : String(i + 1);
}

// hue of the i-th member: neighbours differ as much as they can.
export const hue = (i: number): number => Math.round((200 + i * 137.5) % 360);

// headline says how far a swarm is, and how good that is.
export function headline(s: Pick<Swarm, 'state' | 'took_s' | 'bound_s' | 'ratio'>): string {
  if (s.took_s <= 0) return '';
  const took = `${s.state === 'seeding' ? 'It took' : 'So far it has taken'} ${s.took_s < 10 ? `${count(Math.round(s.took_s * 10) / 10)} s` : span(s.took_s)}`;
  if (s.ratio === null) return `${took}.`;
  return `${took}, ${count(Math.round(s.ratio * 100) / 100)} times the least that is possible with what everybody can send.`;
}

// A limit is shown and typed in Mbit/s, as connections are sold; empty: none.
export const mbit = (perSecond: number): string =>
  perSecond === 0 ? '' : String(Math.round((perSecond / 125_000) * 1000) / 1000);

// limit reads what was typed; null: it is no limit.
export function limit(text: string): number | null {
  const typed = text.trim().replace(',', '.');
  if (typed === '') return 0;
  const value = Number(typed);
  if (!Number.isFinite(value) || value < 0 || (value > 0 && value < 0.008) || value > 8_000_000) return null;
  return Math.round(value * 125_000);
}

// limited says which limits there are.
export function limited(l: Limits): string {
  const parts = [
    l.up > 0 ? `${bytes(l.up)}/s up` : '',
    l.down > 0 ? `${bytes(l.down)}/s down` : '',
    l.peer_up > 0 ? `${bytes(l.peer_up)}/s to each computer` : '',
    l.peer_down > 0 ? `${bytes(l.peer_down)}/s from each computer` : '',
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : 'no limit';
}
