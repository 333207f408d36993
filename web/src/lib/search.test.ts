import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Problem } from '../api/problem';
import type { SearchParams } from '../api/client';
import type { Hit, SearchAnswer, SearchPart } from '../api/types';
import {
  grouped,
  headline,
  missing,
  noQuestion,
  paceMs,
  Search,
  unlikely,
  type Question as Asked,
  type View,
} from './search';

const hit = (node: string, path: string, score: number): Hit => ({
  id: path,
  title: path,
  folder: 'f',
  path,
  node,
  node_name: node,
  local: false,
  type: 'text',
  size: 1,
  modified: '',
  score,
  distance: 0,
  snippet: { text: '', marks: [] },
});
const part = (node: string, hits: Hit[], error = ''): SearchPart => ({
  node,
  node_name: node,
  hits,
  total: hits.length,
  corrections: [{ from: 'netwrk', to: 'network', distance: 1 }],
  took_ms: 3,
  error,
});
const answer = (hits: Hit[], more: Partial<SearchAnswer> = {}): SearchAnswer => ({
  query: '',
  corrections: [],
  hits,
  total: hits.length,
  truncated: false,
  partial: false,
  nodes_asked: 1,
  nodes_answered: 1,
  missing: 0,
  nodes: [{ node: 'a', node_name: 'a', hits: hits.length, took_ms: 2, error: '' }],
  took_ms: 9,
  next: null,
  ...more,
});

const q = (query: string, exact = false, more: Partial<Asked> = {}): Asked => ({
  ...noQuestion,
  query,
  exact,
  ...more,
});

interface Question {
  params: SearchParams;
  each: (part: SearchPart) => void;
  signal: AbortSignal;
  answer: (answer: SearchAnswer) => void;
  fail: (error: unknown) => void;
}

function setup(computers = [{ id: 'a', name: 'a' }]) {
  const asked: Question[] = [];
  const paged: Question[] = [];
  const into =
    (list: Question[]) => (params: SearchParams, each: (p: SearchPart) => void, signal: AbortSignal) =>
      new Promise<SearchAnswer>((answer, fail) => list.push({ params, each, signal, answer, fail }));
  const views: View[] = [];
  const search = new Search({
    stream: into(asked),
    page: (params, signal) => into(paged)(params, () => undefined, signal),
    computers: () => computers,
    onChange: view => views.push(view),
  });
  return { search, asked, paged, views, computers };
}

