package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
)

// AddOptions describe a folder to share.
type AddOptions struct {
	Path   string     // of the directory: absolute, or below "~", the home of the program's user
	Label  string     // for people; empty: the last part of the path
	Access string     // of other members; empty: AccessWrite
	Grants p2p.Grants // of those of whom it is another one

	// ID joins the folder of this ID, which Creator offers: the directory gets the ID
	// in its marker. Empty: a folder of this node.
	ID      string
	Creator p2p.ID // zero: this node
	// Create makes the directory if it does not exist: below the home of the
	// program's user with all directories above it, elsewhere only in one that
	// exists, because what is missing may be a disk that is not connected.
	Create bool
}

// Add shares a directory. One that is shared already is returned as it is,
// whatever else o says, except with another ID. Without an ID, a directory that
// carries the marker of a folder unknown here becomes that folder again, so that a
// node that has lost its data offers the same folder; with one, a directory that
// carries another is refused. Errors: ErrUnusable, ErrOverlap, ErrInvalid.
func (s *Service) Add(ctx context.Context, o AddOptions) (Folder, error) {
	if o.ID != "" && !IsID(o.ID) {
		return Folder{}, fmt.Errorf("folder: join %.30q: %w: not the ID of a folder", o.ID, ErrInvalid)
	}
	s.registry.Lock()
	defer s.registry.Unlock()
	path, err := s.place(o)
	if err != nil {
		return Folder{}, err
	}
	o.Access = cmp.Or(o.Access, AccessWrite)
	o.Label = cmp.Or(o.Label, defaultLabel(path))
	if err := errors.Join(checkLabel(o.Label), checkAccess(o.Access), o.Grants.Check()); err != nil {
		return Folder{}, err
	}
	if existing, err := s.vacant(path, o.ID); err != nil || existing != nil {
		if err != nil {
			return Folder{}, err
		}
		return existing.snapshot(), nil
	}
	// Only now, so that nothing is made where nothing may be shared.
	if o.Create {
		if err := create(path); err != nil {
			return Folder{}, err
		}
	}
	r := Record{
		ID: o.ID, Label: o.Label, Path: path, Access: o.Access, Grants: o.Grants, Creator: o.Creator,
		Created: time.Now().UTC().Truncate(time.Millisecond),
	}
	if err := s.claim(&r); err != nil {
		return Folder{}, err
	}
	if err := s.store.SaveFolder(ctx, r); err != nil {
		return Folder{}, fmt.Errorf("folder: add %s: %w", path, err)
	}
	sh := newShare(s, r)
	if !r.Creator.IsZero() {
		sh.status.State = StateSyncing // until whoever synchronises it says more
	}
	// The rows of a folder that was here before may have survived its record.
	if err := sh.count(ctx); err != nil {
		return Folder{}, err
	}
	s.mu.Lock()
	s.shares[r.ID] = sh
	s.start(sh)
	s.mu.Unlock()
	s.options.Publish.Emit(Added{ID: r.ID, Label: r.Label, Path: r.Path})
	return sh.snapshot(), nil
}

// Fits returns the whole path of a directory in which the folder of an ID could be
// kept; it need not exist. Errors: those of Add.
func (s *Service) Fits(id, path string) (string, error) {
	place, err := s.place(AddOptions{ID: id, Path: path, Create: true})
	if err != nil {
		return "", err
	}
	_, err = s.vacant(place, id)
	return place, err
}

// place returns the absolute path, without symbolic links, of the directory to share,
// which with o.Create need not exist. Errors: ErrUnusable.
func (s *Service) place(o AddOptions) (string, error) {
	if o.Create {
		if path, missing, err := resolveMissing(o.Path); missing || err != nil {
			return path, err
		}
	}
	return resolve(o.Path)
}

