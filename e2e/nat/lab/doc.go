// Package lab builds internets of network namespaces and runs shoal in them: public
// computers, homes behind routers of every kind of NAT, carriers, routers that forward
// ports on request, networks that lose packets or block UDP. The routers are the
// kernel's own, with rules of nftables.
//
// It needs root, Linux, and the programs ip, tc and nft; miniupnpd for port mapping.
//
// # Nothing stays behind
//
// A program that uses the lab calls Enter first. It runs the program again in mount,
// network and process namespaces of its own, so that no interface, rule or process is
// ever seen by the computer, and all are gone when it ends, however it ends.
//
// # What is left out
//
// Every packet is a datagram of its own (no segmentation offload beyond a computer's
// interface), so that a rule which drops one packet in three drops that, not a batch.
// There is no delay. Routers advertise no prefixes of IPv6: the lab gives out the addresses.
package lab
