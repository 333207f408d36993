package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/migrations"
	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/foldertest"
)

func TestFolderStore(t *testing.T) {
	foldertest.Run(t, func(t *testing.T) folder.Store { return open(t, t.TempDir()).Folder() })
}

func TestFoldersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := folder.Record{
		ID: "aaaa", Label: "papers", Path: "/papers", Access: folder.AccessRead, Created: time.UnixMilli(1_700_000_000_123).UTC(), Paused: true, Inode: 1<<64 - 1,
		Grants: p2p.Grants{{Member: p2p.ID{1}, Access: p2p.AccessWrite}, {Member: p2p.ID{2}, Access: p2p.AccessNone}},
	}
	row := folder.Row{Entry: folder.Entry{Path: "x", Kind: folder.KindFile, Size: 3, Hash: folder.Hash{1}}, Inode: 1<<64 - 1}
	if err := s.Folder().SaveFolder(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Folder().Apply(t.Context(), r.ID, folder.Diff{Put: []folder.Row{row}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	all, err := s.Folder().Folders(t.Context())
	if err != nil || len(all) != 1 || !reflect.DeepEqual(all[0], r) {
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

// A directory of 10,000 files in 100 directories gets another path, and one file is
// looked up in every way.
func BenchmarkFolderMove(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	f := s.Folder()
	rows := []folder.Row{{Entry: folder.Entry{Path: "from", Kind: folder.KindDir}, Inode: 1}}
	for d := range 100 {
		dir := fmt.Sprintf("from/%03d", d)
		rows = append(rows, folder.Row{Entry: folder.Entry{Path: dir, Kind: folder.KindDir}, Inode: uint64(d + 2)})
		for n := range 100 {
			hash := folder.Hash(blake3.Sum256(fmt.Append(nil, d, n)))
			rows = append(rows, folder.Row{Entry: folder.Entry{Path: fmt.Sprintf("%s/%03d.txt", dir, n), Kind: folder.KindFile, Size: 1, Hash: hash}})
		}
	}
	if _, err := f.Apply(b.Context(), "f", folder.Diff{Put: rows}); err != nil {
		b.Fatal(err)
	}
	tell := func(b *testing.B) {
		for _, gone := range []bool{true, false} {
			us, err := f.Untold(b.Context(), "f", gone, "", 100_000)
			err = errors.Join(err, f.Told(b.Context(), "f", us))
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	tell(b)
	b.Run("move", func(b *testing.B) {
		move := folder.Move{From: "from", To: "to"}
		for b.Loop() {
			if _, err := f.Apply(b.Context(), "f", folder.Diff{Moved: []folder.Move{move}}); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			tell(b)
			move.From, move.To = move.To, move.From
			b.StartTimer()
		}
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			_, row := f.DirByInode(b.Context(), "f", 1)
			_, content := f.ByHash(b.Context(), "f", rows[2].Hash)
			if err := errors.Join(row, content); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("apply", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.Apply(b.Context(), "g", folder.Diff{Put: rows[:256]}); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// The files of before migration 0007 count as told.
func TestFilesOfBeforeTheOutbox(t *testing.T) {
	dir := t.TempDir()
	d, err := openDB(t.Context(), dir, indexProfile)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := migrations.For("index")
	if err != nil {
		t.Fatal(err)
	}
	before := slices.IndexFunc(steps, func(m migrations.Migration) bool { return m.Name == "0007_index_told.sql" })
	if err := migrate(t.Context(), d, steps[:before], time.Now()); err != nil {
		t.Fatal(err)
	}
	err = d.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `
			INSERT INTO file_folder (n, id) VALUES (7, 'f');
			INSERT INTO file (folder, path, dir, kind, size, modified, mode, hash, inode, changed, checked)
			VALUES (7, 'd', '', 2, 0, 1, 493, NULL, 5, 2, 3), (7, 'd/a', 'd', 1, 10, 1, 420, zeroblob(32), 6, 2, 3)`)
		return err
	})
	if err = errors.Join(err, d.close()); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir).Folder()
	rows, err := f.Under(t.Context(), "f", "", "", 10)
	if err != nil || len(rows) != 2 || rows[1].Path != "d/a" || rows[1].Size != 10 || rows[1].Inode != 6 {
		t.Errorf("%+v, %v", rows, err)
	}
	if us, err := f.Untold(t.Context(), "f", false, "", 10); err != nil || len(us) != 0 {
		t.Errorf("told again: %v, %v", us, err)
	}
	if _, err := f.Apply(t.Context(), "f", folder.Diff{Drop: []string{"d/a"}}); err != nil {
		t.Fatal(err)
	}
	us, err := f.Untold(t.Context(), "f", true, "", 10)
	if err != nil || len(us) != 1 || len(us[0].Ended) != 1 || us[0].Ended[0] != folder.KindFile {
		t.Errorf("its end: %+v, %v", us, err)
	}
}
