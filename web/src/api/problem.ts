import type { ProblemBody } from './types';

// Problem is every failure the page shows: what the node answered (RFC 9457),
// or why no answer came. `code` is stable; `hint` says what to do and may be empty.
export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly hint: string;
  // Of a query that is not understood: which parameter, where in its code points, and what
  // could stand there.
  readonly parameter: string;
  readonly position: readonly [number, number] | null;
  readonly expected: string;

  constructor(fields: Partial<ProblemBody> & { code: string; detail: string }) {
    super(fields.detail);
    this.name = 'Problem';
    this.code = fields.code;
    this.status = fields.status ?? 0;
    this.title = fields.title ?? '';
    this.parameter = fields.parameter ?? '';
    const [start, end] = fields.position ?? [];
    this.position = start !== undefined && end !== undefined ? [start, end] : null;
    this.expected = fields.expected ?? '';
    // What the node says about tokens is meant for programs that send headers.
    this.hint = this.aboutToken ? hintFor(fields.code) : (fields.hint ?? hintFor(fields.code));
  }

  // aboutToken: the node did not take the token of the request, or missed one.
  get aboutToken(): boolean {
    return this.status === 401 || tokenCodes.has(this.code);
  }

  // repeatable: the same request may succeed later.
  get repeatable(): boolean {
    return !settledCodes.has(this.code);
  }

  // advice is the hint when it says more than the message does.
  get advice(): string {
    const said = words(this.message);
    return words(this.hint).every(word => said.includes(word)) ? '' : this.hint;
  }

  // whole is message and advice, for places with one line.
  get whole(): string {
    return this.advice ? `${this.message.replace(/[.:\s]+$/, '')}. ${this.advice}` : this.message;
  }
}

// problemFrom turns an answer that is not a success into a Problem, whatever
// its body is: a proxy in between may have written it.
export function problemFrom(status: number, body: unknown): Problem {
  if (typeof body === 'object' && body !== null) {
    const { code, detail, title, hint, parameter, position, expected } = body as Partial<ProblemBody>;
    if (typeof code === 'string' && typeof detail === 'string') {
      return new Problem({
        code,
        detail,
        status,
        title,
        ...(hint ? { hint } : {}),
        ...(parameter && Array.isArray(position) && expected ? { parameter, position, expected } : {}),
      });
    }
  }
  const text = typeof body === 'string' ? body.trim().slice(0, 300) : '';
  return new Problem({
    code: status === 401 ? 'token_required' : `http_${status}`,
    status,
    title: 'Unexpected answer',
    detail: text || `The node answered with status ${status}.`,
  });
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof TypeError) {
    // fetch reports every network failure as a TypeError.
    return new Problem({ code: 'node_unreachable', title: 'No answer', detail: 'The node did not answer.' });
  }
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem({ code: 'page_error', title: 'Something went wrong in this page', detail });
}

export function aborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

const tokenCodes = new Set(['token_required', 'token_wrong', 'too_many_attempts']);

// Asking the same again gets the same answer. After an internal error too: what it is
// about is in the node's log.
const settledCodes = new Set([
  'internal',
  'page_error',
  'body_too_large',
  'text_too_long',
  'explain_too_large',
  'explain_too_slow',
  'folder_forbidden',
  'query_too_long',
  'query_empty',
  'query_invalid',
  'request_invalid',
  'path_invalid',
  'cursor_invalid',
  'not_admin',
  'link_malformed',
  'seed_invalid',
  'name_unusable',
]);

// words of a text that carry its meaning, for telling whether one says more.
function words(text: string): string[] {
  const all = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return all.filter(word => !['a', 'an', 'the', 'has', 'is', 'it', 'of'].includes(word));
}

const hints: Record<string, string> = {
  node_unreachable: 'Check that shoal still runs on this computer, then try again.',
  token_required: 'Enter the token of this node. It is in the file “token” of the data directory.',
  token_wrong: 'The right one is in the file “token” of the data directory.',
  too_many_attempts: 'Wait a minute, then try again.',
  not_admin: 'Ask an admin of this network to do it, or to make this computer an admin.',
  last_admin: 'A network needs an admin. Make another computer an admin first.',
  invite_malformed: 'Copy the whole link again, from “shoal://” or “http://” to its end.',
  invite_refused: 'The invitation was used up, withdrawn or is not for this network. Ask for a new one.',
  invite_expired: 'Ask for a new invitation; you can choose how long it lasts.',
  inviter_unreachable:
    'Start shoal on the computer that made the invitation, and check that both have a network.',
  network_not_empty:
    'This computer already shares a network with others. A computer belongs to one network at a time: use a fresh data directory to join another one.',
  folder_overlap: 'Choose a folder that neither contains a shared one nor lies in one.',
  path_unusable: 'Check that the path is complete, exists and can be read by shoal.',
  peer_unreachable: 'The computer that has it is not linked now. Try again when it is on.',
  folder_ambiguous: 'Several computers offer one. Choose it from the list of folders.',
  conflict_not_found: 'A file changed meanwhile, or somebody else decided. The list is read again.',
  trash_not_found: 'It was brought back or cleaned up meanwhile. The list is read again.',
  query_too_long: 'Use fewer words: a search may have 1000 characters.',
  file_changed: 'The file changed meanwhile. Search again to see the new one.',
};

function hintFor(code: string): string {
  return hints[code] ?? '';
}
