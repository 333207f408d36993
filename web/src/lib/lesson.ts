import type { Lesson, LessonLine } from '../api/types';

// The subjects, in the order of the list.
export const subjects: { subject: Lesson['subject']; title: string }[] = [
  { subject: 'table', title: 'The table' },
  { subject: 'paxos', title: 'Paxos' },
  { subject: 'raft', title: 'Raft' },
  { subject: 'nat', title: 'Ways through routers' },
];

// own is what stands in the editor before anything was written.
export const own = `title My story
# What begins with # is the narration. Each other line is a command.

nodes 5
put Ada greeting "hello"
get Ben greeting
expect value "hello"
`;

// parts cuts a story into what appears at once: a paragraph, or a command with the
// messages of one round, or of one moment, and what follows from them.
export function parts(lines: readonly LessonLine[]): LessonLine[][] {
  const out: LessonLine[][] = [];
  let before: LessonLine | undefined;
  for (const line of lines) {
    const last = out.at(-1);
    if (last && before && belongs(line, before)) last.push(line);
    else out.push([line]);
    before = line;
  }
  return out;
}

function belongs(line: LessonLine, before: LessonLine): boolean {
  switch (line.kind) {
    case 'note':
      return false;
    case 'do':
      return before.kind === 'do';
    case 'result':
      return before.kind !== 'note' && !(before.kind === 'do' && told(before.text) !== null);
    case 'holds':
    case 'wrong':
      return before.kind !== 'note';
    case 'message':
      return same(line, before) && !plot(before);
    case 'event':
      return same(line, before);
  }
}

// same: of one moment, or of one round of the same node.
function same(a: LessonLine, b: LessonLine): boolean {
  if (a.at_ms !== undefined || b.at_ms !== undefined) return b.kind !== 'note' && a.at_ms === b.at_ms;
  return a.kind === b.kind && a.round === b.round && a.from === b.from;
}

// A question is asked before a part is shown: what will it be? Where there is nothing to choose from,
// it is the narration that asks.
export interface Question {
  text: string;
  options: string[];
  right: number;
}

// questions has, for each part, what is asked before it.
export function questions(cut: readonly (readonly LessonLine[])[]): (Question | null)[] {
  const all = cut.flat();
  return cut.map((part, i) => {
    const before = cut[i - 1]?.at(-1);
    if (before?.kind === 'note' && /\bquestion:/i.test(before.text))
      return { text: '', options: [], right: 0 };
    if (before?.kind !== 'do') return ofStage(part, all);
    const result = cut
      .slice(i)
      .flat()
      .find(line => line.kind === 'result' || line.kind === 'do' || line.kind === 'note');
    return result?.kind === 'result' ? ofCommand(before.text, result, all) : null;
  });
}

// ofStage asks what somebody sends, or what happens there, in stories that tell time.
function ofStage(part: readonly LessonLine[], all: readonly LessonLine[]): Question | null {
  const timed = all.some(line => line.at_ms !== undefined);
  const line = part.find(l => l.kind === 'message') ?? part.find(l => l.kind === 'event');
  if (!timed || !line || plot(line)) return null;
  const alike = around(all, line).filter(
    l => l.kind === line.kind && !plot(l) && !part.some(p => p.text === l.text),
  );
  const own = alike.filter(l => l.from === line.from);
  const text =
    line.kind === 'message'
      ? `What does ${line.from ?? ''} say now?`
      : `What happens at ${line.from ?? ''} now?`;
  return choice(
    text,
    line.text,
    [...own, ...alike].map(l => l.text),
  );
}

// around are the other lines, the nearest first: what was said at about that time is hard to tell apart.
function around(all: readonly LessonLine[], line: LessonLine): LessonLine[] {
  const at = all.indexOf(line);
  const far = new Map(all.map((l, i) => [l, Math.abs(i - at)]));
  return all.filter(l => l !== line).sort((a, b) => (far.get(a) ?? 0) - (far.get(b) ?? 0));
}

// plot is what the story wants to happen: nobody can know it beforehand.
function plot(line: LessonLine): boolean {
  return (
    line.kind === 'event' &&
    /^(wants|fails|returns|loses|has a way|is asked by|is behind|has heard of no|moves|comes|goes)\b/.test(
      line.text,
    )
  );
}

const statuses: Record<string, string> = {
  ok: 'They store it.',
  protected: 'They refuse it: it belongs to somebody else.',
  not_absent: 'They refuse it: something is there already.',
  ok_unchanged: 'They have it already, unchanged.',
  version_fork: 'They refuse it: another version stands beside it.',
};

