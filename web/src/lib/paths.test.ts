import { describe, expect, it } from 'vitest';
import type { NetworkReport, Peer, Trace, TraceStep } from '../api/types';
import { attempts, stepTime } from './ladder';
import { facts, isAddress, mappedBy, natType, stations, linkOrder } from './network';
import { kindIcon, kindLabel, resultLook, wayText } from './path';
import { Rates } from './rates';
import { sentence } from './sentence';
import { icons } from '../ui/icons';

const step = (at_ms: number, kind: TraceStep['kind'], more: Partial<TraceStep> = {}): TraceStep => ({
  at_ms,
  kind,
  remote: '',
  way: '',
  proto: '',
  via: null,
  new: false,
  note: '',
  text: `${kind}.`,
  ...more,
});
const trace = (...steps: TraceStep[]): Trace => ({ began: '2026-11-29T11:00:00Z', dropped: 0, steps });
const nas = { id: 'n', name: 'nas' };
const bob = { id: 'b', name: 'bob' };

describe('a ladder', () => {
  it('is cut into attempts, each with its own clock and its helpers', () => {
    const all = attempts(
      trace(
        step(5, 'offer'),
        step(6, 'ask', { via: nas }),
        step(7, 'unasked', { via: nas }),
        step(8, 'ask', { via: bob, remote: '192.0.2.1:1' }),
        step(9, 'failed'),
        step(1000, 'restart'),
        step(1001.5, 'path'),
        step(2000, 'offered', { via: nas }),
      ),
      'here',
      'b',
    );
    expect(all.map(a => [a.title, a.outcome, a.helpers, a.began % 60_000])).toEqual([
      ['An offer made', 'failed', ['nas'], 5],
      ['Looking for another path', 'path', [], 1000],
      ['An offer that came', 'open', ['nas'], 2000],
    ]);
    expect(all[0]?.rungs.map(r => [r.ms, r.lanes.join(), r.look])).toEqual([
      [0, 'here', 'own'],
      [1, 'here,helper', 'message'],
      [2, 'here,helper', 'lost'],
      [3, 'here,there', 'message'],
      [4, 'here', 'own'],
    ]);
    expect(all[1]?.rungs[1]).toMatchObject({ ms: 1.5, lanes: ['here', 'there'], look: 'both', tone: 'good' });
    expect(all[2]?.rungs[0]?.lanes).toEqual(['there', 'helper', 'here']);
  });
  it('is mirrored for the other end, and empty without a trace', () => {
    const [one] = attempts(
      trace(step(0, 'heard', { new: true }), step(1, 'sent'), step(2, 'relay', { via: nas })),
      'there',
      'me',
    );
    expect(one?.rungs.map(r => [r.lanes.join(), r.mark])).toEqual([
      ['here,there', 'new'],
      ['there,here', ''],
      ['there,helper', ''],
    ]);
    expect(attempts(null, 'here', 'b')).toEqual([]);
    expect([0, 9.94, 10, 1007.8, 12_345].map(stepTime)).toEqual([
      '0.0 ms',
      '9.9 ms',
      '10 ms',
      '1008 ms',
      '12.3 s',
    ]);
  });
});

describe('how a link runs', () => {
  it('has a word and a sign for each kind and each result', () => {
    const kinds = ['direct', 'mapped', 'punched', 'relayed'];
    expect(new Set(kinds.map(kindIcon)).size).toBe(4);
    for (const kind of kinds) expect(icons[kindIcon(kind)]).toBeTruthy();
    expect(kindIcon('teleported')).toBe('link');
    expect(kindLabel('teleported')).toBe('teleported');
    expect(wayText({ kind: 'punched', proto: 'tcp' })).toBe('Punched over TCP');
    expect(['selected', 'succeeded', 'failed', 'waiting', 'x'].map(r => resultLook(r).label)).toEqual([
      'in use',
      'works',
      'failed',
      'no answer',
      'no answer',
    ]);
  });
  it('has a rate after two readings that are not too close', () => {
    const meter = new Rates();
    const at = (bytes_in: number, bytes_out = 0) => [{ id: 'b', bytes_in, bytes_out }];
    expect(meter.read(at(1000), 0).size).toBe(0);
    expect(meter.read(at(9000), 500).size).toBe(0);
    expect(meter.read(at(11_000, 500), 2000).get('b')).toEqual({ in: 5000, out: 250 });
    expect(meter.read(at(11_000, 500), 2100).get('b')).toEqual({ in: 5000, out: 250 });
    expect(meter.read(at(0), 5000).size).toBe(0);
    expect(meter.read(at(1000), 6000).get('b')).toEqual({ in: 1000, out: 0 });
    expect(meter.read([], 7000).size).toBe(0);
  });
});

const report = (more: Partial<NetworkReport> = {}): NetworkReport => ({
  checked: '2026-11-29T11:00:00Z',
  since: null,
  scope: 'public',
  udp: true,
  tcp: true,
  ipv4: true,
  ipv6: false,
  external: '192.0.2.1:4747',
  mapping: 'endpoint_independent',
  filtering: 'address_port_dependent',
  port_mapping: { upnp: false, nat_pmp: false, pcp: false, manual: false },
  double_nat: null,
  reachable: false,
  relays: [],
  findings: [
    { about: 'udp', sentence: 'UDP works.' },
    { about: 'double_nat', sentence: 'Who knows.' },
    { about: 'reachable', sentence: 'No.' },
  ],
  advice: [],
  ...more,
});

