import type { Event } from '../api/types';

// What the page keeps of the event stream: the newest events, how far scans
// are, and which computers joined with which words.
export interface Journal {
  // newest first
  events: Event[];
  scans: Record<string, Scan>;
  joined: JoinedMember[];
}

export interface Scan {
  files: number;
  bytes: number;
  path: string;
}

export interface JoinedMember {
  id: string;
  name: string;
  words: string[];
}

export const keep = 1000;

export const blank: Journal = { events: [], scans: {}, joined: [] };

export function record(journal: Journal, event: Event): Journal {
  if (event.id && journal.events.some(e => e.id === event.id)) return journal;
  const events = [event, ...journal.events].slice(0, keep);
  const next = { ...journal, events };
  if (event.topic === 'reset') return { ...next, scans: {} };
  if (event.topic === 'member.joined') {
    const one = { id: text(event, 'id'), name: text(event, 'name'), words: texts(event, 'words') };
    return one.words.length > 0 ? { ...next, joined: [...journal.joined, one] } : next;
  }
  if (event.topic.startsWith('folder.')) return { ...next, scans: scanned(journal.scans, event) };
  return next;
}

function scanned(scans: Record<string, Scan>, event: Event): Record<string, Scan> {
  const id = text(event, 'folder', 'id');
  if (!id) return scans;
  if (event.topic === 'folder.progress' || event.topic === 'folder.scanning') {
    return {
      ...scans,
      [id]: { files: number(event, 'files'), bytes: number(event, 'bytes'), path: text(event, 'path') },
    };
  }
  if (!(id in scans)) return scans;
  return Object.fromEntries(Object.entries(scans).filter(([key]) => key !== id));
}

// text is the first of the named fields that holds one; an event of a newer
// node may lack any of them.
export function text(event: Event, ...names: string[]): string {
  for (const name of names) {
    const value = event.data[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  return '';
}

export function number(event: Event, ...names: string[]): number {
  for (const name of names) {
    const value = event.data[name];
    if (typeof value === 'number' && Number.isFinite(value)) return value;
  }
  return 0;
}

function texts(event: Event, name: string): string[] {
  const value = event.data[name];
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}
