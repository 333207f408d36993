package reconcile

import (
	"strings"
	"testing"
)

// What a person does to a file whose step was not recorded before a crash: the row of its old
// path is still there, so that it looks as if it was deleted there and edited at the new one.
func TestRescuedOnce(t *testing.T) {
	file := func(text string) Item {
		return Item{Kind: KindFile, Size: int64(len(text)), Mode: 0o644, Hash: hashOf(text)}
	}
	base, global := Base{}, Global{}
	commit := func(p Plan) {
		for _, path := range p.Unset {
			delete(base, path)
		}
		for _, s := range p.Set {
			base[s.Path] = s.Row
		}
		for _, e := range p.Entries {
			global.Merge(e)
		}
	}
	first := Reconcile(nil, Disk{"d": file("ours")}, nil, Options{Author: Author{Member: memberOf("A"), Incarnation: 1}})
	commit(first)
	theirs := Reconcile(nil, Disk{"d": file("theirs")}, nil, Options{Author: Author{Member: memberOf("B"), Incarnation: 1, Counter: 900}})
	for _, e := range theirs.Entries {
		global.Merge(e)
	}
	plan := Reconcile(base, Disk{"d": file("ours")}, global, Options{Author: first.Author})
	if len(plan.Steps) == 0 || plan.Steps[0].Do != DoMove || plan.Steps[0].From != "d" {
		t.Fatalf("the plan begins with %+v, not with a move of d", plan.Steps)
	}
	copied := plan.Steps[0].Path
	base[copied] = plan.Steps[0].Row // and that of d was not unset

	after := Reconcile(base, Disk{copied: file("edited")}, global, Options{Author: plan.Author})
	commit(after)
	shown := 0
	for path, s := range global.View().At {
		if s.Hash == hashOf("edited") {
			shown++
			if path != copied {
				t.Errorf("what a person has edited at %s is to be at %s", copied, path)
			}
		}
	}
	if shown != 1 {
		t.Errorf("what a person has edited once is shown %d times", shown)
	}
	again := Reconcile(base, Disk{copied: file("edited")}, global, Options{Author: after.Author})
	for _, s := range again.Steps {
		if s.Do != DoFetch || s.Path != "d" {
			t.Errorf("there is left to do: %s %s → %s", s.Do, s.From, s.Path)
		}
	}
	if len(again.Entries) > 0 {
		t.Errorf("there is left to tell: %+v", again.Entries)
	}

	// The person deletes it before anything of this is done.
	gone := Reconcile(base, Disk{}, global, Options{Author: after.Author})
	commit(gone)
	for path, s := range global.View().At {
		if s.Hash == hashOf("edited") {
			t.Errorf("what a person has deleted is to be at %s", path)
		}
	}
}

// What was rescued (M, of the entry X) and is nowhere on this disk by itself yet goes with the file
// that shows it only if a person here has deleted or replaced that file, and nobody else has done
// anything to what was rescued.
func TestRescuedKept(t *testing.T) {
	for _, test := range []struct {
		name, trees string
		gone        bool
	}{
		{"edited here", "base: X:a=2@A1A5 | disk: a=5 | global: X:a=4@A1A6B900 M:m=2@A5^A5B901", true},
		{"deleted here", "base: X:a=2@A1A5 | disk: | global: X:a=4@A1A6B900 M:m=2@A5^A5B901", true},
		{"replaced by a step whose row is lost, no copy yet", "base: X:a=2@A1A5 | disk: a=4#new | global: X:a=4@A1A6B900 M:m=2@A5^A5B901", false},
		{"copied and replaced by steps whose rows are lost", "base: X:a=2@A1A5 | disk: a=4#new m=2#new | global: X:a=4@A1A6B900 M:m=2@A5^A5B901", false},
		{"copied by a step whose row is lost, then edited", "base: X:a=2@A1A5 | disk: a=5 m=2#new | global: X:a=4@A1A6B900 M:m=2@A5^A5B901", false},
		{"edited here, renamed by somebody else", "base: X:a=2@A1A5 | disk: a=5 | global: X:a=4@A1A6B900 M:precious=2@A5^A5C7", false},
		{"deleted here, renamed by somebody else", "base: X:a=2@A1A5 | disk: | global: X:a=4@A1A6B900 M:precious=2@A5^A5C7", false},
		{"deleted here and there, renamed by somebody else", "base: X:a=2@A1A5 | disk: | global: -X:a=2@A1A6B900 M:precious=2@A5^A5C7", false},
		{"edited here, touched by somebody else", "base: X:a=2@A1A5 | disk: a=5 | global: X:a=4@A1A6B900 M:m=2@A5C8^A5B901", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLanguage(t)
			for section := range strings.SplitSeq(test.trees, "|") {
				name, text, _ := strings.Cut(strings.TrimSpace(section), ":")
				l.read(name, text)
			}
			id := l.ids["M"]
			m := l.global[id]
			m.Contents[0].Made = Dot(id) // a change of mode or time keeps it
			if m.Places[0].Name == "m" {
				m.Places[0].Auto = true
			}
			plan := Reconcile(l.base, l.disk, l.global, Options{Author: Author{Member: memberOf("D"), Incarnation: 1, Counter: 99}})
			for _, e := range plan.Entries {
				l.global.Merge(e)
			}
			if live, _ := split(l.global[id].Contents); len(live) == 0 != test.gone {
				t.Errorf("%s: deleted: %v, want %v\n%s", test.trees, len(live) == 0, test.gone, l.plan(plan))
			}
		})
	}
}

