import { cleanup, render, screen } from '@testing-library/svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Problem } from '../api/problem';
import Name from './Name.svelte';
import Trouble from './Trouble.svelte';

afterEach(cleanup);

describe('a name', () => {
  it.each([
    ['<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
    ['a\u202egpj.exe', 'a\\u{202e}gpj.exe'],
    ['{@html x}</bdi><script>', '{@html x}</bdi><script>'],
    ['two\nlines', 'two\\nlines'],
    ['', ''],
  ])('%j is text, and nothing but text', (text, want) => {
    const { container } = render(Name, { text });
    const name = container.querySelector('bdi');
    expect(name?.textContent).toBe(want);
    expect([...(name?.querySelectorAll('*') ?? [])].every(e => e.matches('span.esc'))).toBe(true);
  });
  it('shows what matched', () => {
    const { container } = render(Name, { text: '🐟 <b>network</b>', marks: [[5, 12]] });
    expect([...container.querySelectorAll('mark')].map(m => m.textContent)).toEqual(['network']);
    expect(container.textContent).toBe('🐟 <b>network</b>');
  });
});

describe('trouble', () => {
  it('says what happened, what to do, and tries again', () => {
    const retry = vi.fn();
    render(Trouble, { problem: new Problem({ code: 'x', detail: 'what', hint: 'so' }), retry });
    expect(screen.getByRole('alert').textContent).toMatch(/what\s*so/);
    screen.getByRole('button', { name: 'Try again' }).click();
    expect(retry).toHaveBeenCalledOnce();
  });
  it('has no button where trying again makes no sense', () => {
    render(Trouble, { problem: new Problem({ code: 'x', detail: 'what' }) });
    render(Trouble, { problem: new Problem({ code: 'query_too_long', detail: 'what' }), retry: vi.fn() });
    expect(screen.queryByRole('button')).toBeNull();
  });
});
