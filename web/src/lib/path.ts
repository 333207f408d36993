import type { Path } from '../api/types';
import type { IconName } from '../ui/icons';

// How a link to another computer runs, in words.
const kinds: Record<string, { label: string; means: string; icon: IconName }> = {
  direct: {
    label: 'Direct',
    means: 'Both computers reach each other by their own addresses.',
    icon: 'direct',
  },
  mapped: { label: 'Mapped', means: 'The router was asked to open a port, and did.', icon: 'mapped' },
  punched: {
    label: 'Punched',
    means: 'Both sides sent first, so that their routers let the answers in.',
    icon: 'punched',
  },
  relayed: {
    label: 'Relayed',
    means: 'No direct way was found: another computer passes the encrypted bytes on.',
    icon: 'relayed',
  },
  memory: { label: 'In memory', means: 'Both nodes run in one process.', icon: 'link' },
};

export function kindLabel(kind: string): string {
  return kinds[kind]?.label ?? kind;
}

export function kindMeaning(kind: string): string {
  return kinds[kind]?.means ?? '';
}

export function kindIcon(kind: string): IconName {
  return kinds[kind]?.icon ?? 'link';
}

// wayText is a kind with its protocol: "Punched over UDP".
export function wayText(path: Pick<Path, 'kind' | 'proto'>): string {
  const over = path.proto ? ` over ${path.proto.toUpperCase()}` : '';
  return `${kindLabel(path.kind)}${over}`;
}

// resultLook is what became of a pair of addresses, in a word and a sign.
export function resultLook(result: string): {
  label: string;
  icon: IconName;
  tone: 'good' | 'bad' | 'plain';
} {
  switch (result) {
    case 'selected':
      return { label: 'in use', icon: 'check', tone: 'good' };
    case 'succeeded':
      return { label: 'works', icon: 'check', tone: 'good' };
    case 'failed':
      return { label: 'failed', icon: 'close', tone: 'bad' };
    default:
      return { label: 'no answer', icon: 'minus', tone: 'plain' };
  }
}