// Another person has renamed the copy. Who edits the file of before, without having it yet, does
// not delete that.
func TestRescuedRenamed(t *testing.T) {
	w := newWorld(t, func(n int) int { return n - 1 }, 4)
	a, b, c, d := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	b.author.Counter = 900
	turn := func(n *modelNode) {
		w.seq++
		n.reconcile(1<<30, false)
	}
	hear := func(n *modelNode, from ...*modelNode) {
		for _, other := range from {
			for _, e := range other.global {
				n.receive(e)
			}
		}
	}
	a.write("f", "1")
	w.calm()
	a.write("f", "2")
	turn(a)
	b.write("f", "3")
	turn(b)
	hear(d, a)
	turn(d) // has 2
	hear(a, b)
	turn(a) // has 3, and 2 beside it
	a.write("f", "4")
	turn(a) // 2 is rescued
	hear(c, b, a)
	turn(c)
	for p := range c.disk {
		if p != "f" {
			c.rename(p, "precious")
		}
	}
	turn(c)
	hear(d, a, c)
	d.write("f", "5")
	turn(d)
	w.calm()
	if c.disk["precious"].Hash != hashOf("2") {
		t.Error("what a person has renamed is gone, and nobody has deleted it")
	}
}

// Two equal files were one path, and are renamed apart, one of them to a name that this file system
// cannot hold beside another. An edit of the one that could be moved is none of the other.
func TestTwinNotRescued(t *testing.T) {
	file := func(text string, modified int64) Item {
		return Item{Kind: KindFile, Size: int64(len(text)), Mode: 0o644, Modified: modified, Hash: hashOf(text)}
	}
	options := func(name string, counter uint64) Options {
		return Options{Author: Author{Member: memberOf(name), Incarnation: 1, Counter: counter}, Fold: FoldCase}
	}
	global := Global{}
	tell := func(p Plan) Plan {
		for _, e := range p.Entries {
			global.Merge(e)
		}
		return p
	}
	renamed := func(first Plan, disk Disk) {
		base, known := Base{}, Global{}
		for _, s := range first.Set {
			base[s.Path] = s.Row
		}
		for _, e := range first.Entries {
			known.Merge(e)
		}
		tell(Reconcile(base, disk, known, Options{Author: first.Author}))
	}
	atA := tell(Reconcile(nil, Disk{"a": file("1", 10), "foo": file("x", 5)}, nil, options("A", 0)))
	atB := tell(Reconcile(nil, Disk{"a": file("1", 20)}, nil, options("B", 900)))
	base, disk := Base{}, Disk{}
	for _, s := range Reconcile(base, disk, global, options("D", 0)).Steps {
		base[s.Path], disk[s.Path] = s.Row, s.Row.Item
	}
	renamed(atA, Disk{"x": file("1", 10), "foo": file("x", 5)})
	renamed(atB, Disk{"FOO": file("1", 20)})
	s := Reconcile(base, disk, global, options("D", 0)).Steps[0]
	if s.Do != DoMove || s.From != "a" || s.Path != "x" {
		t.Fatalf("the first step is %s %s → %s", s.Do, s.From, s.Path)
	}
	delete(base, s.From)
	delete(disk, s.From)
	s.Row.Item = s.Expect
	base[s.Path], disk[s.Path] = s.Row, file("edited", 30)
	tell(Reconcile(base, disk, global, options("D", 0)))
	if _, shown := global.View().At["FOO"]; !shown {
		t.Error("FOO is gone, and nobody has deleted it")
	}
}