describe('the picture of the network', () => {
  it.each([
    ['none', 'open', 'No NAT'],
    ['none', 'address_port_dependent', 'Firewall, no NAT'],
    ['endpoint_independent', 'endpoint_independent', 'Full cone NAT'],
    ['endpoint_independent', 'address_dependent', 'Address-restricted NAT'],
    ['endpoint_independent', 'address_port_dependent', 'Port-restricted NAT'],
    ['endpoint_independent', 'unknown', 'NAT that keeps its ports'],
    ['address_port_dependent', 'address_port_dependent', 'Symmetric NAT'],
    [null, 'unknown', ''],
  ] as const)('calls %s and %s %s', (mapping, filtering, name) => {
    expect(natType({ mapping, filtering })).toBe(name);
  });
  it('leads from this computer over the router to the others', () => {
    const peer = (kind: string) => ({ connected: true, path: { kind } }) as Peer;
    const relays = [
      { id: 'n', name: 'nas', rtt_ms: 2, in_use: true },
      { id: 'm', name: 'more', rtt_ms: 9, in_use: false },
    ];
    const way = stations(
      report({
        relays,
        port_mapping: { upnp: true, nat_pmp: false, pcp: true, manual: false },
        reachable: true,
      }),
      { name: 'me', p2p: ['10.0.0.2:4747'] },
      [peer('relayed'), peer('direct')],
    );
    expect(way.map(s => [s.title, s.main, s.tone])).toEqual([
      ['me', 'UDP, TCP, IPv4 work', 'good'],
      ['Router', 'Port-restricted NAT', 'good'],
      ['Internet', '192.0.2.1:4747', 'good'],
      ['Other computers', '2 links up', 'warn'],
    ]);
    expect(way[1]?.lines).toEqual(['Port forwarded: PCP, UPnP']);
    expect(way[3]?.lines).toEqual(['Relay: nas, 2 ms', '1 link through a relay']);
  });
  it('says what is not known, and what is in the way', () => {
    const blank = stations(
      report({
        scope: null,
        udp: false,
        tcp: false,
        ipv4: false,
        mapping: null,
        filtering: 'unknown',
        external: null,
        reachable: null,
      }),
      null,
      [],
    );
    expect(blank.map(s => s.tone)).toEqual(['unknown', 'unknown', 'unknown', 'unknown']);
    const hard = stations(
      report({ mapping: 'address_port_dependent', double_nat: true, udp: false, tcp: false }),
      null,
      [],
    );
    expect([hard[0]?.tone, hard[1]?.main, hard[1]?.tone, hard[2]?.tone]).toEqual([
      'bad',
      'Symmetric NAT',
      'warn',
      'warn',
    ]);
    expect(hard[1]?.lines).toContain('A second router translates behind it');
    expect(mappedBy(report())).toEqual([]);
  });
  it('knows an address from words', () => {
    expect(['192.0.2.1:4747', '[2001:db8::1]:4747', 'no: 1', 'PCP', 'not known'].map(isAddress)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
  it('has a word for each finding', () => {
    expect(facts(report()).map(f => [f.label, f.value, f.tone])).toEqual([
      ['UDP', 'yes', 'good'],
      ['Two routers', 'not known', 'unknown'],
      ['Reachable', 'no', 'warn'],
    ]);
    expect(
      facts(
        report({
          findings: [
            { about: 'mapping', sentence: '' },
            { about: 'port_mapping', sentence: '' },
            { about: 'relays', sentence: '' },
          ],
        }),
      ).map(f => f.value),
    ).toEqual(['endpoint independent', 'none', '0']);
  });
});

describe('sentences of the network', () => {
  const told = (topic: string, data: Record<string, unknown>) =>
    sentence({ id: '1.1', time: '', topic, data })
      .parts.map(p => (typeof p === 'string' ? p : p.name))
      .join('');
  it.each([
    ['peer.path', { name: 'bob', path: 'punched' }, 'The link to bob is punched now.'],
    [
      'peer.found',
      { name: 'bob', addrs: ['10.0.0.2:1', '10.0.0.3:1'], via: 'lan' },
      'bob was found in the local network at 10.0.0.2:1.',
    ],
    ['peer.found', { name: 'bob' }, 'bob was found.'],
    [
      'nat.mapped',
      { protocol: 'nat_pmp', external: '192.0.2.1:4747' },
      'The router forwards 192.0.2.1:4747 to this computer (NAT-PMP).',
    ],
    [
      'nat.unmapped',
      { external: '192.0.2.1:4747' },
      'The router no longer forwards 192.0.2.1:4747 to this computer.',
    ],
    [
      'network.changed',
      { external: '192.0.2.1:4747', reachable: true },
      'Others see this computer at 192.0.2.1:4747, and can reach it there.',
    ],
  ])('tells %s', (topic, data, text) => {
    expect(told(topic, data)).toBe(text);
  });
});

describe('the links of the network page', () => {
  it('begin with a punched hole, and leave out who has none', () => {
    const peer = (name: string, kind?: string) =>
      ({ id: name, name, connected: kind !== undefined, path: kind ? { kind } : undefined }) as Peer;
    const all = [
      peer('Ada', 'direct'),
      peer('Ben'),
      peer('Cleo', 'relayed'),
      peer('Dan', 'punched'),
      peer('Eve', 'direct'),
    ];
    expect(linkOrder(all).map(p => p.name)).toEqual(['Dan', 'Cleo', 'Ada', 'Eve']);
  });
});
