//go:build linux

package crash

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zeebo/blake3"
)

// item is what is at a path: of directories the hash is empty.
type item struct {
	mode fs.FileMode
	hash string
}

// empty is the hash of a file without content.
var empty = hashOf(nil)

func hashOf(b []byte) string {
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// tree reads everything below root but shoal's own directory.
func tree(root string) (map[string]item, error) {
	all := map[string]item{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != root {
			return nil // it moves while it is read
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		if rel == ".shoal" || rel == "lost+found" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		it := item{mode: info.Mode()}
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return ignoreGone(err)
			}
			it.hash = hashOf(b)
		}
		all[rel] = it
		return nil
	})
	return all, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// hashes returns the contents of all files below dir.
func hashes(dir string) (map[string]bool, error) {
	all := map[string]bool{}
	items, err := tree(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	for _, it := range items {
		if it.hash != "" {
			all[it.hash] = true
		}
	}
	return all, err
}

// difference says where two trees differ; empty: nowhere.
func difference(a, b map[string]item) string {
	var out []string
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		x, inA := a[p]
		y, inB := b[p]
		if inA != inB || x != y {
			out = append(out, fmt.Sprintf("%s: %s, %s", p, x.text(inA), y.text(inB)))
		}
	}
	if len(out) > 12 {
		out = append(out[:12], fmt.Sprintf("and %d more", len(out)-12))
	}
	return strings.Join(out, "\n\t")
}

func (it item) text(there bool) string {
	if !there {
		return "nothing"
	}
	return fmt.Sprintf("%v %.8s", it.mode, it.hash)
}

// leftovers returns what is in a folder's own directories that nobody needs when it
// is at rest.
func leftovers(root string) ([]string, error) {
	var out []string
	for _, dir := range []string{"tmp", "aside"} {
		list, err := os.ReadDir(filepath.Join(root, ".shoal", dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			if !strings.HasSuffix(d.Name(), ".part") {
				out = append(out, dir+"/"+d.Name())
			}
		}
	}
	return out, nil
}

// sameBytes reports whether a file holds b.
func sameBytes(path string, b []byte) bool {
	got, err := os.ReadFile(path)
	return err == nil && bytes.Equal(got, b)
}
