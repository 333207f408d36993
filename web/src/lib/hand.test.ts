import { describe, expect, it } from 'vitest';
import { carried, expired, left, misfit } from './hand';
import { qr } from './qr';

describe('what people carry', () => {
  it('is known by how it begins, whatever stands around it', () => {
    expect(carried('Here: "shoal://offer#AB\n CD".')).toBe('offer');
    expect(carried('shoal://ans\nwer#ABCD')).toBe('answer');
    expect(carried('http://localhost:8080/#join=ABCD')).toBe('invitation');
    expect(carried('shoal://join#ABCD')).toBe('invitation');
    expect(carried('hello')).toBeNull();
  });
  it('says what is wrong with it', () => {
    expect(misfit('', 'offer')).toBe('');
    expect(misfit('shoal://offer#AB', 'offer')).toBe('');
    expect(misfit('shoal://offer#AB', 'answer')).toContain('This is an offer');
    expect(misfit('shoal://answer#AB', 'offer')).toContain('This is an answer');
    expect(misfit('shoal://join#AB', 'offer')).toContain('This is an invitation');
    expect(misfit('ABCD', 'answer')).toContain('shoal://answer#');
  });
  it('is good for ten minutes', () => {
    const now = Date.parse('2026-11-29T12:00:00Z');
    expect(left('2026-11-29T12:09:40Z', now)).toBe('good for 10 min');
    expect(left('2026-11-29T11:59:00Z', now)).toBe('expired');
    expect(expired('2026-11-29T12:00:00Z', now)).toBe(true);
    expect(expired('2026-11-29T12:00:01Z', now)).toBe(false);
  });
  it('is a picture that cameras read from a screen', () => {
    expect(qr(`shoal://offer#${'A'.repeat(686)}`, 'L').size).toBeLessThan(110);
  });
});
