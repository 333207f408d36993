// Package member decides who may be here.
//
// A network is known by the ID of its root key. That key signs one statement,
// the genesis, which names the network and its founder, and is then forgotten:
// no secret is left that would be worth stealing. Everything else about a
// network is a grow-only set of signed statements, the [Roster]: admissions and
// revocations by admins, each node's own [p2p.Contact], and the folders that are
// offered. What the set means follows from the set alone, never from the order
// in which it arrived (see the function judge and its proof), so members need
// only tell each other what the other does not have yet.
//
// [Service] is the part of a node that holds the roster of its network: it
// answers who is a member, guards the door ([Service.Gate]), makes and redeems
// invitations (protocol "join/1") and keeps the members' rosters the same
// (protocol "member/1").
package member
