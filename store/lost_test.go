package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// published is a document without a file, whole.
var published = search.Document{
	ID: "published", Title: "Minutes", Text: "a network of peers", Type: search.TypeDocument, Size: 18,
	Modified: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	Fields:   map[string]search.Value{"year": search.Number(1998), "author": search.Text("Bocek")},
}

func openIndex(t *testing.T, s *Store) *search.Index {
	t.Helper()
	x, err := search.Open(t.Context(), s.Search())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func found(t *testing.T, x *search.Index, text string) []string {
	t.Helper()
	a, err := x.Query(t.Context(), search.Query{Text: text})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, h := range a.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

// checkPublished opens the databases in dir and looks for what was published.
func checkPublished(t *testing.T, dir string) {
	t.Helper()
	s := openSearch(t, dir)
	defer s.Close()
	x := openIndex(t, s)
	for _, word := range []string{"network", "minutes", "bocek"} {
		if diff := cmp.Diff([]string{published.ID}, found(t, x, word)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", word, diff)
		}
	}
	d, err := x.Document(t.Context(), published.ID)
	if diff := cmp.Diff(published, d); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// removeIndex deletes index.db as a person would.
func removeIndex(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "index.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no index.db: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPublishedWithoutIndex loses index.db in every way.
func TestPublishedWithoutIndex(t *testing.T) {
	dir := t.TempDir()
	s := openSearch(t, dir)
	if err := openIndex(t, s).Put(t.Context(), []search.Document{published}); err != nil {
		t.Fatal(err)
	}
	// What is on the disk now is what a kill would leave.
	killed := t.TempDir()
	for _, name := range []string{"state.db", "state.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(killed, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	checkPublished(t, killed)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	removeIndex(t, dir)
	checkPublished(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "index.db"), []byte("no database, no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkPublished(t, dir)
}

// TestPublishedBetweenTheWrites publishes in place of a file's document when the
// second database fails, as if killed in between: state.db decides.
func TestPublishedBetweenTheWrites(t *testing.T) {
	dir := t.TempDir()
	file := search.Document{ID: published.ID, Folder: "f", Path: "old.txt", Text: "old file"}
	s := openSearch(t, dir)
	x := openIndex(t, s)
	if err := x.Put(t.Context(), []search.Document{file}); err != nil {
		t.Fatal(err)
	}
	if err := s.index.close(); err != nil {
		t.Fatal(err)
	}
	if err := (searchStore{s.state, s.index}).Put(t.Context(), []search.Record{{ID: published.ID, Title: "new", Modified: time.Unix(0, 0)}}, nil); err == nil {
		t.Fatal("nothing has failed")
	}
	s.Close()

	s = openSearch(t, dir)
	x = openIndex(t, s)
	if got := found(t, x, "old"); len(got) != 0 || x.Stats().Documents != 1 {
		t.Errorf("the replaced document: %v of %d documents", got, x.Stats().Documents)
	}
	if d, err := x.Document(t.Context(), published.ID); err != nil || d.Title != "new" || d.Folder != "" {
		t.Errorf("%+v, %v", d, err)
	}
	// And back, through both databases.
	for _, d := range []search.Document{published, file} {
		if err := x.Put(t.Context(), []search.Document{d}); err != nil {
			t.Fatal(err)
		}
		again := openIndex(t, s)
		if got, err := again.Document(t.Context(), d.ID); err != nil || got.Text != d.Text || again.Stats().Documents != 1 {
			t.Errorf("%+v, %v, %d documents", got, err, again.Stats().Documents)
		}
	}
	if err := x.Remove(t.Context(), published.ID); err != nil {
		t.Fatal(err)
	}
	if n := openIndex(t, s).Stats().Documents; n != 0 {
		t.Errorf("%d documents after removing the only one", n)
	}
}

// TestUnreadableTexts: a file is read again; what was published is never deleted,
// and is found by its title.
func TestUnreadableTexts(t *testing.T) {
	ctx := t.Context()
	s := openSearch(t, t.TempDir())
	x := openIndex(t, s)
	file := search.Document{ID: "file", Folder: "f", Path: "a.txt", Title: "minutes", Text: "a network"}
	if err := x.Put(ctx, []search.Document{published, file}); err != nil {
		t.Fatal(err)
	}
	row := folder.Row{Entry: folder.Entry{Path: "a.txt", Kind: folder.KindFile}}
	if _, err := s.Folder().Apply(ctx, "f", folder.Diff{Put: []folder.Row{row}}); err != nil {
		t.Fatal(err)
	}
	tellAll(t, s)
	for _, id := range []string{published.ID, file.ID} {
		r, err := s.Search().Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		r.Terms, r.Text = nil, []byte("damaged")
		if err := s.Search().Put(ctx, []search.Record{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	x = openIndex(t, s)
	if diff := cmp.Diff([]string{published.ID}, found(t, x, "minutes")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r, err := s.Search().Get(ctx, published.ID); err != nil || string(r.Text) != "damaged" {
		t.Errorf("the text was changed: %q, %v", r.Text, err)
	}
	if us := toTell(t, s); len(us) != 1 || us[0].Path != "a.txt" {
		t.Errorf("the file would not be read again: %v", us)
	}
}

// toTell returns what search has still to be told of folder "f".
func toTell(t *testing.T, s *Store) []folder.Untold {
	t.Helper()
	us, err := s.Folder().Untold(t.Context(), "f", false, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	return us
}

func tellAll(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Folder().Told(t.Context(), "f", toTell(t, s)); err != nil {
		t.Fatal(err)
	}
}

// TestSuccessorOfDocument: with the document of a file goes nothing that a scan knows of what
// has taken the file's place.
func TestSuccessorOfDocument(t *testing.T) {
	for _, next := range []folder.Kind{folder.KindDir, folder.KindFile} {
		s := openSearch(t, t.TempDir())
		x := openIndex(t, s)
		put := func(kind folder.Kind, inode uint64) {
			t.Helper()
			row := folder.Row{Entry: folder.Entry{Path: "a", Kind: kind}, Inode: inode}
			if _, err := s.Folder().Apply(t.Context(), "f", folder.Diff{Put: []folder.Row{row}}); err != nil {
				t.Fatal(err)
			}
		}
		put(folder.KindFile, 1)
		if err := x.Put(t.Context(), []search.Document{{ID: "a", Folder: "f", Path: "a", Title: "a"}}); err != nil {
			t.Fatal(err)
		}
		tellAll(t, s)
		if _, err := s.Folder().Apply(t.Context(), "f", folder.Diff{Drop: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
		put(next, 2)
		if err := x.Remove(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		row, err := s.Folder().Row(t.Context(), "f", "a")
		if err != nil || row.Kind != next || row.Inode != 2 {
			t.Errorf("a %s: there is %+v, %v", next, row, err)
		}
		if len(toTell(t, s)) != 1 {
			t.Errorf("a %s would not be told", next)
		}
	}
}

// TestLostIndexIsBuiltAgain deletes index.db while a node is off: its folder is
// read again and what it has published is still there.
func TestLostIndexIsBuiltAgain(t *testing.T) {
	data, shared := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(shared, "plan.md"), []byte("# Plan\n\nlighthouse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(change func(n *node.Node) error) {
		s := openSearch(t, data)
		defer s.Close()
		n, err := node.Start(t.Context(), node.Options{Store: s, DataDir: data})
		if err != nil {
			t.Fatal(err)
		}
		err = change(n)
		if err = errors.Join(err, indexed(t, n), n.Close()); err != nil {
			t.Fatal(err)
		}
	}
	run(func(n *node.Node) error {
		_, shares := n.AddFolder(t.Context(), folder.AddOptions{Path: shared})
		_, publishes := n.AddDocument(t.Context(), search.Document{Title: "Minutes", Text: "harbour"})
		return errors.Join(shares, publishes)
	})
	removeIndex(t, data)
	run(func(*node.Node) error { return nil })
}

// indexed waits until both documents of TestLostIndexIsBuiltAgain are found.
func indexed(t *testing.T, n *node.Node) error {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		position := n.Events().Position()
		both := true
		for _, word := range []string{"lighthouse", "harbour"} {
			a, err := n.Search(ctx, search.Query{Text: word}, nil)
			if err != nil {
				return err
			}
			both = both && len(a.Hits) == 1
		}
		if both {
			return nil
		}
		if err := n.Events().Wait(ctx, position); err != nil {
			return err
		}
	}
}

func TestRemovedIndexLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s := openSearch(t, dir)
	row := folder.Row{Entry: folder.Entry{Path: "a.txt", Kind: folder.KindFile, Size: 1}}
	if _, err := s.Folder().Apply(t.Context(), "f", folder.Diff{Put: []folder.Row{row}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	removeIndex(t, dir)
	s = openSearch(t, dir)
	if rows, err := s.Folder().Children(t.Context(), "f", ""); err != nil || len(rows) != 0 {
		t.Errorf("what was seen of files has survived: %v, %v", rows, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "index.db")); errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
