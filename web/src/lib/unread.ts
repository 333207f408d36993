import type { UnreadReason } from '../api/types';

// reasonText says why search has no text of a file, or not all of it.
export function reasonText(reason: UnreadReason): string {
  switch (reason) {
    case 'unsupported':
      return 'a kind of document that is not read';
    case 'no_text':
      return 'nothing but pictures';
    case 'not_text':
      return 'not text, in spite of the name';
    case 'cut':
      return 'very long, so the end is not found';
    case 'too_large':
      return 'too large when unpacked';
    case 'damaged':
      return 'damaged, or not what the name says';
    case 'encrypted':
      return 'locked with a password';
    case 'timed_out':
      return 'takes too long to read';
    case 'out_of_memory':
      return 'takes too much memory to read';
    case 'crashed':
      return 'broke what reads documents';
    case 'unavailable':
      return 'could not be tried; the next start does';
  }
}

// explains reports whether the detail of a reason says more than the reason.
export function explains(reason: UnreadReason): boolean {
  return reason !== 'encrypted' && reason !== 'not_text' && reason !== 'no_text';
}
