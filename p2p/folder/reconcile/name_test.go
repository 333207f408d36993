package reconcile

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestConflictName(t *testing.T) {
	c := Content{Made: Dot{Member: memberOf("B")}, Hash: hashOf("1")}
	mark := " (conflict " + memberOf("B").Short() + " " + hashOf("1").String()[:8] + ")"
	for name, want := range map[string]string{
		"a":        "a" + mark,
		"a.txt":    "a" + mark + ".txt",
		"a.tar.gz": "a.tar" + mark + ".gz",
		".bashrc":  ".bashrc" + mark,
		"v1. A summary of the things that we have learned": "v1. A summary of the things that we have learned" + mark,
		"a" + mark + ".txt":                           "a" + mark + ".txt",
		"a" + conflictName("", Content{}, 3) + ".txt": "a" + mark + ".txt",
	} {
		if got := conflictName(name, c, 0); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for _, long := range []string{strings.Repeat("x", 255), strings.Repeat("ж", 127), strings.Repeat("漢", 80) + ".extension"} {
		got := conflictName(long, c, 12)
		if len(got) > MaxName || !utf8.ValidString(got) || checkName(got) != "" {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}

func TestFoldCase(t *testing.T) {
	for _, pair := range [][2]string{{"foo", "FOO"}, {"Straße", "STRAßE"}, {"σ", "ς"}, {"K", "\u212a"}} {
		if FoldCase(pair[0]) != FoldCase(pair[1]) {
			t.Errorf("%q and %q differ", pair[0], pair[1])
		}
	}
	if FoldCase("a") == FoldCase("b") {
		t.Error("a is b")
	}
}

// TestTwins: on a disk that ignores case only one of the twins is made; the others
// are told, and nothing happens to them.
func TestTwins(t *testing.T) {
	l := newLanguage(t)
	l.read("base", "foo=1@A1")
	l.read("disk", "foo=1")
	l.read("global", "foo=1@A1 FOO=2@B1 D/@B2 D/x=3@B3 d/@B4 d/y=4@B5")
	twins := l.global.View().Twins(FoldCase)
	if diff := cmp.Diff([][]string{{"D", "d"}, {"FOO", "foo"}}, twins); diff != "" {
		t.Error(diff)
	}
	o := Options{Author: Author{Member: memberOf("A"), Incarnation: 1}, Fold: FoldCase}
	got := l.plan(Reconcile(l.base, l.disk, l.global, o))
	want := "[] mkdir D, fetch D/x=3, ! d: cannot be beside D on this file system, ! FOO: cannot be beside foo on this file system"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestCaseOnlyRename goes by way of another name, as a disk that ignores case
// demands.
func TestCaseOnlyRename(t *testing.T) {
	l := newLanguage(t)
	l.read("base", "foo=1@A1")
	l.read("disk", "foo=1")
	l.read("global", "foo:FOO=1@A1^A1B1")
	o := Options{Author: Author{Member: memberOf("A"), Incarnation: 1}, Fold: FoldCase}
	got := l.plan(Reconcile(l.base, l.disk, l.global, o))
	if want := "[] move foo → aside/foo, move aside/foo → FOO"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
