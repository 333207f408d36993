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
  // Of a paused folder nothing comes, whatever was heard last.
  const comes = (t: Transfer) => t.state === 'running' && folder.state !== 'paused';
  const running = mine.filter(comes);
  const waiting = mine.filter(t => t.state === 'waiting' || (t.state === 'running' && !comes(t)));
  // What waits may have begun: before a pause.
  const arrived = [...running, ...waiting].reduce((sum, t) => sum + t.bytes_done, 0);
  const rate = running.reduce((sum, t) => sum + t.rate, 0);
  const left = Math.max(0, folder.need_bytes - arrived);
  return {
    running,
    waiting: waiting.length,
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
export function saved(transfer: Saving): string {
  const here = transfer.bytes_reused + transfer.bytes_resumed;
  return here > 0 ? `${bytes(here)} were on this disk already` : '';
}

type Saving = Pick<Transfer, 'bytes_reused' | 'bytes_resumed'>;

// arrivals are the files that came to a folder of late, newest first.
export function arrivals(folder: string, transfers: readonly Transfer[]): Transfer[] {
  return transfers.filter(t => t.folder === folder && t.state === 'done');
}

// economy says how a file came to take less than its size on the network; empty: it did not.
export function economy(transfer: Saving & Pick<Transfer, 'bytes_total' | 'bytes_wire'>): string {
  const parts = [];
  if (transfer.bytes_reused > 0) parts.push(`${bytes(transfer.bytes_reused)} from this disk`);
  if (transfer.bytes_resumed > 0) parts.push(`${bytes(transfer.bytes_resumed)} from before an interruption`);
  if (parts.length > 0) return parts.join(', ');
  return transfer.bytes_wire < transfer.bytes_total * 0.9 ? 'compressed' : '';
}

// took says how long a file was on its way; empty: it is not known.
export function took(transfer: Pick<Transfer, 'began' | 'ended'>): string {
  if (!transfer.began || !transfer.ended) return '';
  const ms = Math.max(0, Date.parse(transfer.ended) - Date.parse(transfer.began));
  return `in ${ms < 10_000 ? millis(ms) : span(ms / 1000)}`;
}

// summary says what all of some files have taken.
export function summary(
  transfers: readonly (Saving & Pick<Transfer, 'bytes_total' | 'bytes_wire'>)[],
): string {
  const sum = (of: (t: (typeof transfers)[number]) => number) =>
    bytes(transfers.reduce((s, t) => s + of(t), 0));
  const disk = transfers.some(t => t.bytes_reused + t.bytes_resumed > 0)
    ? `, ${sum(t => t.bytes_reused + t.bytes_resumed)} from this disk`
    : '';
  const whose = transfers.length === 1 ? 'This file has' : `These ${plural(transfers.length, 'file')} have`;
  return `${whose} ${sum(t => t.bytes_total)}: ${sum(t => t.bytes_wire)} came over the network${disk}.`;
}

// moving tells whether it is worth asking how far the transfers are.
export function moving(folders: readonly Pick<Folder, 'state' | 'need_files'>[]): boolean {
  return folders.some(
    f => f.state === 'syncing' || (f.need_files > 0 && f.state !== 'paused' && f.state !== 'held'),
  );
}
