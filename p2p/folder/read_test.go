package folder

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zeebo/blake3"
)

// A file is chunked if it is long enough, and not if it has the content that is expected.
func TestReadStable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	write := func(name string, n int) Hash {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * i >> 7)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return Hash(blake3.Sum256(b))
	}
	short, long := write("short", ManifestFrom-1), write("long", ManifestFrom)
	for _, row := range []struct {
		c    candidate
		want Hash
		made bool
		read int64
	}{
		{candidate{name: "short"}, short, false, ManifestFrom - 1},
		{candidate{name: "long"}, long, true, ManifestFrom},
		{candidate{name: "long", expect: long}, long, false, ManifestFrom},
		{candidate{name: "long", expect: short}, long, true, 2 * ManifestFrom},
		{candidate{name: "short", expect: long}, short, false, ManifestFrom - 1},
	} {
		var read atomic.Int64
		got, made, err := readStable(t.Context(), root, row.c, row.c.name, time.Now, &read)
		if err != nil || got.Hash != row.want || (made != nil) != row.made || read.Load() != row.read {
			t.Errorf("%s, where %.8v is expected: %.8v, a manifest %v, %d bytes read, %v", row.c.name, row.c.expect, got.Hash, made != nil, read.Load(), err)
		}
		if made != nil && Hash(made.Root()) != row.want {
			t.Errorf("%s: the manifest is of another content", row.c.name)
		}
	}
	if _, _, err := readStable(t.Context(), root, candidate{name: "missing"}, "missing", time.Now, new(atomic.Int64)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
