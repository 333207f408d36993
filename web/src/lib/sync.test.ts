import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Problem } from '../api/problem';
import type { Conflict, Discarded, Folder, FolderPreview, Side, Transfer } from '../api/types';
import { allows, batches, choices, items, pressed, story, view, whose } from './conflict';
import { imageType } from './preview';
import { keepers, own, standing, totals } from './folder';
import { outcome } from './keep';
import { Live, poll } from './live.svelte';
import { arrivals, economy, flow, moving, outlook, remaining, saved, summary, took } from './transfers';
import { acts, broughtBack, deeds, matching, merged } from './trash';

const folder = (more: Partial<Folder> = {}) =>
  ({
    id: 'f',
    label: 'F',
    state: 'syncing',
    need_files: 12,
    need_bytes: 5_000_000,
    conflicts: 0,
    error: '',
    ...more,
  }) as Folder;
const transfer = (more: Partial<Transfer> = {}) =>
  ({
    id: 't',
    folder: 'f',
    state: 'running',
    bytes_done: 1_600_000,
    bytes_total: 2_000_000,
    bytes_reused: 0,
    bytes_resumed: 0,
    rate: 28_000,
    eta_s: 14,
    ...more,
  }) as Transfer;
const side = (more: Partial<Side> = {}): Side => ({
  path: 'a.txt',
  hash: 'h',
  size: 10,
  modified: null,
  member: 'm',
  member_name: 'mia',
  deleted: false,
  ...more,
});
const conflict = (more: Partial<Conflict> = {}): Conflict => ({
  n: 1,
  kind: 'content',
  path: 'a.txt',
  ours: side(),
  theirs: side({ path: 'a (conflict).txt', member: 'n', member_name: 'nas' }),
  ...more,
});

describe('what is to come', () => {
  it('is said with files, bytes and time', () => {
    const now = flow(folder(), [
      transfer(),
      transfer({ folder: 'g', bytes_done: 9 }),
      transfer({ state: 'waiting', bytes_done: 0 }),
    ]);
    expect(now).toMatchObject({ left: 3_400_000, waiting: 1, rate: 28_000 });
    expect(outlook(folder(), now)).toBe('12 files, 3.4 MB left, 2 min');
  });
  it.each<[Partial<Folder>, Partial<Transfer> | null, string]>([
    [{ need_files: 0, need_bytes: 0 }, null, ''],
    [{ need_files: 1, need_bytes: 0 }, null, '1 file'],
    [{}, null, '12 files, 5 MB left, waiting for a computer that has them'],
    [{ state: 'paused' }, null, '12 files, 5 MB left, paused'],
    [{}, { rate: 0 }, '12 files, 3.4 MB left'],
    [{ need_bytes: 1_000_000 }, {}, '12 files'],
    [{ state: 'paused' }, { state: 'waiting' }, '12 files, 3.4 MB left, paused'],
    [{ state: 'paused' }, {}, '12 files, 3.4 MB left, paused'],
  ])('%j %j', (f, t, want) => {
    expect(outlook(folder(f), flow(folder(f), t ? [transfer(t)] : []))).toBe(want);
  });
  it('of one file', () => {
    expect(remaining(transfer())).toBe('28 kB/s, 15 s');
    expect(remaining(transfer({ rate: 0, eta_s: null }))).toBe('');
    expect([saved(transfer()), saved(transfer({ bytes_reused: 2000 }))]).toEqual([
      '',
      '2 kB were on this disk already',
    ]);
    expect(flow(folder(), [transfer({ state: 'failed' })]).failed).toHaveLength(1);
  });
  it('of what came', () => {
    const done = transfer({
      id: 'd',
      state: 'done',
      bytes_total: 2_000_000,
      bytes_wire: 5200,
      bytes_reused: 1_995_000,
      began: '2026-01-02T03:04:05Z',
      ended: '2026-01-02T03:04:05.900Z',
    });
    expect(arrivals('other', [done])).toEqual([]);
    expect(arrivals(done.folder, [transfer(), done])).toEqual([done]);
    expect(economy(done)).toBe('2 MB from this disk');
    const plain = { bytes_total: 1000, bytes_reused: 0, bytes_resumed: 0 };
    expect(economy({ ...plain, bytes_wire: 300 })).toBe('compressed');
    expect(economy({ ...plain, bytes_wire: 1010 })).toBe('');
    expect(economy({ ...plain, bytes_wire: 300, bytes_resumed: 700 })).toBe(
      '700 bytes from before an interruption',
    );
    expect(took(done)).toBe('in 900 ms');
    expect(took({ began: '2026-01-02T03:04:05Z', ended: '2026-01-02T03:06:05Z' })).toBe('in 2 min');
    expect(took({ began: null, ended: null })).toBe('');
    expect(summary([done, done])).toBe(
      'These 2 files have 4 MB: 10.4 kB came over the network, 4 MB from this disk.',
    );
    expect(summary([transfer({ bytes_wire: 2_000_000 })])).toBe(
      'This file has 2 MB: 2 MB came over the network.',
    );
  });
  it('is asked for only while something moves', () => {
    const states = (f: Partial<Folder>) => moving([folder(f)]);
    expect([states({}), states({ state: 'idle' }), states({ state: 'idle', need_files: 0 })]).toEqual([
      true,
      true,
      false,
    ]);
    expect([states({ state: 'paused' }), states({ state: 'held' }), moving([])]).toEqual([
      false,
      false,
      false,
    ]);
  });
});

