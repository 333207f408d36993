// Package replica keeps one folder of this node the same as on the other members
// that have it.
//
// A [Core] is the decisions and the work of one folder, without goroutines, clocks
// or a network: it is told which paths have changed on the disk ([Core.Dirty]) and
// what others have done ([Core.Merge]), and each [Core.Turn] plans with package
// reconcile, commits what a person here has done, and installs with package apply
// what others have. A simulator can run it.
//
// A [Service] is the shell: one goroutine per folder owns its core, streams of
// [IndexProtocol] bring the entries of other members and take them ours, and streams of
// [FilesProtocol] bring contents, many small files at once, large ones as a delta against what
// is here, from several members.
//
// # What is durable when
//
// A version is committed here before anybody hears of it. Contents are on the disk
// before they get a name, names before the row says that they are there, and only
// then is a member told that its entries have been applied. What a step takes away
// is in the trash before that. A crash in between is settled from the journal, which
// says which steps were under way.
//
// # Parts of trees
//
// Folders are too large to be planned as a whole for each change. [gather] finds
// the part that a plan depends on: what has changed, whatever shares a name with it,
// the directories above, and all that is in a directory which is dead, or which is
// one with another.
package replica
