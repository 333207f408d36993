package folder

import (
	"context"
	"io"
)

// Sink gets what is in the folders, and every change.
//
// Put is called with 1 to 256 updates by one goroutine per folder at a time, in
// an order in which a directory comes before what is in it and the end of a path
// before what takes its place. When it returns nil, the updates are remembered and
// not told again, but for files that could not be read as they had been; otherwise,
// or after a crash, all of them are told again, as they are by then, so Put must bear
// repetition, and the end of what it does not know. Scans do not wait for it.
type Sink interface {
	Put(ctx context.Context, updates []Update) error
}

// Update is one entry that is new, has changed or is gone.
type Update struct {
	Folder *Folder // as it was shortly before; not to be changed
	Entry
	// Gone: there is no such entry any more. Entry is what it last was.
	Gone bool
	// Ignored: it is gone from what is shared, but still on the disk, because a
	// pattern now excludes it. Only with Gone.
	Ignored bool
	// Open opens a file's content, during Put only. The bytes are those of Hash: if
	// the file has changed since it was hashed, Open or a read gives ErrChanged before
	// the last byte, and the file is told again when it was looked at. Nil for
	// directories and what is gone.
	Open func() (Content, error)
}

// Content is what is in a file: from its start on, or anywhere, of Size bytes.
type Content interface {
	io.ReadCloser
	io.ReaderAt
}
