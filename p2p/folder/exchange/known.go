package exchange

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// maxPendingListed is how many entries that are not on this disk yet are listed.
const maxPendingListed = 10_000

// Known returns up to limit of what the network knows to be in a folder, by path,
// with a prefix and after cursor; next is empty at the end.
func (s *Service) Known(ctx context.Context, id, prefix, cursor string, limit int) (out []replica.Known, next string, err error) {
	if _, err := s.await(ctx, id); err != nil {
		return nil, "", err
	}
	here, next, err := s.o.Folders.Entries(ctx, id, prefix, cursor, limit)
	if err != nil {
		return nil, "", err
	}
	err = s.o.Store.Read(ctx, id, func(r replica.Reader) error {
		l, err := newLister(r, s.self)
		if err != nil {
			return err
		}
		for _, e := range here {
			k, err := l.here(e)
			if err != nil {
				return err
			}
			out = append(out, k)
		}
		coming, err := l.coming(func(p string) bool {
			return strings.HasPrefix(p, prefix) && p > cursor && (next == "" || p <= next)
		})
		out = merged(out, coming)
		return err
	})
	if len(out) > limit {
		out = out[:limit]
		next = out[limit-1].Path
	}
	return out, next, err
}

// merged sorts what is here and what is coming; what is coming to a path where
// something is already is what the network knows.
func merged(here, coming []replica.Known) []replica.Known {
	at := map[string]int{}
	for i, k := range here {
		at[k.Path] = i
	}
	for _, k := range coming {
		if i, ok := at[k.Path]; ok {
			here[i] = k
		} else {
			here = append(here, k)
		}
	}
	slices.SortFunc(here, func(a, b replica.Known) int { return strings.Compare(a.Path, b.Path) })
	return here
}

// lister describes what a replica knows.
type lister struct {
	r       replica.Reader
	self    p2p.ID
	of      uint64
	cursors []replica.Cursor
}

func newLister(r replica.Reader, self p2p.ID) (lister, error) {
	st, err := r.State()
	if err != nil {
		return lister{}, err
	}
	cursors, err := r.Cursors()
	return lister{r: r, self: self, of: st.Incarnation, cursors: cursors}, err
}

// members returns who has said that it has what entry seq says.
func (l lister) members(seq uint64, here bool) []p2p.ID {
	var out []p2p.ID
	if here {
		out = append(out, l.self)
	}
	for _, c := range l.cursors {
		if c.Of == l.of && c.Applied >= seq && seq > 0 {
			out = append(out, c.Member)
		}
	}
	return out
}

func (l lister) here(e folder.Entry) (replica.Known, error) {
	k := replica.Known{
		Path: e.Path, Kind: reconcile.Kind(e.Kind), Size: e.Size, Modified: e.Modified, Mode: uint32(e.Mode.Perm()),
		Hash: reconcile.Hash(e.Hash), Local: true, Members: []p2p.ID{l.self},
	}
	row, found, err := l.r.Row(e.Path)
	if err != nil || !found || len(row.Refs) == 0 || row.Hash != k.Hash {
		return k, err
	}
	ref := row.Refs[0]
	if !ref.Of.IsZero() {
		ref.ID = ref.Of
	}
	s, found, err := l.r.Entry(ref.ID)
	if err == nil && found && !s.Pending {
		k.Members = l.members(s.Seq, true)
	}
	return k, err
}

// coming returns the files and directories that are not on this disk yet, as far as
// their paths are wanted.
func (l lister) coming(wanted func(path string) bool) ([]replica.Known, error) {
	pending, err := l.r.Pending(0, maxPendingListed)
	var out []replica.Known
	for _, s := range pending {
		path, err := l.path(s.Entry)
		if err != nil {
			return nil, err
		}
		c, alive := best(s.Entry)
		if path == "" || !alive || !wanted(path) {
			continue
		}
		out = append(out, replica.Known{
			Path: path, Kind: s.Entry.Kind, Size: c.Size, Modified: time.Unix(0, c.Modified).UTC(), Mode: uint32(c.Mode.Perm()),
			Hash: c.Hash, Members: l.members(s.Seq, false),
		})
	}
	return out, err
}

// best is the content that is shown of an entry.
func best(e reconcile.Entry) (c reconcile.Content, alive bool) {
	for _, x := range e.Contents {
		if !x.Deleted && (!alive || x.Dot.Counter > c.Dot.Counter) {
			c, alive = x, true
		}
	}
	return c, alive
}

// path returns where an entry is, going up its directories; empty if one of them is
// not known.
func (l lister) path(e reconcile.Entry) (string, error) {
	path := ""
	for range folder.MaxDepth + 1 {
		if len(e.Places) == 0 {
			return "", nil
		}
		p := e.Places[len(e.Places)-1]
		path = strings.TrimSuffix(p.Name+"/"+path, "/")
		if p.Parent.IsZero() {
			return path, nil
		}
		s, found, err := l.r.Entry(p.Parent)
		if err != nil || !found {
			return "", err
		}
		e = s.Entry
	}
	return "", nil // a cycle: it is shown elsewhere
}
