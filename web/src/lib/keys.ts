// What a key does anywhere on the page. Keys typed into fields, and chords
// that belong to the browser, do nothing.
export type Command =
  | 'search'
  | 'help'
  | 'home'
  | 'folders'
  | 'transfers'
  | 'peers'
  | 'network'
  | 'activity'
  | 'delta'
  | 'dht'
  | 'ranges'
  | 'words'
  | 'lessons';

const go: Record<string, Command> = {
  h: 'home',
  s: 'search',
  f: 'folders',
  x: 'transfers',
  p: 'peers',
  n: 'network',
  a: 'activity',
  d: 'delta',
  t: 'dht',
  r: 'ranges',
  w: 'words',
  l: 'lessons',
};

export interface Key {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  // typing: the focus is in a field.
  typing: boolean;
}

// Keys understands single keys and "g" followed by a letter within a second.
export class Keys {
  #pending = -Infinity;

  command(key: Key, now: number): Command | null {
    if (key.typing || key.ctrlKey || key.metaKey || key.altKey) return null;
    const second = now - this.#pending < 1000;
    this.#pending = key.key === 'g' ? now : -Infinity;
    if (second && key.key in go) return go[key.key] ?? null;
    if (key.key === '/') return 'search';
    if (key.key === '?') return 'help';
    return null;
  }
}

export const shortcuts: readonly { keys: string[]; does: string }[] = [
  { keys: ['/'], does: 'Search, from anywhere' },
  { keys: ['↑', '↓'], does: 'Move through the results' },
  { keys: ['Enter'], does: 'Open the chosen result' },
  { keys: ['Esc'], does: 'Close what is open, or clear the search' },
  { keys: ['j', 'k'], does: 'Next and previous conflict (also ↓ and ↑)' },
  { keys: ['o'], does: 'Conflict: keep ours' },
  { keys: ['t'], does: 'Conflict: keep theirs' },
  { keys: ['b'], does: 'Conflict: keep both' },
  { keys: ['←', '→'], does: 'Delta, Lessons: a step back and on (also Home and End)' },
  { keys: ['Space'], does: 'Delta, Lessons: play and pause' },
  { keys: ['g', 'h'], does: 'Go to Home' },
  { keys: ['g', 's'], does: 'Go to Search' },
  { keys: ['g', 'f'], does: 'Go to Folders' },
  { keys: ['g', 'x'], does: 'Go to Transfers' },
  { keys: ['g', 'p'], does: 'Go to Peers' },
  { keys: ['g', 'n'], does: 'Go to Network' },
  { keys: ['g', 'a'], does: 'Go to Activity' },
  { keys: ['g', 'd'], does: 'Go to Delta' },
  { keys: ['g', 't'], does: 'Go to Table' },
  { keys: ['g', 'r'], does: 'Go to Ranges' },
  { keys: ['g', 'w'], does: 'Go to Words' },
  { keys: ['g', 'l'], does: 'Go to Lessons' },
  { keys: ['?'], does: 'Show this sheet' },
];
