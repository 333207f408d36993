import { describe, expect, it } from 'vitest';
import type { LessonLine } from '../api/types';
import { parts } from './lesson';

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
