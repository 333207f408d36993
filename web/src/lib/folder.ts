import type { Folder } from '../api/types';

const labels: Record<Folder['state'], string> = {
  idle: 'up to date',
  scanning: 'scanning',
  syncing: 'synchronising',
  paused: 'paused',
  held: 'held',
  offered: 'offered',
  error: 'not readable',
};

export function stateLabel(folder: Pick<Folder, 'state'>): string {
  return labels[folder.state] ?? folder.state;
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