describe('folders', () => {
  it('are summed up for the navigation', () => {
    const all = [folder({ conflicts: 2 }), folder({ conflicts: 1, state: 'held' }), folder({ error: 'x' })];
    expect(totals(all)).toEqual({ conflicts: 3, held: 1, troubled: 1 });
  });
  it('say whose they are', () => {
    type Standing = Parameters<typeof standing>[0];
    const of = (f: Partial<Standing>) =>
      standing({
        creator: 'a',
        node: 'a',
        writable: true,
        access: 'write',
        grants: [],
        ...f,
      });
    const named = (access: Folder['access'], node = 'b') => ({
      grants: [{ node, node_name: node, access }],
    });
    expect(of({})).toBe('');
    expect(of({ access: 'read' })).toBe('others only read');
    expect(of({ access: 'none', ...named('read') })).toBe('only for those named');
    expect([of({ access: 'none' }), of({ access: 'none', ...named('none') })]).toEqual([
      'nobody else sees it',
      'nobody else sees it',
    ]);
    const kept = { node: 'b', writable: false };
    expect(of({ ...kept, access: 'read' })).toBe('read only here');
    expect(of({ ...kept, ...named('read') })).toBe('read only here');
    expect(of({ ...kept, ...named('none') })).toBe('no access');
    expect(of({ ...kept, access: 'none' })).toBe('no access');
    expect(of({ node: 'b', access: 'read', ...named('write') })).toBe('writable here');
    expect([own({ creator: 'a', node: 'a' }), own({ creator: 'b', node: 'a' })]).toEqual([true, false]);
  });
  it('know who keeps them', () => {
    const entries = [{ members: ['me', 'b'] }, { members: ['me', 'c', 'b'] }, { members: [] }];
    expect(keepers(entries, 'me')).toEqual(['b', 'c']);
  });
});

describe('a preview', () => {
  const preview: FolderPreview = {
    path: '/x',
    exists: true,
    known: true,
    same: 0,
    here: 0,
    there: 0,
    fetch_bytes: 0,
    differ: 0,
    items: [],
    partial: false,
  };
  const says = (more: Partial<FolderPreview>, writable = true) =>
    outcome({ ...preview, ...more }, writable)
      .map(o => o.text)
      .join(' ');
  it('says what would happen, and always that nothing is deleted', () => {
    expect(says({ there: 2, fetch_bytes: 2000 })).toBe(
      '2 files only there: fetched, 2 kB. Nothing is deleted. Where both sides have a file, both are kept.',
    );
    expect(says({})).toContain('empty on both sides. Nothing is deleted');
    expect(says({ exists: false })).toContain('The directory is made.');
    expect(says({ known: false, here: 1 })).toContain('Nobody who has the folder answers now');
    expect(says({ partial: true, differ: 3 })).toContain(
      'At least 3 files different on each side: both are kept',
    );
    expect(says({ same: 1 })).toContain('1 file the same on both sides: left alone');
  });
  it('does not promise to share from a folder that is read-only', () => {
    expect([says({ here: 1 }), says({ here: 1 }, false)]).toEqual([
      expect.stringContaining('shared with everybody'),
      expect.stringContaining('go nowhere'),
    ]);
  });
});

