package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// making is a file that is being read, to be shared.
type making struct {
	at    place
	size  int64
	read  atomic.Int64
	began time.Time
}

func (m *making) status() Status {
	read := m.read.Load()
	return Status{
		Seed: seed.Seed{Name: m.at.name, Layout: seed.Layout{Size: m.size, PieceLen: 1}}, State: StateReading, Path: m.at.path(), Done: read, ETA: -1, Added: m.began,
	}
}

// MakeOptions say more about a seed that is made. The zero value says nothing.
type MakeOptions struct {
	Name string      // empty: that of the file
	Web  []string    // servers that have the file
	Base []seed.Base // older versions from which a delta leads to it
	// From is the path of an older version: the delta from it is made and shared too, so that who has that
	// version fetches the changes only. Empty: none.
	From string
}

// Make reads a file of this computer and shares it from where it is. One that is shared already is not
// read again, unless it was changed. Errors: ErrUnusable.
func (s *Service) Make(ctx context.Context, path string, o MakeOptions) (Status, error) {
	at, err := placeOf(path)
	if err != nil {
		return Status{}, err
	}
	return s.makeAt(ctx, at, false, o)
}

func (s *Service) makeAt(ctx context.Context, at place, own bool, o MakeOptions) (Status, error) {
	f, st, err := at.open()
	if err != nil {
		return Status{}, fmt.Errorf("swarm: %s: %w: %w", at.path(), ErrUnusable, err)
	}
	defer f.Close() // nothing was written
	if id, ok := s.shared(at, st.Size(), st.ModTime()); ok && len(o.Web)+len(o.Base) == 0 && o.Name == "" && o.From == "" {
		return s.Get(id)
	}
	m := &making{at: at, size: st.Size(), began: s.now()}
	s.mu.Lock()
	if s.making[at.path()] != nil {
		s.mu.Unlock()
		return Status{}, fmt.Errorf("swarm: %s: %w: it is being read already", at.path(), ErrUnusable)
	}
	s.making[at.path()] = m
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.making, at.path())
		s.mu.Unlock()
	}()
	name := o.Name
	if name == "" {
		name = seed.PortableName(at.name)
	}
	known, manifest, err := describeFile(ctx, f, st.Size(), name, m.read.Store)
	if err != nil {
		return Status{}, fmt.Errorf("swarm: %s: %w", at.path(), err)
	}
	after, err := f.Stat()
	if err == nil && (after.Size() != st.Size() || !after.ModTime().Equal(st.ModTime())) {
		err = errors.New("it was changed while it was read")
	}
	if err != nil {
		return Status{}, fmt.Errorf("swarm: %s: %w: %w", at.path(), ErrUnusable, err)
	}
	known.Web, known.Bases = o.Web, slices.Clone(o.Base)
	if o.From != "" {
		base, err := s.makeDelta(ctx, o.From, f, known)
		if err != nil {
			return Status{}, err
		}
		known.Bases = append(known.Bases, base)
	}
	r := Row{
		ID: known.ID(), Text: known.Text(), Dir: at.dir, Name: at.name, Own: own, Whole: true,
		Size: st.Size(), Modified: st.ModTime().UnixNano(), Added: s.now(), Ended: s.now(),
	}
	return s.share(ctx, r, known, manifest)
}

// makeDelta makes a delta from an older version to a file, and shares it.
func (s *Service) makeDelta(ctx context.Context, from string, to *os.File, known seed.Seed) (seed.Base, error) {
	at, err := placeOf(from)
	if err != nil {
		return seed.Base{}, err
	}
	old, st, err := at.open()
	if err != nil {
		return seed.Base{}, fmt.Errorf("swarm: %s: %w: %w", from, ErrUnusable, err)
	}
	defer old.Close() // nothing was written
	was, err := seed.Make(ctx, io.NewSectionReader(old, 0, st.Size()), st.Size(), known.Name, nil)
	if err != nil {
		return seed.Base{}, fmt.Errorf("swarm: %s: %w", from, err)
	}
	if was.Root == known.Root {
		return seed.Base{}, fmt.Errorf("swarm: %s: %w: it is the same file", from, ErrUnusable)
	}
	pr, pw := io.Pipe()
	go func() {
		sig, err := delta.Sign(io.NewSectionReader(old, 0, st.Size()), delta.SignOptions{Size: st.Size()})
		if err == nil {
			_, err = delta.Encode(pw, sig, contextReader{ctx, io.NewSectionReader(to, 0, known.Size)}, known.Size)
		}
		_ = pw.CloseWithError(err) // never fails (io.Pipe)
	}()
	made, err := s.MakeFrom(ctx, seed.PortableName(known.Name+".delta"), pr, -1)
	if err = errors.Join(err, pr.Close()); err != nil {
		return seed.Base{}, fmt.Errorf("swarm: a delta from %s: %w", from, err)
	}
	return seed.Base{Root: was.Root, Delta: made.Seed.Root, DeltaSize: made.Seed.Size}, nil
}

// shared finds a seed whose file is here, and as it was when it was read.
func (s *Service) shared(at place, size int64, modified time.Time) (seed.ID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, e := range s.entries {
		r := e.row
		if r.Whole && e.why == nil && r.Dir == at.dir && r.Name == at.name && r.Size == size && r.Modified == modified.UnixNano() {
			return id, true
		}
	}
	return seed.ID{}, false
}

