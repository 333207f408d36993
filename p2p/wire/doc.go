// Package wire is the byte level of everything that two nodes say to each other:
// CBOR values with strict limits ([Marshal], [Unmarshal], [ReadMsg], [WriteMsg]),
// varints, and the frames that a link sends over its channels ([Frame]).
//
// It does no I/O of its own, keeps no state, and treats every byte it decodes as
// written by an enemy: what it allocates is bounded by the length of the input.
package wire
