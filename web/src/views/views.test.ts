import { cleanup, render, screen } from '@testing-library/svelte';
import { afterEach, describe, expect, it } from 'vitest';
import type { Transfer } from '../api/types';
import TransferRow from './TransferRow.svelte';

afterEach(cleanup);

const transfer: Transfer = {
  id: 't',
  folder: 'f',
  folder_label: 'F',
  path: 'a/<img src=x onerror=alert(1)>\u202egpj.bin',
  peer: 'p',
  peer_name: '<b>nas</b>',
  bytes_total: 2_000_000,
  bytes_done: 500_000,
  bytes_wire: 400_000,
  bytes_reused: 100_000,
  bytes_resumed: 0,
  rate: 50_000,
  eta_s: 30,
  state: 'running',
  error: '',
  began: null,
  ended: null,
};

describe('a file on its way', () => {
  it('shows how far it is, and names as text only', () => {
    const { container } = render(TransferRow, { transfer });
    expect(container.textContent).toContain('<img src=x onerror=alert(1)>\\u{202e}gpj.bin');
    expect(container.textContent).toContain('from <b>nas</b>');
    expect(container.textContent).toContain('500 kB of 2 MB, 50 kB/s, 30 s');
    expect(container.querySelectorAll('img, b')).toHaveLength(0);
    const bar = screen.getByRole<HTMLProgressElement>('progressbar');
    expect([bar.value, bar.max]).toEqual([0.25, 1]);
  });
  it('says why it failed', () => {
    const { container } = render(TransferRow, {
      transfer: { ...transfer, state: 'failed', error: 'disk full' },
    });
    expect(container.textContent).toContain('failed, tried again later');
    expect(container.textContent).toContain('disk full');
    expect(screen.queryByRole('progressbar')).toBeNull();
  });
});
