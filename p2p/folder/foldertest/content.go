package foldertest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
)

// made returns the manifest of bytes that nothing can be said about.
func made(t *testing.T, parts ...byte) *chunk.Manifest {
	t.Helper()
	var all []byte
	for _, p := range parts {
		b := make([]byte, 300<<10)
		_, _ = rand.NewChaCha8([32]byte{p}).Read(b) // never fails
		all = append(all, b...)
	}
	m, err := chunk.Scan(bytes.NewReader(all), int64(len(all)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// of returns a row whose content is that of a manifest.
func of(path string, m *chunk.Manifest) folder.Row {
	r := file(path)
	r.Size, r.Hash = m.Size(), folder.Hash(m.Root())
	return r
}

func testManifest(t *testing.T, s folder.Store) {
	a, b := made(t, 1), made(t, 2)
	if _, err := s.Manifest(t.Context(), folder.Hash(a.Root())); !errors.Is(err, folder.ErrNotFound) {
		t.Errorf("before it was saved: %v", err)
	}
	for range 2 { // again is no error
		if err := s.SaveManifests(t.Context(), []*chunk.Manifest{a}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Apply(t.Context(), "f", folder.Diff{Put: []folder.Row{of("b", b)}, Made: []*chunk.Manifest{b}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []*chunk.Manifest{a, b} {
		if got, err := s.Manifest(t.Context(), folder.Hash(want.Root())); err != nil || !got.Equal(want) {
			t.Errorf("another manifest, or %v", err)
		}
	}
}

func testSimilar(t *testing.T, s folder.Store) {
	// The second has the first's chunks behind others, and the third is in another folder.
	a, b, c := made(t, 1), made(t, 2, 1, 1), made(t, 3)
	diff := folder.Diff{Put: []folder.Row{of("dir/a", a), of("dir/b", b), of("dir/same", b)}, Made: []*chunk.Manifest{a, b}}
	if _, err := s.Apply(t.Context(), "f", diff); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), "g", folder.Diff{Put: []folder.Row{of("c", c)}, Made: []*chunk.Manifest{c}}); err != nil {
		t.Fatal(err)
	}
	ask := func(id string, m *chunk.Manifest, limit int, want ...string) {
		t.Helper()
		found, err := s.Similar(t.Context(), id, m.Sketch(), limit)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range found {
			paths = append(paths, f.Path)
			if f.Path == "dir/b" && f.Hash != folder.Hash(b.Root()) || f.Shared == 0 {
				t.Errorf("%+v", f)
			}
		}
		if diff := cmp.Diff(want, paths); diff != "" {
			t.Errorf("similar in %s (-want +got):\n%s", id, diff)
		}
	}
	ask("f", b, 10, "dir/b", "dir/a")
	ask("f", b, 1, "dir/b")
	ask("f", a, 1, "dir/a")
	ask("f", c, 10)
	ask("g", c, 10, "c")
	ask("g", a, 10)
	ask("f", made(t, 4), 10)
	apply(t, s, "f", []string{"dir/a", "dir/b"})
	ask("f", b, 10, "dir/same")
}

func testSweep(t *testing.T, s folder.Store) {
	var all []*chunk.Manifest
	for i := range byte(40) { // more than are forgotten at once
		all = append(all, made(t, i))
	}
	kept := all[7]
	if err := s.SaveManifests(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	apply(t, s, "f", nil, of("kept", kept))
	count := func() (n int) {
		for _, m := range all {
			_, err := s.Manifest(t.Context(), folder.Hash(m.Root()))
			switch {
			case err == nil:
				n++
			case !errors.Is(err, folder.ErrNotFound):
				t.Fatal(err)
			}
		}
		return n
	}
	if err := s.Sweep(t.Context(), time.Now().Add(-time.Hour)); err != nil || count() != len(all) {
		t.Errorf("%d manifests after what is older was forgotten, %v", count(), err)
	}
	if err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil || count() != 1 {
		t.Errorf("%d manifests after all that nothing has were forgotten, %v", count(), err)
	}
	found, err := s.Similar(t.Context(), "f", kept.Sketch(), 10)
	if err != nil || len(found) != 1 || found[0].Path != "kept" {
		t.Errorf("what is kept is not found: %+v, %v", found, err)
	}
	// What was forgotten can come again, with all its chunks.
	if err := s.SaveManifests(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	apply(t, s, "f", nil, of("again", all[3]))
	if found, err = s.Similar(t.Context(), "f", all[3].Sketch(), 10); err != nil || len(found) != 1 || found[0].Path != "again" {
		t.Errorf("what came again is not found: %+v, %v", found, err)
	}
}
