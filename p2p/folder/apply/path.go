package apply

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Use is what a method of FS does with a path, as far as the rules differ.
type Use string

// The uses.
const (
	UseLook   Use = "look at"   // Lstat, Names, SyncDir: anything, and the folder itself
	UseName   Use = "use"       // Open, Mkdir: anything but the folder itself
	UseChange Use = "change"    // Rename, Exchange, Rmdir, SetMeta: anything but the program's own directories and the marker
	UseOwn    Use = "overwrite" // Create, Remove: the program's own files
)

// marker says whose folder this is; nothing here changes it.
const marker = Private + "/id"

// CheckPath returns an ErrPath if path is not relative, with slashes, clean, and fit
// for a use. Every method of an FS begins with it.
func CheckPath(use Use, path string) error {
	if why := wrong(use, path); why != "" {
		return fmt.Errorf("apply: %s %.300q: %w: %s", use, path, ErrPath, why)
	}
	return nil
}

// CheckPaths is CheckPath for the two paths of Rename and Exchange, neither of which
// can be in the other.
func CheckPaths(a, b string) error {
	if err := CheckPath(UseChange, a); err != nil {
		return err
	}
	if err := CheckPath(UseChange, b); err != nil {
		return err
	}
	if a == b || below(a, b) || below(b, a) {
		return fmt.Errorf("apply: rename %.300q to %.300q: %w: one is in the other", a, b, ErrPath)
	}
	return nil
}

func wrong(use Use, path string) string {
	if path == "" {
		if use == UseLook {
			return ""
		}
		return "the folder itself"
	}
	first := true
	for name := range strings.SplitSeq(path, "/") {
		if why := wrongName(name); why != "" {
			return why
		}
		// Where a disk ignores case, .Shoal is .shoal. Nor is it a name further down:
		// there it may be another folder's.
		if strings.EqualFold(name, Private) && (!first || name != Private) {
			return "a reserved name"
		}
		first = false
	}
	return misused(use, path)
}

func wrongName(name string) string {
	switch {
	case name == "":
		return "an empty name"
	case name == "." || name == "..":
		return "not a name"
	case strings.ContainsRune(name, 0):
		return "NUL in a name"
	case runtime.GOOS == "windows" && (strings.ContainsAny(name, `\:`) || !filepath.IsLocal(name)):
		return "not a name on this system"
	}
	return ""
}

// misused says what is wrong with a clean path for a use.
func misused(use Use, path string) string {
	switch inside := below(path, Private); {
	case use == UseLook || use == UseName:
		return ""
	case path == Private || path == TempDir || path == TrashDir || path == AsideDir:
		return "a directory of the program"
	case path == marker || below(path, marker):
		return "the marker of the folder"
	case use == UseOwn && !inside:
		return "not in " + Private
	}
	return ""
}

// below reports whether path is in the directory dir, at any depth.
func below(path, dir string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// split returns the directory of path and the name in it.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

func parent(path string) string { dir, _ := split(path); return dir }

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
