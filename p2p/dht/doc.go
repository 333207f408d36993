// Package dht is a distributed table: every member of a network keeps a part of
// it, and each record is kept by those whose positions are nearest to it.
//
// A record has an address of four parts, as in TomP2P: its location decides who
// keeps it; domain, content and version tell records of one location apart. The
// author signs the record, and whoever keeps a copy keeps the signature, so that a
// copy can be held against it wherever it comes from.
//
// There are three kinds of write. Put: the last writer wins, or what is written
// adds to a set (Add). VPut: a new version beside the old ones, which a majority of the
// replicas has agreed to, as their votes prove, or it forks, and forks can be seen (vDHT). Cas: one value that all agree upon (package paxos).
//
// Up to some thousands of members each knows all of them, and who keeps a location. In larger
// networks it is looked up (find.go).
//
// How it is made: what a node does with a record that comes is decided by a Cell,
// without disk, network and clock. A Store keeps cells. A Table asks those who
// keep a location, many locations in one message to each, and answers others.
package dht
