package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

const testSize = 8000 * blockSize // more blocks than there are places in one

func TestColliding(t *testing.T) {
	want := delta.NewClassic(plainBlock()).Sum()
	all, err := io.ReadAll(colliding(testSize))
	if err != nil || len(all) != testSize {
		t.Fatalf("%d bytes, %v", len(all), err)
	}
	seen := map[string]bool{string(plainBlock()): true}
	for b := all; len(b) > 0; b = b[blockSize:] {
		if got := delta.NewClassic(b[:blockSize]).Sum(); got != want {
			t.Fatalf("block %d has the sum %08x, not %08x", len(seen)-1, got, want)
		}
		if seen[string(b[:blockSize])] {
			t.Fatalf("block %d is there already", len(seen)-1)
		}
		seen[string(b[:blockSize])] = true
	}
}

func TestCases(t *testing.T) {
	const size = 1 << 20
	longer := map[string]int{
		"insert 1 byte at the front": 1, "100 inserts of 100 bytes": 10_000, "equal blocks, 1 byte at the front": 1,
		"zeros, 1 byte at the front": 1, "period of 997": 1,
	}
	for _, c := range cases(size) {
		a, errA := io.ReadAll(c.new())
		b, errB := io.ReadAll(c.new())
		if errA != nil || errB != nil || !bytes.Equal(a, b) || len(a) != size+longer[c.name] {
			t.Errorf("%s: %d bytes, and once more %d: %v, %v", c.name, len(a), len(b), errA, errB)
		}
		old, err := io.ReadAll(c.old())
		if err != nil || bytes.Equal(old, a) != (c.name == "same") {
			t.Errorf("%s: the old file is not what its name says: %v", c.name, err)
		}
	}
}

func TestSame(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, p []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, p, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p := bytesOf(1, 3<<20)
	want := file("want", p)
	if err := same(file("equal", p), want); err != nil {
		t.Error(err)
	}
	for name, q := range map[string][]byte{
		"shorter": p[:len(p)-1], "longer": append(bytes.Clone(p), 0), "a MiB less": p[:2<<20], "empty": nil, "other": append(bytes.Clone(p[:len(p)-1]), p[len(p)-1]+1),
	} {
		if same(file(name, q), want) == nil {
			t.Errorf("%s: no difference was found", name)
		}
	}
}

func TestRunLimit(t *testing.T) {
	began := time.Now()
	_, err := run(context.Background(), 50*time.Millisecond, "sh", step{args: []string{"-c", "sleep 20 & wait"}})
	if err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("it was not ended: %v after %v", err, time.Since(began))
	}
}
