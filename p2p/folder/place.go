package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// unusable returns an error that says why the directory at path cannot be shared.
func unusable(path, why string) error {
	return fmt.Errorf("folder: %s: %w: %s", path, ErrUnusable, why)
}

// absolute returns a path that begins with the root or the home directory, without
// looking at what is there. Errors: ErrUnusable.
func absolute(path string) (string, error) {
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return "", unusable(path, "not the path of a directory")
	}
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", unusable(path, "the home directory is not known; name the whole path")
		}
		path = filepath.Join(home, path[1:])
	}
	if !filepath.IsAbs(path) {
		return "", unusable(path, "not a whole path; it begins with "+string(filepath.Separator)+" or ~")
	}
	return path, nil
}

// resolveMissing returns the absolute path, without symbolic links, of a directory
// that does not exist and could be made; missing is false if there is something.
// Errors: ErrUnusable.
func resolveMissing(path string) (real string, missing bool, err error) {
	abs, err := absolute(path)
	if err != nil {
		return "", false, err
	}
	at, rest := filepath.Clean(abs), ""
	for {
		// A link that leads nowhere is something.
		if _, err := os.Lstat(at); err == nil || !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
	}
	if rest == "" {
		return "", false, nil
	}
	above, err := resolve(at)
	if err != nil {
		return "", false, err
	}
	real = filepath.Join(above, rest)
	if err := shareable(path, real); err != nil {
		return "", false, err
	}
	if strings.ContainsRune(rest, filepath.Separator) && !inHome(real) {
		return "", false, unusable(path, "the directory above it does not exist. If it is on a disk that is not connected, connect it; else create it first")
	}
	return real, true, nil
}

// inHome reports whether path is below the home of the program's user.
func inHome(path string) bool {
	home, err := os.UserHomeDir()
	if err == nil {
		home, err = filepath.EvalSymlinks(home)
	}
	return err == nil && path != home && below(path, home)
}

// create makes the directory at path, if it does not exist. Errors: ErrUnusable.
func create(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("folder: %s: %w: it cannot be created: %w", path, ErrUnusable, err)
	}
	// What was checked is a path without links: none may have come in between.
	if real, err := filepath.EvalSymlinks(path); err != nil || real != path {
		return unusable(path, "it was replaced while it was created")
	}
	return nil
}

// shareable reports whether real, to which path leads, has a name that can be shared.
func shareable(path, real string) error {
	for name := range strings.SplitSeq(filepath.ToSlash(real), "/") {
		if isReserved(name) {
			return unusable(path, reserved+" is this program's own directory")
		}
	}
	return nil
}

// resolve returns the absolute path of a directory without symbolic links, if it
// can be shared. Errors: ErrUnusable.
func resolve(path string) (string, error) {
	path, err := absolute(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", unusable(path, "it does not exist; create it first")
	case errors.Is(err, fs.ErrPermission):
		return "", unusable(path, "this program may not go there; allow its user to read it")
	case err != nil:
		return "", unusable(path, err.Error())
	}
	if info, err := os.Stat(real); err != nil {
		return "", unusable(path, err.Error())
	} else if !info.IsDir() {
		return "", unusable(path, "it is not a directory; share the directory that it is in")
	}
	if err := shareable(path, real); err != nil {
		return "", err
	}
	return real, readable(path, real)
}

// forbidden says why nobody should share a directory that could be: it is made by
// the system, or holds the keys of a node, be it another one.
func forbidden(dir string) string {
	if runtime.GOOS == "linux" {
		for _, made := range []string{"/proc", "/sys", "/dev"} {
			if dir == made || below(dir, made) {
				return made + " is made by the system and holds no files of yours"
			}
		}
	}
	for at := dir; ; at = filepath.Dir(at) {
		if holdsNode(func(name string) bool { _, err := os.Lstat(filepath.Join(at, name)); return err == nil }) {
			return at + " is the data directory of a node"
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}

// holdsNode reports whether a directory is a node's data directory (package store),
// with its key and its token, by the names in it.
func holdsNode(has func(name string) bool) bool {
	return has("state.db") && has("index.db") && has("lock")
}

// readable tries to list dir, to which path leads.
func readable(path, dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		_, err = d.Readdirnames(1)
		err = errors.Join(err, d.Close())
	}
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return unusable(path, "this program may not read it; allow its user to do so")
	}
	return unusable(path, err.Error())
}

// relation says how two directories lie to each other.
type relation int

const (
	apart relation = iota
	equal
	inside // the first is in the second
	around // the second is in the first
)

// relate compares two absolute paths without symbolic links, by name and, because
// one directory may have several names (bind mounts, file systems that ignore
// case), by what is there.
func relate(a, b string) relation {
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	switch {
	case a == b || errA == nil && errB == nil && os.SameFile(ia, ib):
		return equal
	case below(a, b) || errB == nil && reaches(a, ib):
		return inside
	case below(b, a) || errA == nil && reaches(b, ia):
		return around
	}
	return apart
}

func below(a, b string) bool {
	rel, err := filepath.Rel(b, a)
	return err == nil && filepath.IsLocal(rel)
}

// reaches reports whether a directory above path is that of info.
func reaches(path string, info fs.FileInfo) bool {
	for {
		up := filepath.Dir(path)
		if up == path {
			return false
		}
		path = up
		if i, err := os.Stat(path); err == nil && os.SameFile(i, info) {
			return true
		}
	}
}
