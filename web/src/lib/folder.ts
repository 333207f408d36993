import type { Folder } from '../api/types';

const labels: Record<Folder['state'], string> = {
  idle: 'up to date',
  scanning: 'scanning',
  syncing: 'synchronising',
  paused: 'paused',
  held: 'held',
  offered: 'offered',
  error: 'error',
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

// advice says what to do about a folder's error, as far as its words tell.
export function advice(folder: Pick<Folder, 'error' | 'path'>): string {
  const error = folder.error.toLowerCase();
  if (error.includes('no such file') || error.includes('not exist') || error.includes('gone')) {
    return 'Bring the folder back to this path (is a disk unplugged?), then rescan. Until then it counts as away, not as deleted.';
  }
  if (error.includes('permission') || error.includes('access is denied')) {
    return 'Let the user that runs shoal read the folder, then rescan.';
  }
  if (error.includes('space')) return 'Free some space on the disk of the data directory, then rescan.';
  return 'Mend the cause, then rescan. The files are not touched meanwhile.';
}
