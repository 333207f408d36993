import { expect, test } from 'vitest';
import type { DhtAsked, DhtLookup } from '../api/types';
import { found, instead, nearness, picture, prefix, share, short, wayOf, why } from './lookup';

const distance = (first: string) => first.padEnd(64, '0');
const asked = (id: string, more: Partial<DhtAsked> = {}): DhtAsked => ({
  id,
  name: id,
  distance: distance('4'),
  round: 1,
  hops: 1,
  via: id,
  at_ms: 0,
  took_ms: 1,
  bytes_out: 36,
  bytes_in: 90,
  named: [],
  strangers: 0,
  ...more,
});
const lookup = (more: Partial<DhtLookup> = {}): DhtLookup => ({
  key: distance('0'),
  lookups: true,
  roster: 2000,
  size: 3000,
  known: 90,
  replicas: 3,
  rounds: 2,
  took_ms: 4,
  region_bits: 8,
  chance: 1,
  crowded: false,
  asked: [],
  items: [],
  ...more,
});

test('whether and why a node asks the way', () => {
  expect(why(lookup())).toContain('more than 2,000 members');
  expect(why(lookup())).toContain('about 3,000 members');
  expect(why(lookup({ lookups: false }))).toContain('need not ask');
  expect(short(lookup())).toBe('Nobody else is there to be asked.');
  expect(short(lookup({ rounds: 1, asked: [asked('a')] }))).toContain('It is short');
  expect(short(lookup({ rounds: 2, asked: [asked('a'), asked('b', { round: 2 })] }))).toBe('');
});

test('how a question came to a member', () => {
  const name = (id: string) => id.toUpperCase();
  expect(wayOf(asked('a'), name)).toBe('its link');
  expect(wayOf(asked('a', { via: 'b', hops: 2 }), name)).toBe('through B, 2 hops');
  expect(wayOf(asked('a', { via: 'b', hops: 0 }), name)).toBe('through B');
  const lost = asked('a', { error: 'peer not reachable' });
  delete lost.via;
  expect(wayOf(lost, name)).toBe('–');
});

test('a relay answers in place of a member', () => {
  const by = (gone: number) =>
    asked('a', { via: 'r', stand_in: { id: 'r', name: 'Ruth', age_ms: 12_900, gone_ms: gone } });
  expect(wayOf(by(0), x => x)).toBe('answered by relay Ruth from a snapshot of 12 s ago');
  expect(wayOf(by(5000), x => x)).toContain('gone for 5 s');
  expect(instead(lookup({ asked: [asked('b')] }))).toBe('');
  expect(instead(lookup({ asked: [asked('b'), by(0)] }))).toMatch(/^1 answer came from a relay/);
});

test('what is known of those who are near', () => {
  expect(found(lookup())).toBe('');
  expect(found(lookup({ whole_bits: 0 }))).toBe('These are all there are.');
  expect(found(lookup({ whole_bits: 7 }))).toContain('share 7 bits');
  expect(found(lookup({ whole_bits: 7, crowded: true, chance: 1e-7 }))).toContain('1 in 10,000,000');
  expect(found(lookup({ crowded: true, chance: 0 }))).toContain('less than 1 in');
});

test('rounds go down and nearness to the right', () => {
  const p = picture(
    [
      asked('a', { distance: distance('4') }),
      asked('b', { distance: distance('01'), round: 2, named_by: 'a' }),
      asked('c', { distance: distance('02'), round: 2, named_by: 'a', error: 'gone' }),
    ],
    distance('f'),
    300,
  );
  const [a, b, c] = p.spots;
  expect(p.start.x).toBeLessThan(a?.x ?? 0);
  expect(a?.x).toBeLessThan(b?.x ?? 0);
  expect(a?.y).toBeLessThan(b?.y ?? 0);
  expect(a?.from).toEqual(p.start);
  expect(b?.from).toEqual({ x: a?.x, y: a?.y });
  expect(b?.nearest).toBe(true);
  expect(c?.failed).toBe(true);
  expect(c?.x).toBeLessThan(b?.x ?? 0);
  for (const s of p.spots) expect(s.x).toBeLessThanOrEqual(300);
  expect(p.height).toBeGreaterThan(b?.y ?? 0);
});

test('each bit is half as far', () => {
  expect(nearness(distance('8'))).toBeCloseTo(1);
  expect(nearness(distance('4'))).toBeCloseTo(2);
  expect(nearness(distance('c'))).toBeCloseTo(0.415);
  expect(nearness(distance('00001'))).toBeCloseTo(20);
  expect(nearness('0'.repeat(64))).toBe(256);
});

test('the prefix of a bucket ends with the bit that is another one', () => {
  expect(prefix('a5f0', 0)).toEqual({ same: '', other: '0' });
  expect(prefix('a5f0', 3)).toEqual({ same: '101', other: '1' });
  expect(prefix('a5f0', 4)).toEqual({ same: '1010', other: '1' });
  expect(prefix('ffffffff', 20).same).toBe('…11111111111');
  expect(share(0)).toBe('1/2');
  expect(share(2)).toBe('1/8');
});
