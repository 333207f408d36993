// Package portmap asks the router of a home for a port that others can reach.
//
// Three protocols do that: PCP (RFC 6887), its ancestor NAT-PMP (RFC 6886), and
// UPnP's Internet Gateway Device. A [Mapper] looks for all three side by side, so
// that it can say which the router speaks, and uses one: the first of PCP,
// NAT-PMP and UPnP that grants what is asked. It renews the mappings, notices
// that the router was restarted or that the computer is somewhere else, and
// removes the mappings at the end.
//
// What to do next follows from what is known and the time: plan.go decides it, in
// functions without sockets and clocks, and run.go does it. The formats are pure
// functions as well (natpmp.go, pcp.go, ssdp.go, describe.go, soap.go).
//
// # A router is not trusted
//
// It may be old, broken, or not a router at all. Every answer has to come from the
// address that was asked, is bounded in size, and each exchange ends in time. An
// address or a lifetime that cannot be is refused with a sentence. A device that
// answers a search can name any URL; only one at its own address is fetched, and
// only if that is the gateway or on the own subnet: never a name, never a
// redirect, never a proxy, never the computer itself. Text of a router is never
// shown.
//
// A granted mapping says only that the router has promised something. Whether
// others get through is found out by letting one of them try.
package portmap
