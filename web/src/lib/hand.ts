import { span } from './format';

// What people carry between two computers, told by how it begins.
export type Carried = 'offer' | 'answer' | 'invitation' | null;

// carried finds out what somebody has pasted, whatever a mail has made of it.
export function carried(text: string): Carried {
  const tight = text.replace(/\s+/g, '');
  if (tight.includes('shoal://offer#')) return 'offer';
  if (tight.includes('shoal://answer#')) return 'answer';
  if (tight.includes('shoal://join#') || tight.includes('#join=')) return 'invitation';
  return null;
}

// misfit says why a text is not the one that is wanted here; empty: it may be.
export function misfit(text: string, wanted: 'offer' | 'answer'): string {
  const found = carried(text);
  if (!text.trim() || found === wanted) return '';
  if (found === 'offer') {
    return 'This is an offer, the text that begins. What belongs here is the answer to yours, which the other computer makes of it.';
  }
  if (found === 'answer') {
    return 'This is an answer. It belongs on the computer that has made the offer.';
  }
  if (found === 'invitation') {
    return 'This is an invitation. Choose “Start here” to connect with the one who made it.';
  }
  return `This is not the whole text: it begins with shoal://${wanted}#.`;
}

// left is how long a handshake is good for, in words.
export function left(expires: string, now: number): string {
  const seconds = (Date.parse(expires) - now) / 1000;
  return seconds > 0 ? `good for ${span(seconds)}` : 'expired';
}

export function expired(expires: string, now: number): boolean {
  return Date.parse(expires) <= now;
}
