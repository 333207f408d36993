import type { Node } from '../api/types';
import type { IconName } from '../ui/icons';

export interface Step {
  action: 'invite' | 'join' | 'share' | 'samples' | 'search';
  icon: IconName;
  title: string;
  text: string;
}

// steps says what a person would do next with this node, the likeliest first.
// A node that has company and something to find needs no advice.
export function steps(node: Pick<Node, 'members' | 'role' | 'folders' | 'documents'>): Step[] {
  const out: Step[] = [];
  const alone = node.members <= 1;
  if (alone && node.role === 'admin') {
    out.push({
      action: 'invite',
      icon: 'peers',
      title: 'Pair a computer',
      text: 'Make an invitation, open it on the other one.',
    });
    out.push({
      action: 'join',
      icon: 'link',
      title: 'Join a network',
      text: 'You got an invitation? Paste it here.',
    });
  }
  if (node.folders === 0) {
    out.push({
      action: 'share',
      icon: 'folder',
      title: 'Share a folder',
      text: 'Its files can be found by all your computers.',
    });
  }
  if (node.documents === 0) {
    out.push({
      action: 'samples',
      icon: 'document',
      title: 'Try it with samples',
      text: 'Publish a few documents and search them.',
    });
  } else if (out.length > 0) {
    out.push({
      action: 'search',
      icon: 'search',
      title: 'Search',
      text: 'Typos are fine: netwrk finds network.',
    });
  }
  return out;
}
