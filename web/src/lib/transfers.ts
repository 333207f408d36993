import type { Folder, Transfer } from '../api/types';
import { bytes, millis, plural, span } from './format';

type Need = Pick<Folder, 'id' | 'state' | 'need_files' | 'need_bytes'>;

export interface Flow {
  // files on their way to the folder, running ones first
  running: Transfer[];
  waiting: number;
  failed: Transfer[];
  // bytes that have yet to come, per second, and seconds until all are here;
  // null: not known
  left: number;
  rate: number;
  eta: number | null;
}

// flow sums up what is on its way to one folder.
export function flow(folder: Need, transfers: readonly Transfer[]): Flow {
  const mine = transfers.filter(t => t.folder === folder.id);
  const running = mine.filter(t => t.state === 'running');
  const arrived = running.reduce((sum, t) => sum + t.bytes_done, 0);
  const rate = running.reduce((sum, t) => sum + t.rate, 0);
  const left = Math.max(0, folder.need_bytes - arrived);
  return {
    running,
    waiting: mine.filter(t => t.state === 'waiting').length,
    failed: mine.filter(t => t.state === 'failed'),
    left,
    rate,
    eta: rate > 0 ? left / rate : null,
  };
}

// outlook says what is still to be done for a folder: "12 files, 3.4 MB left, 2 min".
// Empty: nothing.
export function outlook(folder: Need, flow: Flow): string {
  if (folder.need_files === 0) return '';
  const parts = [plural(folder.need_files, 'file')];
  if (flow.left > 0) parts.push(`${bytes(flow.left)} left`);
  if (flow.eta !== null && flow.left > 0) parts.push(span(flow.eta));
  else if (flow.left > 0 && flow.running.length === 0) {
    parts.push(folder.state === 'paused' ? 'paused' : 'waiting for a computer that has them');
  }
  return parts.join(', ');
}

// remaining says how long one file still takes.
export function remaining(transfer: Pick<Transfer, 'eta_s' | 'rate'>): string {
  const parts = transfer.rate > 0 ? [`${bytes(transfer.rate)}/s`] : [];
  if (transfer.eta_s !== null) parts.push(span(transfer.eta_s));
  return parts.join(', ');
}

// saved says how much of a file did not have to come over the network; empty: nothing.
export function saved(transfer: Pick<Transfer, 'bytes_reused'>): string {
  return transfer.bytes_reused > 0 ? `${bytes(transfer.bytes_reused)} were on this disk already` : '';
}

// arrivals are the files that came to a folder of late, newest first.
export function arrivals(folder: string, transfers: readonly Transfer[]): Transfer[] {
  return transfers.filter(t => t.folder === folder && t.state === 'done');
}

// economy says how a file came to take less than its size on the network; empty: it did not.
export function economy(transfer: Pick<Transfer, 'bytes_total' | 'bytes_wire' | 'bytes_reused'>): string {
  if (transfer.bytes_reused > 0) return `${bytes(transfer.bytes_reused)} from this disk`;
  return transfer.bytes_wire < transfer.bytes_total * 0.9 ? 'compressed' : '';
}

// took says how long a file was on its way; empty: it is not known.
export function took(transfer: Pick<Transfer, 'began' | 'ended'>): string {
  if (!transfer.began || !transfer.ended) return '';
  const ms = Math.max(0, Date.parse(transfer.ended) - Date.parse(transfer.began));
  return `in ${ms < 10_000 ? millis(ms) : span(ms / 1000)}`;
}

// summary says what all of some files have taken.
export function summary(transfers: readonly Pick<Transfer, 'bytes_total' | 'bytes_wire'>[]): string {
  const total = transfers.reduce((sum, t) => sum + t.bytes_total, 0);
  const wire = transfers.reduce((sum, t) => sum + t.bytes_wire, 0);
  return `${plural(transfers.length, 'file')}, ${bytes(total)}: ${bytes(wire)} over the network`;
}

// moving tells whether it is worth asking how far the transfers are.
export function moving(folders: readonly Pick<Folder, 'state' | 'need_files'>[]): boolean {
  return folders.some(
    f => f.state === 'syncing' || (f.need_files > 0 && f.state !== 'paused' && f.state !== 'held'),
  );
}
