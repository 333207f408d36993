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
	t.Cleanup(func() { a.dump(); b.dump() })
	b.await("a file of a", b.has("from/a.txt", "a"))
	a.await("a file of b", a.has("b.txt", "b"))
}

func (k *keeper) dump() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.events {
		k.t.Logf("%s %+v", e.Topic(), e)
	}
	k.t.Log(k.logged.String())
	k.t.Logf("%+v", k.s.Transfers())
	r, _ := k.s.runner(k.folder.ID)
	r.fetch.mu.Lock()
	k.t.Logf("%v %v %v %v %v", len(r.fetch.small), len(r.fetch.large), r.fetch.running, r.fetch.busy, r.fetch.again)
	r.fetch.mu.Unlock()
}
