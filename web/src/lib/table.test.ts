import { describe, expect, it } from 'vitest';
import { Problem } from '../api/problem';
import type { DhtRecord, Event } from '../api/types';
import {
  blank,
  commonPrefix,
  countdown,
  exactPlace,
  fromAddress,
  getQuery,
  guards,
  lacks,
  left,
  magnitude,
  news,
  nothing,
  partLabel,
  pulses,
  putBody,
  reason,
  removeBody,
  renewBody,
  ruleName,
  ruleWords,
  seconds,
  statusWords,
  toAddress,
  turn,
  versionBody,
  xor,
  zeroBits,
} from './table';

const hex = (head: string) => head.padEnd(64, '0');
const record: DhtRecord = {
  location: hex('18f6'),
  domain: hex(''),
  content: hex(''),
  based: [],
  kind: 'value',
  value: 'hello',
  size: 5,
  author: 'a',
  author_name: 'Ada',
  seq: 1,
  ttl_s: 0,
  protect: [],
  prepared: false,
  replicas: [],
};

describe('keys on the circle', () => {
  it('start at the top and go once round', () => {
    expect([hex(''), hex('4'), hex('8'), hex('c')].map(turn)).toEqual([0, 0.25, 0.5, 0.75]);
    expect(turn('f'.repeat(64))).toBeLessThan(1);
    expect(turn('')).toBe(0);
    expect(turn('no hex')).toBe(0);
  });
  it('are apart by their exclusive or', () => {
    expect(xor('06e9', '18f6')).toBe('1e1f');
    expect(xor('ab', 'ab')).toBe('00');
    expect(commonPrefix(hex('06e9'), hex('18f6'))).toBe(3);
    expect(commonPrefix(hex('8'), hex('7'))).toBe(0);
    expect(commonPrefix('ab'.repeat(32), 'ab'.repeat(32))).toBe(256);
    expect(zeroBits('001f')).toBe(11);
  });
  it('are not nearest where the circle says so', () => {
    // Neighbours across the middle of the circle have no bit in common.
    const [key, beside, behind] = [hex('7fff'), hex('8000'), hex('4000')];
    expect(Math.abs(turn(key) - turn(beside))).toBeLessThan(Math.abs(turn(key) - turn(behind)));
    expect(xor(key, beside) > xor(key, behind)).toBe(true);
  });
  it('have distances that people can read', () => {
    expect(magnitude(hex('1e'))).toBe('≈ 2²⁵²');
    expect(magnitude(hex(''))).toBe('0');
    expect(magnitude('0'.repeat(63) + '1')).toBe('≈ 2⁰');
  });
});

describe('the address', () => {
  it('keeps what is looked at', () => {
    const asked = { ...nothing, key: 'a&b=c #ü', domain: 'd', content: 'hex:00', all: true };
    expect(fromAddress(new URLSearchParams(toAddress(asked)))).toEqual(asked);
    const graph = { ...nothing, key: 'k', view: 'versions' as const };
    expect(fromAddress(new URLSearchParams(toAddress(graph)))).toEqual(graph);
    expect(fromAddress(new URLSearchParams('view=<b>&all=yes'))).toEqual(nothing);
    expect(fromAddress(new URLSearchParams({ key: 'x'.repeat(5000) })).key).toHaveLength(1024);
  });
  it('asks for all domains or for one', () => {
    expect(getQuery({ ...nothing, key: 'k', domain: 'd', domains: true })).toEqual({
      key: 'k',
      all_domains: true,
    });
    expect(getQuery({ ...nothing, key: 'k', domain: 'd', all: true })).toEqual({
      key: 'k',
      domain: 'd',
      versions: 'all',
    });
  });
});

describe('forms', () => {
  const form = { ...blank, key: 'k', value: 'v' };
  it('send no more than was filled in', () => {
    expect(putBody(form)).toEqual({ key: 'k', value: 'v' });
    expect(putBody({ ...form, domain: 'd', content: 'c', ttl: '2', unit: 'min', absent: true })).toEqual({
      key: 'k',
      domain: 'd',
      content: 'c',
      value: 'v',
      ttl_s: 120,
      absent: true,
    });
    expect(putBody({ ...form, content: 'c', kind: 'set' })).toEqual({ key: 'k', value: 'v', add: true });
    expect(putBody({ ...form, protectEntry: true, owner: 'id' })).toMatchObject({
      protect: ['entry'],
      owner: 'id',
    });
    expect(putBody({ ...form, owner: 'id' }), 'nobody owns nothing').not.toHaveProperty('owner');
    expect(versionBody({ ...form, append: true, parents: ['1-a'] })).toEqual({
      key: 'k',
      value: 'v',
      append: true,
      parents: ['1-a'],
    });
    expect(renewBody({ ...form, ttl: '1', unit: 'h', version: '1-a' })).toEqual({
      key: 'k',
      version: '1-a',
      ttl_s: 3600,
    });
    expect(renewBody({ ...form, ttl: '1', owner: 'id' })).toEqual({ key: 'k', owner: 'id' });
    expect(removeBody({ ...form, all: true })).toEqual({ key: 'k', versions: 'all' });
  });
  it('read times as people write them', () => {
    expect(seconds({ ttl: '1,5', unit: 'min' })).toBe(90);
    expect(seconds({ ttl: '0.2', unit: 's' })).toBe(1);
    expect(seconds({ ttl: '99999999', unit: 'd' })).toBe(315_360_000);
    expect(['', '-3', 'x', '0'].map(ttl => seconds({ ttl, unit: 's' }))).toEqual([0, 0, 0, 0]);
  });
  it('say what is missing', () => {
    expect(lacks('put', form)).toBe('');
    expect(lacks('get', blank)).toMatch(/key/);
    expect(lacks('get', { ...form, domain: 'hex:12' })).toMatch(/64/);
    expect(lacks('put', { ...form, value: 'ü'.repeat(40_000) })).toMatch(/65\.5 kB/);
    expect(lacks('get', { ...form, value: 'ü'.repeat(40_000) })).toBe('');
  });
  it('name one record and no other', () => {
    expect(exactPlace(record, '')).toEqual({
      key: `hex:${record.location}`,
      domain: '',
      content: `hex:${hex('')}`,
      version: '',
    });
    expect(exactPlace({ ...record, domain: hex('1'), version: '1-a' }, 'k')).toEqual({
      key: 'k',
      domain: `hex:${hex('1')}`,
      content: `hex:${hex('')}`,
      version: '1-a',
    });
  });
});

