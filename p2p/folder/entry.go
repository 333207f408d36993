package folder

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// Hash is the BLAKE3-256 of a file's content. The zero Hash means not known.
type Hash [32]byte

// String returns h in hexadecimal; of the zero Hash, nothing.
func (h Hash) String() string {
	if h == (Hash{}) {
		return ""
	}
	return hex.EncodeToString(h[:])
}

// Kind says what an entry is.
type Kind string

// The kinds of entry. Nothing else is shared.
const (
	KindFile Kind = "file"
	KindDir  Kind = "dir"
)

// Entry is a file or directory of a folder as it was last seen.
type Entry struct {
	Path     string      // relative to the folder, with slashes; see CheckPath
	Kind     Kind        //
	Size     int64       // bytes; 0 for a directory
	Modified time.Time   // UTC, to the nanosecond where the file system has it
	Mode     fs.FileMode // permission bits only
	Hash     Hash        // of a file's content
}

// Limits of paths. What is longer cannot be created on all file systems.
const (
	MaxPath  = 4096 // bytes
	MaxName  = 255  // bytes of one component
	MaxDepth = 128  // components
)

// reserved is the only name that the program takes for itself, at every depth:
// .shoal of a subfolder may once be shared by itself.
const reserved = ".shoal"

// ErrBadPath is what is wrong with a path that no entry can have.
var ErrBadPath = errors.New("not a path inside a folder")

// CheckPath reports whether p can be the path of an entry: valid UTF-8 of at most
// MaxPath bytes, components of 1 to MaxName bytes separated by single slashes,
// none of them "." or "..", no slash at either end, no NUL, nothing reserved, and
// local to the folder on this operating system. A path is refused, never cleaned:
// two spellings of one name are how checks are got around. The error is
// ErrBadPath.
func CheckPath(p string) error {
	why := ""
	switch {
	case p == "":
		why = "empty"
	case len(p) > MaxPath:
		why = "too long"
	case !utf8.ValidString(p):
		why = "not UTF-8"
	case strings.IndexByte(p, 0) >= 0:
		why = "contains NUL"
	case filepath.Separator != '/' && strings.ContainsRune(p, filepath.Separator):
		why = "contains the system's separator"
	case p[0] == '/' || path.Clean(p) != p || !filepath.IsLocal(filepath.FromSlash(p)):
		why = "not canonical"
	case strings.Count(p, "/") >= MaxDepth:
		why = "too deep"
	default:
		for name := range strings.SplitSeq(p, "/") {
			why = checkName(name)
			if why != "" {
				break
			}
		}
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("folder: path %.100q: %w: %s", p, ErrBadPath, why)
}

func checkName(name string) string {
	switch {
	case name == "." || name == "..":
		return "not canonical"
	case isReserved(name):
		return "reserved"
	case len(name) > MaxName:
		return "name too long"
	}
	return ""
}

// isReserved also covers file systems on which .SHOAL is the same directory.
func isReserved(name string) bool { return strings.EqualFold(name, reserved) }

// join is path.Join for a directory that may be the folder itself, "".
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// parent returns the directory of p; "" is the folder itself.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// base returns the last component of p.
func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
