package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/foldertest"
)

func TestFolderStore(t *testing.T) {
	foldertest.Run(t, func(t *testing.T) folder.Store { return open(t, t.TempDir()).Folder() })
}

func TestFoldersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := folder.Record{ID: "aaaa", Label: "papers", Path: "/papers", Access: folder.AccessRead, Created: time.UnixMilli(1_700_000_000_123).UTC(), Paused: true, Inode: 1<<64 - 1}
	row := folder.Row{Entry: folder.Entry{Path: "x", Kind: folder.KindFile, Size: 3, Hash: folder.Hash{1}}, Inode: 1<<64 - 1}
	if err := s.Folder().SaveFolder(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := s.Folder().Apply(t.Context(), r.ID, nil, []folder.Row{row}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	all, err := s.Folder().Folders(t.Context())
	if err != nil || len(all) != 1 || all[0] != r {
		t.Errorf("after a restart: %+v, %v, want %+v", all, err, r)
	}
	got, err := s.Folder().Row(t.Context(), r.ID, "x")
	if err != nil || got.Inode != row.Inode || got.Hash != row.Hash {
		t.Errorf("after a restart: %+v, %v, want %+v", got, err, row)
	}
}

// The same 20,000 files as in p2p/folder, with the index on the disk.
func BenchmarkFolderScan(b *testing.B) {
	dir := b.TempDir()
	for d := range 200 {
		at := filepath.Join(dir, fmt.Sprintf("%03d", d))
		if err := os.Mkdir(at, 0o755); err != nil {
			b.Fatal(err)
		}
		for f := range 100 {
			if err := os.WriteFile(filepath.Join(at, fmt.Sprintf("%03d.txt", f)), fmt.Appendf(nil, "%01024d", f), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	scan := func(b *testing.B, s *folder.Service, id string) {
		err := s.Scan(id)
		if err == nil {
			err = s.Wait(b.Context(), id)
		}
		f, got := s.Get(id)
		if err := errors.Join(err, got); err != nil || f.Files != 20_000 {
			b.Fatalf("%+v, %v", f, err)
		}
	}
	start := func(b *testing.B) (*folder.Service, string) {
		st, err := Open(b.Context(), b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		s, err := folder.Open(folder.Options{Store: st.Folder()})
		if err != nil {
			b.Fatal(err)
		}
		f, err := s.Add(b.Context(), folder.AddOptions{Path: dir})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		b.Cleanup(func() {
			cancel()
			if err := errors.Join(<-done, st.Close()); err != nil {
				b.Error(err)
			}
		})
		return s, f.ID
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			s, id := start(b)
			scan(b, s, id)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		s, id := start(b)
		scan(b, s, id)
		for b.Loop() {
			scan(b, s, id)
		}
	})
}
