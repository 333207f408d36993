package store

import (
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
