package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// adopt makes of what was only read a download. To another place goes with it what has come so far.
func (s *Service) adopt(ctx context.Context, e *entry, r Row) (Status, error) {
	s.mu.Lock()
	e.row.Reading = false
	if r.Own {
		d := e.d
		st := s.status(e, s.takersOf())
		s.mu.Unlock()
		if d != nil {
			d.idle.Store(false)
			d.do(func() {
				if d.picker != nil {
					d.wantAll()
				}
			})
		}
		if err := s.save(ctx, e); err != nil {
			return Status{}, err
		}
		return st, nil
	}
	// From here on it is not forgotten as what nobody reads, and nobody else moves it.
	e.moving = true
	s.mu.Unlock()
	err := s.move(ctx, e, r)
	s.mu.Lock()
	if e.moving = false; err != nil && e.row.Own {
		e.row.Reading = true // nothing has been changed
	}
	if s.entries[r.ID] == e && !e.row.Whole && !e.row.Paused {
		s.begin(e)
	}
	s.mu.Unlock()
	if err != nil {
		return Status{}, err
	}
	return s.Get(r.ID)
}

// move takes what has come of a seed to the place of another row. Whatever a crash leaves undone, what is kept never says
// more than there is: the pieces are where they will be before it is kept that they are, and a file that is not found
// where it was counts as empty.
func (s *Service) move(ctx context.Context, e *entry, r Row) error {
	s.mu.Lock()
	for s.entries[r.ID] == e && e.d != nil {
		d := e.d
		s.mu.Unlock()
		d.cancel(errMoved)
		<-d.over
		s.mu.Lock()
	}
	if s.entries[r.ID] != e {
		s.mu.Unlock()
		return fmt.Errorf("swarm: %s: %w", r.ID.Short(), ErrNotFound)
	}
	if e.c != nil {
		e.c.end(errMoved)
		e.c = nil
		s.queue.Forget(e.number)
	}
	old, known := e.row, e.seed
	s.mu.Unlock()
	if err := makeDir(r.Dir, 0o755); err != nil {
		return fmt.Errorf("swarm: %w: %w", ErrUnusable, err)
	}
	from := place{old.Dir, partName(r.ID)}
	have, err := s.o.Store.Have(ctx, r.ID)
	if err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	if old.Whole {
		from.name = old.Name
		all := picker.NewBitmap(known.Count())
		if st, err := from.stat(); err == nil && st.Size() == old.Size && st.ModTime().UnixNano() == old.Modified {
			all.SetRange(0, known.Count()-1) // else it is not what was verified: what is good of it is found again
		}
		have = all.Bytes()
	}
	have, err = carry(ctx, from, place{r.Dir, partName(r.ID)}, known, have)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.openAgain(e)
		return fmt.Errorf("swarm: %s: %w", r.Name, ofDisk(err))
	}
	if err != nil {
		have = nil // what may lie there is of an attempt that was interrupted
	}
	if err := s.o.Store.Progress(ctx, r.ID, have, old.Counts); err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	s.mu.Lock()
	e.row.Dir, e.row.Name, e.row.Own, e.row.Whole, e.row.Error, e.row.Added = r.Dir, r.Name, false, false, "", r.Added
	e.row.Size, e.row.Modified, e.row.Settling = 0, 0, ""
	e.why = nil
	if r.Via != "" {
		e.row.Via = r.Via
	}
	kept := s.entries[r.ID] == e
	s.mu.Unlock()
	if err := s.save(ctx, e); err != nil {
		return err
	}
	if !kept {
		return errors.Join(fmt.Errorf("swarm: %s: %w", r.ID.Short(), ErrNotFound), s.discard(Row{ID: r.ID, Dir: r.Dir}, false))
	}
	s.o.Publish(Added{Seed: r.ID, Name: known.Name, Size: known.Size})
	return s.discard(old, false) // what was copied is not needed there any more
}

// carry takes a file from one place to another, and returns which pieces are there. On another disk that are those which
// were, and are what they are to be. Errors: fs.ErrNotExist if there is no file.
func carry(ctx context.Context, from, to place, known seed.Seed, have []byte) ([]byte, error) {
	source, err := os.OpenRoot(from.dir)
	if err != nil {
		return nil, err
	}
	defer source.Close() // what leaves it is durable elsewhere
	src, _, err := openRegular(source, from.name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer src.Close() // nothing was written
	root, err := os.OpenRoot(to.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() // what it has made is made durable below
	if err := gone(root.Remove(to.name)); err != nil {
		return nil, err // of an attempt that was interrupted: it proves nothing
	}
	if err := renameTo(source, from.name, root, to.name); err == nil {
		return have, syncDir(root)
	}
	dst, _, err := openRegular(root, to.name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if err = dst.Truncate(known.Size); err == nil {
		have, err = copyPieces(ctx, dst, src, known, have)
	}
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return nil, errors.Join(err, gone(root.Remove(to.name)))
	}
	return have, syncDir(root)
}

// copyPieces copies the pieces that are there, and returns which are: what is not what it is to be comes anew. Of a file of
// which nothing is known, none are.
func copyPieces(ctx context.Context, dst io.WriterAt, src io.ReaderAt, known seed.Seed, have []byte) ([]byte, error) {
	there, err := picker.ParseBitmap(have, known.Count())
	if err != nil {
		return nil, nil // of another form
	}
	good := picker.NewBitmap(known.Count())
	buf := make([]byte, known.PieceLen)
	for first, count := range there.Runs() {
		for i := first; i < first+count; i++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			at, n := known.Extent(i)
			if _, err := src.ReadAt(buf[:n], at); errors.Is(err, io.EOF) {
				return good.Bytes(), nil // it was made shorter
			} else if err != nil {
				return nil, err
			}
			if !known.Verify(i, buf[:n]) {
				continue
			}
			if _, err := dst.WriteAt(buf[:n], at); err != nil {
				return nil, err
			}
			good.Set(i)
		}
	}
	return good.Bytes(), nil
}
