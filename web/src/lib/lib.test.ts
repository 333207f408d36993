import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Event, Folder, Member, Peer } from '../api/types';
import { curl, shell } from './curl';
import { advice, findFolder, stateLabel, stateTone, upkeep } from './folder';
import { bytes, date, millis, plural, relative, span } from './format';
import { blank, keep, record, told } from './journal';
import { Keys } from './keys';
import { kindLabel, kindMeaning } from './path';
import { cause, linkLoss, searchLoss } from './outage';
import { admins, letIn, needsSecondAdmin, people } from './people';
import { decode, textLike } from './preview';
import { qr } from './qr';
import { arrival, href, parse } from './route';
import { sentence, topicsOf } from './sentence';
import { Gather, stale, type Resource } from './stale';
import { steps } from './steps';
import { baseName, dirName, initial, marked, pieces, plain, shortID } from './text';
import { crumbs, depth } from './tree';

const event = (topic: string, data: Record<string, unknown> = {}, id = 'e.1'): Event => ({
  id,
  time: '',
  topic,
  data,
});

describe('marks', () => {
  const cut = (text: string, marks: number[][]) =>
    marked(text, marks)
      .map(p => (p.mark ? `[${p.text}]` : p.text))
      .join('');
  it.each([
    ['the network', [[4, 11]], 'the [network]'],
    ['🐟🐟net', [[2, 5]], '🐟🐟[net]'],
    ['e\u0301a', [[0, 2]], '[e\u0301]a'],
    ['abc', [], 'abc'],
    [
      'abc',
      [
        [0, 2],
        [1, 3],
      ],
      '[abc]',
    ],
    [
      'abc',
      [
        [2, 3],
        [0, 1],
      ],
      '[a]b[c]',
    ],
    ['abc', [[2, 99]], 'ab[c]'],
    ['abc', [[-5, 1]], '[a]bc'],
    ['abc', [[2, 1]], 'abc'],
    ['abc', [[7, 9]], 'abc'],
    ['', [[0, 1]], ''],
    ['a\nb', [[2, 3]], 'a [b]'],
    ['<b>x</b>', [[3, 4]], '<b>[x]</b>'],
  ])('%j %j', (text, marks, want) => expect(cut(text, marks)).toBe(want));
  it('escape what is unseen inside of them', () => {
    expect(marked('a\u202eb', [[0, 3]])).toEqual([
      { text: 'a', mark: true, escape: false },
      { text: '\\u{202e}', mark: true, escape: true },
      { text: 'b', mark: true, escape: false },
    ]);
  });
});

describe('names', () => {
  it.each([
    ['plain.txt', 'plain.txt'],
    ['a\u202egpj.exe', 'a\\u{202e}gpj.exe'],
    ['nul\u0000', 'nul\\u{0}'],
    ['new\nline\ttab\r', 'new\\nline\\ttab\\r'],
    ['\u200bzero', '\\u{200b}zero'],
    ['half\ud83d', 'half\\u{d83d}'],
    ['\udc1fhalf', '\\u{dc1f}half'],
    ['👩\u200d🔬 مرحبا', '👩\u200d🔬 مرحبا'],
  ])('%j', (name, want) => {
    expect(plain(name)).toBe(want);
    expect(
      pieces(name)
        .map(p => p.text)
        .join(''),
    ).toBe(want);
  });
  it('have an initial and a short form', () => {
    expect([initial(' zoë'), initial('🐟x'), initial('')]).toEqual(['Z', '🐟', '?']);
    expect([shortID('abcdefghijklmnop'), shortID('short')]).toEqual(['abcdefgh…mnop', 'short']);
  });
  it('have a base and a directory', () => {
    expect([baseName('a/b/c.txt'), baseName('c'), baseName('a/b/')]).toEqual(['c.txt', 'c', 'b/']);
    expect([dirName('a/b/c.txt'), dirName('c'), dirName('a/b/')]).toEqual(['a/b', '', 'a']);
  });
});

