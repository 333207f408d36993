import { describe, expect, it } from 'vitest';
import type { Folder } from '../api/types';
import { groups, label, split, withPart, without } from './filter';

const names = {
  folders: [{ id: 'f1', label: 'Kitchen' } as Folder],
  computers: [{ id: 'n1', name: 'alice' }],
};

describe('filters', () => {
  it('are lists of conditions', () => {
    expect(split('')).toEqual([]);
    expect(split(' type:pdf  -folder:"my photos",work ')).toEqual(['type:pdf', '-folder:"my photos",work']);
  });
  it('stay whole where a part would mean something else', () => {
    for (const text of ['type:pdf OR type:image', '(type:pdf)', 'report', '"a b" type:pdf']) {
      expect(split(text)).toEqual([text]);
    }
    expect(withPart('type:pdf OR ext:md', 'modified:2024')).toBe('(type:pdf OR ext:md) modified:2024');
    expect(without('type:pdf OR ext:md', 'type:pdf OR ext:md')).toBe('');
  });
  it('have one condition about the same', () => {
    expect(withPart('', 'type:pdf')).toBe('type:pdf');
    expect(withPart('type:pdf modified:2024', 'type:image')).toBe('modified:2024 type:image');
    expect(without('type:pdf modified:2024', 'type:pdf')).toBe('modified:2024');
  });
});

describe('labels', () => {
  it('are for people', () => {
    expect(label('type:pdf', names)).toBe('type pdf');
    expect(label('-folder:f1', names)).toBe('not in Kitchen');
    expect(label('folder:"my photos"', names)).toBe('in my photos');
    expect(label('node:n1', names)).toBe('on alice');
    expect(label('modified:2024', names)).toBe('from 2024');
    expect(label('a OR b', names)).toBe('a OR b');
  });
  it('of what can be chosen', () => {
    const all = groups(
      {
        type: [
          { value: 'pdf', count: 2 },
          { value: 'my type', count: 1 },
        ],
        folder: [
          { value: 'f1', count: 2 },
          { value: 'unknownfolderid', count: 1 },
        ],
        node: [{ value: 'n1', name: 'alice', count: 3 }],
        year: [
          { value: '2025', count: 2 },
          { value: '2024', count: 1 },
        ],
        truncated: false,
      },
      names,
    );
    expect(all.map(g => [g.name, ...g.choices.map(c => `${c.part} ${c.label} ${c.count}`)])).toEqual([
      ['Type', 'type:pdf pdf 2', 'type:"my type" my type 1'],
      ['Folder', 'folder:f1 Kitchen 2', 'folder:unknownfolderid unknownf…erid 1'],
      ['Year', 'modified:2025 2025 2', 'modified:2024 2024 1'],
    ]);
  });
});
