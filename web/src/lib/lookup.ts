// What the Table page shows of lookups: who was asked on the way to a key, in words and
// as a picture, and the members that this node asks the way of.
import type { DhtAsked, DhtBuckets, DhtLookup } from '../api/types';
import { count, plural } from './format';

// why says whether this node needs to ask the way, and why.
export function why(l: Pick<DhtLookup, 'lookups' | 'roster' | 'size'>): string {
  return l.lookups
    ? `There are more than ${plural(l.roster, 'member')}: this computer does not reckon with all of them, and asks the way to each key. By how near the nearest are, the network has about ${plural(l.size, 'member')}.`
    : `In a network of up to ${plural(l.roster, 'member')} this computer knows all, and need not ask who keeps a key. It can all the same.`;
}

// short says why so few questions were needed, where they were.
export function short(l: DhtLookup): string {
  if (l.asked.length === 0) return 'Nobody else is there to be asked.';
  if (l.asked.every(a => a.via === a.id) && l.rounds <= 1)
    return 'It is short: this computer has a link to everybody that is near the key.';
  return '';
}

// wayOf says how a question came to the member, or who has answered in its place.
export function wayOf(a: DhtAsked, nameOf: (id: string) => string): string {
  const s = a.stand_in;
  if (s)
    return `answered by relay ${s.name} from a snapshot of ${seconds(s.age_ms)} ago${s.gone_ms > 0 ? `; it has been gone for ${seconds(s.gone_ms)}` : ''}`;
  if (!a.via) return '–';
  if (a.via === a.id) return 'its link';
  return `through ${nameOf(a.via)}${a.hops > 0 ? `, ${plural(a.hops, 'hop')}` : ''}`;
}

const seconds = (ms: number) => `${count(Math.floor(ms / 1000))} s`;

// instead says how many answers were given in place of members that nobody reaches, and what that
// saves.
export function instead(l: DhtLookup): string {
  const n = l.asked.filter(a => a.stand_in).length;
  if (n === 0) return '';
  return `${plural(n, 'answer')} came from a relay: it has a snapshot, signed by a member behind it whom nobody reaches directly, of whom that member knows. So the question need not go there and back.`;
}

// found says what the lookup knows of who is near the key.
export function found(l: DhtLookup): string {
  if (l.crowded) {
    const chance =
      l.chance < 1e-12 ? 'less than 1 in a million millions' : `1 in ${count(Math.round(1 / l.chance))}`;
    return `Members sit nearer to this key than chance would have them (${chance}): somebody may want to have what is kept here to himself.`;
  }
  if (l.whole_bits === undefined) return '';
  if (l.whole_bits === 0) return 'These are all there are.';
  return `All members are among them that share ${plural(l.whole_bits, 'bit')} with the key: the answer is good for all other keys that begin like that.`;
}

// nearness is how many bits two positions have in common, with a fraction: each bit is half as far.
export function nearness(distance: string): number {
  const digits = distance.replace(/^0+/, '');
  if (digits === '') return 4 * distance.length;
  return (
    4 * (distance.length - digits.length) -
    Math.log2(parseInt(digits.slice(0, 13).padEnd(13, '0'), 16) / 16 ** 13)
  );
}

// Spot is a member that was asked, where the picture has it: x by how near it is to the key, y
// by the round; and where the one is who named it.
export interface Spot {
  id: string;
  x: number;
  y: number;
  from: { x: number; y: number };
  failed: boolean;
  // nearest: of all that have answered
  nearest: boolean;
}

// Picture is a lookup as it is drawn: rounds go down, nearness goes to the right.
export interface Picture {
  width: number;
  height: number;
  start: { x: number; y: number };
  spots: Spot[];
  // bits that are marked on the axis
  marks: { bits: number; x: number }[];
}

const [left, right, rowHeight, top] = [16, 16, 44, 30];

// picture lays a lookup out in so much width; own is the distance of this node itself.
export function picture(asked: readonly DhtAsked[], own: string, width: number): Picture {
  const most = Math.max(1, ...[own, ...asked.map(a => a.distance)].map(nearness).map(Math.ceil));
  const rounds = Math.max(1, ...asked.map(a => a.round));
  const x = (bits: number) => left + ((width - left - right) * bits) / most;
  const place = (distance: string, round: number) => ({
    x: x(nearness(distance)),
    y: top + round * rowHeight,
  });
  const start = place(own, 0);
  const places = new Map(asked.map(a => [a.id, place(a.distance, a.round)]));
  const answered = asked.filter(a => a.error === undefined);
  const best = answered.reduce((a, b) => (b.distance < a ? b.distance : a), 'g');
  const spots = asked.map(a => ({
    id: a.id,
    ...place(a.distance, a.round),
    from: places.get(a.named_by ?? '') ?? start,
    failed: a.error !== undefined,
    nearest: a.error === undefined && a.distance === best,
  }));
  const step = Math.max(1, Math.ceil(most / 8));
  const marks = [];
  for (let b = 0; b <= most; b += step) marks.push({ bits: b, x: x(b) });
  return { width, height: top + rounds * rowHeight + 34, start, spots, marks };
}

// prefix is how the positions of a bucket begin: so many bits of this node's, and the next
// one the other way.
export function prefix(position: string, bits: number): { same: string; other: string } {
  const digits = [...position.slice(0, Math.floor(bits / 4) + 1)]
    .map(d => (parseInt(d, 16) || 0).toString(2).padStart(4, '0'))
    .join('');
  const same = digits.slice(0, bits);
  return {
    same: same.length > 12 ? `…${same.slice(-11)}` : same,
    other: digits[bits] === '1' ? '0' : '1',
  };
}

// share is which part of the key space a bucket is about.
export function share(bits: number): string {
  if (bits < 10) return `1/${count(2 ** (bits + 1))}`;
  return `1/2^${count(bits + 1)}`;
}

// known says how much of the network the buckets hold.
export function known(b: DhtBuckets): string {
  if (b.known === 0) return 'This computer knows nobody else yet.';
  return `${plural(b.known, 'member')} in ${plural(b.items.length, 'bucket')}: of the far half of all keys at most ${count(b.k)}, of the near quarter at most ${count(b.k)}, and so on. So few of a large network are known, and most of those who are near.`;
}