describe('format', () => {
  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1000, '1 kB'],
    [1234, '1.2 kB'],
    [99_950, '100 kB'],
    [999_500, '1 MB'],
    [1e9, '1 GB'],
    [8.2e12, '8.2 TB'],
    [-5, '0 bytes'],
  ])('%d bytes', (n, want) => expect(bytes(n)).toBe(want));
  it.each([
    [0.04, '0 ms'],
    [0.84, '0.8 ms'],
    [9.96, '10 ms'],
    [24.6, '25 ms'],
    [2003, '2 s'],
    [1540, '1.5 s'],
  ])('%d ms', (n, want) => expect(millis(n)).toBe(want));
  it.each([
    [0, '1 s'],
    [4.4, '4 s'],
    [42, '40 s'],
    [58, '1 min'],
    [130, '2 min'],
    [3600, '1 h'],
    [5400, '1 h 30 min'],
    [200_000, '2 days'],
    [Infinity, ''],
  ])('%d s', (n, want) => expect(span(n)).toBe(want));
  it('counts things', () => {
    expect([plural(1, 'file'), plural(0, 'file'), plural(1200, 'entry', 'entries')]).toEqual([
      '1 file',
      '0 files',
      '1,200 entries',
    ]);
  });
  it.each([
    ['2026-01-01T12:00:00Z', 'just now'],
    ['2026-01-01T11:59:00Z', '1 minute ago'],
    ['2026-01-01T09:00:00Z', '3 hours ago'],
    ['2025-12-31T11:00:00Z', 'yesterday'],
    ['2026-01-02T13:00:00Z', 'tomorrow'],
    ['2024-01-01T12:00:00Z', '2 years ago'],
    ['0001-01-01T00:00:00Z', ''],
    ['broken', ''],
    [null, ''],
  ])('%s', (time, want) => expect(relative(time, Date.parse('2026-01-01T12:00:00Z'))).toBe(want));
  it('has no date for no time', () => expect([date(null), date('0001-01-01T00:00:00Z')]).toEqual(['', '']));
});

describe('routes', () => {
  it.each([
    ['', 'home', ''],
    ['#/', 'home', ''],
    ['#/search?q=a%20b', 'search', ''],
    ['#/folders/ab%2Fc?at=x/', 'folders', 'ab/c'],
    ['#/nothing', 'home', ''],
    ['#/folders/%E0%A4', 'folders', '%E0%A4'],
    ['#search', 'search', ''],
  ])('%s', (hash, page, rest) => expect(parse(hash)).toMatchObject({ page, rest }));
  it('round-trip', () => {
    const route = parse(href('search', '', { q: 'a&b=ü #1', fuzz: '' }));
    expect([...route.query]).toEqual([['q', 'a&b=ü #1']]);
    expect(href('home')).toBe('#/');
    expect(parse(href('folders', 'a/b', { at: 'x y/' })).query.get('at')).toBe('x y/');
  });
  it('carry secrets', () => {
    expect(arrival('#join=AbC-_=')).toEqual({ join: 'AbC-_=' });
    expect(arrival('#token=a%2Bb')).toEqual({ token: 'a+b' });
    expect(arrival('#/search?q=token=x')).toEqual({});
  });
});

describe('curl', () => {
  it.each([
    ['abc', 'abc'],
    ['a b', "'a b'"],
    ["it's", `'it'\\''s'`],
    ['$(x)', "'$(x)'"],
    ['', "''"],
  ])('quotes %j', (text, want) => expect(shell(text)).toBe(want));
  it('never contains the token', () => {
    expect(curl('http://h/api/search?q=x', true)).toBe(
      `curl -H "Authorization: Bearer $SHOAL_TOKEN" 'http://h/api/search?q=x'`,
    );
    expect(curl('http://h/api/node', false)).toBe('curl http://h/api/node');
  });
});

describe('qr', () => {
  it('draws the quiet zone and the first finder', () => {
    const { size, path } = qr('http://localhost:8080/#join=abc');
    expect(size).toBeGreaterThan(28);
    expect(path).toMatch(/^M4 4h7v1h-7z/);
    expect(path).not.toMatch(/M[0-3] |[^h]-|NaN/);
  });
});

