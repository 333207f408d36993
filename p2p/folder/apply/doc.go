// Package apply changes the disk of a folder without losing a byte that somebody
// else has written there.
//
// Between the moment at which a file is looked at and the moment at which it is
// replaced, a person can save it. So nothing is ever overwritten: what is replaced or
// deleted is renamed, and looked at once more where it is now. If it is not what was
// expected, it is put back, or, if its name is taken by then, kept beside as
// "name (conflict 1a2b3c4d).ext". What was expected stays in the trash.
//
// [FS] is what that needs of a disk, [Root] is a disk. [Install], [Replace], [Discard],
// [Move], [Mkdir] and [SetMeta] are the things that are done. [Op] is one of them
// written down, for a journal: [Op.Run] does it, and [Op.Settle] finds out after a crash
// how far it came, and ends it.
//
// # Order
//
// What must be done so that a crash at any moment, even of a computer that forgets
// what was not synced, leaves the old file or the new one:
//
//  1. write the temporary files, set their modes and times;
//  2. [SyncTemps]; after an error the temporary files are thrown away;
//  3. make the ops durable, in a journal;
//  4. [Op.Run] each;
//  5. [SyncDirs] of [Op.Dirs];
//  6. commit what came of it, and empty the journal.
//
// After a crash between 3 and 6, [Op.Settle] each, in the order of the journal, then
// 5 and 6. Nothing below .shoal/tmp may be removed before that, because what was
// swapped out of its place may be there.
package apply
