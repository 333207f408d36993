package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

func TestProgress(t *testing.T) {
	for _, tc := range []struct {
		files, needFiles          int
		bytes, needBytes, arrived int64
		want                      float64
	}{
		{0, 0, 0, 0, 0, 1},
		{3, 0, 300, 0, 0, 1},
		{3, 1, 300, 100, 0, 0.75},
		{3, 1, 300, 200, 100, 0.8},
		{0, 9, 0, 100, 0, 0},
		{3, 1, 300, 0, 0, 0.75}, // only empty files or deletions are missing
		{0, 2, 0, 0, 0, 0},
		{-1, 2, -1, 5, 0, 0},
		{0, 1, 0, 100, 100, almost}, // whole only when it has its name
		{0, 1, 0, 100, 900, almost},
		{1000, 1, 1e9, 1, 0, almost},
	} {
		f := node.Folder{Folder: folder.Folder{Files: tc.files, NeedFiles: tc.needFiles, Bytes: tc.bytes, NeedBytes: tc.needBytes}}
		if got := progress(f, tc.arrived); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// TestWritable: a folder that is read-only is so for all but the one who made it.
func TestWritable(t *testing.T) {
	a := &nodeAPI{Server: newServer(t, Options{})}
	a.node = a.options.Node
	own, other := a.node.ID(), p2p.ID{7}
	for _, tc := range []struct {
		f        node.Folder
		creator  p2p.ID
		writable bool
	}{
		{node.Folder{Folder: folder.Folder{Access: "read"}, Node: own}, own, true},
		{node.Folder{Folder: folder.Folder{Access: "read", Creator: other}, Node: own}, other, false},
		{node.Folder{Folder: folder.Folder{Access: "write", Creator: other}, Node: own}, other, true},
		{node.Folder{Folder: folder.Folder{Access: "read"}, Node: other, Offered: true}, other, false},
		{node.Folder{Folder: folder.Folder{Access: "write"}, Node: other, Offered: true}, other, true},
	} {
		got := a.apiFolder(tc.f)
		if got.Creator != tc.creator.String() || got.Writable != tc.writable || (got.Progress == nil) != tc.f.Offered {
			t.Errorf("%+v: %+v", tc.f, got)
		}
	}
}

// TestWords: what the engine says, the API can say, and in no other words.
func TestWords(t *testing.T) {
	for _, k := range []reconcile.ConflictKind{
		reconcile.ConflictContent, reconcile.ConflictName, reconcile.ConflictDelete, reconcile.ConflictInside, reconcile.ConflictMove,
	} {
		if !api.ConflictKind(k).Valid() {
			t.Errorf("no conflict kind %s", k)
		}
	}
	for _, k := range []string{replica.KeepOurs, replica.KeepTheirs, replica.KeepBoth} {
		if !api.Keep(k).Valid() {
			t.Errorf("no keep %s", k)
		}
	}
	for _, s := range []replica.TransferState{replica.TransferWaiting, replica.TransferRunning, replica.TransferDone, replica.TransferFailed} {
		if !api.TransferState(s).Valid() {
			t.Errorf("no transfer state %s", s)
		}
	}
	for _, s := range []folder.State{folder.StateIdle, folder.StateScanning, folder.StatePaused, folder.StateError, folder.StateSyncing, folder.StateHeld} {
		if !api.FolderState(s).Valid() {
			t.Errorf("no folder state %s", s)
		}
	}
	for _, k := range []reconcile.Kind{reconcile.KindFile, reconcile.KindDir} {
		if !api.EntryKind(k).Valid() || !api.DiscardedKind(k).Valid() {
			t.Errorf("no kind %s", k)
		}
	}
}

func TestTransfers(t *testing.T) {
	a := &nodeAPI{Server: newServer(t, Options{})}
	a.node = a.options.Node
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var ids []string
	for _, tr := range inOrder([]replica.Transfer{
		{ID: "old", State: replica.TransferDone, Ended: noon},
		{ID: "waits", State: replica.TransferWaiting},
		{ID: "first", State: replica.TransferRunning},
		{ID: "new", State: replica.TransferFailed, Ended: noon.Add(time.Hour)},
		{ID: "second", State: replica.TransferRunning},
	}) {
		ids = append(ids, tr.ID)
	}
	if want := []string{"first", "second", "waits", "new", "old"}; !slices.Equal(ids, want) {
		t.Errorf("%q, want %q", ids, want)
	}
	got := a.apiTransfer(replica.Transfer{
		ID: "x", Folder: "f", Path: "p", Peer: a.node.ID(), Total: 9, Done: 5, Wire: 3, Reused: 2, Rate: 1.5,
		ETA: 2500 * time.Millisecond, State: replica.TransferRunning, Error: "node: link: lost", Began: noon,
	}, "notes")
	want := api.Transfer{
		Id: "x", Folder: "f", FolderLabel: "notes", Path: "p", Peer: a.node.ID().String(), PeerName: "tester", BytesTotal: 9, BytesDone: 5,
		BytesWire: 3, BytesReused: 2, Rate: 1.5, EtaS: new(2.5), State: "running", Error: "lost", Began: &noon,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := a.apiTransfer(replica.Transfer{ETA: -1}, ""); got.EtaS != nil || got.Peer != "" || got.PeerName != "" || got.Began != nil || got.Ended != nil {
		t.Errorf("got %+v", got)
	}
}

func TestDiscardedAndHeld(t *testing.T) {
	a := &nodeAPI{Server: newServer(t, Options{})}
	a.node = a.options.Node
	at := time.Date(2026, 11, 20, 12, 0, 0, 5, time.UTC)
	d := a.apiDiscarded(replica.Discarded{N: 7, Path: "p", Kind: reconcile.KindFile, Hash: reconcile.Hash{1}, Size: 3, Mode: 0o100640, Modified: at.UnixNano(), Deleted: true, Member: p2p.ID{9}, Time: at})
	if d.N != 7 || d.Mode != "0640" || !d.Modified.Equal(at) || d.Local || !d.Deleted || d.MemberName != (p2p.ID{9}).Short() || !strings.HasPrefix(d.Hash, "01") {
		t.Errorf("got %+v", d)
	}
	if d := a.apiDiscarded(replica.Discarded{Kind: reconcile.KindDir, Name: "x"}); d.Hash != "" || d.Member != "" || d.MemberName != "" || !d.Local {
		t.Errorf("got %+v", d)
	}
	h := a.apiHeld(replica.Held{Member: a.node.ID(), Since: at, Limit: 50, Done: 3, Deleted: 60, Changed: 2, Items: []replica.HeldItem{{Path: "p", Deleted: true, Size: 3}}})
	if h.MemberName != "tester" || h.Limit != 50 || h.Done != 3 || h.Deleted != 60 || h.Changed != 2 || len(h.Items) != 1 || !h.Items[0].Deleted {
		t.Errorf("got %+v", h)
	}
	if h := a.apiHeld(replica.Held{}); h.Items == nil {
		t.Error("items are null")
	}
	if s := a.apiSide(replica.Side{}); s.Modified != nil || s.Hash != "" || s.Member != "" {
		t.Errorf("got %+v", s)
	}
}

func TestTrashCursor(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "7": 7, "9007199254740991": 9007199254740991} {
		if got, err := trashCursor(text); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "-1", "x", "1.5", "99999999999999999999", " 7"} {
		if _, err := trashCursor(text); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}

// pair is two nodes of one network, each with its API.
func pair(t *testing.T) (a, b *Server) {
	t.Helper()
	a, b = newServer(t, Options{Node: startNode(t)}), newServer(t, Options{Node: startNode(t)})
	var inv api.Invite
	call(t, a, post, "/api/invites", `{}`, 201, &inv)
	call(t, b, post, "/api/join", jsonOf(t, api.JoinNew{Link: inv.Link}), 200, nil)
	return a, b
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// until asks until what other goroutines and nodes do has been done.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	end := time.After(30 * time.Second)
	for !done() {
		select {
		case <-pace.C:
		case <-end:
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func holds(path, text string) bool {
	got, err := os.ReadFile(path)
	return err == nil && string(got) == text
}

// TestSyncAPI: a folder is joined, changed on both sides, a conflict resolved, a file
// brought back; all by the API.
func TestSyncAPI(t *testing.T) {
	a, b := pair(t)
	here, there := t.TempDir(), filepath.Join(t.TempDir(), "kept")
	writeFile(t, filepath.Join(here, "a.txt"), "one")
	var f api.Folder
	call(t, a, post, "/api/folders", jsonOf(t, map[string]string{"path": here, "label": "notes"}), 201, &f)
	if !f.Writable || f.Creator != a.options.Node.ID().String() || f.Progress == nil {
		t.Errorf("got %+v", f)
	}
	until(t, "a.txt is in the index", func() bool {
		call(t, a, get, "/api/folders/notes", "", 200, &f)
		return f.Files == 1
	})
	var list api.FolderList
	until(t, "the folder is offered", func() bool {
		call(t, b, get, "/api/folders", "", 200, &list)
		return len(list.Items) == 1
	})
	if o := list.Items[0]; o.State != api.FolderStateOffered || !o.Writable || o.Creator != f.Creator || o.Progress != nil {
		t.Errorf("got %+v", o)
	}
	if w := call(t, b, get, "/api/folders/notes/conflicts", "", 404, nil); codeOf(t, w) != "not_found" || !strings.Contains(w.Body.String(), "tester offers it") {
		t.Errorf("got %s", w.Body)
	}
	joining := jsonOf(t, map[string]string{"id": "notes", "path": there})
	var p api.Preview
	until(t, "a.txt is in the preview", func() bool {
		call(t, b, post, "/api/folders/preview", joining, 200, &p)
		return p.There == 1
	})
	if p.Exists || !p.Known || p.FetchBytes != 3 || p.Path != there {
		t.Errorf("got %+v", p)
	}
	call(t, b, post, "/api/folders", joining, 201, &f)
	call(t, b, post, "/api/folders", joining, 201, &f)
	if f.Path != there || f.Creator != a.options.Node.ID().String() || !f.Writable || f.Node != b.options.Node.ID().String() {
		t.Errorf("got %+v", f)
	}
	until(t, "a.txt is there", func() bool { return holds(filepath.Join(there, "a.txt"), "one") })
	var entries api.EntryList
	until(t, "both are known to have it", func() bool {
		call(t, b, get, "/api/folders/notes/entries", "", 200, &entries)
		return len(entries.Items) == 1 && entries.Items[0].Local && len(entries.Items[0].Members) == 2
	})
	var transfers api.TransferList
	until(t, "its transfer is done", func() bool {
		call(t, b, get, "/api/transfers", "", 200, &transfers)
		return slices.ContainsFunc(transfers.Items, func(tr api.Transfer) bool { return tr.Path == "a.txt" && tr.State == api.TransferStateDone })
	})
	for _, tr := range transfers.Items {
		if tr.FolderLabel != "notes" || tr.BytesTotal != 3 || tr.BytesDone != 3 {
			t.Errorf("got %+v", tr)
		}
	}

	writeFile(t, filepath.Join(there, "a.txt"), "two!")
	until(t, "the edit is here", func() bool { return holds(filepath.Join(here, "a.txt"), "two!") })
	restore(t, a, here)
	resolve(t, a, b, here, there)

	call(t, a, get, "/api/folders/notes/held", "", 200, nil)
	call(t, a, post, "/api/folders/notes/held", `{"decision":"release"}`, 204, nil)
	call(t, a, get, "/api/folders/notes/changes", "", 200, nil)
	metrics := do(t, a, good(t, route{method: get, path: "/metrics"})).Body.String()
	for _, want := range []string{"need_files", "need_bytes", "conflicts", "held"} {
		if !strings.Contains(metrics, "shoal_folder_"+want+`{folder="`+f.Id+`",label="notes"} `) {
			t.Errorf("no metric of %s", want)
		}
	}
}

// restore brings back what a.txt was before b has changed it.
func restore(t *testing.T, a *Server, here string) {
	t.Helper()
	var trash api.TrashList
	until(t, "the old a.txt is in the trash", func() bool {
		call(t, a, get, "/api/folders/notes/trash?limit=1", "", 200, &trash)
		return len(trash.Items) == 1
	})
	d := trash.Items[0]
	if d.Path != "a.txt" || d.Size != 3 || d.Deleted || !d.Local || d.MemberName != "tester" {
		t.Errorf("got %+v", d)
	}
	var restored api.RestoredList
	call(t, a, post, "/api/folders/notes/restore", jsonOf(t, api.Restore{Numbers: []int64{d.N}}), 200, &restored)
	if len(restored.Items) != 1 || restored.Items[0].N != d.N {
		t.Fatalf("got %+v", restored)
	}
	until(t, "it is back", func() bool { return holds(filepath.Join(here, filepath.FromSlash(restored.Items[0].Path)), "one") })
	if w := call(t, a, post, "/api/folders/notes/restore", `{"numbers":[123456789]}`, 404, nil); codeOf(t, w) != "trash_not_found" {
		t.Errorf("got %s", w.Body)
	}
}

// resolve lets a and b make a file of the same name, and decides for a's.
func resolve(t *testing.T, a, b *Server, here, there string) {
	t.Helper()
	for _, s := range []*Server{a, b} {
		call(t, s, patch, "/api/folders/notes", `{"paused":true}`, 200, nil)
	}
	writeFile(t, filepath.Join(here, "c.txt"), "of a")
	writeFile(t, filepath.Join(there, "c.txt"), "written by b")
	for _, s := range []*Server{a, b} {
		call(t, s, patch, "/api/folders/notes", `{"paused":false}`, 200, nil)
	}
	var conflicts api.ConflictList
	count := func(s *Server, n int) func() bool {
		return func() bool {
			call(t, s, get, "/api/folders/notes/conflicts", "", 200, &conflicts)
			return len(conflicts.Items) == n
		}
	}
	until(t, "b knows of the conflict", count(b, 1))
	until(t, "a knows of the conflict", count(a, 1))
	c := conflicts.Items[0]
	if c.Kind != "content" || c.Path != "c.txt" || c.Ours.Path != "c.txt" || c.Theirs.Path == "c.txt" || c.Ours.Size+c.Theirs.Size != 16 {
		t.Errorf("got %+v", c)
	}
	until(t, "a has both contents", func() bool {
		first, second := filepath.Join(here, filepath.FromSlash(c.Ours.Path)), filepath.Join(here, filepath.FromSlash(c.Theirs.Path))
		return holds(first, "of a") && holds(second, "written by b") || holds(first, "written by b") && holds(second, "of a")
	})
	if w := call(t, a, post, "/api/folders/notes/conflicts/12345", `{"keep":"both"}`, 404, nil); codeOf(t, w) != "conflict_not_found" {
		t.Errorf("got %s", w.Body)
	}
	call(t, a, post, "/api/folders/notes/conflicts", jsonOf(t, map[string]any{"keep": "ours", "numbers": []int64{c.N}}), 200, nil)
	until(t, "a has no conflict", count(a, 0))
	until(t, "b has no conflict", count(b, 0))
}
