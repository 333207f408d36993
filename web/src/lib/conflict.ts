import type { Conflict, Keep, Side } from '../api/types';
import { imageType, textLike } from './preview';
import { baseName } from './text';

// A part of a sentence that is a name of another computer is shown as such.
export type Part = string | { name: string };

export interface Choice {
  keep: Keep;
  label: string;
  // does: what happens, and where the other one goes.
  does: string;
}

// Below these sizes both sides are fetched to be compared.
export const textBytes = 256 * 1024;
export const imageBytes = 8 * 1024 * 1024;

// view is how the two sides of a conflict can be compared.
export function view(conflict: Conflict): 'text' | 'images' | 'facts' {
  const { ours, theirs } = conflict;
  const bytes = Math.max(ours.size, theirs.size);
  if (conflict.kind !== 'content' || !ours.path || !theirs.path || !ours.hash || !theirs.hash) return 'facts';
  if (imageType(conflict.path) && bytes <= imageBytes) return 'images';
  return textLike('', conflict.path) && bytes <= textBytes ? 'text' : 'facts';
}

// whose is who made a side, for the middle of a sentence.
export function whose(side: Side, self: string): Part {
  if (side.member === self && self) return 'this computer';
  return side.member_name ? { name: side.member_name } : 'another computer';
}

// story tells what happened.
export function story(conflict: Conflict, self: string): Part[] {
  const { ours, theirs } = conflict;
  switch (conflict.kind) {
    case 'content':
      return [
        'Changed at the same time by ',
        whose(ours, self),
        ' and by ',
        whose(theirs, self),
        '. Both are kept: one has the name, the other one is beside it as ',
        { name: baseName(theirs.path) },
        '.',
      ];
    case 'name':
      return [
        'Renamed on two computers at once. It is called ',
        { name: baseName(ours.path || conflict.path) },
        ' now; the other name was ',
        { name: baseName(theirs.path) },
        '.',
      ];
    case 'delete':
      return [
        'Deleted by ',
        whose(theirs, self),
        ' while ',
        whose(ours, self),
        ' changed or renamed it. It was kept.',
      ];
    case 'inside':
      return [
        'The directory was deleted by ',
        whose(theirs, self),
        ' while something in it changed. It was kept for that.',
      ];
    case 'move':
      return ['Directories were moved into each other on two computers at once. The move was undone.'];
  }
}

// options name what is kept by what it is: "ours" would be somebody else's on half of the
// computers.
const options: Record<Conflict['kind'], Partial<Record<Keep, Pick<Choice, 'label' | 'does'>>>> = {
  content: {
    ours: { label: 'Keep the file', does: 'What has the name stays; the copy goes to the trash.' },
    theirs: { label: 'Keep the copy', does: 'The copy gets the name; what had it goes to the trash.' },
    both: { label: 'Keep both', does: 'The copy becomes a file of its own, with a plain name.' },
  },
  name: {
    ours: { label: 'Keep this name', does: 'The name it has now stays.' },
    theirs: { label: 'Take the other name', does: 'It gets the other name.' },
  },
  delete: {
    ours: { label: 'Keep it', does: 'It stays.' },
    theirs: { label: 'Delete it', does: 'It is deleted everywhere, and can be restored from the trash.' },
  },
  inside: {
    ours: { label: 'Keep it', does: 'The directory stays, with what is in it.' },
    theirs: {
      label: 'Delete it',
      does: 'It is deleted everywhere; its files can be restored from the trash.',
    },
  },
  move: { ours: { label: 'Leave it so', does: 'Everything stays where it is now.' } },
};

// choices are what can be done about a conflict.
export function choices(kind: Conflict['kind']): Choice[] {
  return (['ours', 'theirs', 'both'] as const).flatMap(keep => {
    const option = options[kind][keep];
    return option ? [{ keep, ...option }] : [];
  });
}

export function allows(kind: Conflict['kind'], keep: Keep): boolean {
  return options[kind][keep] !== undefined;
}

// One conflict of one of the folders that are shown.
export interface Item {
  key: string;
  folder: string;
  label: string;
  conflict: Conflict;
}

export function items(folder: { id: string; label: string }, conflicts: readonly Conflict[]): Item[] {
  return conflicts.map(conflict => ({
    key: `${folder.id} ${conflict.n}`,
    folder: folder.id,
    label: folder.label,
    conflict,
  }));
}

// batches groups what is to be resolved by folder, without what a choice does not
// fit; skipped counts those.
export function batches(
  chosen: readonly Item[],
  keep: Keep,
): { by: { folder: string; numbers: number[] }[]; skipped: number } {
  const by = new Map<string, number[]>();
  const fit = chosen.filter(item => allows(item.conflict.kind, keep));
  for (const { folder, conflict } of fit) by.set(folder, [...(by.get(folder) ?? []), conflict.n]);
  return {
    by: [...by].map(([folder, numbers]) => ({ folder, numbers })),
    skipped: chosen.length - fit.length,
  };
}

// pressed is what a key does in the list of conflicts.
export type Move = { move: 1 | -1 } | { keep: Keep } | null;

export function pressed(key: string): Move {
  if (key === 'j' || key === 'ArrowDown') return { move: 1 };
  if (key === 'k' || key === 'ArrowUp') return { move: -1 };
  if (key === 'o') return { keep: 'ours' };
  if (key === 't') return { keep: 'theirs' };
  return key === 'b' ? { keep: 'both' } : null;
}
