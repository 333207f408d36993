package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// tree is the files of a folder: what is at each path.
type tree map[string]file

type file struct {
	size int64
	sum  [sha256.Size]byte
}

// gone is the size of what is not there any more.
const gone = -1

// wanted is what the other side has to have before a step is done.
type wanted struct {
	path string
	size int64
}

// there reports whether the file is, or is not, in a folder as wanted. Sizes tell: every
// change here changes the size.
func (w wanted) there(dir string) (bool, error) {
	info, err := os.Lstat(filepath.Join(dir, w.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.size == gone, nil
	case err != nil:
		return false, err
	}
	return info.Size() == w.size, nil
}

// fill writes n files of a size into directories below dir, and adds them to t under
// the name that dir will have in the folder.
func (t tree) fill(dir, name string, n, size, dirs int, seed uint64) error {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 'f'})
	data := make([]byte, size)
	for i := range n {
		sub := fmt.Sprintf("%03d", i%dirs)
		if i < dirs {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
				return err
			}
		}
		if _, err := r.Read(data); err != nil {
			return err
		}
		path := filepath.Join(sub, fmt.Sprintf("%06d.dat", i))
		if err := os.WriteFile(filepath.Join(dir, path), data, 0o644); err != nil {
			return err
		}
		t[filepath.Join(name, path)] = file{int64(size), sha256.Sum256(data)}
	}
	return nil
}

// move tells t that a directory or file has another name.
func (t tree) move(from, to string) (changed []wanted) {
	for path, f := range maps.Clone(t) {
		if rest, in := strings.CutPrefix(path, from); in && (rest == "" || rest[0] == filepath.Separator) {
			delete(t, path)
			t[to+rest] = f
			changed = append(changed, wanted{path, gone}, wanted{to + rest, f.size})
		}
	}
	return changed
}

// wants is what another side has to have of t.
func (t tree) wants() []wanted {
	out := make([]wanted, 0, len(t))
	for path, f := range t {
		out = append(out, wanted{path, f.size})
	}
	return out
}

// check reads a folder and reports what is not as in t.
func (t tree) check(dir string) error {
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && isMarker(d.Name()):
			return filepath.SkipDir
		case d.IsDir() || isMarker(d.Name()):
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, ok := t[rel]
		if !ok {
			return fmt.Errorf("check %s: nobody put it there", path)
		}
		seen++
		got, err := hashFile(path)
		if err == nil && got != want {
			err = fmt.Errorf("check %s: %d bytes, not as written with %d", path, got.size, want.size)
		}
		return err
	})
	if err == nil && seen != len(t) {
		err = fmt.Errorf("check %s: %d files instead of %d", dir, seen, len(t))
	}
	return err
}

// isMarker reports whether a name in a folder is one of those that keep it.
func isMarker(name string) bool {
	return name == ".shoal" || strings.HasPrefix(name, ".stfolder") || name == ".stversions"
}

func hashFile(path string) (out file, err error) {
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer f.Close()
	h := sha256.New()
	if out.size, err = io.Copy(h, f); err != nil {
		return out, fmt.Errorf("check %s: %w", path, err)
	}
	h.Sum(out.sum[:0])
	return out, nil
}
