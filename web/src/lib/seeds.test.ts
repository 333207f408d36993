import { describe, expect, it } from 'vitest';
import type { KeptSeed, Swarm } from '../api/types';
import {
  cells,
  coming,
  facts,
  headline,
  hue,
  letter,
  limit,
  limited,
  mbit,
  pageLink,
  senders,
  share,
  squeeze,
  wanted,
} from './seeds';

const id = '4b1d'.repeat(16);
const seed = (over: Partial<KeptSeed>): KeptSeed => ({
  id,
  name: 'lecture.mp4',
  size: 4_000_000,
  link: '',
  legacy: false,
  state: 'downloading',
  error: '',
  path: '',
  piece_length: 65536,
  pieces: 62,
  here: 31,
  bytes_done: 2_000_000,
  bytes_wire: 0,
  bytes_reused: 0,
  bytes_resumed: 0,
  bytes_wasted: 0,
  bytes_sent: 0,
  rate_down: 1_000_000,
  rate_up: 0,
  eta_s: 2,
  sources: 3,
  takers: 0,
  copies: [],
  web: [],
  added: '',
  ended: null,
  ...over,
});

describe('facts', () => {
  it('say what is on its way, and what goes to others', () => {
    expect(facts(seed({}))).toEqual(['2 MB of 4 MB', '1 MB/s from 3 sources', '2 s left']);
    expect(facts(seed({ sources: 1, takers: 2, rate_up: 2000, eta_s: null }))).toEqual([
      '2 MB of 4 MB',
      '1 MB/s from 1 source',
      '2 kB/s to 2',
    ]);
    expect(facts(seed({ state: 'waiting' }))).toEqual(['2 MB of 4 MB', 'nobody who has it is there']);
    expect(facts(seed({ state: 'paused' }))).toEqual(['2 MB of 4 MB']);
    expect(facts(seed({ state: 'seeding', bytes_sent: 8e6, takers: 1, rate_up: 1000 }))).toEqual([
      '4 MB',
      '8 MB sent',
      '1 computer gets it now, 1 kB/s',
    ]);
    expect(facts(seed({ state: 'seeding' }))).toEqual(['4 MB']);
  });
  it('tell what is on its way from what is here', () => {
    expect([
      coming({ state: 'error', here: 1, pieces: 2 }),
      coming({ state: 'seeding', here: 2, pieces: 2 }),
      coming({ state: 'changed', here: 2, pieces: 2 }),
      coming({ state: 'reading', here: 2, pieces: 2 }),
    ]).toEqual([true, false, false, false]);
    expect([share(seed({})), share(seed({ size: 0, bytes_done: 0 }))]).toEqual([0.5, 1]);
  });
});

describe('wanted', () => {
  it('reads links in both forms, and the text of a seed', () => {
    const link = `shoal:seed/${id}?len=67108864&name=a%20%2B%20b+c.mp4&tr=x`;
    expect(wanted(` ${link}\n`)).toEqual({
      link,
      name: 'a + b+c.mp4',
      size: 67108864,
    });
    expect(wanted(pageLink(link, 'http://localhost:8080'))).toEqual({
      link,
      name: 'a + b+c.mp4',
      size: 67108864,
    });
    const text = `shoal-seed: 1\r\nfile_name: lecture 1.mp4\r\nfile_len: 5\r\nbig_seed: ${id}\r\n`;
    expect(wanted(text)).toEqual({
      seed: text,
      name: 'lecture 1.mp4',
      size: 5,
    });
  });
  it('takes nothing else', () => {
    for (const text of [
      '',
      'hello',
      'shoal:seed/12?len=1&name=a',
      `shoal:seed/${id}`,
      `shoal:seed/${id}?len=x&name=a`,
      `shoal:seed/${id}?len=-1&name=a`,
      `shoal:seed/${id}?len=5`,
      'https://example.org/#join=abc',
      'file_name: a',
      'file_len: 5',
    ]) {
      expect(wanted(text), text).toBeNull();
    }
  });
});

describe('the picture', () => {
  it('has shares and senders', () => {
    expect(cells('AAH/')).toEqual(Uint8Array.of(0, 1, 255));
    expect([cells(null), cells('%')]).toEqual([null, null]);
    const from = {
      columns: 6,
      from: [
        [1, 2],
        [-1, 1],
        [0, 1],
        [2, 9],
      ],
    } as unknown as Swarm;
    expect([...senders(from)]).toEqual([1, 1, -1, 0, 2, 2]);
    expect([...senders({ columns: 2, from: [] })]).toEqual([-1, -1]);
  });
  it('never rounds to none or to all', () => {
    expect([...squeeze(Uint8Array.of(0, 0, 255, 255, 0, 255), 3)]).toEqual([0, 255, 128]);
    const nearly = new Uint8Array(1000).fill(255);
    nearly[999] = 254;
    expect([...squeeze(nearly, 1)]).toEqual([254]);
    const hardly = new Uint8Array(1000);
    hardly[0] = 1;
    expect([...squeeze(hardly, 1)]).toEqual([1]);
    expect([...squeeze(Uint8Array.of(7), 500)]).toEqual([7]);
    expect(squeeze(new Uint8Array(4096), 300)).toHaveLength(300);
  });
  it('names members by letters and colours', () => {
    expect([letter(0), letter(25), letter(26)]).toEqual(['A', 'Z', '27']);
    expect(new Set(Array.from({ length: 12 }, (_, i) => hue(i))).size).toBe(12);
  });
  it('says how good it was', () => {
    const s = { state: 'seeding', took_s: 3.21, bound_s: null, ratio: null };
    expect(headline(s)).toBe('It took 3.2 s.');
    expect(
      headline({
        ...s,
        state: 'downloading',
        took_s: 90,
        bound_s: 80,
        ratio: 1.125,
      }),
    ).toBe('So far it has taken 2 min, 1.13 times the least that is possible with what everybody can send.');
    expect(headline({ ...s, took_s: 0 })).toBe('');
  });
});

describe('limits', () => {
  it('are typed in Mbit/s', () => {
    for (const [text, value] of [
      ['', 0],
      [' 20 ', 2_500_000],
      ['2,5', 312_500],
      ['0', 0],
      ['0.008', 1000],
    ] as const)
      expect(limit(text), text).toBe(value);
    for (const text of ['fast', '-1', '0.001', '1e9', 'Infinity']) expect(limit(text), text).toBeNull();
    expect([mbit(0), mbit(2_500_000), mbit(1000)]).toEqual(['', '20', '0.008']);
  });
  it('are told', () => {
    expect(limited({ up: 0, down: 0, peer_up: 0, peer_down: 0 })).toBe('no limit');
    expect(limited({ up: 2_500_000, down: 0, peer_up: 0, peer_down: 1000 })).toBe(
      '2.5 MB/s up, 1 kB/s from each computer',
    );
  });
});
