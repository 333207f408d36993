package exchange

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder"
)

// The folder of one member comes to another, and the other way.
func TestTwoKeepers(t *testing.T) {
	t.Parallel()
	w := newTown()
	a := w.keep(t, nil, Times{})
	b := w.keep(t, a, Times{})
	a.write("from/a.txt", "a")
	b.write("b.txt", "b")
	b.meet(a)
	b.await("a file of a", b.has("from/a.txt", "a"))
	a.await("a file of b", a.has("b.txt", "b"))
}

// Whoever has just joined says that nothing has come, and not that all is well, until he has
// met somebody who keeps the folder. Another newcomer is not that.
func TestNotMetYet(t *testing.T) {
	t.Parallel()
	w := newTown()
	a := w.keep(t, nil, Times{})
	b, c := w.keep(t, a, Times{}), w.keep(t, a, Times{})
	state := func(k *keeper) (folder.State, string) {
		f, err := k.folders.Get(k.folder.ID)
		if err != nil {
			t.Fatal(err)
		}
		return f.State, f.Warning
	}
	nothing := func(k *keeper) func() bool {
		return func() bool {
			s, warning := state(k)
			return s == folder.StateIdle && strings.HasPrefix(warning, "Nothing has come yet")
		}
	}
	b.await("a warning without anybody", nothing(b))
	b.meet(c)
	b.await("a link to another newcomer", func() bool {
		r, err := b.s.runner(b.folder.ID)
		return err == nil && r.linked()
	})
	b.await("a warning beside another newcomer", nothing(b))
	a.write("x", "one")
	a.ready()
	a.meet(b)
	for _, k := range []*keeper{b, c} {
		k.await("the file", k.has("x", "one"))
		k.await("the end of the warning", func() bool {
			s, warning := state(k)
			return s == folder.StateIdle && warning == ""
		})
	}
}
