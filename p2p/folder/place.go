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

// resolve returns the absolute path of a directory without symbolic links, if it
// can be shared. Errors: ErrUnusable.
func resolve(path string) (string, error) {
	unusable := func(why string) (string, error) {
		return "", fmt.Errorf("folder: %s: %w: %s", path, ErrUnusable, why)
	}
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return unusable("not the path of a directory")
	}
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return unusable("the home directory is not known; name the whole path")
		}
		path = filepath.Join(home, path[1:])
	}
	if !filepath.IsAbs(path) {
		return unusable("not a whole path; it begins with " + string(filepath.Separator) + " or ~")
	}
	real, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unusable("it does not exist; create it first")
	case errors.Is(err, fs.ErrPermission):
		return unusable("this program may not go there; allow its user to read it")
	case err != nil:
		return unusable(err.Error())
	}
	if info, err := os.Stat(real); err != nil {
		return unusable(err.Error())
	} else if !info.IsDir() {
		return unusable("it is not a directory; share the directory that it is in")
	}
	for name := range strings.SplitSeq(filepath.ToSlash(real), "/") {
		if isReserved(name) {
			return unusable(reserved + " is this program's own directory")
		}
	}
	return real, readable(real, unusable)
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

// readable tries to list the directory.
func readable(dir string, unusable func(string) (string, error)) error {
	d, err := os.Open(dir)
	if err == nil {
		_, err = d.Readdirnames(1)
		err = errors.Join(err, d.Close())
	}
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, fs.ErrPermission):
		_, err = unusable("this program may not read it; allow its user to do so")
	default:
		_, err = unusable(err.Error())
	}
	return err
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