describe('a conflict', () => {
  const told = (c: Conflict) =>
    story(c, 'me')
      .map(p => (typeof p === 'string' ? p : `[${p.name}]`))
      .join('');
  it.each<[Partial<Conflict>, string]>([
    [
      {},
      'by [mia] and by [nas]. Both are kept: one has the name, the other one is beside it as [a (conflict).txt].',
    ],
    [{ ours: side({ member: 'me' }) }, 'by this computer and by [nas]'],
    [
      { kind: 'name', theirs: side({ path: 'd/b.txt' }) },
      'It is called [a.txt] now; the other name was [b.txt].',
    ],
    [
      {
        kind: 'delete',
        theirs: side({ path: '', deleted: true, member_name: '' }),
      },
      'Deleted by another computer while [mia] changed',
    ],
    [{ kind: 'inside' }, 'while something in it changed'],
    [{ kind: 'move' }, 'The move was undone'],
  ])('%j is explained', (more, want) => expect(told(conflict(more))).toContain(want));
  it('names whom it can', () => {
    expect([whose(side(), 'me'), whose(side({ member: '', member_name: '' }), '')]).toEqual([
      { name: 'mia' },
      'another computer',
    ]);
  });
  it('has the choices that make sense, each with what it does', () => {
    const keeps = (kind: Conflict['kind']) => choices(kind).map(c => c.keep);
    expect(keeps('content')).toEqual(['ours', 'theirs', 'both']);
    expect([keeps('name'), keeps('delete'), keeps('inside')]).toEqual(Array(3).fill(['ours', 'theirs']));
    expect([keeps('move'), allows('move', 'theirs'), allows('move', 'ours')]).toEqual([
      ['ours'],
      false,
      true,
    ]);
    expect(choices('delete').every(c => c.does.length > 0)).toBe(true);
  });
  it.each<[Partial<Conflict>, string]>([
    [{}, 'text'],
    [{ path: 'a.bin' }, 'facts'],
    [{ ours: side({ size: 300_000 }) }, 'facts'],
    [{ path: 'a.PNG', ours: side({ size: 300_000 }) }, 'images'],
    [{ path: 'a.png', ours: side({ size: 9e6 }) }, 'facts'],
    [{ path: 'a.svg' }, 'text'],
    [{ kind: 'delete' }, 'facts'],
    [{ theirs: side({ path: '' }) }, 'facts'],
    [{ theirs: side({ hash: '' }) }, 'facts'],
  ])('%j is compared as %s', (more, want) => expect(view(conflict(more))).toBe(want));
  it('knows pictures by their names', () => {
    expect([imageType('x/a.JPG'), imageType('a.svg'), imageType('png')]).toEqual(['image/jpeg', '', '']);
  });
  it('is resolved by folder, without what does not fit', () => {
    const list = [
      ...items({ id: 'f', label: 'F' }, [conflict({ n: 1 }), conflict({ n: 2, kind: 'move' })]),
      ...items({ id: 'g', label: 'G' }, [conflict({ n: 1 })]),
    ];
    expect(new Set(list.map(i => i.key)).size).toBe(3);
    const by = [
      { folder: 'f', numbers: [1] },
      { folder: 'g', numbers: [1] },
    ];
    expect(batches(list, 'theirs')).toEqual({ by, skipped: 1 });
    expect(batches([], 'ours')).toEqual({ by: [], skipped: 0 });
  });
  it('has keys', () => {
    expect(['j', 'ArrowUp', 'o', 't', 'b', 'x'].map(pressed)).toEqual([
      { move: 1 },
      { move: -1 },
      { keep: 'ours' },
      { keep: 'theirs' },
      { keep: 'both' },
      null,
    ]);
  });
});

