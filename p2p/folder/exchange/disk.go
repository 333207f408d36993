package exchange

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// disk is a folder as its scans know it. It implements replica.Disk.
type disk struct {
	folders *folder.Service
	id      string
	place   *place
}

// seenOf is a row of a scan as the planner sees it: of directories only what people
// change.
func seenOf(r folder.Row) replica.Seen {
	s := replica.Seen{
		Path: r.Path, Changed: r.Changed,
		Item: reconcile.Item{Kind: reconcile.Kind(r.Kind), Mode: r.Mode.Perm(), Inode: r.Inode},
	}
	if r.Kind == folder.KindFile {
		s.Size, s.Modified, s.Hash = r.Size, r.Modified.UnixNano(), reconcile.Hash(r.Hash)
	}
	return s
}

func rowOf(s replica.Seen, now time.Time) folder.Row {
	return folder.Row{
		Entry: folder.Entry{
			Path: s.Path, Kind: folder.Kind(s.Kind), Size: s.Size, Modified: time.Unix(0, s.Modified).UTC(),
			Mode: s.Mode.Perm(), Hash: folder.Hash(s.Hash),
		},
		Inode: s.Inode, Changed: s.Changed, Checked: now.UnixNano(),
	}
}

// Row implements replica.Disk.
func (d disk) Row(ctx context.Context, path string) (replica.Seen, bool, error) {
	r, err := d.folders.Row(ctx, d.id, path)
	if errors.Is(err, folder.ErrNotFound) {
		return replica.Seen{}, false, nil
	}
	return seenOf(r), err == nil, err
}

// Children implements replica.Disk.
func (d disk) Children(ctx context.Context, dir string) ([]replica.Seen, error) {
	rows, err := d.folders.Children(ctx, d.id, dir)
	out := make([]replica.Seen, len(rows))
	for i, r := range rows {
		out[i] = seenOf(r)
	}
	return out, err
}

// Observe implements replica.Disk. What is just as the scan has seen it is not looked at
// closer: whether it is shared was decided then.
func (d disk) Observe(ctx context.Context, path string, last replica.Seen) (replica.Seen, replica.Observed, error) {
	if fsys := d.place.get(); fsys != nil {
		st, err := fsys.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return replica.Seen{}, replica.Absent, nil
		case err == nil && last.Path != "" && matches(st, last):
			return last, replica.Current, nil
		}
	}
	row, state, err := d.folders.Observe(ctx, d.id, path)
	if errors.Is(err, folder.ErrBadPath) {
		return replica.Seen{}, replica.Absent, nil // it cannot be on this system
	}
	switch state {
	case folder.ObservedKnown:
		return seenOf(row), replica.Current, err
	case folder.ObservedAbsent:
		return replica.Seen{}, replica.Absent, err
	}
	return replica.Seen{}, replica.Other, err
}

func matches(st apply.Stat, s replica.Seen) bool {
	if st.Kind != s.Kind || st.Inode != s.Inode || st.Mode != s.Mode {
		return false
	}
	return st.Kind == reconcile.KindDir || st.Size == s.Size && st.Modified == s.Modified && st.Changed == s.Changed
}

// Record implements replica.Disk.
func (d disk) Record(ctx context.Context, drop []string, moved []replica.Move, put []replica.Seen) error {
	now := time.Now()
	moves := make([]folder.Move, len(moved))
	for i, m := range moved {
		moves[i] = folder.Move(m)
	}
	rows := make([]folder.Row, len(put))
	for i, s := range put {
		rows[i] = rowOf(s, now)
	}
	return d.folders.Record(ctx, d.id, drop, moves, rows)
}

// ByHash implements replica.Disk.
func (d disk) ByHash(ctx context.Context, h reconcile.Hash) (string, bool, error) {
	path, found := d.folders.ByHash(ctx, d.id, folder.Hash(h))
	return path, found, nil
}

// ByInode implements replica.Disk.
func (d disk) ByInode(ctx context.Context, inode uint64) (string, bool, error) {
	return d.folders.DirByInode(ctx, d.id, inode)
}

// Hint implements replica.Disk.
func (d disk) Hint(paths ...string) { d.folders.Hint(d.id, paths...) }

// place holds a folder's directory open while it is worked in, and not longer: an
// open directory keeps its disk from being unplugged.
type place struct {
	folders *folder.Service
	id      string

	mu    sync.Mutex // guards all following fields
	users int
	fs    *apply.Root
	close func() error
}

// enter returns the directory, which stays open until leave is called. Errors:
// folder.ErrUnavailable.
func (p *place) enter() (fsys *apply.Root, leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == 0 {
		root, _, err := p.folders.Tree(p.id)
		if err != nil {
			return nil, nil, err
		}
		fsys, err := apply.NewRoot(root)
		if err != nil {
			return nil, nil, err
		}
		p.fs, p.close = fsys, fsys.Close
	}
	p.users++
	return p.fs, sync.OnceFunc(p.leave), nil
}

func (p *place) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users > 0 {
		return
	}
	_ = p.close() // everything that was written in it is synced
	p.fs, p.close = nil, nil
}

// get returns the directory if it is open.
func (p *place) get() *apply.Root {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fs
}

func (p *place) String() string { return fmt.Sprintf("folder %s", p.id) }
