package apply

import (
	"io"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// FS is the directory of one folder, as far as installing needs it. Paths are
// relative to it, with slashes, in the form that reconcile gives; no method follows
// a symbolic link, in any component. Root is the one on a disk; MemFS, in package
// apply/applytest, loses what was not synced when it crashes. applytest.Run says
// what an implementation must do.
//
// Errors: fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, syscall.ENOSPC and its
// kin as the system has them, for errors.Is; ErrInTheWay where a component of a path
// is not a directory.
type FS interface {
	// Lstat describes what is at path; the folder itself is "".
	Lstat(path string) (Stat, error)
	// Open opens the regular file at path for reading.
	Open(path string) (File, error)
	// Create makes an empty regular file at path, which must be below Private, with
	// mode 0600, or opens the one that is there for reading and writing.
	Create(path string) (Temp, error)
	// Names lists a directory, sorted.
	Names(path string) ([]string, error)
	// Mkdir makes a directory. Errors: fs.ErrExist.
	Mkdir(path string, mode fs.FileMode) error
	// Rmdir removes an empty directory. Errors: syscall.ENOTEMPTY.
	Rmdir(path string) error
	// Remove removes the file at path, which must be below Private.
	Remove(path string) error
	// Rename gives what is at from the name to, where nothing may be. Errors:
	// fs.ErrExist.
	Rename(from, to string) error
	// Exchange swaps the names of two files: there is no moment in which either
	// does not exist. Where the system cannot, errors.ErrUnsupported.
	Exchange(a, b string) error
	// SetMeta sets permission bits, and of a file the time of modification (ns since
	// 1970), and returns what came of it.
	SetMeta(path string, mode fs.FileMode, modified int64) (Stat, error)
	// SyncFile makes the content of the file at path durable, which must be below
	// Private. It needs no right to write it. After an error the file must be thrown
	// away: what was not written may look as if it had been.
	SyncFile(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// SyncAll makes everything durable that was done so far: contents and names. Where
	// the system cannot, errors.ErrUnsupported.
	SyncAll() error
	// Free returns how many bytes can still be written, and the size of the disk.
	Free() (free, total int64, err error)
}

// File is a file open for reading.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Stat() (Stat, error)
}

// Temp is a file below Private open for reading and writing.
type Temp interface {
	File
	io.WriterAt
	// Truncate sets the length.
	Truncate(size int64) error
	// Clone makes the content that of another file on the same disk, of which nothing is
	// copied before one of them is written. After an error, as most disks give one, the
	// content is what it was.
	Clone(of File) error
	// SetMeta as in FS, by the open file.
	SetMeta(mode fs.FileMode, modified int64) (Stat, error)
	// Sync makes the content durable. After an error the file must be thrown away:
	// what was not written may look as if it had been.
	Sync() error
}

// Stat is the state of something on a disk.
type Stat struct {
	Kind     reconcile.Kind // KindOther for what is neither a regular file nor a directory
	Size     int64          // of a file
	Modified int64          // ns since 1970
	Mode     fs.FileMode    // permission bits
	Inode    uint64         // 0: not known
	Changed  int64          // the inode's change time, ns since 1970; 0: not known
}

// What the program has for itself in a folder. All of it is on the file system of
// the folder, and none of it is shared.
const (
	Private  = ".shoal"
	TempDir  = ".shoal/tmp"
	TrashDir = ".shoal/trash"
	AsideDir = reconcile.Aside
)
