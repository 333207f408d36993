package folder

import "context"

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
// and the list of entries. It may be lost at any time; a scan builds it again.
// The order of paths is that of their bytes.
type Index interface {
	// Children returns the rows directly in dir ("": the folder itself), by path.
	Children(ctx context.Context, folder, dir string) ([]Row, error)
	// Under returns up to limit rows whose path starts with prefix and comes after
	// after, by path.
	Under(ctx context.Context, folder, prefix, after string, limit int) ([]Row, error)
	// Row returns one row. Errors: ErrNotFound.
	Row(ctx context.Context, folder, path string) (Row, error)
	// Apply deletes the rows of the paths in drop, where there are any, and then
	// adds or replaces those of put, all or nothing.
	Apply(ctx context.Context, folder string, drop []string, put []Row) error
	// Count returns the number of files, and the sum of their sizes.
	Count(ctx context.Context, folder string) (files int, bytes int64, err error)
}

// Row is an entry with what tells, without reading it, that it is unchanged.
type Row struct {
	Entry
	Inode   uint64 // 0 where there is none
	Changed int64  // change time of the inode, ns since 1970; 0 where there is none
	Checked int64  // when the content was last about to be read, ns since 1970
}
