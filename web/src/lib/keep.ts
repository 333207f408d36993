import type { FolderPreview } from '../api/types';
import type { IconName } from '../ui/icons';
import { bytes, plural } from './format';

export interface Outcome {
  icon: IconName;
  text: string;
}

// outcome says what joining a folder would do to a directory, the riskiest last.
export function outcome(preview: FolderPreview, writable: boolean): Outcome[] {
  const out: Outcome[] = [];
  const n = (count: number) => (preview.partial ? 'At least ' : '') + plural(count, 'file');
  if (!preview.exists) out.push({ icon: 'plus', text: 'The directory is made.' });
  if (!preview.known)
    out.push({
      icon: 'unlink',
      text: 'Nobody who has the folder answers now. It fills when one of them is on.',
    });
  if (preview.there > 0)
    out.push({
      icon: 'download',
      text: `${n(preview.there)} only there: fetched, ${bytes(preview.fetch_bytes)}.`,
    });
  if (preview.same > 0)
    out.push({ icon: 'check', text: `${n(preview.same)} the same on both sides: left alone.` });
  if (preview.here > 0) {
    const then = writable ? 'shared with everybody who keeps the folder' : 'they stay, and go nowhere';
    out.push({ icon: writable ? 'peers' : 'info', text: `${n(preview.here)} only here: ${then}.` });
  }
  if (preview.differ > 0)
    out.push({
      icon: 'conflict',
      text: `${n(preview.differ)} different on each side: both are kept, and you decide later.`,
    });
  if (out.length === 0) out.push({ icon: 'check', text: 'The folder is empty on both sides.' });
  out.push({ icon: 'shield', text: 'Nothing is deleted. Where both sides have a file, both are kept.' });
  return out;
}

const labels: Record<FolderPreview['items'][number]['what'], string> = {
  here: 'only here',
  there: 'only there',
  differ: 'differ',
};

export function whatLabel(what: FolderPreview['items'][number]['what']): string {
  return labels[what] ?? what;
}