describe('the trash', () => {
  const gone = (n: number, path = `f${n}`, member_name = 'mia') => ({ n, path, member_name }) as Discarded;
  it('is found by path and person', () => {
    const all = [gone(3, 'Plans/Attic.md'), gone(2, 'b.txt', 'Zoë'), gone(1, 'attic b.txt')];
    const found = (filter: string) => matching(all, filter).map(d => d.n);
    expect([found(''), found('ATTIC'), found('b zoë'), found('zz')]).toEqual([[3, 2, 1], [3, 1], [2], []]);
  });
  it('keeps older pages when the newest is read again', () => {
    const before = [gone(5), gone(4), gone(3), gone(2)];
    expect(merged(before, [gone(6), gone(4)], false).map(d => d.n)).toEqual([6, 4, 3, 2]);
    expect(merged(before, [gone(6)], true).map(d => d.n)).toEqual([6]);
    expect(merged(before, [], false)).toEqual([]);
  });
  it('says where things came back', () => {
    const back = (...paths: string[]) => broughtBack(paths.map((path, n) => ({ n, path })));
    expect([back(), back('a 2.txt'), back('a', 'b', 'c')]).toEqual([
      'Nothing was restored.',
      'Restored as a 2.txt',
      '3 files restored: a and 2 more',
    ]);
  });
});

describe('what is held', () => {
  it.each([
    [1203, 40, 'deletes 1,203 and changes 40 files', '1,203 deletions and 40 changes'],
    [1, 0, 'deletes 1 file', '1 deletion'],
    [0, 60, 'changes 60 files', '60 changes'],
    [0, 0, 'deletes 0 files', 'nothing'],
  ])('%d %d', (deleted, changed, does, are) => {
    expect([deeds({ deleted, changed }), acts({ deleted, changed })]).toEqual([does, are]);
  });
});

describe('what is read again as events come', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const settled = () => vi.advanceTimersByTimeAsync(0);

  it('is read at once, then once a second at most', async () => {
    const read = vi.fn(async () => 'x');
    const live = new Live(read);
    live.soon();
    await settled();
    expect([live.value, read.mock.calls.length]).toEqual(['x', 1]);
    for (let i = 0; i < 5; i++) live.soon();
    await settled();
    expect(read).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(read).toHaveBeenCalledTimes(2);
    live.soon();
    live.stop();
    await vi.advanceTimersByTimeAsync(5000);
    expect(read).toHaveBeenCalledTimes(2);
  });
  it('keeps the last good answer, and says what went wrong', async () => {
    let fail = false;
    const live = new Live(async () => {
      if (fail) throw new Problem({ code: 'x', detail: 'no' });
      return 1;
    });
    await live.load();
    fail = true;
    await live.load();
    expect([live.value, live.problem?.message]).toEqual([1, 'no']);
    fail = false;
    await live.load();
    expect(live.problem).toBeNull();
  });
  it('is read once more when it changes while it is read', async () => {
    const ends: ((value: number) => void)[] = [];
    const read = vi.fn(() => new Promise<number>(end => ends.push(end)));
    const live = new Live(read);
    void live.load();
    void live.load();
    void live.load();
    expect(read).toHaveBeenCalledTimes(1);
    ends[0]?.(1);
    await settled();
    expect(read).toHaveBeenCalledTimes(2);
    live.stop();
    ends[1]?.(2);
    await settled();
    expect(live.value).toBe(1);
  });
});

describe('polling', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('rests while nobody looks, and ends', async () => {
    const page = Object.assign(new EventTarget(), { hidden: false });
    const look = (hidden: boolean) => {
      page.hidden = hidden;
      page.dispatchEvent(new Event('visibilitychange'));
    };
    const ask = vi.fn(async () => undefined);
    const end = poll(ask, 2000, page as unknown as Document);
    await vi.advanceTimersByTimeAsync(1999);
    expect(ask).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(ask).toHaveBeenCalledTimes(2);
    look(true);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(ask).toHaveBeenCalledTimes(2);
    look(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(ask).toHaveBeenCalledTimes(3);
    end();
    await vi.advanceTimersByTimeAsync(20_000);
    look(false);
    expect([ask.mock.calls.length, vi.getTimerCount()]).toEqual([3, 0]);
  });
});
