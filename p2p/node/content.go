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

// Content is a file of a folder, here or on another member, ready to be read.
type Content struct {
	Name     string // the last part of its path
	Size     int64
	Modified time.Time
	Hash     folder.Hash // of the content; zero while the file is newer than the index
	Node     p2p.ID      // who holds it

	read func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// ReadRange returns length bytes from offset on. The reader fails, rather than
// mixing two versions, when the file changes meanwhile. Close it.
func (c *Content) ReadRange(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 || length < 0 || offset > c.Size || length > c.Size-offset {
		return nil, fmt.Errorf("node: read %s: bytes %d+%d of %d", c.Name, offset, length, c.Size)
	}
	if length == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return c.read(ctx, offset, length)
}

// Content finds a file of a folder that is shared here or offered by a member.
func (n *Node) Content(ctx context.Context, id, file string) (*Content, error) {
	f, err := n.Folder(id)
	if err != nil {
		return nil, err
	}
	if !f.Offered {
		return n.localContent(f, file)
	}
	return n.remoteContent(ctx, f, file)
}

func (n *Node) localContent(f Folder, file string) (*Content, error) {
	open := func() (*folder.File, error) { return n.folders.OpenFile(f.ID, file) }
	at, err := open()
	if err != nil {
		return nil, err
	}
	e := at.Entry
	if err := at.Close(); err != nil {
		return nil, fmt.Errorf("node: content of %s in %s: %w", file, f.Label, err)
	}
	return &Content{
		Name: path.Base(file), Size: e.Size, Modified: e.Modified, Hash: e.Hash, Node: n.id,
		read: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			at, err := open()
			if err != nil {
				return nil, err
			}
			if at.Entry.Hash != e.Hash {
				return nil, errors.Join(fmt.Errorf("node: content of %s: %w", file, folder.ErrChanged), at.Close())
			}
			return at.Range(offset, length)
		},
	}, nil
}

func (n *Node) remoteContent(ctx context.Context, f Folder, file string) (*Content, error) {
	l, err := n.links.to(f.Node)
	if err != nil {
		return nil, fmt.Errorf("node: content of %s in %s of %s: %w", file, f.Label, f.NodeName, err)
	}
	h, body, err := folder.Fetch(ctx, l, folder.Request{Folder: f.ID, Path: file, Head: true})
	if err != nil {
		return nil, err
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
			_, body, err := folder.Fetch(ctx, l, folder.Request{Folder: f.ID, Path: file, Offset: offset, Length: length, IfHash: ifHash})
			return body, err
		},
	}, nil
}
