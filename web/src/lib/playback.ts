// What steps through something: the keys, the buttons, and the messages of one
// operation on the distributed table in the order in which they are shown.
import type { DhtStep, DhtTrace } from '../api/types';
import { bytes, count, millis, plural } from './format';

// Move is what a key does to the step.
export type Move = 'back' | 'on' | 'first' | 'last' | 'play';
const moves: Record<string, Move> = {
  ArrowLeft: 'back',
  ArrowRight: 'on',
  Home: 'first',
  End: 'last',
  ' ': 'play',
};

// moveOf reads a key. In fields and on sliders the keys are theirs, and a button
// that has the focus is pressed by the space bar.
export function moveOf(
  key: { key: string; ctrlKey: boolean; metaKey: boolean; altKey: boolean; shiftKey: boolean },
  on: 'field' | 'button' | 'page',
): Move | null {
  if (key.ctrlKey || key.metaKey || key.altKey || key.shiftKey || on === 'field') return null;
  const move = moves[key.key] ?? null;
  return move === 'play' && on === 'button' ? null : move;
}

export function moved(step: number, move: Exclude<Move, 'play'>, total: number): number {
  const to = { back: step - 1, on: step + 1, first: 0, last: total }[move];
  return Math.max(0, Math.min(to, total));
}

// speeds are how long a step stays where a person only looks on.
export const speeds = [
  { name: 'slow', ms: 2600 },
  { name: 'normal', ms: 1200 },
  { name: 'fast', ms: 400 },
];

const raised: Record<string, string> = {
  '-': '⁻',
  0: '⁰',
  1: '¹',
  2: '²',
  3: '³',
  4: '⁴',
  5: '⁵',
  6: '⁶',
  7: '⁷',
  8: '⁸',
  9: '⁹',
};

// power writes 10 or 2 with an exponent.
export function power(base: number, exponent: number): string {
  return base + [...String(exponent)].map(c => raised[c] ?? c).join('');
}

// Run is an operation that the page has made, and how it went.
export interface Run {
  id: number;
  title: string;
  trace: DhtTrace;
}

// mostRuns is how many are kept, to compare them.
export const mostRuns = 12;

export function withRun(runs: readonly Run[], run: Run): Run[] {
  return [run, ...runs].slice(0, mostRuns);
}

// inOrder are the steps as they are shown: round after round, and in each as they began.
export function inOrder(steps: readonly DhtStep[]): DhtStep[] {
  return [...steps].sort((a, b) => a.round - b.round || a.at_ms - b.at_ms);
}

// Scene is what is on the way at a step; before the first one there is nothing.
export interface Scene {
  now: DhtStep | null;
  // earlier messages of the same round, which travel at the same time, and of rounds before
  same: DhtStep[];
  before: DhtStep[];
}

export function sceneAt(steps: readonly DhtStep[], at: number): Scene {
  const now = steps[Math.min(at, steps.length) - 1] ?? null;
  const earlier = now ? steps.slice(0, Math.min(at, steps.length) - 1) : [];
  return {
    now,
    same: earlier.filter(s => s.round === now?.round),
    before: earlier.filter(s => s.round !== now?.round),
  };
}

// own: the node asks itself, which is no message.
export const own = (s: Pick<DhtStep, 'from' | 'to'>): boolean => s.from === s.to;

const verbs: Record<string, string> = {
  put: 'is asked to store',
  get: 'is asked for',
  digest: 'is asked what it has of',
  latest: 'is asked for the newest of',
  prepare: 'is asked to prepare',
  confirm: 'is told to confirm',
  vput: 'is asked to store a version of',
  reject: 'is told to take back',
  remove: 'is asked to remove',
  renew: 'is asked to renew',
};

// told says a step in a sentence; nameOf gives a member's name as it may be shown.
export function told(steps: readonly DhtStep[], at: number, nameOf: (id: string) => string): string {
  const { now } = sceneAt(steps, at);
  if (!now) {
    return steps.length === 0
      ? 'No message was needed.'
      : `${plural(steps.length, 'step')} in ${plural(rounds(steps), 'round')}. Messages of one round travel at the same time.`;
  }
  const looks = now.proto === 'find/1';
  const what = verbs[now.operation] ?? `is sent ${now.operation} of`;
  const size = own(now)
    ? 'no message'
    : `${bytes(now.bytes_out)} there, ${bytes(now.bytes_in)} back, ${millis(now.took_ms)}`;
  const who = own(now) ? `${nameOf(now.to)} (this computer itself)` : nameOf(now.to);
  const came = now.failed ? `It failed: ${now.outcome}` : `Answer: ${now.outcome}`;
  if (looks) return `Round ${count(now.round)}: ${who} is asked who is nearer (${size}). ${came}.`;
  return `Round ${count(now.round)}: ${who} ${what} ${now.items === 1 ? 'one' : count(now.items)} (${size}). ${came}.`;
}

export function rounds(steps: readonly DhtStep[]): number {
  return new Set(steps.map(s => s.round)).size;
}
