// How a link to another computer runs, in words.
const kinds: Record<string, { label: string; means: string }> = {
  direct: { label: 'Direct', means: 'Both computers reach each other by their own addresses.' },
  mapped: { label: 'Mapped', means: 'The router was asked to open a port, and did.' },
  punched: { label: 'Punched', means: 'Both sides sent first, so that their routers let the answers in.' },
  relayed: {
    label: 'Relayed',
    means: 'No direct way was found: another computer passes the encrypted bytes on.',
  },
  memory: { label: 'In memory', means: 'Both nodes run in one process.' },
};

export function kindLabel(kind: string): string {
  return kinds[kind]?.label ?? kind;
}

export function kindMeaning(kind: string): string {
  return kinds[kind]?.means ?? '';
}
