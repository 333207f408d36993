package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Limits of a preview.
const (
	previewEntries = 100_000 // of the folder, and in the directory
	previewBytes   = 4 << 30 // that are read to compare
)

// Preview says what joining a folder that the peer of l offers would do to the
// directory at path. l is nil if nobody can be asked. Errors: those of
// folder.Service.Add.
func (s *Service) Preview(ctx context.Context, l p2p.Link, id, path string) (replica.Preview, error) {
	place, err := s.o.Folders.Fits(id, path)
	if err != nil {
		return replica.Preview{}, err
	}
	v := previewer{Preview: replica.Preview{Path: place}, there: map[string]folder.Entry{}}
	if l != nil {
		if err := v.ask(ctx, l, id); err != nil && ctx.Err() != nil {
			return replica.Preview{}, ctx.Err()
		}
	}
	if err := v.walk(ctx, place); err != nil {
		return replica.Preview{}, fmt.Errorf("exchange: preview of %s: %w", place, err)
	}
	for p, e := range v.there {
		v.There++
		v.Fetch += e.Size
		v.item(p, "there", e.Size)
	}
	rank := map[string]int{"differ": 0, "here": 1, "there": 2}
	slices.SortFunc(v.items, func(a, b replica.PreviewItem) int {
		return cmp.Or(cmp.Compare(rank[a.What], rank[b.What]), strings.Compare(a.Path, b.Path))
	})
	v.Items = v.items[:min(len(v.items), replica.MaxPreviewItems)]
	return v.Preview, nil
}

type previewer struct {
	replica.Preview
	there map[string]folder.Entry // files of the folder that were not met here
	items []replica.PreviewItem
	read  int64
	seen  int
}

// ask reads the list of files that the member has.
func (v *previewer) ask(ctx context.Context, l p2p.Link, id string) error {
	for cursor := ""; ; {
		entries, next, err := folder.FetchEntries(ctx, over{l}, l.Peer(), id, "", cursor, folder.MaxEntries)
		if err != nil {
			return err
		}
		v.Known = true
		for _, e := range entries {
			if e.Kind == folder.KindFile {
				v.there[e.Path] = e
			}
		}
		if next == "" {
			return nil
		}
		if len(v.there) >= previewEntries {
			v.Partial = true
			return nil
		}
		cursor = next
	}
}

func (v *previewer) item(path, what string, size int64) {
	v.items = append(v.items, replica.PreviewItem{Path: path, What: what, Size: size})
}

// walk compares what is in the directory.
func (v *previewer) walk(ctx context.Context, path string) error {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close() // nothing was written
	v.Exists = true
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			v.Partial = true // it cannot be read
			return nil
		case d.IsDir() && strings.EqualFold(d.Name(), ".shoal"):
			return fs.SkipDir
		case !d.Type().IsRegular() || folder.CheckPath(p) != nil:
			return nil
		case v.seen >= previewEntries:
			v.Partial = true
			return fs.SkipAll
		}
		v.seen++
		return v.file(root, p, d)
	})
}

func (v *previewer) file(root *os.Root, p string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		v.Partial = true
		return nil
	}
	e, known := v.there[p]
	delete(v.there, p)
	switch {
	case !known:
		v.Here++
		v.item(p, "here", info.Size())
	case e.Size == info.Size() && v.equal(root, p, e):
		v.Same++
	default:
		v.Differ++
		v.item(p, "differ", info.Size())
	}
	return nil
}

// equal compares contents, as long as there is not too much to read.
func (v *previewer) equal(root *os.Root, p string, e folder.Entry) bool {
	if v.read += e.Size; v.read > previewBytes {
		v.Partial = true
		return true
	}
	f, err := root.Open(p)
	if err != nil {
		return false
	}
	defer f.Close() // nothing was written
	hash := blake3.New()
	if _, err := io.Copy(hash, f); err != nil {
		return false
	}
	var h folder.Hash
	hash.Sum(h[:0])
	return h == e.Hash
}

// over is a p2p.Caller that knows one link.
type over struct{ p2p.Link }

// Call implements p2p.Caller.
func (o over) Call(ctx context.Context, _ p2p.ID, proto string, req []byte) ([]byte, error) {
	return o.Link.Call(ctx, proto, req)
}
