package raftlesson

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/paxos/lesson"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files of the stories")

// TestStories: what people see in each story, and that it is the same each time.
func TestStories(t *testing.T) {
	stories, err := Stories()
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) < 2 {
		t.Fatalf("%d stories", len(stories))
	}
	for _, s := range stories {
		lines, events, err := Play(s)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if len(events) == 0 {
			t.Errorf("%s: no events", s.Name)
		}
		got := lesson.Render(s, lines)
		golden := filepath.Join("testdata", s.Name+".golden")
		if *rewrite {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-rewrite rewrites it): %s", golden, diff)
		}
	}
}
