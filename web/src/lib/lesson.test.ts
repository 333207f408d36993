import { describe, expect, it } from 'vitest';
import type { LessonLine } from '../api/types';
import { parts, questions } from './lesson';

const message = (from: string, to: string, more: Partial<LessonLine> = {}): LessonLine => ({
  kind: 'message',
  text: 'put',
  from,
  to: [to],
  ...more,
});

describe('parts of a lesson', () => {
  it('are paragraphs, commands, and rounds of messages with what comes of them', () => {
    const note: LessonLine = { kind: 'note', text: 'Ada puts.' };
    const nodes: LessonLine = { kind: 'do', text: 'nodes 3' };
    const put: LessonLine = { kind: 'do', text: 'put Ada k v' };
    const one = [message('Ada', 'Ben', { round: 1 }), message('Ada', 'Cleo', { round: 1 })];
    const two = [
      message('Ada', 'Ben', { round: 2 }),
      { kind: 'result', text: 'ok' } as LessonLine,
      { kind: 'holds', text: 'copies k 3' } as LessonLine,
    ];
    expect(parts([note, nodes, put, ...one, ...two])).toEqual([[note], [nodes, put], one, two]);
  });
  it('of stories that tell time are moments', () => {
    const first = [
      message('P', 'A', { at_ms: 10 }),
      { kind: 'event', text: 'has it', from: 'B', at_ms: 10 } as LessonLine,
    ];
    const then = [message('A', 'P', { at_ms: 20 })];
    expect(parts([...first, ...then])).toEqual([first, then]);
  });
  it('of nothing are none', () => expect(parts([])).toEqual([]));
});

describe('questions of a lesson', () => {
  const line = (kind: LessonLine['kind'], text: string, more: Partial<LessonLine> = {}): LessonLine => ({
    kind,
    text,
    ...more,
  });
  const asked = (lines: LessonLine[]) =>
    questions(parts(lines)).flatMap(q =>
      q ? [{ text: q.text, right: q.options[q.right], of: q.options }] : [],
    );

  it('come before what a command shows, and never with it', () => {
    const cut = parts([
      line('do', 'put Ada k "a"'),
      message('Ada', 'Ben', { round: 1 }),
      line('result', 'Ada: ok, 3 copies; 1 round'),
    ]);
    expect(cut).toHaveLength(2);
    expect(parts([line('do', 'who k'), line('result', 'k is kept by Ada, Ben')])).toHaveLength(2);
    expect(parts([line('do', 'nodes 3'), line('result', 'a closed network: Ada')])).toHaveLength(1);
  });
  it('are about what is got, stored and kept', () => {
    const lines = [
      line('do', 'nodes 5'),
      line('result', 'a closed network: Ada, Ben, Cleo, Dan, Eve'),
      line('do', 'who k'),
      line('result', 'k is kept by Eve, Ada'),
      line('do', 'put Ada k "a"'),
      line('result', 'Ada: ok, 2 copies; 1 round, 2 messages, 10 bytes'),
      line('do', 'put Ben k "b"'),
      line('result', 'Ben: protected, 0 copies; 1 round'),
      line('do', 'get Cleo k'),
      line('result', 'Cleo: "a"; 1 round'),
      line('do', 'show copies k'),
      line('result', 'records of k: Ada 1, Eve 1'),
    ];
    expect(asked(lines)).toEqual([
      { text: 'Who keeps k?', right: 'Eve, Ada', of: ['Ada, Dan', 'Ben, Cleo', 'Eve, Ada'] },
      expect.objectContaining({ text: 'What do those say who keep it?', right: 'They store it.' }),
      expect.objectContaining({ right: 'They refuse it: it belongs to somebody else.' }),
      { text: 'What does Cleo get?', right: '"a"', of: ['"a"', '"b"', 'nothing'] },
      { text: 'Who has a copy of k?', right: 'Ada, Eve', of: ['Ada', 'Ada, Eve', 'Eve'] },
    ]);
  });
  it('are not asked where everything is stored', () =>
    expect(asked([line('do', 'put Ada k "a"'), line('result', 'Ada: ok, 2 copies')])).toEqual([]));
  it('are about who says what, but not about what the story wants', () => {
    const lines = [
      line('event', 'wants: adds tea', { from: 'P' }),
      message('P', 'A', { text: 'Prepare(1.P)' }),
      message('A', 'P', { text: 'Promise(1.P)', at_ms: 10 }),
      line('event', 'fails', { from: 'P', at_ms: 15 }),
      message('A', 'P', { text: 'Accepted(1.P)', at_ms: 30 }),
    ];
    expect(asked(lines).map(q => [q.text, q.right])).toEqual([
      ['What does P say now?', 'Prepare(1.P)'],
      ['What does A say now?', 'Promise(1.P)'],
      ['What does A say now?', 'Accepted(1.P)'],
    ]);
  });
  it('of the narration have no options', () =>
    expect(questions(parts([line('note', 'Question: who?'), line('do', 'show index i')]))).toEqual([
      null,
      { text: '', options: [], right: 0 },
    ]));
});