describe('what is stale', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  it.each<[string, Resource[]]>([
    ['reset', ['node', 'peers', 'members', 'folders']],
    ['folder.scanned', ['node', 'folders']],
    ['folder.scanning', []],
    ['offer.changed', ['node', 'folders']],
    ['document.published', ['node']],
    ['search.asked', []],
    ['unheard.of', []],
  ])('%s', (topic, want) => expect(stale(topic)).toEqual(want));
  it('is gathered, not asked for event by event', () => {
    const flush = vi.fn();
    const gather = new Gather(flush, 400);
    gather.add([]);
    expect(vi.getTimerCount()).toBe(0);
    gather.add(['node']);
    gather.add(['folders', 'node']);
    vi.advanceTimersByTime(400);
    gather.add(['peers']);
    vi.advanceTimersByTime(400);
    expect(flush.mock.calls).toEqual([[['node', 'folders']], [['peers']]]);
    gather.add(['peers']);
    gather.stop();
    vi.advanceTimersByTime(1000);
    expect(flush).toHaveBeenCalledTimes(2);
  });
});

describe('journal', () => {
  it('keeps the newest, each once', () => {
    let journal = blank;
    for (let i = 0; i < keep + 5; i++) journal = record(journal, event('x', {}, `e.${i}`));
    journal = record(journal, event('x', {}, `e.${keep}`));
    expect([journal.events.length, journal.events[0]?.id]).toEqual([keep, `e.${keep + 4}`]);
  });
  it('follows scans to their end', () => {
    let journal = record(blank, event('folder.scanning', { folder: 'f', files: 3, bytes: 9 }));
    expect(journal.scans['f']).toEqual({ files: 3, bytes: 9 });
    journal = record(journal, event('folder.scanned', { folder: 'f' }, 'e.2'));
    expect(journal.scans).toEqual({});
  });
  it('has one line for a scan, the last one', () => {
    let journal = record(blank, event('folder.scanning', { id: 'f', files: 1 }));
    journal = record(journal, event('folder.scanning', { id: 'g', files: 1 }, 'e.2'));
    journal = record(journal, event('folder.scanning', { id: 'f', files: 2 }, 'e.3'));
    expect(journal.events.map(e => e.id)).toEqual(['e.3', 'e.2']);
    journal = record(journal, event('folder.changed', { id: 'f', state: 'scanning' }, 'e.4'));
    journal = record(journal, event('folder.scanning', { id: 'g', files: 1, done: true }, 'e.5'));
    expect(journal.scans).toEqual({ f: { files: 2, bytes: 0 } });
  });
  it('remembers what folders are called', () => {
    let journal = record(blank, event('folder.added', { id: 'f', label: 'Docs' }));
    journal = record(journal, event('offer.changed', { folder: 'g', label: 'Music' }, 'e.2'));
    journal = record(journal, event('folder.removed', { id: 'f' }, 'e.3'));
    expect(journal.labels).toEqual({ f: 'Docs', g: 'Music' });
  });
  it('forgets scans at a reset, not who joined', () => {
    let journal = record(blank, event('member.joined', { id: 'm', name: 'n', words: ['a', 'b', 3] }));
    journal = record(journal, event('folder.scanning', { folder: 'f' }, 'e.2'));
    journal = record(journal, event('reset', {}, ''));
    expect(journal).toMatchObject({ scans: {}, joined: [{ id: 'm', name: 'n', words: ['a', 'b'] }] });
  });
  it('tells a scan in one line, and no state that goes to and fro', () => {
    const run = [
      event('folder.added', { id: 'f' }, 'e.1'),
      event('folder.changed', { id: 'f', state: 'scanning' }, 'e.2'),
      event('folder.scanning', { id: 'f', files: 3 }, 'e.3'),
      event('folder.scanning', { id: 'g', files: 3 }, 'e.4'),
      event('folder.scanned', { id: 'f', files: 3 }, 'e.5'),
      event('folder.changed', { id: 'f', state: 'idle' }, 'e.6'),
      event('folder.scanning', { id: 'h', done: true }, 'e.7'),
      event('folder.changed', { id: 'f', state: 'paused' }, 'e.8'),
      event('peer.linked', { id: 'p' }, 'e.9'),
    ];
    expect(told(run.toReversed()).map(e => e.id)).toEqual(['e.9', 'e.8', 'e.5', 'e.4', 'e.1']);
  });
  it('tells a scan that runs after one that ended', () => {
    const run = [event('folder.scanning', { id: 'f' }, 'e.2'), event('folder.scanned', { id: 'f' }, 'e.1')];
    expect(told(run).map(e => e.id)).toEqual(['e.2', 'e.1']);
  });
  it('tells that there are more conflicts, once', () => {
    const run = [0, 2, 2, 1, 2].map((conflicts, i) =>
      event('folder.changed', { id: 'f', conflicts }, `e.${i}`),
    );
    expect(told(run.toReversed()).map(e => e.id)).toEqual(['e.4', 'e.1']);
  });
  it('does not end a scan because a file came meanwhile', () => {
    let journal = record(blank, event('folder.scanning', { id: 'f', files: 3 }));
    journal = record(journal, event('folder.applied', { id: 'f', count: 1 }, 'e.2'));
    expect([journal.scans, told(journal.events).length]).toEqual([{ f: { files: 3, bytes: 0 } }, 2]);
  });
  it('has words only from who admitted', () => {
    expect(record(blank, event('member.joined', { id: 'm', name: 'n' })).joined).toEqual([]);
  });
});

