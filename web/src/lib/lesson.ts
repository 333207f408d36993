import type { Lesson, LessonLine } from '../api/types';

// The subjects, in the order of the list.
export const subjects: { subject: Lesson['subject']; title: string }[] = [
  { subject: 'table', title: 'The table' },
  { subject: 'paxos', title: 'Paxos' },
  { subject: 'raft', title: 'Raft' },
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
    case 'holds':
    case 'wrong':
      return before.kind !== 'note';
    case 'message':
    case 'event':
      return same(line, before);
  }
}

// same: of one moment, or of one round of the same node.
function same(a: LessonLine, b: LessonLine): boolean {
  if (a.at_ms !== undefined || b.at_ms !== undefined) return b.kind !== 'note' && a.at_ms === b.at_ms;
  return a.kind === b.kind && a.round === b.round && a.from === b.from;
}
