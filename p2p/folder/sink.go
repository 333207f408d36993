package folder

import (
	"context"
	"io"
)

// Sink gets what is in the folders, and every change.
//
// Put is called with 1 to 256 updates by one goroutine per folder at a time, in
// an order in which a directory comes before what is in it and the end of a path
// before what takes its place. When it returns nil, the updates are remembered
// and not told again; otherwise, or after a crash, the next scan tells all of
// them again, so Put must bear repetition.
type Sink interface {
	Put(ctx context.Context, updates []Update) error
}

// Update is one entry that is new, has changed or is gone.
type Update struct {
	Folder *Folder // as it was when the scan began; not to be changed
	Entry
	// Gone: there is no such entry any more. Entry is what it last was.
	Gone bool
	// Ignored: it is gone from what is shared, but still on the disk, because a
	// pattern now excludes it. Only with Gone.
	Ignored bool
	// Open reads a file's content from its start, during Put only. The bytes are
	// those of Hash: files up to 1 MiB come from memory, where hashing has left
	// them, so that each is read once; reading of a larger one gives ErrChanged if
	// it has changed since. Nil for directories and what is gone.
	Open func() (io.ReadCloser, error)
}
