package folder

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// IgnoreFile is the name of the files that say, in the syntax of gitignore(5),
// what of their directory and all below is not shared. They are a matter of this
// computer and not shared themselves.
const IgnoreFile = ".shoalignore"

// Limits of one ignore file; more is refused, so that nothing is shared of which
// a part of the file may say that it must not be.
const (
	maxIgnoreFile = 1 << 20 // bytes
	maxPatterns   = 10_000
)

// DefaultIgnored is what is not shared unless an ignore file includes it by a
// pattern with "!". The list is short on purpose: it has what other programs
// leave behind for themselves, lock files and temporary names, and never what a
// person made, so backups (*~), .git and node_modules are shared like any file.
const DefaultIgnored = `
.DS_Store
.Spotlight-V100/
.fseventsd/
.Trash-*/
.Trashes/
$RECYCLE.BIN/
System Volume Information/
Thumbs.db
.nfs????????*
.fuse_hidden*
.#*
.*.sw[a-p]
.~lock.*#
~$*
.syncthing.*.tmp
~syncthing~*.tmp
`

// Ignore decides which paths are left out. It holds the patterns of one
// directory; those of the directories above have their say when these have none.
// The zero value and nil leave nothing out.
type Ignore struct {
	above    *Ignore
	dir      string // whose patterns these are, as the path of an entry; "": the folder
	patterns []pattern
}

// Defaults returns DefaultIgnored as the patterns of a whole folder.
func Defaults() *Ignore {
	g, err := (*Ignore)(nil).Below("", strings.NewReader(DefaultIgnored))
	if err != nil {
		return nil // it is a constant far within the limits
	}
	return g
}

// Below returns what decides in dir, where r is the ignore file. Errors: that of
// r, and that it is too large.
func (g *Ignore) Below(dir string, r io.Reader) (*Ignore, error) {
	below := &Ignore{above: g, dir: dir}
	lines := bufio.NewScanner(io.LimitReader(r, maxIgnoreFile+1))
	lines.Buffer(nil, maxIgnoreFile)
	size := 0
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		size += len(line) + 1
		if first {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if p, ok := parsePattern(line); ok {
			below.patterns = append(below.patterns, p)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("folder: %s: %w", join(dir, IgnoreFile), err)
	}
	if size > maxIgnoreFile || len(below.patterns) > maxPatterns {
		return nil, fmt.Errorf("folder: %s: more than %d bytes or %d patterns", join(dir, IgnoreFile), maxIgnoreFile, maxPatterns)
	}
	return below, nil
}

// Match reports whether path, an entry's, is left out, provided that none of the
// directories above it is. As with git, the last pattern that matches decides,
// and the file that is nearest to path.
func (g *Ignore) Match(path string, dir bool) bool {
	for ; g != nil; g = g.above {
		rel := path
		if g.dir != "" {
			var inside bool
			if rel, inside = strings.CutPrefix(path, g.dir+"/"); !inside {
				continue
			}
		}
		names := strings.Split(rel, "/")
		for i := len(g.patterns) - 1; i >= 0; i-- {
			if p := &g.patterns[i]; p.match(names, dir) {
				return !p.negated
			}
		}
	}
	return false
}

// enter returns what decides in dir, which is open as root: g, or what the ignore
// file in it adds. A file that is there but cannot be read is an error, because
// what it excludes must not be shared.
func (g *Ignore) enter(root *os.Root, dir string) (*Ignore, error) {
	f, _, err := openFile(root, IgnoreFile)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err != nil {
		return nil, fmt.Errorf("folder: %s: %w", join(dir, IgnoreFile), err)
	}
	defer f.Close() // nothing was written
	return g.Below(dir, f)
}