describe('answers in words', () => {
  it('tell who guards a place', () => {
    const owners = guards([
      { ...record, author_name: 'Chiara', protect: ['entry'] },
      { ...record, author_name: 'Ben' },
      { ...record, author_name: 'Chiara', protect: ['domain'] },
      { ...record, author_name: 'Ada', owner_name: 'Chiara', protect: ['entry'] },
    ]);
    expect(owners).toEqual(['Chiara']);
    const refused = new Problem({ code: 'protected', detail: 'x' });
    expect(reason(refused, owners, 0)).toContain('belongs to Chiara');
    expect(reason(refused, [], 0)).toContain('somebody else');
    expect(reason(new Problem({ code: 'dht_version_fork', detail: 'x' }), [], 2)).toContain(
      '2 newest versions',
    );
    expect(reason(new Problem({ code: 'internal', detail: 'x' }), [], 0)).toBe('');
  });
  it('know every status, and show others as they are', () => {
    expect(statusWords('version_fork')).toContain('same parent');
    expect(statusWords('of a newer node')).toBe('of a newer node');
  });
  it('tell the four rules apart', () => {
    const rules = (['all', 'none'] as const).flatMap(claim =>
      [true, false].map(master => ({ claim, master })),
    );
    expect(rules.map(ruleName)).toEqual([
      'ALL, MASTER_PUBLIC_KEY',
      'ALL, NO_MASTER',
      'NONE, MASTER_PUBLIC_KEY',
      'NONE, NO_MASTER',
    ]);
    expect(new Set(rules.flatMap(r => [ruleWords(r, 'domain'), ruleWords(r, 'entry')])).size).toBe(8);
  });
  it('label parts of an address', () => {
    const members = [{ key: hex('c8'), name: 'Ada' }];
    expect(partLabel(hex(''), '', members)).toBe('');
    expect(partLabel(hex('1'), 'de', members)).toBe('de');
    expect(partLabel(hex('c8'), '', members)).toContain('Ada’s own');
    expect(partLabel(hex('77'), 'hex:77', members)).toBe('77000000…');
  });
});

describe('time that runs down', () => {
  it('counts from when the record was read', () => {
    expect(left({ left_s: 10 }, 4000)).toBe(6);
    expect(left({ left_s: 10 }, 40_000)).toBe(0);
    expect(left({}, 0)).toBeNull();
  });
  it('is written in two parts at most', () => {
    expect([0, 0.2, 99, 100, 3600, 90_061].map(countdown)).toEqual([
      'over',
      '1 s',
      '99 s',
      '1 min 40 s',
      '1 h 0 min',
      '1 d 1 h',
    ]);
  });
});

describe('events of the table', () => {
  const event = (id: string, topic: string, data: Record<string, unknown> = {}): Event => ({
    id,
    topic,
    time: '',
    data,
  });
  const events = [
    event('5', 'direct.received', { from: 'e' }),
    event('4', 'folder.scanned'),
    event('3', 'dht.stored', { from: 'c' }),
    event('2', 'dht.step', { to: 'b', from: 'self' }),
    event('1', 'dht.repaired', { with: 'a' }),
  ];
  it('are picked out, and no more than are shown', () => {
    expect(news(events, 10).map(e => e.id)).toEqual(['5', '3', '2', '1']);
    expect(news(events, 2).map(e => e.id)).toEqual(['5', '3']);
  });
  it('make those pulse that were heard of since', () => {
    expect(pulses(news(events, 10), '1', 10)).toEqual([
      { id: '5', member: 'e', in: true },
      { id: '3', member: 'c', in: true },
      { id: '2', member: 'b', in: false },
    ]);
    expect(pulses(news(events, 10), '5', 10)).toEqual([]);
    expect(pulses([event('9', 'dht.stored', { from: 7 })], '', 10)).toEqual([]);
  });
});
