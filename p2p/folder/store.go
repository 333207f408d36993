package folder

import (
	"context"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// Store keeps folders between runs. NewMemory and package store implement it;
// package foldertest says what an implementation must do.
type Store interface {
	Registry
	Index
}

// Registry is which folders there are. It cannot be computed again.
type Registry interface {
	// Folders returns all, in the order of creation.
	Folders(ctx context.Context) ([]Record, error)
	// SaveFolder adds r, or replaces the record of the same ID. It is durable when
	// SaveFolder returns.
	SaveFolder(ctx context.Context, r Record) error
	// DeleteFolder forgets a folder and all its rows. An unknown one is no error.
	DeleteFolder(ctx context.Context, id string) error
}

// Index is what was last seen in the folders: the cache that makes a scan cheap,
// the list of entries, and what of it the Sink has still to be told. It may be lost
// at any time; a scan builds it again. The order of paths is that of their bytes.
type Index interface {
	// Children returns the rows directly in dir ("": the folder itself), by path.
	Children(ctx context.Context, folder, dir string) ([]Row, error)
	// Under returns up to limit rows whose path starts with prefix and comes after
	// after, by path.
	Under(ctx context.Context, folder, prefix, after string, limit int) ([]Row, error)
	// Row returns one row. Errors: ErrNotFound.
	Row(ctx context.Context, folder, path string) (Row, error)
	// DirByInode returns the row of a directory with an inode, which is not 0; of
	// several, the first. Errors: ErrNotFound.
	DirByInode(ctx context.Context, folder string, inode uint64) (Row, error)
	// ByHash returns the row of a file whose content has a hash; of several, the
	// first. Errors: ErrNotFound.
	ByHash(ctx context.Context, folder string, h Hash) (Row, error)
	// Apply changes rows, all or nothing, and returns what that changes in the result
	// of Count.
	Apply(ctx context.Context, folder string, d Diff) (Delta, error)
	// Count returns the number of files, and the sum of their sizes.
	Count(ctx context.Context, folder string) (files int, bytes int64, err error)
	// Untold returns up to limit of what the sink has still to be told. With gone, of
	// paths at which nothing is any more, from the last path to the first, those before
	// after, which is empty at first; else of the others, from the first to the last,
	// those after after.
	Untold(ctx context.Context, folder string, gone bool, after string, limit int) ([]Untold, error)
	// Manifest returns what a content is made of. Errors: ErrNotFound.
	Manifest(ctx context.Context, h Hash) (*chunk.Manifest, error)
	// SaveManifests saves what contents are made of.
	SaveManifests(ctx context.Context, ms []*chunk.Manifest) error
	// Similar returns up to limit files of a folder whose content has chunks of a sketch
	// (chunk.Manifest.Sketch), those with the most first, each content once. What is
	// copied from them has to be checked: few bits of the hashes are compared.
	Similar(ctx context.Context, folder string, sketch []chunk.Hash, limit int) ([]Similar, error)
	// Sweep forgets the manifests that were saved before a time and whose content no file
	// of any folder has.
	Sweep(ctx context.Context, before time.Time) error
	// Told notes that the sink was told all of us, as far as nothing has changed since.
	Told(ctx context.Context, folder string, us []Untold) error
}

// Row is an entry with what tells, without reading it, that it is unchanged.
type Row struct {
	Entry
	Inode   uint64 // 0 where there is none
	Changed int64  // change time of the inode, ns since 1970; 0 where there is none
	Checked int64  // when the content was last about to be read, ns since 1970
}

// Diff is a change of an index, in the order in which it happens.
type Diff struct {
	// Drop are paths whose rows are deleted, where there are any, without those below;
	// Left are more of them, which are still on the disk but ignored.
	Drop, Left []string
	// Moved are directories that get another path, with all rows below them, all at
	// once: From are paths of before, To of after. Rows in the way are deleted.
	Moved []Move
	// Put are rows that are added, or replace those of the same path.
	Put []Row
	// Same are more of them, which differ from those of the same path and kind only in
	// what the sink need not know.
	Same []Row
	// Made is what contents of these rows are made of.
	Made []*chunk.Manifest
}

// Similar is a file that has chunks of another one.
type Similar struct {
	Path   string
	Hash   Hash // of its content
	Shared int  // how many chunks of the sketch
}

// Delta is how much more is in a folder than before.
type Delta struct {
	Files int
	Bytes int64
}

// Untold is what the sink has still to be told about a path.
type Untold struct {
	// Row is what is there. If it has no Kind, nothing is, and it is what last was.
	Row
	Ended   []Kind // what the sink may know to be there, but is not
	Ignored bool   // it is gone because it is ignored
	Rev     int64  // of the row; each change gives it a greater one
}
