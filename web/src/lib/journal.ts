import type { Event } from '../api/types';

// What the page keeps of the event stream: the newest events, how far scans
// are, and which computers joined with which words.
export interface Journal {
  // newest first
  events: Event[];
  scans: Record<string, Scan>;
  joined: JoinedMember[];
  // labels of folders by id: later events name only the id
  labels: Record<string, string>;
}

export interface Scan {
  files: number;
  bytes: number;
}

export interface JoinedMember {
  id: string;
  name: string;
  words: string[];
}

export const keep = 1000;
const scanning = 'folder.scanning';
// What ends a scan, or makes its figures worthless.
const ends = new Set(['folder.scanned', 'folder.error', 'folder.removed']);
// States in which a folder waits for a person.
const stops = new Set(['paused', 'held']);

export const blank: Journal = { events: [], scans: {}, joined: [], labels: {} };

export function record(journal: Journal, event: Event): Journal {
  if (event.id && journal.events.some(e => e.id === event.id)) return journal;
  const others = repeats(event) ? journal.events.filter(e => !sameScan(e, event)) : journal.events;
  const events = [event, ...others].slice(0, keep);
  const next = { ...journal, events };
  if (event.topic === 'reset') return { ...next, scans: {} };
  if (event.topic === 'member.joined') {
    const one = { id: text(event, 'id'), name: text(event, 'name'), words: texts(event, 'words') };
    return one.words.length > 0 ? { ...next, joined: [...journal.joined, one] } : next;
  }
  const folder = text(event, 'folder', 'id');
  const label = text(event, 'label');
  if (folder && label) next.labels = { ...journal.labels, [folder]: label };
  if (event.topic.startsWith('folder.')) next.scans = scanned(journal.scans, event);
  return next;
}

// A scan tells how far it is several times a second: one line says it all.
function repeats(event: Event): boolean {
  return event.topic === scanning || (event.topic === 'folder.changed' && event.data['state'] === 'scanning');
}

function sameScan(a: Event, b: Event): boolean {
  return a.topic === b.topic && repeats(a) && text(a, 'id') === text(b, 'id');
}

// told is what people are shown of the events, newest first: of a scan its end,
// or how far it is while it runs. That a folder's state goes to and fro with it
// is no news; that somebody paused it is, or that there are more conflicts.
export function told(events: readonly Event[]): Event[] {
  const over = new Set<string>();
  const news = conflicting(events);
  return events.filter(event => {
    if (!event.topic.startsWith('folder.')) return true;
    const id = text(event, 'folder', 'id');
    if (event.topic === 'folder.changed') return stops.has(text(event, 'state')) || news.has(event);
    if (event.topic === scanning) return event.data['done'] !== true && !over.has(id);
    if (ends.has(event.topic)) over.add(id);
    return true;
  });
}

// conflicting are the events with which a folder came to have more conflicts.
function conflicting(events: readonly Event[]): Set<Event> {
  const out = new Set<Event>();
  const last = new Map<string, number>();
  for (const event of events.toReversed()) {
    if (event.topic !== 'folder.changed') continue;
    const id = text(event, 'folder', 'id');
    const now = number(event, 'conflicts');
    if (now > (last.get(id) ?? 0)) out.add(event);
    last.set(id, now);
  }
  return out;
}

function scanned(scans: Record<string, Scan>, event: Event): Record<string, Scan> {
  const id = text(event, 'folder', 'id');
  if (!id) return scans;
  if (event.topic === scanning && event.data['done'] !== true) {
    return { ...scans, [id]: { files: number(event, 'files'), bytes: number(event, 'bytes') } };
  }
  const over = ends.has(event.topic) || event.topic === scanning;
  const left = event.topic === 'folder.changed' && event.data['state'] !== 'scanning';
  if (!(id in scans) || !(over || left)) return scans;
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

export function texts(event: Event, name: string): string[] {
  const value = event.data[name];
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}
