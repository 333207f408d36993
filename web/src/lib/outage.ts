// What the errors of links and searches mean to a person. Each answer goes on
// a sentence that begins with the name of the other computer. The chain of
// errors itself is for those who open the details.

export function linkLoss(error: string): string {
  if (/reached through others/.test(error)) return 'is not linked: it is reached through others';
  if (/closed by this node|closed here/.test(error)) return 'is not linked: this computer closed the link';
  if (/no sign of life|no answer|deadline|timed? ?out/.test(error))
    return 'stopped answering: it is off, asleep or out of reach';
  if (/forbidden|not a member|revoked|refuse[sd] (it|the link|this)/.test(error))
    return 'does not let this computer in';
  if (/reach|no route/.test(error)) return 'cannot be reached: it is off, or no way leads there';
  return 'closed the link or is off';
}

export interface SearchLoss {
  // chip is one or two words, says a predicate.
  chip: string;
  says: string;
}

export function searchLoss(error: string): SearchLoss {
  if (/no answer|deadline|in time|timed? ?out/.test(error))
    return { chip: 'no answer', says: 'did not answer in time' };
  if (/reach|no link|closed|carrier/.test(error)) return { chip: 'off', says: 'is off or not linked' };
  return { chip: 'failed', says: 'could not search' };
}

// cause is the innermost part of a chain of errors.
export function cause(error: string): string {
  return error.slice(error.lastIndexOf(': ') + 1).trim();
}
