//go:build linux

package nat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
	"github.com/shoal-p2p/shoal/e2e/nat/story"
)

// TestStories: what the stories tell is so.
func TestStories(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("stories/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		title := strings.TrimSuffix(filepath.Base(name), ".txt")
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			ready(t)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := story.Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			l, err := lab.New(lab.Options{Dir: t.TempDir(), Program: os.Getenv(program), Prefix: "story-" + title + "-"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := story.Play(l, lines, func(s string) { t.Log(s) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}
