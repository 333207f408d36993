package replica

import (
	"context"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Disk is what a scan knows of a folder's directory.
type Disk interface {
	// Row returns what was last seen at a path; found is false if nothing is known.
	Row(ctx context.Context, path string) (r Seen, found bool, err error)
	// Children returns what was last seen in a directory.
	Children(ctx context.Context, dir string) ([]Seen, error)
	// Observe looks at a path now. last is what Row has just returned for it; without
	// Path it was nothing, or was not asked.
	Observe(ctx context.Context, path string, last Seen) (Seen, Observed, error)
	// Record tells the scan what was done here: paths that are gone, directories that
	// were moved, in this order, and then what is new or different.
	Record(ctx context.Context, drop []string, moved []Move, put []Seen) error
	// ByHash returns the path of a file that has a content; found is false if none is
	// known.
	ByHash(ctx context.Context, h reconcile.Hash) (path string, found bool, err error)
	// ByInode returns the path of a directory that has an inode, which is not 0; found is
	// false if none is known.
	ByInode(ctx context.Context, inode uint64) (path string, found bool, err error)
	// Hint has the scan look again at paths.
	Hint(paths ...string)
}

// Seen is a path as a scan has seen it.
type Seen struct {
	Path string
	reconcile.Item
	Changed int64 // the inode's change time, ns since 1970; 0: not known
}

// Observed says what Observe has found.
type Observed int

// What can be at a path.
const (
	Absent  Observed = iota // nothing
	Current                 // just what Seen says
	Other                   // something else, that is not shared or not known yet
)
