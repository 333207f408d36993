package reconcile

import (
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
