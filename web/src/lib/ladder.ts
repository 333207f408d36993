import type { Trace, TraceStep } from '../api/types';

// A ladder shows a trace as messages between lifelines: this computer, those who
// help (they carry offers, or relay), and the other computer.

export type Lane = 'here' | 'helper' | 'there';

export interface Rung {
  // milliseconds since the attempt began
  ms: number;
  text: string;
  // lanes that a message passes, in this order; one lane: something that an end does.
  lanes: Lane[];
  // lost: the message did not arrive. both: it is true for both ends.
  look: 'message' | 'lost' | 'both' | 'own';
  tone: 'plain' | 'good' | 'bad';
  // mark: what makes the address special, in a word.
  mark: string;
}

export interface Attempt {
  title: string;
  // when it began, in milliseconds since the epoch
  began: number;
  rungs: Rung[];
  // names of those who helped
  helpers: string[];
  // outcome: how it ended, as far as the trace tells.
  outcome: 'linked' | 'path' | 'failed' | 'open';
}

const begins = new Set<TraceStep['kind']>(['offer', 'restart', 'offered']);

// attempts cuts a trace into its attempts. end says whose trace it is, and peer
// which member the link leads to: it helps nobody with itself.
export function attempts(trace: Trace | null, end: 'here' | 'there', peer: string): Attempt[] {
  if (!trace) return [];
  const out: Attempt[] = [];
  let start = 0;
  for (const step of trace.steps) {
    let attempt = out.at(-1);
    if (!attempt || begins.has(step.kind)) {
      start = step.at_ms;
      attempt = {
        title: titleOf(step),
        began: Date.parse(trace.began) + step.at_ms,
        rungs: [],
        helpers: [],
        outcome: 'open',
      };
      out.push(attempt);
    }
    const helper = step.via && step.via.id !== peer ? step.via.name : '';
    if (helper && !attempt.helpers.includes(helper)) attempt.helpers.push(helper);
    attempt.rungs.push(rung(step, end, helper !== '', step.at_ms - start));
    if (step.kind === 'linked' || step.kind === 'failed') attempt.outcome = step.kind;
    else if (step.kind === 'path' && attempt.outcome === 'open') attempt.outcome = 'path';
  }
  return out;
}

function titleOf(step: TraceStep): string {
  if (step.kind === 'restart') return 'Looking for another path';
  return step.kind === 'offered' ? 'An offer that came' : 'An offer made';
}

function rung(step: TraceStep, end: 'here' | 'there', helped: boolean, ms: number): Rung {
  const other = end === 'here' ? 'there' : 'here';
  const middle: Lane[] = helped ? ['helper'] : [];
  const going: Lane[] = [end, ...middle, other];
  const coming: Lane[] = [other, ...middle, end];
  const one = (lanes: Lane[], look: Rung['look'], tone: Rung['tone'] = 'plain'): Rung => ({
    ms,
    text: step.text,
    lanes,
    look,
    tone,
    mark: step.new ? 'new' : '',
  });
  switch (step.kind) {
    case 'ask':
      return one(helped ? [end, 'helper'] : going, 'message');
    case 'unasked':
      return one(helped ? [end, 'helper'] : going, 'lost', 'bad');
    case 'answer':
    case 'offered':
    case 'heard':
      return one(coming, 'message');
    case 'reply':
      return one(coming, 'message', 'good');
    case 'answered':
    case 'sent':
      return one(going, 'message');
    case 'relay':
      return one(helped ? [end, 'helper'] : [end], helped ? 'both' : 'own', 'good');
    case 'no_relay':
      return one(helped ? [end, 'helper'] : [end], helped ? 'lost' : 'own', 'bad');
    case 'path':
    case 'encrypted':
    case 'linked':
      return one(going, 'both', 'good');
    case 'failed':
      return one([end], 'own', 'bad');
    default:
      return one([end], 'own');
  }
}

// stepTime writes when a step was. What comes within a second tells most.
export function stepTime(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
