import type { Discarded, Held, Restored } from '../api/types';
import { count, plural } from './format';

// merged puts a page that was read again over what was read before: what the page
// covers is as the page says, older ones stay.
export function merged(
  before: readonly Discarded[],
  page: readonly Discarded[],
  whole: boolean,
): Discarded[] {
  const last = page.at(-1);
  if (whole || !last) return [...page];
  return [...page, ...before.filter(d => d.n < last.n)];
}

// matching keeps what has all words of a filter in its path or in who did it.
export function matching(items: readonly Discarded[], filter: string): Discarded[] {
  const words = filter.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return items.filter(item => {
    const text = `${item.path} ${item.member_name}`.toLocaleLowerCase();
    return words.every(word => text.includes(word));
  });
}

// broughtBack says where restored files are now.
export function broughtBack(items: readonly Restored[]): string {
  const [one, ...more] = items;
  if (!one) return 'Nothing was restored.';
  if (more.length === 0) return `Restored as ${one.path}`;
  return `${plural(items.length, 'file')} restored: ${one.path} and ${count(more.length)} more`;
}

// deeds says what a member wants done: "deletes 1,203 and changes 40 files".
export function deeds(held: Pick<Held, 'deleted' | 'changed'>): string {
  if (held.changed === 0) return `deletes ${plural(held.deleted, 'file')}`;
  if (held.deleted === 0) return `changes ${plural(held.changed, 'file')}`;
  return `deletes ${count(held.deleted)} and changes ${plural(held.changed, 'file')}`;
}

// acts is the same as things that can be counted: "1,203 deletions and 40 changes".
export function acts(held: Pick<Held, 'deleted' | 'changed'>): string {
  const parts = [];
  if (held.deleted > 0) parts.push(plural(held.deleted, 'deletion'));
  if (held.changed > 0) parts.push(plural(held.changed, 'change'));
  return parts.join(' and ') || 'nothing';
}
