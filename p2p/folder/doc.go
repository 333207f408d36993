// Package folder looks after the folders that this node shares: which they are,
// what is in them, what changes in them, and who may read their files.
//
// A [Service] holds the registry. For each folder one goroutine compares the disk
// with what was known (a scan) and puts every difference into the [Index]. File system
// events are hints which say where to look; they are never believed. Two hear of what a
// scan has found, and neither waits for the other:
//
// Whoever keeps the folder in sync is called by Options.Changed after each scan, and
// tells what it does itself by [Service.Record], so that no scan finds that again.
//
// The [Sink], which makes files findable, is told by a second goroutine. What it has
// still to be told is marked in the index, in the same transaction as the difference
// itself, so that a crash or a failing sink means that something is told twice, never
// that it is not told.
//
// # What is moved
//
// A directory that appears under a path and has the inode of one that is known under
// another, where it is not any more, has been moved: its rows get the new paths, and
// what is in it is compared with them instead of being read. The same holds for a file
// with the inode, size and time of modification of one that is gone, unless its time
// stamps are too young to be relied on. So nothing that is missing counts as gone until
// a scan has visited everything that it was asked to.
//
// # What is never done
//
// No file outside a folder is read, whatever is renamed or linked meanwhile: all
// access goes through [os.Root], one path component at a time, and what was opened
// is compared with what was looked at, so that a symbolic link is not followed
// even if it leads to another place of the same folder.
//
// No file is written here, apart from the marker: .shoal/id in a folder holds the
// folder's ID. A folder without it, or with another one, is not the folder that
// was added (its disk may not be mounted), so it is in [StateError] and nothing
// of it is forgotten. It recovers by itself when the marker is back. The marker
// proves the folder, not the device number, because many file systems get
// another number at every mount. Where no marker can be written, on read-only
// media, the directory's inode is remembered instead, and while the program runs
// its device. [Service.Remove] leaves the marker where it is.
//
// # What is in a folder
//
// Regular files and directories whose names are valid UTF-8. Symbolic links,
// devices, pipes, sockets, other file systems mounted inside, and what cannot be
// read are skipped and listed with the reason. Left out in silence are .shoal,
// which is reserved in every directory, .shoalignore, which like its patterns is
// a matter of this computer, and what the patterns exclude; see [DefaultIgnored].
package folder
