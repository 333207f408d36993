package exchange

import "testing"

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