describe('sentences', () => {
  const said = (e: Event) =>
    sentence(e)
      .parts.map(p => (typeof p === 'string' ? p : p.name))
      .join('');
  it.each<[string, Record<string, unknown>, string]>([
    ['peer.linked', { name: 'nas', path: 'punched' }, 'Linked to nas (punched).'],
    [
      'seed.guest',
      { seed: 'abcd', name: 'lecture.mp4', guest: 'aaaaaaaaaaaaaaaa' },
      'The computer aaaaaaaa…aaaa, outside the network, may get the file lecture.mp4 by a link.',
    ],
    [
      'route.hop',
      {
        from: 'aaaaaaaaaaaaaaaa',
        to: 'bbbbbbbbbbbbbbbb',
        via: 'cccccccccccccccc',
        proto: 'search/1',
        hops: 1,
      },
      'Passed a request of aaaaaaaa…aaaa for bbbbbbbb…bbbb on to cccccccc…cccc.',
    ],
    [
      'route.hop',
      {
        from: 'aaaaaaaaaaaaaaaa',
        to: 'bbbbbbbbbbbbbbbb',
        via: 'bbbbbbbbbbbbbbbb',
        proto: 'search/1',
        hops: 2,
      },
      'Passed a request of aaaaaaaa…aaaa for bbbbbbbb…bbbb.',
    ],
    [
      'peer.lost',
      { name: 'nas', error: 'no answer' },
      'nas stopped answering: it is off, asleep or out of reach.',
    ],
    ['peer.lost', { id: 'abcdefghijklmnopq' }, 'The link to abcdefgh…nopq went down.'],
    [
      'network.changed',
      { external: '192.0.2.1:4747', reachable: true },
      'Others see this computer at 192.0.2.1:4747, and can reach it there.',
    ],
    [
      'network.changed',
      { external: '192.0.2.1:4747', reachable: null },
      'Others see this computer at 192.0.2.1:4747.',
    ],
    ['network.changed', { external: '' }, 'How others see this computer is not known.'],
    ['member.changed', { name: 'a', role: 'admin' }, 'a is known here as an admin.'],
    [
      'dht.step',
      { operation: 'put', to: 'abcdefghijklmnopq', outcome: '1 ok' },
      'Table, put: asked abcdefgh…nopq (1 ok).',
    ],
    ['dht.stored', { from: 'abc', records: 2, outcome: '2 ok' }, 'abc sent 2 records to keep (2 ok).'],
    [
      'dht.repaired',
      { with: 'abc', sent: 1, received: 3, messages: 4, bytes: 2600 },
      'Copies compared with abc: 1 record sent, 3 received (4 messages, 2.6 kB).',
    ],
    [
      'dht.forgotten',
      { by: 'abc' },
      'This computer’s state was put back to an earlier time, says abc: it keeps registers only where it is made an acceptor anew.',
    ],
    [
      'dht.resized',
      { from: 3, to: 6, expected: 5, members: 9 },
      'Each record is kept 6 times instead of 3: of 9 computers 5 are expected to leave soon.',
    ],
    [
      'direct.received',
      { from: 'abc', size: 5, handled: false },
      'abc sent 5 bytes of data, which wait for an answer on the page Table.',
    ],
    [
      'tracker.changed',
      { id: '1a'.repeat(32), name: 'talk.mp4', size: 5, whole: 1, partial: 2 },
      'talk.mp4: 1 computer with all of it, 2 with a part.',
    ],
    [
      'tracker.changed',
      { id: '1a'.repeat(32), name: '', size: -1, whole: 0, partial: 0 },
      'Nobody has 1a1a1a1a1a1a any more.',
    ],
    ['route.hop', { from: 'a', to: 'c', via: 'b' }, 'Passed a request of a for c on to b.'],
    ['offer.changed', { label: 'Music', gone: true }, 'The folder Music is not offered any more.'],
    ['offer.changed', { label: 'Music', access: 'read' }, 'The folder Music is offered to the network.'],
    [
      'offer.changed',
      { label: 'Music', access: 'none' },
      'The folder Music is offered only to those who are named.',
    ],
    [
      'folder.scanned',
      { label: 'D', files: 2, bytes: 2000, changed: 1 },
      'D: looked through, 2 files, 2 kB, 1 changed.',
    ],
    ['document.published', { id: '', title: '', count: 24 }, '24 documents can be found.'],
    ['search.answered', { name: 'nas', total: 1, ms: 3.2 }, 'nas answered with 1 result in 3.2 ms.'],
    [
      'search.answered',
      { name: 'nas', error: 'node: no link to abcdefghijkl: peer not reachable' },
      'nas is off or not linked: its files were not searched.',
    ],
    [
      'folder.error',
      { label: 'D', error: 'folder: scan D: permission denied' },
      'The folder D cannot be read: permission denied',
    ],
    ['folder.changed', { label: 'D', state: 'idle', files: 1 }, 'The folder D is in sync: 1 file.'],
    ['folder.changed', { label: 'D' }, 'The folder D changed.'],
    ['folder.changed', { label: 'D', conflicts: 1 }, '1 conflict waits for your decision in D.'],
    ['folder.changed', { label: 'D', conflicts: 2, state: 'paused' }, 'The folder D is paused.'],
    ['folder.changed', { label: 'D', state: 'held' }, 'The folder D is held.'],
    [
      'folder.applied',
      { label: 'D', count: 1, members: ['bobbobbobbobbobbob'], paths: ['a'] },
      'bobbobbo…bbob made 1 change in D: a',
    ],
    [
      'folder.applied',
      { label: 'D', count: 9, members: ['a', 'b', 'c', 'd'], paths: ['x', 'y', 'z'] },
      'a, b and c made 9 changes in D: x, y and 7 more',
    ],
    ['folder.applied', { label: 'D', count: 2 }, 'Brought up to date: 2 changes in D.'],
    ['folder.recorded', { label: 'D', count: 2, paths: ['x', 'y'] }, '2 changes made here in D: x, y'],
    [
      'folder.recorded',
      { label: 'D', count: 30, paths: ['x', 'y', 'z'] },
      '30 changes made here in D: x, y and 28 more',
    ],
    [
      'folder.refused',
      { label: 'D', member: 'm', path: '../x', why: 'not a path' },
      'What m sent for D was not taken over (../x): not a path',
    ],
    ['folder.refused', { label: 'D' }, 'What another computer sent for D was not taken over.'],
    ['dht.hop', { bits: 17, path: ['x'] }, 'dht.hop: bits 17'],
    ['peer.linked', {}, 'Linked to A computer.'],
  ])('%s %j', (topic, data, want) => expect(said(event(topic, data))).toBe(want));
  it('name folders that the event does not', () => {
    const parts = sentence(event('folder.scanned', { id: 'f' }), id => (id === 'f' ? 'Docs' : '')).parts;
    expect(parts).toContainEqual({ name: 'Docs' });
  });
  it('name members that the event does not', () => {
    const applied = event('folder.applied', { id: 'f', members: ['m'], paths: [] });
    expect(
      sentence(
        applied,
        () => '',
        id => (id === 'm' ? 'Mia' : ''),
      ).parts,
    ).toContainEqual({ name: 'Mia' });
  });
  it('group topics', () => expect(topicsOf([event('b.x'), event('a.y'), event('b.z')])).toEqual(['a', 'b']));
});