// vacant reports whether a directory can become the folder of an ID, or a new one. If
// it is that folder already, it is returned. Errors: ErrUnusable, ErrOverlap.
func (s *Service) vacant(path, id string) (*share, error) {
	existing, err := s.overlap(path)
	switch {
	case err != nil:
		return nil, err
	case existing != nil && id != "" && existing.id != id:
		return nil, fmt.Errorf("folder: %s: %w: it is the folder %q already. Join into another directory", path, ErrUnusable, existing.record().Label)
	case existing != nil:
		return existing, nil
	}
	if other, err := s.share(id); err == nil {
		return nil, fmt.Errorf("folder: %s: %w: the folder %q is at %s already", path, ErrUnusable, other.record().Label, other.record().Path)
	}
	if why := forbidden(path); why != "" {
		return nil, fmt.Errorf("folder: %s: %w: %s", path, ErrUnusable, why)
	}
	return nil, nil
}

// overlap returns the folder that path is, if it is one. Errors: ErrOverlap.
func (s *Service) overlap(path string) (*share, error) {
	if s.options.DataDir != "" && relate(path, s.options.DataDir) != apart {
		return nil, fmt.Errorf("folder: %s: %w the data directory %s", path, ErrOverlap, s.options.DataDir)
	}
	for _, sh := range s.all() {
		other := sh.record()
		switch relate(path, other.Path) {
		case equal:
			return sh, nil
		case inside:
			return nil, fmt.Errorf("folder: %s: %w the folder %q: it is in %s", path, ErrOverlap, other.Label, other.Path)
		case around:
			return nil, fmt.Errorf("folder: %s: %w the folder %q: it contains %s", path, ErrOverlap, other.Label, other.Path)
		}
	}
	return nil, nil
}

// claim gives the directory of r the ID that r has, or else one, and, if it can be
// written, the marker. Errors: ErrUnusable.
func (s *Service) claim(r *Record) error {
	t, err := openTree(r.Path)
	if err != nil {
		return fmt.Errorf("folder: %s: %w: %w", r.Path, ErrUnusable, err)
	}
	defer t.close() // what was written is synced
	r.Inode = t.stat.inode
	id, err := t.marker()
	marked := err == nil
	if r.ID != "" {
		return s.join(r, t, id, marked)
	}
	if marked {
		other, err := s.share(id)
		if err != nil {
			r.ID, r.Marked = id, true
			return nil
		}
		// A copy becomes a folder of its own, but not while it could be the original
		// at another place.
		if !other.present() {
			return fmt.Errorf("folder: %s: %w: it carries the marker of the folder %q, which is not at %s now. If it was moved here, remove that folder first",
				r.Path, ErrUnusable, other.record().Label, other.record().Path)
		}
	}
	if r.ID, err = newID(s.options.Rand); err != nil {
		return err
	}
	switch err := t.mark(r.ID); {
	case err == nil:
		r.Marked = true
	case readOnly(err):
		s.log.Info("folder: no marker on read-only media; the directory is known by its inode", "path", r.Path)
	default:
		return fmt.Errorf("folder: %s: %w: its marker cannot be written: %w", r.Path, ErrUnusable, err)
	}
	return nil
}

// join marks the directory of r, which carries the marker of id if it is marked, as
// the folder that r names. Errors: ErrUnusable.
func (s *Service) join(r *Record, t *tree, id string, marked bool) error {
	r.Marked = true
	if marked && id == r.ID {
		return nil
	}
	if marked {
		label := id
		if other, err := s.share(id); err == nil {
			label = other.record().Label
		}
		return fmt.Errorf("folder: %s: %w: it carries the marker of another folder, %s. Join into another directory, or if it is a copy that should become this folder, delete %s/%s in it",
			r.Path, ErrUnusable, label, markerDir, markerFile)
	}
	if err := t.mark(r.ID); err != nil {
		return fmt.Errorf("folder: %s: %w: its marker cannot be written, and neither can files of others: %w", r.Path, ErrUnusable, err)
	}
	return nil
}

// defaultLabel is the last part of path, as a label can have it.
func defaultLabel(path string) string {
	label := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '_'
		}
		return r
	}, filepath.Base(path))
	for len(label) > MaxLabel {
		_, size := utf8.DecodeLastRuneInString(label)
		label = label[:len(label)-size]
	}
	return label
}
