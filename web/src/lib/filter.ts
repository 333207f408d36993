import type { Facets, Folder } from '../api/types';
import { findFolder } from './folder';
import { plain, shortID } from './text';

// A filter is conditions in the language of searches, such as "type:pdf modified:2026":
// the page shows each as a chip, and adds and removes them.

const condition = /^-?[a-z]+:(?:"[^"]*"|[^\s"()*,]+)(?:,(?:"[^"]*"|[^\s"()*,]+))*$/;

// split returns the conditions of a filter. What is more than a list of them, with OR or
// parentheses, stays whole: a part of it would mean something else.
export function split(filter: string): string[] {
  const text = filter.trim();
  const parts = text.match(/(?:"[^"]*"|[^\s"])+/g) ?? [];
  return parts.every(part => condition.test(part)) ? parts : [text];
}

export function without(filter: string, part: string): string {
  return split(filter)
    .filter(p => p !== part)
    .join(' ');
}

// withPart adds a condition in place of others about the same.
export function withPart(filter: string, part: string): string {
  const field = part.slice(0, part.indexOf(':') + 1);
  const others = split(filter).filter(p => !p.startsWith(field));
  // Only what is a list of conditions can be gone on with as it is.
  const kept = others.map(p => (condition.test(p) ? p : `(${p})`));
  return [...kept, part].join(' ').trim();
}

export interface Choice {
  part: string;
  label: string;
  count: number;
}

export interface Group {
  name: string;
  choices: Choice[];
}

export interface Names {
  folders: readonly Folder[];
  computers: readonly { id: string; name: string }[];
}

// groups are what a search can be narrowed down to: values that some of the results have.
export function groups(facets: Facets, names: Names): Group[] {
  const all: Group[] = [
    {
      name: 'Type',
      choices: facets.type.map(f => ({ part: `type:${quoted(f.value)}`, label: f.value, count: f.count })),
    },
    {
      name: 'Folder',
      choices: facets.folder.map(f => ({
        part: `folder:${quoted(f.value)}`,
        label: folderName(f.value, names),
        count: f.count,
      })),
    },
    {
      name: 'Computer',
      choices: facets.node.map(f => ({
        part: `node:${f.value}`,
        label: f.name || shortID(f.value),
        count: f.count,
      })),
    },
    {
      name: 'Year',
      choices: facets.year.map(f => ({ part: `modified:${f.value}`, label: f.value, count: f.count })),
    },
  ];
  return all.filter(group => group.choices.length > 1);
}

function quoted(value: string): string {
  return /^[^\s"()*,]+$/.test(value) ? value : `"${value.replaceAll('"', '')}"`;
}

function folderName(id: string, names: Names): string {
  return findFolder(names.folders, id, '')?.label ?? shortID(id);
}

const fields: Record<string, string> = {
  type: 'type',
  ext: 'ending',
  folder: 'in',
  node: 'on',
  modified: 'from',
  size: 'size',
  name: 'name',
  title: 'title',
};

// label says a condition to people.
export function label(part: string, names: Names): string {
  const negated = part.startsWith('-');
  const at = part.indexOf(':');
  const field = part.slice(negated ? 1 : 0, at);
  const value = part.slice(at + 1).replaceAll('"', '');
  const name = fields[field];
  if (at < 0 || name === undefined) return plain(part);
  const shown =
    field === 'folder'
      ? folderName(value, names)
      : field === 'node'
        ? (names.computers.find(c => c.id === value)?.name ?? (value.length > 20 ? shortID(value) : value))
        : value;
  return plain(`${negated ? 'not ' : ''}${name} ${shown}`);
}