describe('what went wrong with another computer', () => {
  it.each([
    ['link to r2fy closed: carrier: rtc: receive: io: EOF', 'closed the link or is off'],
    ['This one is reached through others.', 'is not linked: it is reached through others'],
    ['link: closed by the peer', 'closed the link or is off'],
    ['', 'closed the link or is off'],
    ['link: no sign of life in 9s', 'stopped answering'],
    ['link: closed by this node', 'this computer closed the link'],
    ['node: dial r2fy: peer not reachable', 'cannot be reached'],
    ['forbidden: not a member of this network', 'does not let this computer in'],
  ])('link: %s', (error, want) => expect(linkLoss(error)).toContain(want));
  it.each([
    ['search: ask vgba: no answer in 2s', 'no answer', 'did not answer in time'],
    ['search: ask vgba: node: no link to vgba: peer not reachable', 'off', 'is off or not linked'],
    ['link to r2fy closed: carrier: EOF', 'off', 'is off or not linked'],
    ['odd', 'failed', 'could not search'],
  ])('search: %s', (error, chip, says) => expect(searchLoss(error)).toEqual({ chip, says }));
  it('has a cause at its end', () => {
    expect([cause('a: b: no such file'), cause('plain'), cause('')]).toEqual(['no such file', 'plain', '']);
  });
});

