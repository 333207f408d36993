package lesson

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat"
	"github.com/shoal-p2p/shoal/p2p/paxos/lesson"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files of the stories")

// TestStories: what people see in each story, and that it is the same each time.
func TestStories(t *testing.T) {
	stories, err := Stories()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stories {
		lines, events, err := Play(s)
		if err != nil || len(events) == 0 {
			t.Errorf("%s: %v, %d events", s.Name, err, len(events))
			continue
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

func played(t *testing.T, text string) []p2p.Event {
	t.Helper()
	s, err := lesson.ParseStory("title: t\npublic: R S\nhomes: alice bob\n\n" + text + "\n3000: end")
	if err != nil {
		t.Fatal(err)
	}
	_, events, err := Play(s)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// TestPairs: the routers of a lesson let through what real ones do: all pairs link directly, but for two
// symmetric ones, and a symmetric with a port-restricted one.
func TestPairs(t *testing.T) {
	names := []string{"full-cone", "address-restricted", "port-restricted", "symmetric"}
	for _, a := range names {
		for _, b := range names {
			want := p2p.PathPunched
			if a == "symmetric" && (b == "symmetric" || b == "port-restricted") || b == "symmetric" && a == "port-restricted" {
				want = p2p.PathRelayed
			}
			events := played(t, fmt.Sprintf("0: alice behind %s\n0: bob behind %s\n10: alice asks R\n10: bob asks R\n100: alice links bob via R", a, b))
			if len(events) == 0 {
				t.Errorf("%s and %s are not linked", a, b)
			}
			for _, e := range events {
				if got := e.(Linked).Kind; got != want {
					t.Errorf("%s and %s: %s, want %s", a, b, got, want)
				}
			}
		}
	}
}

// TestTypes: a check names each router, and whether it can be reached.
func TestTypes(t *testing.T) {
	for name, k := range kinds {
		for _, mapped := range []bool{false, true} {
			text := "0: alice behind " + name
			if mapped {
				text += "\n10: alice maps"
			}
			events := played(t, text+"\n100: alice checks")
			got, ok := events[len(events)-1].(nat.Changed)
			reachable := mapped || k.filtering == nat.FilteringIndependent
			if !ok || got.Mapping != k.mapping || got.Filtering != k.filtering || got.Reachable == nil || *got.Reachable != reachable {
				t.Errorf("%s, mapped %v: %+v", name, mapped, got)
			}
			if mapped != strings.HasSuffix(got.External, ":4747") {
				t.Errorf("%s, mapped %v: seen at %s", name, mapped, got.External)
			}
		}
	}
}

// TestMapped: who has a forwarded port needs no relay, whatever the other one has.
func TestMapped(t *testing.T) {
	events := played(t, "0: bob behind symmetric\n0: alice maps\n20: bob asks R\n20: alice asks R\n100: bob links alice via R")
	for _, e := range events {
		if e.(Linked).Kind != p2p.PathMapped {
			t.Errorf("%+v", e)
		}
	}
	if len(events) == 0 {
		t.Error("not linked")
	}
}

// TestWrong: what cannot be played is refused.
func TestWrong(t *testing.T) {
	for _, step := range []string{"eve asks R", "R behind symmetric", "alice behind glass", "alice asks bob", "alice asks", "alice links bob", "alice links bob via bob", "alice links bob via alice", "alice flies", "R checks"} {
		s, err := lesson.ParseStory("title: t\npublic: R\nhomes: alice bob\n\nx\n\n0: " + step + "\n100: end")
		if err == nil {
			_, _, err = Play(s)
		}
		if !errors.Is(err, lesson.ErrStory) {
			t.Errorf("%s: %v", step, err)
		}
	}
	s, err := lesson.ParseStory("title: t\nhomes: alice\n\nx\n\n0: alice checks\n100: end")
	if err == nil {
		_, _, err = Play(s)
	}
	if !errors.Is(err, lesson.ErrStory) {
		t.Errorf("nobody is public: %v", err)
	}
}

// FuzzStory: no story breaks the stage.
func FuzzStory(f *testing.F) {
	f.Add("title: t\npublic: R S\nhomes: alice bob\n\nx\n\n0: alice asks R\n0: alice links bob via R\n0: bob checks\n100: end")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := lesson.ParseStory(text); err == nil {
			_, _, _ = Play(s)
		}
	})
}
