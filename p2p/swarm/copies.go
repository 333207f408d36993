package swarm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// A Copy is a second file of a seed: somebody has wanted it in another directory than the one where it comes.
type Copy struct {
	Dir  string
	Path string // of the file; empty: it is not there yet
}

// maxCopies is how many copies of a seed wait to be made.
const maxCopies = 16

// also has another copy of a file made when it is whole, and says where.
func (s *Service) also(ctx context.Context, id seed.ID, dir string) (Status, error) {
	s.mu.Lock()
	e, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return Status{}, err
	}
	if e.row.Dir != dir && !slices.Contains(e.row.Also, dir) {
		if len(e.row.Also) >= maxCopies {
			s.mu.Unlock()
			return Status{}, fmt.Errorf("swarm: %s: %w: %d copies of it wait already", e.seed.Name, ErrUnusable, maxCopies)
		}
		e.row.Also = append(slices.Clip(e.row.Also), dir)
		e.copies = slices.DeleteFunc(e.copies, func(c Copy) bool { return c.Dir == dir })
	}
	s.mu.Unlock()
	if err := s.save(ctx, e); err != nil {
		return Status{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status(e, s.takersOf())
	st.Path = place{dir, e.seed.Name}.path()
	s.copyOut(e)
	return st, nil
}

// copyOut begins to make the copies that are wanted of what is whole. s.mu is held.
func (s *Service) copyOut(e *entry) {
	if e.copying || !e.row.Whole || e.c == nil || len(e.row.Also) == 0 || !s.running || s.closed {
		return
	}
	e.copying = true
	s.work.Go(func() { s.makeCopies(e) })
}

// makeCopies makes one after the other.
func (s *Service) makeCopies(e *entry) {
	for {
		s.mu.Lock()
		c, row := e.c, e.row
		if s.entries[row.ID] != e || c == nil || len(row.Also) == 0 || s.closed {
			e.copying = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		dir := row.Also[0]
		path, err := copyTo(s.ctx, c, dir)
		if s.ctx.Err() != nil {
			return // after the next start
		}
		s.mu.Lock()
		e.row.Also = slices.DeleteFunc(slices.Clone(e.row.Also), func(d string) bool { return d == dir })
		if err == nil {
			e.copies = append(e.copies, Copy{dir, path})
		}
		s.mu.Unlock()
		if err := s.save(s.ctx, e); err != nil {
			s.log.Error("not kept that a copy was made", "file", path, "error", err)
		}
		if err != nil {
			reason := fmt.Sprintf("no copy in %s: %s", dir, plainly(err))
			s.log.Warn("a copy of a file is not made", "name", c.seed.Name, "directory", dir, "error", err)
			s.o.Publish(Failed{Seed: row.ID, Name: c.seed.Name, Reason: reason})
			continue
		}
		s.o.Publish(Finished{Seed: row.ID, Name: c.seed.Name, Path: path, Size: c.seed.Size})
	}
}

// holds reports whether a name is that of a file which is what a seed says.
func holds(ctx context.Context, root *os.Root, name string, known seed.Seed) (bool, error) {
	f, st, err := openRegular(root, name, os.O_RDONLY, 0)
	if err != nil {
		return false, nil // it is nothing that could be taken for it
	}
	err = seed.ErrMismatch
	if st.Size() == known.Size {
		err = known.VerifyFile(ctx, f, nil)
	}
	_ = f.Close() // nothing was written
	return err == nil, ctx.Err()
}

// copyTo makes a copy of a file that is whole in another directory, of verified pieces, and returns its path. A file there
// that has one of the names which it would get, and is the same, is taken for one: somebody has asked twice, or a crash has
// come between its name and the note of it.
func copyTo(ctx context.Context, c *content, dir string) (path string, err error) {
	if err := c.enter(); err != nil {
		return "", err
	}
	defer c.leave()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	defer root.Close() // what it has made is durable
	for n := 1; n <= maxNames; n++ {
		name := numbered(c.seed.Name, n)
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break // as install finds a name
		}
		is, err := holds(ctx, root, name, c.seed)
		if is || err != nil {
			return filepath.Join(dir, name), err
		}
	}
	part := partName(c.seed.ID())
	if err := gone(root.Remove(part)); err != nil {
		return "", err
	}
	f, _, err := openRegular(root, part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, gone(root.Remove(part)))
		}
	}()
	if free, err := diskFree(f); err == nil && free < c.seed.Size {
		return "", fmt.Errorf("%w: it has room for %d bytes, and the file has %d", ErrFull, free, c.seed.Size)
	}
	buf := make([]byte, c.seed.PieceLen)
	for i := range c.seed.Count() {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		data, err := c.read(i, buf)
		if err != nil {
			return "", err
		}
		at, _ := c.seed.Extent(i)
		if _, err := f.WriteAt(data, at); err != nil {
			return "", err
		}
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	name, err := install(root, c.seed.ID(), f, c.seed.Name, func(string) error { return nil })
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}