describe('people', () => {
  const member = (id: string, more: Partial<Member> = {}): Member => ({
    id,
    name: id,
    role: 'member',
    self: false,
    connected: false,
    admitted: '',
    certified: false,
    by: '',
    key: '',
    ...more,
  });
  const peer = (id: string, connected: boolean): Peer => ({
    id,
    name: id,
    connected,
    through: false,
    rtt_ms: 0,
    bytes_in: 0,
    bytes_out: 0,
    since: null,
    error: '',
  });
  const self = member('me', { self: true, role: 'admin' });
  it('are this computer, then the linked ones, then the rest', () => {
    const list = people([member('b'), member('c'), self, member('a')], [peer('b', false), peer('c', true)]);
    expect(list.map(p => p.member.id)).toEqual(['me', 'c', 'a', 'b']);
  });
  it('who may invite are asked, the linked ones first', () => {
    const list = people(
      [member('me', { self: true }), member('a', { role: 'admin' }), member('b', { role: 'admin' })],
      [peer('a', false), peer('b', true)],
    );
    expect(admins(list).map(m => m.id)).toEqual(['b', 'a']);
  });
  it('stay when the one goes who has let them in', () => {
    const all = [self, member('a', { by: 'me' }), member('b', { by: 'a' }), member('c', { by: 'a' })];
    expect(letIn(all, 'a').map(m => m.id)).toEqual(['b', 'c']);
    expect(letIn(all, 'c')).toEqual([]);
  });
  it('need a second admin when there is one with company', () => {
    expect(needsSecondAdmin(people([self], []))).toBeNull();
    expect(needsSecondAdmin(people([self, member('a'), member('b')], [peer('b', true)]))?.member.id).toBe(
      'b',
    );
    expect(needsSecondAdmin(people([self, member('a', { role: 'admin' })], []))).toBeNull();
    expect(
      needsSecondAdmin(people([member('me', { self: true }), member('a', { role: 'admin' })], [])),
    ).toBeNull();
  });
});

describe('steps', () => {
  const does = (members: number, folders: number, documents: number, role: 'admin' | 'member' = 'admin') =>
    steps({ members, folders, documents, role }).map(s => s.action);
  it('change with the state', () => {
    expect(does(1, 0, 0)).toEqual(['invite', 'join', 'share', 'samples']);
    expect(does(1, 1, 9)).toEqual(['invite', 'join', 'search']);
    expect(does(2, 0, 0)).toEqual(['share', 'samples']);
    expect(does(3, 1, 9)).toEqual([]);
  });
});

