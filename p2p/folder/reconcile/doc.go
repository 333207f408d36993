// Package reconcile decides what happens to a folder that several computers
// change at the same time. It is the pure heart of folder sync: values in, values
// out; no clock, no disk, no network.
//
// # Three trees
//
//   - [Base]: what this node has committed and verified, path by path, with the
//     versions that it has seen there.
//   - [Disk]: what is there now.
//   - [Global]: what all members together have done, as far as this node knows.
//
// [Reconcile] compares them and returns a [Plan]: which changes of the disk are
// new versions, and by which steps the disk becomes what the global state says.
//
// # The state
//
// A file or directory is an [Entry], named for life by the event that made it. It
// has two registers, each a set of concurrent versions: its places (the directory
// it is in, by entry ID, and its name) and its contents (or that it is deleted).
// Two registers are why a rename and an edit compose, and parents by ID are why
// moving a directory is one event however much is in it. [Join] merges states; it
// is the join of a semilattice, so nodes may hear of things in any order and any
// number of times.
//
// # The view
//
// [Global.View] turns a state into the tree that people see. Everything that is a
// matter of taste is there, a function of the state and of nothing else, hence the
// same on every node:
//
//   - An edit beats a delete, and so does a rename.
//   - Versions of equal content are one. A version that is known to descend from
//     another takes its place.
//   - Of what remains at one name the winner (larger counter sum, then larger
//     hash) has the name. The others are shown beside it as
//     "name (conflict MEMBER hash).ext".
//   - Directories of the same name are one directory. A directory wins its name
//     against files.
//   - A deleted directory stays as long as something in it is alive.
//   - Moves that would make a cycle are undone, the highest first.
//
// No version is ever written because versions met; only what a person does on a
// disk makes a version. Hence nodes that rest stay at rest.
//
// # Nothing is lost
//
// A version supersedes what its author saw at the path, which is what Base is
// for, and nothing else: what has arrived in the meantime stays concurrent. Where
// a version vector cannot say that, because vectors have no gaps, what would be
// covered without having been seen is given an entry of its own (see
// recorder.rescue). No step of a plan touches content that is not in the global
// state by then.
package reconcile