const kinds: Record<string, 'write' | 'read' | 'who' | 'copies' | 'other'> = {
  put: 'write',
  add: 'write',
  append: 'write',
  vput: 'write',
  renew: 'write',
  get: 'read',
  find: 'read',
  range: 'read',
  and: 'read',
  who: 'who',
  'show copies': 'copies',
  links: 'other',
  digest: 'other',
  send: 'other',
};

// told says what a command is about, if its result can be asked for.
function told(command: string): (typeof kinds)[string] | null {
  const [verb = '', what = ''] = command.split(' ');
  return kinds[`${verb} ${what}`] ?? kinds[verb] ?? null;
}

const status = (result: string): string | undefined =>
  /\b(ok_unchanged|ok|protected|not_absent|version_fork)\b/.exec(result)?.[0];

function ofCommand(command: string, result: LessonLine, all: readonly LessonLine[]): Question | null {
  const [, second = '', third = ''] = command.split(' ');
  const right = core(result.text);
  const others = around(all, result)
    .filter(line => line.kind === 'result')
    .map(line => core(line.text));
  switch (told(command)) {
    case 'write': {
      // Where everything is stored there is nothing to guess.
      const said = statuses[status(right) ?? ''];
      const refused = others.some(o => /^(ok_unchanged|protected|not_absent|version_fork)\b/.test(o));
      return said && (refused || status(right) !== 'ok')
        ? choice('What do those say who keep it?', said, Object.values(statuses))
        : null;
    }
    case 'read': {
      if (!isValues(right)) return choice('What comes of it?', right, near(right));
      const puts = all.filter(line => line.kind === 'do' && told(line.text) === 'write');
      const values = puts.flatMap(line => line.text.match(/"[^"]*"/g) ?? []);
      return choice(`What does ${second} get?`, right, [...others.filter(isValues), 'nothing', ...values]);
    }
    case 'who': {
      const kept = right.split(' is kept by ')[1]?.split(', ') ?? [];
      const away = others
        .flatMap(o => names.exec(o)?.[1]?.split(', ') ?? [])
        .filter(name => !kept.includes(name));
      const wrong = [away.slice(0, kept.length), [...kept.slice(1), away.at(-1) ?? '']];
      const whole = wrong.filter(w => w.length === kept.length && w.every(Boolean));
      return choice(
        `Who keeps ${second}?`,
        kept.join(', '),
        whole.map(w => w.join(', ')),
      );
    }
    case 'copies': {
      const have = (right.split(': ')[1] ?? '').split(', ').map(one => one.replace(/ \d+$/, ''));
      const more = others.flatMap(o =>
        o.startsWith('records of ') ? (o.split(': ')[1] ?? '').split(', ') : [],
      );
      const away = more.map(one => one.replace(/ \d+$/, '')).filter(name => !have.includes(name));
      const wrong = [away[0] ? [...have, away[0]] : [], have.slice(1), have.slice(0, -1)].filter(
        w => w.length > 0,
      );
      return choice(
        `Who has a copy of ${third}?`,
        have.join(', '),
        wrong.map(w => w.join(', ')),
      );
    }
    case 'other':
      return choice('What comes of it?', right, [
        ...others.filter(o => shape(o) === shape(right)),
        ...near(right),
      ]);
    default:
      return null;
  }
}

const names = /^an? \w+ network: (.*)/;
const isValues = (text: string): boolean => /^("|nothing$)/.test(text);

// core is a result without who has it, and without what it took.
function core(result: string): string {
  return (result.split('; ')[0] ?? result).replace(/^[A-Z]\w*: /, '');
}

// shape is a text without names, numbers and what is quoted: results of one shape are alike.
function shape(text: string): string {
  return text.replace(/"[^"]*"|[A-Z]\w*|\d+/g, '#');
}

// near has other numbers in the place of the last one.
function near(text: string): string[] {
  const last = /\d+(?=\D*$)/;
  const n = Number(last.exec(text)?.[0] ?? NaN);
  if (Number.isNaN(n)) return [];
  const others = n < 10 ? [n + 1, n + 2] : [Math.floor(n / 2), 2 * n];
  return others.map(other => text.replace(last, String(other)).replace(' link is', ' links are'));
}

// choice puts the right one among the first two others, in an order that tells nothing.
function choice(text: string, right: string, others: readonly string[]): Question | null {
  const wrong = [...new Set(others)].filter(o => o !== right).slice(0, 2);
  if (wrong.length === 0) return null;
  const options = [right, ...wrong].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return { text, options, right: options.indexOf(right) };
}
