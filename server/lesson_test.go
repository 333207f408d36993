package server

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/lesson"
	"github.com/shoal-p2p/shoal/server/api"
)

// TestLessons: all are listed, and each subject plays.
func TestLessons(t *testing.T) {
	s := newServer(t, Options{Node: startNode(t)})
	var list api.LessonList
	call(t, s, get, "/api/lessons", "", 200, &list)
	all, err := lesson.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != len(all) || list.Items[0].Name != "put-get" || list.Items[0].Title != "Put and get" {
		t.Errorf("got %+v", list)
	}
	for _, name := range []string{"put-get", "paxos-failed-proposer", "raft-election", "nat-punch"} {
		var p api.LessonPlayed
		w := call(t, s, get, "/api/lessons/"+name, "", 200, &p)
		if p.Name != name || len(p.Lines) < 10 || p.Wrong != 0 || !strings.Contains(p.File, p.Title) {
			t.Errorf("%s: %d lines, %d wrong, file %.40q", name, len(p.Lines), p.Wrong, p.File)
		}
		// The specification and package lesson name the same fields.
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields(t, w.Body.Bytes()), fields(t, again)); diff != "" {
			t.Error(diff)
		}
	}
	call(t, s, get, "/api/lessons/none", "", 404, nil)
}

// TestPlayLesson: a story of one's own plays, and is told where it is wrong.
func TestPlayLesson(t *testing.T) {
	s := newServer(t, Options{Node: startNode(t)})
	play := func(file string, status int, v any) string {
		t.Helper()
		body, err := json.Marshal(map[string]string{"file": file})
		if err != nil {
			t.Fatal(err)
		}
		return call(t, s, post, "/api/lessons/play", string(body), status, v).Body.String()
	}
	var p api.LessonPlayed
	play("title Mine\n# Hello.\nnodes 5\nput Ada k v\nget Ben k\nexpect value w\n", 200, &p)
	if p.Title != "Mine" || p.Subject != "table" || p.Wrong != 1 || p.Lines[0].Kind != "note" || p.Lines[0].Text != "Hello." {
		t.Errorf("got %+v", p)
	}
	if got := play("title Mine\nfly\n", 422, nil); !strings.Contains(got, "story_invalid") || !strings.Contains(got, "line 2: fly") {
		t.Errorf("got %s", got)
	}
	if got := play("title Mine\nnodes 65\n", 422, nil); !strings.Contains(got, "from 1 to 64") {
		t.Errorf("got %s", got)
	}
	play("title Mine\n"+strings.Repeat("links\n", 501), 422, nil)
	play("", 400, nil)
	play(strings.Repeat("#", 65537), 400, nil)
}
