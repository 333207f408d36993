package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
)

// Content is one state of a file of a folder, here or on another member, ready to be
// read. Close it when all that was read of it is closed.
type Content struct {
	Name     string // the last part of its path
	Size     int64
	Modified time.Time
	Hash     folder.Hash // of the content; zero while the file is newer than the index
	Node     p2p.ID      // who holds it

	read  func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
	close func() error
}

// Close ends the use of the file. What ReadRange gave must be closed before.
func (c *Content) Close() error { return c.close() }

// ReadRange returns length bytes from offset on, of the state of the file that c
// describes: it, or the reader, fails with folder.ErrChanged when there is another
// one by then. Close the reader.
func (c *Content) ReadRange(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 || length < 0 || offset > c.Size || length > c.Size-offset {
		return nil, fmt.Errorf("node: read %s: bytes %d+%d of %d", c.Name, offset, length, c.Size)
	}
	if length == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return c.read(ctx, offset, length)
}

// Content finds a file of a folder (see Folder). What comes, comes from the node
// that shares this folder and from nobody else.
func (n *Node) Content(ctx context.Context, id string, from p2p.ID, file string) (*Content, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	f, err := n.Folder(id, from)
	if err != nil {
		return nil, err
	}
	if !f.Offered {
		return n.localContent(f, file)
	}
	return n.remoteContent(ctx, f, file)
}

// localContent keeps the file open, so that all that is read is of one file even
// when another one takes its name.
func (n *Node) localContent(f Folder, file string) (*Content, error) {
	at, err := n.folders.OpenFile(f.ID, file)
	if err != nil {
		return nil, err
	}
	return &Content{
		Name: path.Base(file), Size: at.Size, Modified: at.Modified, Hash: at.Hash, Node: n.id,
		read: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			return io.NopCloser(&section{file: at, offset: offset, left: length}), nil
		},
		close: at.Close,
	}, nil
}

// section reads a part of an open file, and fails rather than giving its last bytes
// when the file is not any more what it was when it was opened.
type section struct {
	file         *folder.File
	offset, left int64
}

// Read implements io.Reader. Errors: folder.ErrChanged.
func (s *section) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.file.ReadAt(p[:min(int64(len(p)), s.left)], s.offset)
	if n == 0 && errors.Is(err, io.EOF) {
		err = folder.ErrChanged // shorter than it was
	}
	if n == 0 {
		return 0, err
	}
	s.offset, s.left = s.offset+int64(n), s.left-int64(n)
	if s.left == 0 {
		if err := s.file.Unchanged(); err != nil {
			return 0, err
		}
	}
	return n, nil // the next Read meets what is wrong, if it lasts
}

func (n *Node) remoteContent(ctx context.Context, f Folder, file string) (*Content, error) {
	h, body, err := n.fetch(ctx, f.Node, folder.Request{Folder: f.ID, Path: file, Head: true})
	if err != nil {
		return nil, fmt.Errorf("node: content of %s in %s of %s: %w", file, f.Label, f.NodeName, err)
	}
	if err := body.Close(); err != nil {
		return nil, fmt.Errorf("node: content of %s: %w", file, err)
	}
	var ifHash []byte
	if h.Hash != (folder.Hash{}) {
		ifHash = h.Hash[:]
	}
	return &Content{
		Name: path.Base(file), Size: h.Size, Modified: h.Modified, Hash: h.Hash, Node: f.Node,
		read: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			now, body, err := n.fetch(ctx, f.Node, folder.Request{Folder: f.ID, Path: file, Offset: offset, Length: length, IfHash: ifHash})
			if err != nil {
				return nil, err
			}
			if now.Size != h.Size || !now.Modified.Equal(h.Modified) || now.Hash != h.Hash {
				return nil, errors.Join(fmt.Errorf("node: content of %s of %s: %w", file, f.NodeName, folder.ErrChanged), body.Close())
			}
			return body, nil
		},
		close: func() error { return nil },
	}, nil
}

// fetch is folder.Fetch over the link to a member; once more if the link ends before the answer
// begins: of two that come up at once one is given up, and there is the other one.
func (n *Node) fetch(ctx context.Context, from p2p.ID, req folder.Request) (folder.Header, io.ReadCloser, error) {
	var over p2p.Link
	for {
		l, err := n.links.need(ctx, from)
		if err != nil {
			return folder.Header{}, nil, err
		}
		h, body, err := folder.Fetch(ctx, l, req)
		if err == nil || over != nil || !errors.Is(err, p2p.ErrClosed) || ctx.Err() != nil {
			return h, body, err
		}
		over = l
	}
}
