package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// ErrNames: the file system gives files other names than it is told, so that each would
// look renamed.
var ErrNames = errors.New("the file system does not keep the names of files as they are written")

// foldName is the name by which Fold finds out: of both cases, and with an accent.
const foldName = "Fold-\u00e9"

// Fold finds out what the file system of a folder compares names by, by other
// spellings of the name of a file that it makes. Nil: by their bytes. It is for
// reconcile.Options. Errors: ErrNames, if capitals do not stay what they are.
func Fold(fsys FS) (fold func(name string) string, err error) {
	f, err := fsys.Create(Private + "/" + foldName)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("apply: find out how names are compared: %w", err)
	}
	same := func(name string) bool {
		_, e := fsys.Lstat(Private + "/" + name)
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		return e == nil
	}
	ascii, letters, marks := same("fOLD-\u00e9"), same("Fold-\u00c9"), same("Fold-e\u0301")
	names, e := fsys.Names(Private)
	err = errors.Join(err, e)
	if err == nil && !slices.ContainsFunc(names, func(name string) bool { return norm.NFC.String(name) == foldName }) {
		err = ErrNames
	}
	if err = errors.Join(err, fsys.Remove(Private+"/"+foldName)); err != nil {
		return nil, fmt.Errorf("apply: find out how names are compared: %w", err)
	}
	if !ascii && !letters && !marks {
		return nil, nil
	}
	return func(name string) string {
		if marks {
			name = norm.NFD.String(name)
		}
		switch {
		case letters:
			return reconcile.FoldCase(name)
		case ascii:
			return strings.Map(lower, name)
		}
		return name
	}, nil
}

// lower is the small letter of an ASCII letter.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}

// Spelled reports whether path is spelled as the names on the disk are, where other
// spellings lead to the same. What cannot be listed is taken for it.
func Spelled(fsys FS, path string) bool {
	for path != "" {
		dir, name := split(path)
		if names, err := fsys.Names(dir); err == nil && !slices.Contains(names, name) {
			return false
		}
		path = dir
	}
	return true
}