describe('keys', () => {
  const key = (name: string, more = {}) => ({
    key: name,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    typing: false,
    ...more,
  });
  it('work anywhere but in fields and chords', () => {
    const keys = new Keys();
    expect(keys.command(key('/'), 0)).toBe('search');
    expect(keys.command(key('?'), 0)).toBe('help');
    expect(keys.command(key('/', { typing: true }), 0)).toBeNull();
    expect(keys.command(key('/', { ctrlKey: true }), 0)).toBeNull();
  });
  it('go to a page with g and a letter, in time', () => {
    const keys = new Keys();
    keys.command(key('g'), 0);
    expect(keys.command(key('f'), 500)).toBe('folders');
    expect(keys.command(key('f'), 600)).toBeNull();
    keys.command(key('g'), 1000);
    expect(keys.command(key('p'), 2100)).toBeNull();
  });
});

describe('preview', () => {
  it.each([
    ['markdown', 'a', true],
    ['pdf', 'a.pdf', false],
    ['', 'x/Makefile', true],
    ['', 'a.GO', true],
    ['image', 'a.png', false],
    ['text/plain', 'a', true],
  ])('%s %s', (type, path, want) => expect(textLike(type, path)).toBe(want));
  it('decodes text and refuses the rest', () => {
    expect(decode(new TextEncoder().encode('hé'), false)).toBe('hé');
    expect(decode(new Uint8Array([0x68, 0xc3]), true)).toBe('h');
    expect(decode(new Uint8Array([0x68, 0xc3]), false)).toBe('h\ufffd');
    expect(decode(new Uint8Array([0xff, 0xfe, 0x68, 0]), false)).toBe('h');
    expect(decode(new Uint8Array([1, 0, 2]), false)).toBeNull();
  });
});

describe('folders', () => {
  it('say how they are', () => {
    expect(stateLabel({ state: 'idle' })).toBe('in sync');
    expect([
      stateTone({ state: 'idle', error: '' }),
      stateTone({ state: 'idle', error: 'x' }),
      stateTone({ state: 'held', error: '' }),
    ]).toEqual(['good', 'bad', 'warn']);
  });
  it.each([
    ['open /x: no such file or directory', 'not as deleted'],
    ['Permission denied', 'user that runs shoal'],
    ['no space left', 'Free some space'],
    ['odd', 'Mend the cause'],
    [
      'this computer may not read the folder any more, as whoever shares it has decided',
      'Ask whoever shares it',
    ],
  ])('advise on %s', (error, want) => expect(advice({ error, path: '' })).toContain(want));
  it('are watched, unless something hinders it', () => {
    expect([
      upkeep({ state: 'idle', warning: '' }, '2 hours ago'),
      upkeep({ state: 'idle', warning: 'too many directories' }, '2 hours ago'),
      upkeep({ state: 'paused', warning: '' }, '2 hours ago'),
    ]).toEqual([
      'watched · last full look 2 hours ago',
      'looked through 2 hours ago',
      'looked through 2 hours ago',
    ]);
  });
  it('are of the computer that shares them', () => {
    const folder = (node: string, state: Folder['state'] = 'offered') => ({ id: 'f', node, state }) as Folder;
    const find = (folders: Folder[], node = '') => findFolder(folders, 'f', node)?.node;
    expect(find([folder('a'), folder('b')], 'b')).toBe('b');
    expect(find([folder('a')])).toBe('a');
    expect(find([folder('a'), folder('b')])).toBeUndefined();
    expect(find([folder('a'), folder('b', 'idle')])).toBe('b');
    expect(find([folder('a', 'idle')], 'b')).toBeUndefined();
    expect(findFolder([folder('a')], 'g', 'a')).toBeUndefined();
  });
  it('are trees', () => {
    expect([depth('a', ''), depth('a/b/c', ''), depth('a/b/c', 'a/'), depth('d/', '')]).toEqual([0, 2, 1, 0]);
    expect(crumbs('a/b/').map(c => c.prefix)).toEqual(['', 'a/', 'a/b/']);
    expect(crumbs('')).toHaveLength(1);
  });
});

describe('paths', () => {
  it('have words, also when they are new', () => {
    expect([kindLabel('relayed'), kindLabel('tunnelled')]).toEqual(['Relayed', 'tunnelled']);
    expect([kindMeaning('direct').length > 0, kindMeaning('tunnelled')]).toEqual([true, '']);
  });
});