// share keeps a seed whose file is here.
func (s *Service) share(ctx context.Context, r Row, known seed.Seed, manifest []byte) (Status, error) {
	id := r.ID
	done, err := s.turn(ctx, id)
	if err != nil {
		return Status{}, err
	}
	defer done()
	s.lookAt(id)
	s.mu.Lock()
	old := s.entries[id]
	var was Row
	partial := false
	if old != nil {
		r.Also = slices.DeleteFunc(slices.Clone(old.row.Also), func(dir string) bool { return dir == r.Dir }) // still wanted
		was, partial = old.row, old.d != nil || !old.row.Whole
		if was.Whole && old.why == nil && !was.Own && (was.Dir != r.Dir || was.Name != r.Name) {
			// It is shared from another file of the same content already: that one stays.
			s.mu.Unlock()
			return s.Get(id)
		}
	}
	s.mu.Unlock()
	if partial {
		// What was being downloaded is here already, under another name.
		if err := s.forgetNow(ctx, old, false, always); err != nil && !errors.Is(err, ErrNotFound) {
			return Status{}, err
		}
		was = Row{}
	}
	ctx = context.WithoutCancel(ctx) // a row without the rest would be what is known after the next start
	st, err := s.keep(ctx, r, known, manifest)
	if err != nil {
		return Status{}, err
	}
	if was.Own && !sameDir(was.Dir, r.Dir) {
		// This program's copy is of no use any more, unless a person has edited it.
		var err error
		if !was.Reading {
			err = stillIs(ctx, was, known)
		}
		if err == nil {
			err = s.discard(was, false)
		}
		if err != nil {
			s.log.Error("a copy is not deleted", "file", place{was.Dir, was.Name}.path(), "error", err)
		}
	}
	s.o.Publish(Added{Seed: id, Name: known.Name, Size: known.Size, Whole: true})
	return st, nil
}

// keep makes durable that a seed's file is here, and serves it.
func (s *Service) keep(ctx context.Context, r Row, known seed.Seed, manifest []byte) (Status, error) {
	s.rows.Lock()
	defer s.rows.Unlock()
	if err := s.o.Store.Save(ctx, r); err != nil {
		return Status{}, fmt.Errorf("swarm: %w", err)
	}
	if err := s.o.Store.Describe(ctx, r.ID, known.PackPieces(), manifest); err != nil {
		return Status{}, fmt.Errorf("swarm: %w", err)
	}
	c, why := whole(r, known)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[r.ID]
	if e == nil {
		e = s.enter(r, known)
	} else {
		r.Counts, r.Added, r.Also = e.row.Counts, e.row.Added, e.row.Also
		if e.c != nil {
			e.c.end(errMoved)
		}
		e.row, e.seed, e.why = r, known, nil
	}
	s.reopen(e, c, why)
	s.announce(e)
	s.copyOut(e)
	return s.status(e, s.takersOf()), nil
}

// errMoved ends streams whose file is another one now; who wants more asks again.
var errMoved = errors.New("the file is shared from another place now")

// describeFile reads a file once and returns its seed, and its manifest in its binary form: nil, if it has none.
func describeFile(ctx context.Context, r io.Reader, size int64, name string, progress func(int64)) (seed.Seed, []byte, error) {
	if size < manifestFrom {
		known, err := seed.Make(ctx, r, size, name, progress)
		return known, nil, err
	}
	known, m, err := seed.MakeScanned(ctx, r, size, name, progress)
	if err != nil || m.Len() == 0 {
		return known, nil, err // or it has too many chunks
	}
	b, err := m.WithoutPieces().AppendBinary(nil)
	return known, b, err
}

// manifestFrom is from which size on it is worth to know a file's chunks.
const manifestFrom = 256 << 10

// MakeFrom shares what is read, as a file with a name that is kept with the seed. size is how many bytes there
// are, or -1.
func (s *Service) MakeFrom(ctx context.Context, name string, r io.Reader, size int64) (Status, error) {
	if s.o.Keep == "" {
		return Status{}, fmt.Errorf("swarm: %w: this node has no place for what is dropped", ErrUnusable)
	}
	if err := seed.CheckName(name); err != nil {
		return Status{}, fmt.Errorf("swarm: %w: %w", ErrUnusable, err)
	}
	dir, settle, err := s.enterKeep()
	if err != nil {
		return Status{}, fmt.Errorf("swarm: %w: %w", ErrUnusable, err)
	}
	defer func() {
		if err := settle(); err != nil {
			s.log.Error("not noted that a file was taken in", "directory", dir, "error", err)
		}
	}()
	name = seed.PortableName(name)
	if err := receive(ctx, dir, name, r, size); err != nil {
		return Status{}, errors.Join(fmt.Errorf("swarm: take %s: %w", name, err), os.RemoveAll(dir))
	}
	st, err := s.makeAt(ctx, place{dir, name}, true, MakeOptions{})
	if err != nil || st.Path != filepath.Join(dir, name) {
		return st, errors.Join(err, os.RemoveAll(dir)) // or it was here already
	}
	return st, nil
}

// receive writes what is read to a file and makes it durable.
func receive(ctx context.Context, dir, name string, r io.Reader, size int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() // closed before: see below
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if free, err := diskFree(f); err == nil && free < size {
		return errors.Join(fmt.Errorf("%w: it has room for %d bytes", ErrFull, free), f.Close())
	}
	n, err := io.Copy(f, contextReader{ctx, r})
	if err == nil && size >= 0 && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(ofDisk(err), ofDisk(f.Close()), syncDir(root))
}

// contextReader reads until a context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
