import type { Entry, Folder } from '../api/types';
import { accessOf } from './access';

const labels: Record<Folder['state'], string> = {
  idle: 'in sync',
  scanning: 'scanning',
  syncing: 'syncing',
  paused: 'paused',
  held: 'held',
  offered: 'offered',
  error: 'problem',
};

export function stateLabel(folder: Pick<Folder, 'state'>): string {
  return labels[folder.state] ?? folder.state;
}

// totals are what the page says about all folders that are kept here.
export function totals(folders: readonly Pick<Folder, 'conflicts' | 'state' | 'error'>[]) {
  return {
    conflicts: folders.reduce((sum, f) => sum + f.conflicts, 0),
    held: folders.filter(f => f.state === 'held').length,
    troubled: folders.filter(f => f.error !== '').length,
  };
}

// standing says whose folder one that is kept here is, and what may be done to it.
export function standing(
  folder: Pick<Folder, 'creator' | 'node' | 'writable' | 'access' | 'grants'>,
): string {
  if (!folder.writable) return accessOf(folder, folder.node) === 'none' ? 'no access' : 'read only here';
  if (folder.access === 'write') return '';
  if (!own(folder)) return 'writable here';
  if (folder.access === 'read') return 'others only read';
  return folder.grants.some(g => g.access !== 'none') ? 'only for those named' : 'nobody else sees it';
}

// own: this computer made the folder, so that to forget it is to end sharing it.
export function own(folder: Pick<Folder, 'creator' | 'node'>): boolean {
  return folder.creator === folder.node;
}

export function stateTone(folder: Pick<Folder, 'state' | 'error'>): 'good' | 'warn' | 'bad' | 'accent' | '' {
  if (folder.error || folder.state === 'error') return 'bad';
  if (folder.state === 'idle') return 'good';
  if (folder.state === 'held') return 'warn';
  if (folder.state === 'scanning' || folder.state === 'syncing') return 'accent';
  return '';
}

// upkeep tells how the node keeps up with a folder's files. A warning says that
// not every change is seen at once.
export function upkeep(folder: Pick<Folder, 'state' | 'warning'>, look: string): string {
  const watched = folder.state === 'idle' && folder.warning === '';
  return watched ? `watched · last full look ${look}` : `looked through ${look}`;
}

// advice says what to do about a folder's error, as far as its words tell.
export function advice(folder: Pick<Folder, 'error' | 'path'>): string {
  const error = folder.error.toLowerCase();
  if (error.includes('connect it') || error.includes('no such file') || error.includes('not exist')) {
    return 'Once it is back it is read again by itself. Until then its files count as away, not as deleted.';
  }
  if (error.includes('may not read')) return 'Ask whoever shares it, or stop keeping it: the files stay.';
  if (error.includes('permission') || error.includes('access is denied')) {
    return 'Let the user that runs shoal read the folder, then rescan.';
  }
  if (error.includes('space')) return 'Free some space on the disk of the data directory, then rescan.';
  return 'Mend the cause, then rescan. The files are not touched meanwhile.';
}

// findFolder returns the folder with an id that a node shares. Any computer can
// offer a folder with any id: where no node is named, one of several of other
// computers is not picked.
export function findFolder(folders: readonly Folder[], id: string, node: string): Folder | undefined {
  const found = folders.filter(f => f.id === id && (!node || f.node === node));
  return found.find(f => f.state !== 'offered') ?? (found.length === 1 ? found[0] : undefined);
}

// keepers are the other computers that have files of a folder, those with most of
// them first.
export function keepers(entries: readonly Pick<Entry, 'members'>[], self: string): string[] {
  const files = new Map<string, number>();
  for (const { members } of entries) for (const id of members) files.set(id, (files.get(id) ?? 0) + 1);
  files.delete(self);
  return [...files].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([id]) => id);
}
