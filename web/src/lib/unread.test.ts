import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { UnreadReason } from '../api/types';
import { reasonText } from './unread';

it('has words for every reason that the API knows', () => {
  const spec = readFileSync('server/api/openapi.yaml', 'utf8');
  const reasons = /UnreadReason:\s+type: string\s+enum: \[([^\]]+)\]/.exec(spec)?.[1]?.split(', ') ?? [];
  expect(reasons.length).toBeGreaterThan(5);
  const texts = reasons.map(reason => reasonText(reason as UnreadReason));
  expect(texts).not.toContain(undefined);
  expect(new Set(texts).size).toBe(reasons.length);
});
