package foldertest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
)

// made returns the manifest of bytes that nothing can be said about.
func made(t *testing.T, parts ...byte) *chunk.Manifest {
	t.Helper()
	var all []byte
	for _, p := range parts {
		b := make([]byte, 300<<10)
		rand.NewChaCha8([32]byte{p}).Read(b)
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

func testLocate(t *testing.T, s folder.Store) {
	// The second has the first's chunks behind others, and the third is in another folder.
	a, b, c := made(t, 1), made(t, 2, 1, 1), made(t, 3)
	diff := folder.Diff{Put: []folder.Row{of("dir/b", b)}, Made: []*chunk.Manifest{a, b}}
	if _, err := s.Apply(t.Context(), "f", diff); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), "g", folder.Diff{Put: []folder.Row{of("c", c)}, Made: []*chunk.Manifest{c}}); err != nil {
		t.Fatal(err)
	}
	last := b.Chunk(b.Len() - 2)
	ask := []chunk.Hash{c.Chunk(0).Hash, b.Chunk(0).Hash, {1, 2, 3}, last.Hash}
	found, err := s.Locate(t.Context(), "f", ask)
	if err != nil || len(found) != len(ask) {
		t.Fatalf("%d places, %v", len(found), err)
	}
	if found[0].Path != "" || found[2].Path != "" {
		t.Errorf("found what is not there: %+v", found)
	}
	if want := (folder.Located{Path: "dir/b", Hash: folder.Hash(b.Root())}); found[1] != want {
		t.Errorf("the first chunk is at %+v, want %+v", found[1], want)
	}
	if at := b.Chunk(b.Find(found[3].Offset)); found[3].Path != "dir/b" || at.Offset != found[3].Offset || at.Hash != last.Hash || at.Offset == last.Offset {
		t.Errorf("of a chunk that is there twice the first is looked for, not %+v", found[3])
	}
	if found, err = s.Locate(t.Context(), "g", ask); err != nil || found[0].Path != "c" || found[1].Path != "" {
		t.Errorf("in the other folder: %+v, %v", found, err)
	}
	apply(t, s, "f", []string{"dir/b"})
	if found, err = s.Locate(t.Context(), "f", ask); err != nil || found[1].Path != "" {
		t.Errorf("in a file that is gone: %+v, %v", found, err)
	}
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
	found, err := s.Locate(t.Context(), "f", []chunk.Hash{kept.Chunk(0).Hash})
	if err != nil || found[0].Path != "kept" {
		t.Errorf("what is kept is not found: %+v, %v", found, err)
	}
	// What was forgotten can come again, with all its chunks.
	if err := s.SaveManifests(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	apply(t, s, "f", nil, of("again", all[3]))
	if found, err = s.Locate(t.Context(), "f", []chunk.Hash{all[3].Chunk(1).Hash}); err != nil || found[0].Path != "again" {
		t.Errorf("what came again is not found: %+v, %v", found, err)
	}
}
