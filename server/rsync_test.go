package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/delta/lesson"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/server/api"
)

func TestExplainAPI(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	var e api.Explanation
	w := call(t, s, post, "/api/rsync/explain", `{"old":"charla","new":"gocharla","block":2}`, 200, &e)
	if !e.Detailed || len(e.Blocks) != 3 || e.Blocks[2].Weak != "013900cd" || e.Blocks[2].Strong != "ab9e1994" || string(*e.New) != "gocharla" {
		t.Errorf("got %+v", e)
	}
	if len(e.Steps) != 5 || e.Steps[1].Roll.Out != 'g' || e.Steps[2].Candidate.Block != 0 || e.Totals.LiteralBytes != 2 {
		t.Errorf("got %+v", e)
	}
	// The specification and package lesson name the same fields: nothing is lost
	// on the way through the generated types.
	again, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fields(t, w.Body.Bytes()), fields(t, again)); diff != "" {
		t.Error(diff)
	}
	call(t, s, post, "/api/rsync/explain", `{"old":"","new":""}`, 200, nil)
	call(t, s, post, "/api/rsync/explain", `{"old":"catbabdog","new":"catacadog","block":3}`, 200, &e)
	if e.Totals.FalseAlarms != 1 || e.Odds.Impossible || len(e.Odds.Wrong) != 2 {
		t.Errorf("got %+v", e)
	}
	var stories api.StoryList
	call(t, s, get, "/api/rsync/stories", "", 200, &stories)
	if len(stories.Items) != len(lesson.Stories()) || stories.Items[0].Name != "charla" {
		t.Errorf("got %+v", stories)
	}
}

// fields is a JSON value to be compared.
func fields(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestExplainFiles: what is explained is in a folder of this node, and nowhere
// else.
func TestExplainFiles(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	outside := filepath.Join(t.TempDir(), "secret")
	dir := t.TempDir()
	for path, text := range map[string][]byte{
		outside: []byte("secret"), filepath.Join(dir, "old.txt"): []byte("charla"), filepath.Join(dir, "new.txt"): []byte("gocharla"),
		filepath.Join(dir, "long.bin"): bytes.Repeat([]byte("0123456789abcdef"), 40_000),
		filepath.Join(dir, "huge.bin"): make([]byte, lesson.MaxFile+1),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"link": outside, "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	since := n.Events().Position()
	f, err := n.AddFolder(t.Context(), folder.AddOptions{Path: dir, Label: "talks"})
	if err != nil {
		t.Fatal(err)
	}
	for m := range n.Events().Subscribe(t.Context(), since) {
		if m.Topic == "folder.scanned" {
			break
		}
	}
	body := func(old, target string) string {
		return fmt.Sprintf(`{"old_path":{"folder":%q,"path":%q},"new_path":{"folder":"talks","path":%q}}`, f.ID, old, target)
	}
	var e api.Explanation
	call(t, s, post, "/api/rsync/explain", body("old.txt", "new.txt"), 200, &e)
	if e.Block != 2 || e.Totals.Matches != 3 || string(*e.Old) != "charla" {
		t.Errorf("got %+v", e)
	}
	e = api.Explanation{}
	call(t, s, post, "/api/rsync/explain", body("long.bin", "long.bin"), 200, &e)
	if e.Detailed || len(e.Steps) != 0 || e.Old != nil || e.Totals.LiteralBytes != 0 || e.BlocksTotal != 800 {
		t.Errorf("got %+v", e)
	}
	// It is refused before it is read.
	if w := call(t, s, post, "/api/rsync/explain", body("old.txt", "huge.bin"), 422, nil); !strings.Contains(problemIn(t, w).Detail, "huge.bin has 16777217 bytes") {
		t.Errorf("got %s", w.Body)
	}
	for _, row := range []struct {
		body   string
		status int
		code   string
	}{
		{body("link", "new.txt"), 0, ""},
		{body("up/secret", "new.txt"), 0, ""},
		{body("../secret", "new.txt"), 400, "path_invalid"},
		{body(outside, "new.txt"), 400, "path_invalid"},
		{body(".", "new.txt"), 0, ""},
		{body("missing", "new.txt"), 404, "not_found"},
		{`{"old_path":{"folder":"other","path":"a"},"new":""}`, 404, "not_found"},
		{`{"old_path":{"folder":"talks"},"new":""}`, 400, "request_invalid"},
		{`{"old_path":{"folder":"talks","path":"old.txt","node":"x"},"new":""}`, 400, "request_invalid"},
		{`{"old_path":{"folder":"talks","path":"old.txt"},"old":"","new":""}`, 400, "request_invalid"},
		{`{"old":"a"}`, 400, "request_invalid"},
		{`{"old":"a","new":"b","block":0}`, 400, "request_invalid"},
		{`{"old":"a","new":"b","block":65537}`, 400, "request_invalid"},
		{`{"old":"` + strings.Repeat("a", 65537) + `","new":"b"}`, 400, "request_invalid"},
		{`{"old_path":{"folder":"talks","path":"huge.bin"},"new":"","block":1}`, 422, "explain_too_large"},
	} {
		r := good(t, route{method: post, path: "/api/rsync/explain", op: "explainRsync", body: mib})
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(row.body)), int64(len(row.body))
		w := do(t, s, r)
		if w.Code < 400 || row.status != 0 && w.Code != row.status || row.code != "" && codeOf(t, w) != row.code {
			t.Errorf("%.120s: %d %s, want %d %s", row.body, w.Code, w.Body, row.status, row.code)
		}
		if strings.Contains(w.Body.String(), "c2VjcmV0") {
			t.Errorf("%.120s: tells the secret", row.body)
		}
	}
}

// TestExplainAsksNobody: a folder of another member is none of this node's, even
// where its files could be read.
func TestExplainAsksNobody(t *testing.T) {
	alice, bob := startNode(t), startNode(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plan.txt"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := alice.AddFolder(t.Context(), folder.AddOptions{Path: dir, Label: "plans"})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Join(t.Context(), inv.Link("")); err != nil {
		t.Fatal(err)
	}
	for position := bob.Events().Position(); len(bob.Folders()) == 0 || !bob.Connected(alice.ID()); position = bob.Events().Position() {
		if err := bob.Events().Wait(t.Context(), position); err != nil {
			t.Fatal(err)
		}
	}
	s := newServer(t, Options{Node: bob})
	w := call(t, s, post, "/api/rsync/explain", fmt.Sprintf(`{"old_path":{"folder":%q,"path":"plan.txt"},"new":""}`, f.ID), 404, nil)
	if p := problemIn(t, w); !strings.Contains(p.Detail, "no folder") {
		t.Errorf("got %s", w.Body)
	}
}
