import type { Access, Folder, Grant, Grants, Member } from '../api/types';
import { plural } from './format';
import { shortID } from './text';

// Exception is what one member may do with a folder, where that is not what all may.
export interface Exception {
  // node is empty while nobody has been picked.
  node: string;
  access: Access;
  // fresh: not saved yet, so that the member can still be picked.
  fresh?: boolean;
}

const labels: Record<Access, string> = { write: 'change files', read: 'only read', none: 'no access' };
const phrases: Record<Access, string> = { write: 'may change it', read: 'only reads', none: 'has no access' };
export const accesses = Object.entries(labels) as [Access, string][];

// changed is what to ask for so that the exceptions become others.
export function changed(
  before: readonly Pick<Exception, 'node' | 'access'>[],
  after: readonly Exception[],
): Grants {
  const had = new Map(before.map(e => [e.node, e.access]));
  const out: Grants = {};
  for (const { node, access } of after) {
    if (node && had.get(node) !== access) out[node] = access;
    had.delete(node);
  }
  for (const node of had.keys()) out[node] = 'default';
  return out;
}

// accessOf is what a member other than the creator may do.
export function accessOf(folder: Pick<Folder, 'access' | 'grants'>, node: string): Access {
  return folder.grants.find(g => g.node === node)?.access ?? folder.access;
}

// nameable are those of whom there can be an exception, by name: not this computer,
// and not the folder's creator, who may do everything.
export function nameable<T extends Pick<Member, 'id' | 'name' | 'self'>>(
  members: readonly T[],
  creator: string,
): T[] {
  return members
    .filter(m => !m.self && m.id !== creator)
    .sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
}

// apart are the grants that say something else than the access of all.
function apart(folder: Pick<Folder, 'access' | 'grants'>): Grant[] {
  return folder.grants.filter(g => g.access !== folder.access);
}

// remark says in few words for whom there is an exception; empty: for nobody.
export function remark(folder: Pick<Folder, 'access' | 'grants'>): string {
  const [one, ...more] = apart(folder);
  if (!one) return '';
  return more.length > 0 ? plural(more.length + 1, 'exception') : `${nameOf(one)} ${phrases[one.access]}`;
}

// remarks says it of each.
export function remarks(folder: Pick<Folder, 'access' | 'grants'>): string {
  return apart(folder)
    .map(g => `${nameOf(g)} ${phrases[g.access]}`)
    .join(', ');
}

function nameOf(grant: Pick<Grant, 'node' | 'node_name'>): string {
  return grant.node_name || shortID(grant.node);
}

// reach says what sharing a folder means for the other computers.
export function reach(access: Access, exceptions: readonly Exception[]): string {
  const named = (none: boolean) => exceptions.some(e => e.node && (e.access === 'none') === none);
  if (access === 'none' && !named(false)) return 'No other computer sees it until you name one.';
  const but = named(true) ? ' but those without access' : '';
  const who = access === 'none' ? 'Only the computers named here' : `All computers of the network${but}`;
  return `${who} can then search and download these files, and keep the folder too. Nothing is changed here until one of them does.`;
}
