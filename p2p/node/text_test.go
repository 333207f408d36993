package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// TestDocumentsAreFound shares a folder of documents: good ones are found by what
// is in them, the others are listed with the reason until they are good.
func TestDocumentsAreFound(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report, err := os.ReadFile("../extract/testdata/report.docx")
	if err != nil {
		t.Fatal(err)
	}
	put("report.docx", report)
	put("half.docx", report[:len(report)/2])
	put("old.doc", []byte("\xd0\xcf\x11\xe0"))
	put("notes.txt", []byte("plankton"))
	put("photo.jpg", []byte("\xff\xd8\xff"))
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, Options{Name: "reader", Extract: []string{me, extract.Verb}})
	f, err := n.AddFolder(t.Context(), folder.AddOptions{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	unread := func() map[string]extract.Reason {
		list, err := n.Unread(t.Context(), f.ID, "", "", 100)
		if err != nil {
			t.Fatal(err)
		}
		if list.Total != len(list.Items) {
			t.Errorf("%d in total, %d listed", list.Total, len(list.Items))
		}
		all := make(map[string]extract.Reason)
		for _, u := range list.Items {
			all[u.Path] = u.Reason
		}
		return all
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, unread())
			}
		}
	}
	found := func(word string) int {
		a, err := n.Search(t.Context(), search.Query{Text: word}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(a.Hits)
	}
	until("two that cannot be read", func() bool {
		u := unread()
		return len(u) == 2 && u["half.docx"] == extract.Damaged && u["old.doc"] == extract.Unsupported
	})
	until("the text of the document", func() bool { return found("anchovies") == 1 && found("plankton") == 2 && found("half") == 1 })
	if f, err := n.Folder(f.ID, n.ID()); err != nil || f.Unread != 2 {
		t.Errorf("the folder says %d, %v", f.Unread, err)
	}
	if list, err := n.Unread(t.Context(), f.ID, extract.Damaged, "", 1); err != nil || len(list.Items) != 1 || list.Next != "" || list.Total != 2 || len(list.Counts) != 2 {
		t.Errorf("one reason: %+v, %v", list, err)
	}
	// One becomes whole, the other goes.
	put("half.docx", report)
	if err := os.Remove(filepath.Join(dir, "old.doc")); err != nil {
		t.Fatal(err)
	}
	if err := n.ScanFolder(t.Context(), f.ID); err != nil {
		t.Fatal(err)
	}
	until("nothing is missing", func() bool { return len(unread()) == 0 && found("anchovies") == 2 })
}