const settle = () => vi.advanceTimersByTimeAsync(0);
const pause = () => vi.advanceTimersByTimeAsync(paceMs);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('search as you type', () => {
  const texts = (asked: Question[]) => asked.map(q => q.params.q);
  it('asks at once for the first key, and for those that are far enough apart', async () => {
    const { search, asked } = setup();
    for (const text of ['n', 'ne', 'net']) {
      search.type(q(text));
      expect(texts(asked).at(-1)).toBe(text);
      expect(search.view.phase).toBe('searching');
      await pause();
    }
  });
  it('asks for the last of fast keys, at its pace', async () => {
    const { search, asked } = setup();
    for (const text of ['n', 'ne', 'net']) {
      search.type(q(text));
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(texts(asked)).toEqual(['n']);
    await pause();
    expect(texts(asked)).toEqual(['n', 'net']);
    await pause();
    await pause();
    expect(asked).toHaveLength(2);
  });
  it('does not ask any more when it is stopped, or the field is empty', async () => {
    const { search, asked } = setup();
    search.type(q('n'));
    search.type(q('ne'));
    search.type(q(''));
    await pause();
    search.type(q('x'));
    search.type(q('xy'));
    search.stop();
    await pause();
    expect(texts(asked)).toEqual(['n', 'x']);
    expect(asked[1]?.signal.aborted).toBe(true);
  });
  it('aborts the older question and drops what still comes of it', async () => {
    const { search, asked } = setup();
    search.type(q('old'));
    await pause();
    search.type(q('new'));
    expect(asked[0]?.signal.aborted).toBe(true);
    asked[0]?.each(part('a', [hit('a', 'late', 1)]));
    asked[0]?.answer(answer([hit('a', 'late', 1)]));
    await settle();
    expect(search.view.hits).toEqual([]);
    await pause();
    asked[1]?.answer(answer([hit('a', 'new', 1)]));
    await settle();
    expect(search.view).toMatchObject({ phase: 'done', query: 'new' });
  });
  it('keeps the last hits, as stale, until new ones come', async () => {
    const { search, asked } = setup();
    search.submit(q('one'));
    asked[0]?.answer(answer([hit('a', 'x', 1)]));
    await settle();
    search.type(q('two'));
    expect(search.view).toMatchObject({ stale: true, phase: 'typing' });
    await pause();
    asked[1]?.each(part('a', [hit('a', 'y', 1)]));
    expect(search.view.hits.map(h => h.path)).toEqual(['y']);
    expect(search.view.stale).toBe(false);
  });
  it('is empty for blanks, without asking', async () => {
    const { search, asked } = setup();
    search.type(q('  '));
    search.submit(q(''));
    await pause();
    expect(asked).toHaveLength(0);
    expect(search.view.phase).toBe('empty');
  });
  it('asks exactly when told to', async () => {
    const { search, asked } = setup();
    search.submit(q('netwrk', true));
    expect(asked[0]?.params).toEqual({ q: 'netwrk', fuzz: '0', facets: true });
  });
  it('does not ask the same again, unless submitted', async () => {
    const { search, asked } = setup();
    search.submit(q('x'));
    search.type(q('x'));
    await pause();
    expect(asked).toHaveLength(1);
    search.submit(q('x'));
    expect(asked).toHaveLength(2);
  });
});

describe('progress', () => {
  it('follows each computer', async () => {
    const { search, asked } = setup([
      { id: 'a', name: 'a' },
      { id: 'b', name: 'b' },
    ]);
    search.submit(q('x'));
    expect(search.view.progress.map(p => p.state)).toEqual(['waiting', 'waiting']);
    asked[0]?.each(part('a', [hit('a', '1', 1)]));
    asked[0]?.each(part('b', [], 'no answer in 2 s'));
    asked[0]?.each(part('c', [hit('c', '2', 2)]));
    expect(search.view.progress.map(p => [p.id, p.state])).toEqual([
      ['a', 'answered'],
      ['b', 'failed'],
      ['c', 'answered'],
    ]);
    expect(missing(search.view).map(p => p.error)).toEqual(['no answer in 2 s']);
  });
  it('puts the best hits first and corrections once', async () => {
    const { search, asked } = setup();
    search.submit(q('x'));
    asked[0]?.each(part('a', [hit('a', 'low', 1)]));
    asked[0]?.each(part('b', [hit('b', 'high', 2), hit('b', 'high', 2)]));
    asked[0]?.each(part('b', [hit('b', 'high', 2)]));
    expect(search.view.hits[0]?.path).toBe('high');
    expect(search.view.corrections).toHaveLength(1);
  });
  it('learns of computers that come late', async () => {
    const { search, computers } = setup();
    search.expect();
    expect(search.view.progress).toEqual([]);
    search.submit(q('x'));
    computers.push({ id: 'b', name: 'b' });
    search.expect();
    search.expect();
    expect(search.view.progress.map(p => p.id)).toEqual(['a', 'b']);
  });
  it('drops who was not asked after all', async () => {
    const { search, asked } = setup([
      { id: 'a', name: 'a' },
      { id: 'gone', name: 'g' },
    ]);
    search.submit(q('x'));
    asked[0]?.answer(answer([]));
    await settle();
    expect(search.view.progress.map(p => p.id)).toEqual(['a']);
  });
});

describe('failure', () => {
  it('shows the problem, and typing goes on', async () => {
    const { search, asked } = setup();
    search.submit(q('x'));
    asked[0]?.fail(new Problem({ code: 'c', detail: 'd' }));
    await settle();
    expect(search.view).toMatchObject({ phase: 'failed', query: 'x', hits: [] });
    expect(headline(search.view)).toBe('The search failed');
    search.type(q('x'));
    await pause();
    expect(asked).toHaveLength(2);
  });
  it('of an aborted question is none', async () => {
    const { search, asked } = setup();
    search.submit(q('x'));
    asked[0]?.fail(new DOMException('', 'AbortError'));
    await settle();
    expect(search.view.phase).toBe('searching');
  });
});

describe('more', () => {
  async function withNext() {
    const all = setup();
    all.search.submit(q('x'));
    all.asked[0]?.answer(answer([hit('a', '1', 5)], { next: 'c1' }));
    await settle();
    return all;
  }
  it('adds the next page by its cursor, each hit once', async () => {
    const { search, paged } = await withNext();
    void search.more();
    void search.more();
    expect(paged.map(q => q.params)).toEqual([{ q: 'x', cursor: 'c1' }]);
    paged[0]?.answer(answer([hit('a', '1', 5), hit('a', '2', 9)]));
    await settle();
    expect(search.view.hits.map(h => h.path)).toEqual(['1', '2']);
    expect(search.view).toMatchObject({ next: null, loadingMore: false });
  });
  it('keeps what is there when it fails', async () => {
    const { search, paged } = await withNext();
    void search.more();
    paged[0]?.fail(new Problem({ code: 'cursor_invalid', detail: 'd' }));
    await settle();
    expect(search.view).toMatchObject({ phase: 'done', next: 'c1', loadingMore: false });
    expect(search.view.problem?.code).toBe('cursor_invalid');
  });
  it('is dropped by a new question', async () => {
    const { search, paged } = await withNext();
    void search.more();
    search.type(q('y'));
    paged[0]?.answer(answer([hit('a', '2', 9)]));
    await settle();
    expect(search.view.hits.map(h => h.path)).toEqual(['1']);
  });
});

describe('words that nothing has', () => {
  it('are told with the answer, and forgotten with the next', async () => {
    const { search, asked } = setup();
    search.submit(q('net whale'));
    asked[0]?.answer({ ...answer([hit('a', '1', 1)]), missing: 1 });
    await settle();
    expect(search.view.lacking).toBe(1);
    search.submit(q('net'));
    asked[1]?.each(part('a', [hit('a', '2', 1)]));
    expect(search.view.lacking).toBe(0);
  });
});

describe('headline', () => {
  it('says what came out', async () => {
    const { search, asked } = setup();
    expect(headline(search.view)).toBe('');
    search.submit(q('x'));
    expect(headline(search.view)).toBe('Searching…');
    asked[0]?.each(part('a', [hit('a', '1', 1)]));
    expect(headline(search.view)).toBe('1 so far…');
    asked[0]?.answer(answer([hit('a', '1', 1)]));
    await settle();
    expect(headline(search.view)).toBe('1 result from one computer');
  });
});

describe('grouped', () => {
  const on = (node: string, size = 1): Hit => ({ ...hit(node, 'a.txt', 1), local: node === 'me', size });
  it('shows what several computers have once, with this one first', () => {
    const found = grouped([on('bob'), on('carol', 7), on('me'), on('dora')]);
    expect(found.map(f => [f.hit.node, f.also.map(h => h.node)])).toEqual([
      ['me', ['bob', 'dora']],
      ['carol', []],
    ]);
  });
});

describe('unlikely', () => {
  const away = (...edits: number[]) =>
    edits.map(distance => ({ hit: { ...hit('a', 'b', 1), distance }, also: [] }));
  it('begins two edits after the nearest', () => {
    expect(unlikely(away(1, 1, 2, 3, 4), 'relevance')).toBe(3);
    expect(unlikely(away(0, 1), 'relevance')).toBe(-1);
    expect(unlikely(away(3, 3), 'relevance')).toBe(-1);
    expect(unlikely([], 'relevance')).toBe(-1);
    expect(unlikely(away(0, 3), 'name')).toBe(-1);
  });
});

describe('filters and sorts', () => {
  it('are part of the question', async () => {
    const { search, asked, paged } = setup();
    search.submit(q('', false, { filter: 'type:pdf', sort: 'modified', order: 'asc' }));
    expect(asked[0]?.params).toEqual({
      q: '',
      filter: 'type:pdf',
      sort: 'modified',
      order: 'asc',
      facets: true,
    });
    asked[0]?.answer(answer([hit('a', '1', 5)], { next: 'c1' }));
    await settle();
    void search.more();
    expect(paged[0]?.params).toEqual({
      q: '',
      filter: 'type:pdf',
      sort: 'modified',
      order: 'asc',
      cursor: 'c1',
    });
    search.type(q('', false, { filter: 'type:pdf' }));
    await pause();
    expect(asked[1]?.params).toEqual({ q: '', filter: 'type:pdf', facets: true });
  });
  it('sort parts as they come, what was typed first', () => {
    const { search, asked } = setup();
    search.submit(q('x', false, { sort: 'size' }));
    const of = (path: string, size: number, distance = 0): Hit => ({ ...hit('a', path, 1), size, distance });
    asked[0]?.each(part('a', [of('small', 1), of('similar', 99, 1)]));
    asked[0]?.each(part('b', [of('large', 9)]));
    expect(search.view.hits.map(h => h.path)).toEqual(['large', 'small', 'similar']);
  });
  it('are asked of whom the question says', async () => {
    const both = [
      { id: 'a', name: 'a' },
      { id: 'b', name: 'b' },
    ];
    const { search, asked, paged, computers } = setup(both);
    search.submit(q('x', false, { via: 'local' }));
    expect(asked[0]?.params).toEqual({ q: 'x', via: 'local', facets: true });
    expect(search.view.progress.map(p => p.id)).toEqual(['a']);
    computers.push({ id: 'c', name: 'c' });
    search.expect();
    expect(search.view.progress, 'nobody else will be').toHaveLength(1);

    search.submit(q('x', false, { via: 'dht' }));
    expect(asked[1]?.params, 'the table counts nothing').toEqual({ q: 'x', via: 'dht' });
    expect(search.view.progress).toEqual([]);
    asked[1]?.answer(answer([hit('b', '1', 5)], { nodes: [], next: 'dht-20' }));
    await settle();
    expect(headline(search.view)).toBe('1 result from the table');
    void search.more();
    expect(paged[0]?.params).toEqual({ q: 'x', via: 'dht', cursor: 'dht-20' });
    search.submit(q('y', false, { via: 'dht' }));
    asked[2]?.answer(answer([], { nodes: [] }));
    await settle();
    expect(headline(search.view)).toBe('Nothing found in the table');
    search.type(q('y'));
    await pause();
    expect(asked[3]?.params, 'the same of all is another question').toEqual({ q: 'y', facets: true });
  });
  it('keep what was found while the query is not understood', async () => {
    const { search, asked } = setup();
    search.submit(q('x'));
    asked[0]?.answer(answer([hit('a', '1', 1)]));
    await settle();
    search.submit(q('x size:'));
    asked[1]?.fail(
      new Problem({
        code: 'query_invalid',
        detail: 'd',
        position: [2, 7],
        parameter: 'q',
        expected: 'a size',
      }),
    );
    await settle();
    expect(search.view).toMatchObject({ phase: 'failed', stale: true });
    expect(search.view.hits).toHaveLength(1);
    expect(search.view.problem).toMatchObject({ position: [2, 7], expected: 'a size' });
  });
});
