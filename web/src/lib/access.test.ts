import { describe, expect, it } from 'vitest';
import type { Access } from '../api/types';
import { accessOf, changed, nameable, reach, remark, remarks, type Exception } from './access';

const list = (text: string): Exception[] =>
  text
    .split(' ')
    .filter(Boolean)
    .map(part => part.split('='))
    .map(([node = '', access]) => ({ node, access: access as Access }));

describe('exceptions', () => {
  it.each([
    ['', '', {}],
    ['b=read c=none', 'b=read c=none', {}],
    ['b=read c=none', 'c=none b=read', {}],
    ['', 'b=write', { b: 'write' }],
    ['b=write', '', { b: 'default' }],
    ['b=write', 'b=none', { b: 'none' }],
    ['b=read c=none d=write', 'c=write d=write e=read', { b: 'default', c: 'write', e: 'read' }],
    ['', '=read', {}],
    ['b=read', '=read', { b: 'default' }],
  ])('that were %j and are %j', (before, after, want) =>
    expect(changed(list(before), list(after))).toEqual(want),
  );

  const grants = [
    { node: 'b', node_name: 'bob', access: 'write' as const },
    { node: 'abcdefghijklmnop', node_name: '', access: 'none' as const },
  ];
  it('say what one may do', () => {
    const of = (node: string) => accessOf({ access: 'read', grants }, node);
    expect([of('b'), of('abcdefghijklmnop'), of('c')]).toEqual(['write', 'none', 'read']);
  });
  it('are told in few words, where they say something else than all may', () => {
    expect(remark({ access: 'read', grants })).toBe('2 exceptions');
    expect(remarks({ access: 'read', grants })).toBe('bob may change it, abcdefgh…mnop has no access');
    expect(remark({ access: 'none', grants })).toBe('bob may change it');
    expect(remark({ access: 'write', grants })).toBe('abcdefgh…mnop has no access');
    expect(remark({ access: 'write', grants: grants.slice(0, 1) })).toBe('');
    expect([remark({ access: 'read', grants: [] }), remarks({ access: 'read', grants: [] })]).toEqual([
      '',
      '',
    ]);
  });
  it('are for others than this computer and who made the folder', () => {
    const member = (id: string, name: string, self = false) => ({ id, name, self });
    const all = [member('me', 'alice', true), member('d', 'dora'), member('c', 'carl'), member('b', 'carl')];
    expect(nameable(all, 'me').map(m => m.id)).toEqual(['b', 'c', 'd']);
    expect(nameable(all, 'd').map(m => m.id)).toEqual(['b', 'c']);
    expect(nameable(all.slice(0, 1), 'me')).toEqual([]);
  });
  it.each<[Access, string, RegExp]>([
    ['write', '', /^All computers of the network can then/],
    ['read', 'b=write', /^All computers of the network can then/],
    ['read', 'b=none', /^All computers of the network but those without access can then/],
    ['none', 'b=read', /^Only the computers named here can then/],
    ['none', 'b=none =read', /^No other computer sees it until/],
    ['none', '', /^No other computer sees it until/],
  ])('%s with %j reach as far as is said', (access, exceptions, want) =>
    expect(reach(access, list(exceptions))).toMatch(want),
  );
});
