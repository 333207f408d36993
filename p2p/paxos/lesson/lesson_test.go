package lesson

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files of the stories")

// TestStories: what people see in each story.
func TestStories(t *testing.T) {
	stories, err := Stories()
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) < 4 {
		t.Fatalf("%d stories", len(stories))
	}
	for _, s := range stories {
		lines, events, err := Play(s)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		var b strings.Builder
		b.WriteString(Render(s, lines))
		b.WriteString("\nevents\n")
		counts, order := map[string]int{}, []string{}
		for _, e := range events {
			if counts[e.Topic()]++; counts[e.Topic()] == 1 {
				order = append(order, e.Topic())
			}
		}
		for _, topic := range order {
			b.WriteString("  " + topic + strings.Repeat(" ", 16-len(topic)) + strings.Repeat("*", counts[topic]) + "\n")
		}
		golden := filepath.Join("testdata", s.Name+".golden")
		if *rewrite {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-rewrite rewrites it): %s", golden, diff)
		}
	}
}

func FuzzStory(f *testing.F) {
	stories, err := files.ReadDir("stories")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range stories {
		text, err := files.ReadFile("stories/" + s.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStory(text)
		if err == nil {
			_, _, err = Play(s)
		}
		if err != nil && !errors.Is(err, ErrStory) {
			t.Errorf("%v, want ErrStory", err)
		}
	})
}
