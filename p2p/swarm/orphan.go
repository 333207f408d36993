package swarm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What is dropped gets a directory of its own in Options.Keep, and beside it, until it is durable that the seed is kept,
// a file of the same name and newSuffix: who finds that at the start finds what a crash has interrupted, of which
// nobody was told that it is shared. A directory without it and without a row stays where it is: then the rows were
// lost, and it may be all that is left of a file.
const (
	inPrefix  = "in-"
	newSuffix = ".new"
)

// enterKeep makes a directory for what is being taken in. settle must be called when it is durable that it is kept, or
// when the directory is gone.
func (s *Service) enterKeep() (dir string, settle func() error, err error) {
	if err := makeDir(s.o.Keep, 0o700); err != nil {
		return "", nil, err
	}
	root, err := os.OpenRoot(s.o.Keep)
	if err != nil {
		return "", nil, err
	}
	defer root.Close() // what it has made is made durable with the directory
	name := inPrefix + rand.Text()[:16]
	f, err := root.OpenFile(name+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", nil, err
	}
	marker := filepath.Join(s.o.Keep, name+newSuffix)
	if err := f.Close(); err != nil {
		return "", nil, errors.Join(err, os.Remove(marker))
	}
	dir = filepath.Join(s.o.Keep, name)
	if err := makeDir(dir, 0o700); err != nil {
		return "", nil, errors.Join(err, os.Remove(marker))
	}
	return dir, func() error { return gone(os.Remove(marker)) }, nil
}

// clean deletes what a crash has left of what was being taken in, and of no row.
func (s *Service) clean(rows []Row) error {
	root, err := os.OpenRoot(s.o.Keep)
	if s.o.Keep == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close() // nothing was written through it
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), newSuffix)
		if !ok || !strings.HasPrefix(name, inPrefix) || !e.Type().IsRegular() {
			continue
		}
		dir := filepath.Join(s.o.Keep, name)
		// Names are random: one that a row has is meant by it, by whatever path the node was started then.
		if !slices.ContainsFunc(rows, func(r Row) bool { return filepath.Base(r.Dir) == name }) {
			if err := root.RemoveAll(name); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", dir, err))
				continue
			}
			s.log.Info("deleted what was being taken in when the node ended last", "directory", dir)
		}
		errs = append(errs, root.Remove(e.Name()))
	}
	return errors.Join(errs...)
}
