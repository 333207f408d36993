import type { Member, Peer } from '../api/types';

export interface Person {
  member: Member;
  // peer is missing for this computer itself.
  peer: Peer | null;
}

// people joins the roster with the links: this computer first, then those
// linked, then the rest, each by name. A peer that the roster lacks is on its
// way in or out and shows up with the next reading.
export function people(members: readonly Member[], peers: readonly Peer[]): Person[] {
  const byID = new Map(peers.map(peer => [peer.id, peer]));
  const rank = (p: Person) => (p.member.self ? 0 : linked(p) ? 1 : 2);
  return members
    .map(member => ({ member, peer: byID.get(member.id) ?? null }))
    .sort((a, b) => rank(a) - rank(b) || a.member.name.localeCompare(b.member.name));
}

export function linked(person: Person): boolean {
  return person.peer?.connected ?? person.member.connected;
}

// admins are those who can invite, the linked ones first: whom to ask.
export function admins(list: readonly Person[]): Member[] {
  return list.filter(p => p.member.role === 'admin').map(p => p.member);
}

// letIn are those whom a member has admitted: they stay when it goes.
export function letIn(members: readonly Member[], id: string): Member[] {
  return members.filter(m => m.by === id && m.id !== id);
}

// needsSecondAdmin is whom to make an admin when this computer is the only one
// of a network with others; null when there is no need.
export function needsSecondAdmin(list: readonly Person[]): Person | null {
  const [one, ...more] = admins(list);
  if (!one?.self || more.length > 0) return null;
  const others = list.filter(p => !p.member.self);
  return others.find(linked) ?? others[0] ?? null;
}
