import { expect, test } from 'vitest';
import type { SearchAnswer } from '../api/types';
import { asked, meshWay, otherPlans, rangeWords, showKey, tableWay, typed } from './explain';

const answer = {
  query: 'netwrk',
  total: 3,
  nodes: [
    { node: 'a', node_name: 'alice', hits: 1, took_ms: 1, error: '' },
    { node: 'b', node_name: 'bob', hits: 2, took_ms: 9, error: '' },
    { node: 'c', node_name: 'chiara', hits: 0, took_ms: 2000, error: 'off' },
  ],
  trace: [
    { topic: 'search.asked', data: { node: 'b', name: 'bob' } },
    {
      topic: 'search.expanded',
      data: {
        node: 'a',
        word: 'netwrk',
        tolerance: 2,
        count: 1,
        documents: 1,
        candidates: [
          {
            word: 'networks',
            distance: 2,
            prefix: false,
            documents: 1,
            left: 'netwrk',
          },
        ],
      },
    },
    {
      topic: 'search.expanded',
      data: {
        node: 'b',
        word: 'netwrk',
        tolerance: 3,
        count: 2,
        documents: 2,
        candidates: [
          {
            word: 'network',
            distance: 1,
            prefix: false,
            documents: 2,
            left: 'netwrk',
          },
          { word: 'networks', distance: 2, prefix: false, documents: 4 },
        ],
      },
    },
    {
      topic: 'search.scored',
      data: { node: 'b', documents: 10, matched: 2, missing: 0 },
    },
    {
      topic: 'search.answered',
      data: {
        node: 'b',
        name: 'bob',
        hits: 2,
        total: 2,
        bytes: 500,
        ms: 9,
        error: '',
      },
    },
  ],
} as unknown as SearchAnswer;

test('what is meant by a word is that of all computers, the nearest first', () => {
  const [word] = typed(answer);
  expect(word).toMatchObject({ word: 'netwrk', tolerance: 3, count: 2 });
  expect(word?.meant).toEqual([
    {
      word: 'network',
      distance: 1,
      prefix: false,
      documents: 2,
      computers: 1,
      left: 'netwrk',
    },
    {
      word: 'networks',
      distance: 2,
      prefix: false,
      documents: 5,
      computers: 2,
      left: 'netwrk',
    },
  ]);
});

test('what each computer did, also one that did not answer', () => {
  expect(asked(answer)).toEqual([
    {
      id: 'a',
      name: 'alice',
      documents: 0,
      matched: 0,
      sent: 0,
      bytes: 0,
      ms: 1,
      error: '',
    },
    {
      id: 'b',
      name: 'bob',
      documents: 10,
      matched: 2,
      sent: 2,
      bytes: 500,
      ms: 9,
      error: '',
    },
    {
      id: 'c',
      name: 'chiara',
      documents: 0,
      matched: 0,
      sent: 0,
      bytes: 0,
      ms: 2000,
      error: 'off',
    },
  ]);
});

const trace = { bytes: 70, messages: 4, rounds: 2 };
const inTable = {
  ...answer,
  total: 2,
  nodes: [],
  trace: [],
  range: { field: 'size', from: 1000, to: 2 ** 32 - 1 },
  table: { words: { plan: 'parallel', any: false, terms: [{}, {}], trace } },
} as unknown as SearchAnswer;
const byTree = {
  ...inTable,
  table: {
    ...inTable.table,
    tree: {
      name: 'size',
      via: 'dst',
      trace: { bytes: 30, messages: 1, rounds: 1 },
    },
  },
} as unknown as SearchAnswer;

test('the ways side by side', () => {
  expect(meshWay(answer)).toMatchObject({
    name: 'All computers',
    found: 3,
    bytes: 500,
    messages: 4,
    rounds: 1,
  });
  expect(meshWay({ ...answer, nodes: answer.nodes.slice(0, 1) })).toMatchObject({
    name: 'This computer',
    messages: 0,
    rounds: 0,
  });
  expect(tableWay(inTable)).toMatchObject({
    name: 'Table: filters at once',
    found: 2,
    bytes: 70,
    messages: 4,
    rounds: 2,
  });
  expect(tableWay(byTree)).toMatchObject({
    name: 'Table: segment tree (DST), filters at once',
    bytes: 100,
    messages: 5,
    rounds: 3,
  });
});

test('the plans that are left to compare', () => {
  expect(otherPlans(inTable)).toEqual(['lists', 'sequential', 'pairs', 'pht', 'dst', 'buckets']);
  expect(otherPlans(byTree)).toEqual(['lists', 'sequential', 'pairs', 'pht', 'buckets']);
  const of = (table: unknown, range?: unknown) => otherPlans({ table, range } as SearchAnswer);
  expect(of({ words: { plan: 'lists', any: true, terms: [{}, {}] } }), 'any of them has one way').toEqual([]);
  expect(of({ words: { plan: 'lists', any: false, terms: [{}] } }), 'so has one word').toEqual([]);
  expect(of({ tree: { via: 'pht' } }, {})).toEqual(['dst', 'buckets']);
});

test('keys of trees are sizes or days', () => {
  expect(rangeWords({ field: 'size', from: 0, to: 2 ** 32 - 1 })).toBe(
    'Sizes from 0\u00a0B to the last that there is',
  );
  expect(rangeWords({ field: 'size', from: 512, to: 20_000_000 })).toBe(
    'Sizes from 512\u00a0B to 20\u00a0MB',
  );
  expect(rangeWords({ field: 'modified', from: 1_704_067_200, to: 1_735_689_599 })).toBe(
    'Last changes from 2024-01-01 to 2024-12-31',
  );
});

test('an answer without a trace explains nothing, and breaks nothing', () => {
  const bare = {
    ...answer,
    trace: undefined,
    nodes: [],
  } as unknown as SearchAnswer;
  expect([typed(bare), asked(bare), otherPlans(bare), tableWay(bare).messages]).toEqual([[], [], [], 0]);
});

test('keys of fields are numbers again', () => {
  const show = showKey('fields.year');
  // What OwnKey returns for them.
  for (const [key, text] of [
    [3221225472, '2'],
    [3231686656, '2024'],
    [2147483648, '0'],
    [1073741823, '-2'],
    [0, '−∞'],
    [4294967295, '∞'],
  ] as const) {
    expect(show(key)).toBe(text);
  }
  expect(rangeWords({ field: 'fields.year', from: 3221225472, to: 3231686656 })).toBe('year from 2 to 2024');
});
