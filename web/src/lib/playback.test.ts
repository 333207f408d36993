import { describe, expect, it } from 'vitest';
import type { DhtStep } from '../api/types';
import { inOrder, mostRuns, own, rounds, sceneAt, told, withRun, type Run } from './playback';

const step = (round: number, to: string, at_ms: number, more: Partial<DhtStep> = {}): DhtStep => ({
  operation: 'prepare',
  number: 1,
  round,
  from: 'me',
  to,
  proto: 'dht-put/1',
  items: 1,
  bytes_out: 300,
  bytes_in: 4,
  outcome: '1 ok_prepared',
  at_ms,
  took_ms: 2,
  ...more,
});
const steps = [step(2, 'b', 0.5), step(1, 'b', 3), step(1, 'a', 1), step(1, 'me', 2)];
const name = (id: string) => id.toUpperCase();

describe('the messages of an operation', () => {
  it('are shown round after round, as they began', () => {
    expect(inOrder(steps).map(s => [s.round, s.to])).toEqual([
      [1, 'a'],
      [1, 'me'],
      [1, 'b'],
      [2, 'b'],
    ]);
    expect(steps[0]?.round, 'what came is left as it is').toBe(2);
    expect(rounds(steps)).toBe(2);
  });
  it('travel together within a round', () => {
    const all = inOrder(steps);
    expect(sceneAt(all, 0)).toEqual({ now: null, same: [], before: [] });
    const third = sceneAt(all, 3);
    expect([third.now?.to, third.same.length, third.before.length]).toEqual(['b', 2, 0]);
    const last = sceneAt(all, 4);
    expect([last.now?.round, last.same.length, last.before.length]).toEqual([2, 0, 3]);
    expect(sceneAt(all, 99).now).toBe(last.now);
  });
  it('are told in sentences', () => {
    const all = inOrder(steps);
    expect(told(all, 0, name)).toContain('4 steps in 2 rounds');
    expect(told(all, 1, name)).toBe(
      'Round 1: A is asked to prepare one (300 bytes there, 4 bytes back, 2 ms). Answer: 1 ok_prepared.',
    );
    expect(told(all, 2, name)).toContain('ME (this computer itself)');
    expect(own(step(1, 'me', 0))).toBe(true);
    expect(
      told([step(1, 'a', 0, { failed: true, outcome: 'no link', operation: 'new one' })], 1, name),
    ).toContain('It failed: no link');
    expect(told([], 0, name)).toBe('No message was needed.');
  });
  it('are kept of the last operations only', () => {
    let runs: Run[] = [];
    for (let id = 1; id <= 30; id++)
      runs = withRun(runs, {
        id,
        title: '',
        trace: { rounds: 0, messages: 0, bytes: 0, took_ms: 0, steps: [] },
      });
    expect(runs).toHaveLength(mostRuns);
    expect(runs[0]?.id).toBe(30);
  });
});
