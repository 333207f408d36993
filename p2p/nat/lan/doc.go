// Package lan finds other nodes in the local network without anybody's help: DNS-SD
// (RFC 6763) over multicast DNS (RFC 6762).
//
// A node announces itself in every local network that its p2p port can be reached
// from, when it starts and when its addresses or its network change, and says goodbye
// when it ends. It asks for others when it starts, and then less and less, up to once
// an hour; in between it hears what others announce. All of this is a handful of
// packets an hour.
//
// # What a node says
//
// The instance of the service _shoal._udp has the first 12 characters of the node's ID
// as its name. The port is in the SRV record, the addresses are in A and AAAA records,
// of those of this computer that lead to the port and lie in the network that is told.
// The TXT record has
//
//	txtvers  1
//	id       the node's whole ID
//	net      the tag of its network, 32 hexadecimal digits
//	port     the port once more, for those who look at TXT records only
//	v        the version of the program
//
// # What strangers learn from it
//
// Everybody in the local network learns that there is a node here, its version and its
// ID, and can recognise the same computer by its ID in another local network. Who minds
// turns the discovery off.
//
// Nobody learns the node's network. The tag is a MAC over the node's ID, with the
// network's ID as key: 128 bits that look random, and other ones for each node, so that
// strangers cannot even see which nodes are together. Who knows the network's ID can:
// its members, those who were members, and who holds an invitation.
//
// # What is believed
//
// Nothing. What comes from the local network is a hint where a node could be, and
// whoever is there has to prove who he is when a link is made. Anybody can repeat the
// announcement of another node with addresses of his own, so hints are bounded: in
// number, in how often they are passed on, in time (by the TTL that came with them, at
// most 75 minutes) and in place: only addresses of a subnet of the interface that they
// came through, heard from somebody in such a subnet, and never those of loopback, of
// link-local scope, or of groups.
//
// # Why no library
//
// github.com/pion/mdns v2.2.0, which WebRTC brings along, can answer and browse, but it
// asks every second for as long as it browses, announces nothing and says no goodbye,
// passes on neither the interface nor the sender of an answer, never forgets an instance
// in a browse, keeps the interfaces that were there at its start, and takes a question
// that lists as many known answers as questions for an answer. So this package has its
// own responder, over the message format of golang.org/x/net/dns/dnsmessage.
//
// Left out of RFC 6762 are probing (a name made of 60 bits of a hash has no rival) and
// answers to resolvers that ask from another port than 5353, which do not look for
// services.
package lan
