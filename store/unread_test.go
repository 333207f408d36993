package store

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/extract/extracttest"
	"github.com/shoal-p2p/shoal/p2p/folder"
)

func TestUnread(t *testing.T) {
	extracttest.Store(t, func(t *testing.T) extract.Store { return openSearch(t, t.TempDir()).Unread() })
}

// TestUnreadAgain: what another version could not read is told again, and only that.
func TestUnreadAgain(t *testing.T) {
	ctx := t.Context()
	s := openSearch(t, t.TempDir())
	files := s.Folder()
	var rows []folder.Row
	for _, path := range []string{"new.pdf", "old.pdf", "text.txt"} {
		rows = append(rows, folder.Row{Entry: folder.Entry{Path: path, Kind: folder.KindFile, Size: 1, Modified: time.Unix(1, 0)}})
	}
	if _, err := files.Apply(ctx, "f", folder.Diff{Put: rows}); err != nil {
		t.Fatal(err)
	}
	untold := func() (paths []string) {
		us, err := files.Untold(ctx, "f", false, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range us {
			paths = append(paths, u.Path)
		}
		if err := files.Told(ctx, "f", us); err != nil {
			t.Fatal(err)
		}
		return paths
	}
	if got := untold(); len(got) != 3 {
		t.Fatalf("%q", got)
	}
	err := s.Unread().Note(ctx, "f", []extract.Unread{
		{Path: "new.pdf", Reason: extract.Damaged, Version: 7}, {Path: "old.pdf", Reason: extract.Damaged, Version: 6},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Unread().Again(ctx, 7); n != 1 || err != nil {
		t.Errorf("%d are told again, %v", n, err)
	}
	if got := untold(); len(got) != 1 || got[0] != "old.pdf" {
		t.Errorf("told again: %q", got)
	}
}
