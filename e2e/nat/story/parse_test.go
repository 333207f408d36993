package story

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	lines, err := Parse("| One.\n\n# nothing\nhome alice full cone # a kind\nladder a b offer")
	if err != nil || len(lines) != 3 || lines[0].Text != "One." || strings.Join(lines[1].Args, "+") != "alice+full+cone" || lines[2].Number != 5 {
		t.Errorf("%+v, %v", lines, err)
	}
	for _, text := range []string{"hom alice none", "linked a b", "linked a b direct udp", "public"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is a story", text)
		}
	}
}

func TestInOrder(t *testing.T) {
	got := strings.Fields("offer ask ask answer sent heard path")
	if m := inOrder(strings.Fields("offer answer path"), got); m != "" {
		t.Errorf("%q is missing", m)
	}
	if m := inOrder(strings.Fields("answer offer"), got); m != "offer" {
		t.Errorf("%q is missing, want offer", m)
	}
}

// TestStoriesAreRead: what is told in the folder can be played.
func TestStoriesAreRead(t *testing.T) {
	names, err := filepath.Glob("../stories/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(string(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
