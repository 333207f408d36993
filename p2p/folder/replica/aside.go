package replica

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

var errNotExist = fs.ErrNotExist

// asideDisk sees, besides what a scan sees, what is between two names: seldom
// anything, and never for long. Where a file system takes several names for one, it
// sees nothing at those that are not the name that something has.
type asideDisk struct {
	Disk
	fs   apply.FS
	fold func(name string) string // see reconcile.Options
}

func (d asideDisk) Row(ctx context.Context, path string) (Seen, bool, error) {
	if !below(path, reconcile.Aside) {
		return d.Disk.Row(ctx, path)
	}
	s, err := look(ctx, d.fs, path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, apply.ErrInTheWay) {
		return Seen{}, false, nil
	}
	return s, err == nil, err
}

func (d asideDisk) Observe(ctx context.Context, path string, last Seen) (Seen, Observed, error) {
	if !below(path, reconcile.Aside) {
		s, state, err := d.Disk.Observe(ctx, path, last)
		if err == nil && state == Other && d.fold != nil && !apply.Spelled(d.fs, path) {
			return Seen{}, Absent, nil
		}
		return s, state, err
	}
	s, found, err := d.Row(ctx, path)
	switch {
	case err != nil || !found:
		return s, Absent, err
	case s.Kind == reconcile.KindOther:
		return s, Other, nil
	}
	return s, Current, nil
}

func (d asideDisk) Children(ctx context.Context, dir string) ([]Seen, error) {
	if !below(dir, reconcile.Aside) {
		return d.Disk.Children(ctx, dir)
	}
	names, err := d.fs.Names(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, apply.ErrInTheWay) {
		return nil, nil
	}
	var all []Seen
	for _, name := range names {
		s, found, err := d.Row(ctx, dir+"/"+name)
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, s)
		}
	}
	return all, err
}

func (d asideDisk) Record(ctx context.Context, drop []string, moved []Move, put []Seen) error {
	hidden := func(p string) bool { return below(p, reconcile.Aside) }
	drop = slices.DeleteFunc(slices.Clone(drop), hidden)
	put = slices.DeleteFunc(slices.Clone(put), func(s Seen) bool { return hidden(s.Path) })
	var moves []Move
	for _, m := range moved {
		switch {
		case hidden(m.From) && hidden(m.To):
		case hidden(m.To):
			drop = append(drop, m.From)
		case hidden(m.From):
			d.Hint(m.To) // a scan finds what came out
		default:
			moves = append(moves, m)
		}
	}
	if len(drop)+len(moves)+len(put) == 0 {
		return nil
	}
	return d.Disk.Record(ctx, drop, moves, put)
}

// look describes what is at path, and reads it if it is a file.
func look(ctx context.Context, fsys apply.FS, path string) (Seen, error) {
	st, err := fsys.Lstat(path)
	if err != nil {
		return Seen{}, err
	}
	s := Seen{Path: path, Item: reconcile.Item{Kind: st.Kind, Mode: st.Mode, Inode: st.Inode}, Changed: st.Changed}
	if st.Kind == reconcile.KindFile {
		s.Size, s.Modified = st.Size, st.Modified
		s.Hash, err = hashFile(ctx, fsys, path)
	}
	return s, err
}

// hashFile reads the file at path.
func hashFile(ctx context.Context, fsys apply.FS, path string) (h reconcile.Hash, err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close() // nothing was written
	b := blake3.New()
	buf := make([]byte, 128<<10)
	for {
		n, err := f.Read(buf)
		_, _ = b.Write(buf[:n]) // never fails (hash.Hash)
		if err == io.EOF {
			b.Sum(h[:0])
			return h, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return h, err
		}
	}
}
