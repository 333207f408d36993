package exchange

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// scene is a victim with a folder of its own, an honest member, and mallory.
func scene(t *testing.T, times Times) (victim, honest *keeper, m *mallory) {
	t.Helper()
	w := newTown()
	victim = w.keep(t, nil, times)
	honest = w.keep(t, victim, times)
	honest.meet(victim)
	return victim, honest, w.invade(t, victim, true)
}

// works proves that a victim still takes over and hands out what is right.
func works(victim, honest *keeper, m *mallory) {
	victim.t.Helper()
	m.lie(nil)
	m.tell(m.file(reconcile.EntryID{}, "after.txt", "all is well"))
	victim.await("a file of mallory's afterwards", victim.has("after.txt", "all is well"))
	honest.await("that file at the other member", honest.has("after.txt", "all is well"))
	honest.write("theirs.txt", "from the other")
	victim.await("a file of the other member", victim.has("theirs.txt", "from the other"))
	victim.write("ours.txt", "from the victim")
	honest.await("a file of the victim", honest.has("ours.txt", "from the victim"))
}

var root reconcile.EntryID

// What nobody honest says is refused, entry by entry, and named; the rest of the
// same page arrives.
func TestHostileEntries(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	long := strings.Repeat("n", 300)
	var bad []reconcile.Entry
	why := map[string]string{}
	refuse := func(e reconcile.Entry, reason string) {
		bad = append(bad, e)
		why[cut(e.Places[0].Name, maxRefusedAt)] = reason
	}
	for i, name := range []string{"..", ".", "", "/etc/passwd", "a/b", "../out", "n\x00l", ".shoal", ".SHOAL", ".ſhoal", "\xff\xfe", long} {
		reason := map[string]string{"": "empty", long: "too long", "\xff\xfe": "UTF-8"}[name]
		if reason == "" {
			reason = "name is"
		}
		refuse(m.file(root, name, fmt.Sprint("bad name ", i)), reason)
	}
	change := func(name, reason string, f func(c *reconcile.Content)) {
		refuse(with(m.file(root, name, "text of "+name), f), reason)
	}
	change("negative size", "size", func(c *reconcile.Content) { c.Size = -1 })
	change("giant size", "size", func(c *reconcile.Content) { c.Size = 1<<53 + 1 })
	change("setuid", "permission", func(c *reconcile.Content) { c.Mode = 0o4755 })
	change("setuid of Go", "permission", func(c *reconcile.Content) { c.Mode = 1<<23 | 0o755 })
	change("no hash", "hash", func(c *reconcile.Content) { c.Hash = reconcile.Hash{} })
	change("from nowhere", "nowhere", func(c *reconcile.Content) { c.Made.Counter += 9 })
	change("future", "claimed", func(c *reconcile.Content) {
		c.Dot.Counter = 1 << 52
		c.Vector = reconcile.Vector{c.Dot}
		c.Made = c.Dot
	})
	change("no number", "counter 0", func(c *reconcile.Content) {
		c.Dot.Counter = 0
		c.Vector = reconcile.Vector{c.Dot}
		c.Made = c.Dot
	})
	change("beyond all numbers", "counter", func(c *reconcile.Content) {
		c.Dot.Counter = 1 << 60
		c.Vector = reconcile.Vector{c.Dot}
		c.Made = c.Dot
	})
	own := m.directory(root, "its own parent")
	own.Places[0].Parent = own.ID
	refuse(own, "parent")
	rich := m.directory(root, "directory with bytes")
	rich.Contents[0].Size = 4
	refuse(rich, "directory with content")
	other := m.file(root, "in the name of the victim", "not his")
	other.ID = reconcile.EntryID{Member: victim.identity.ID(), Incarnation: 9, Counter: 1}
	refuse(other, "has not said")
	for _, member := range []p2p.ID{honest.identity.ID(), {1, 2, 3}} {
		e := with(m.file(root, "event of "+member.Short(), "x"), func(c *reconcile.Content) {
			c.Vector = c.Vector.Bump(reconcile.Dot{Member: member, Incarnation: 3, Counter: 77})
		})
		reason := "claimed"
		if _, known := m.town.key(member); !known {
			reason = "not a member"
		}
		refuse(e, reason)
	}
	many := m.file(root, "65 siblings", "0")
	for i := range 64 {
		e := m.file(root, "x", fmt.Sprint("sibling ", i))
		many.Contents = append(many.Contents, e.Contents[0])
	}
	refuse(many, "contents")
	wide := with(m.file(root, "vector of 5000", "x"), func(c *reconcile.Content) {
		v := reconcile.Vector{}
		for i := range 5000 {
			v = append(v, reconcile.Dot{Member: m.id(), Incarnation: uint64(1000 + i), Counter: 1})
		}
		c.Vector = v.Merge(c.Vector)
	})
	refuse(wide, "vector of 5001")
	good := []reconcile.Entry{m.file(root, "first.txt", "before"), m.directory(root, "dir")}
	inner := m.file(good[1].ID, "inner.txt", "between")
	m.tell(append(append(good, bad...), inner, m.file(root, "last.txt", "behind"))...)
	for path, text := range map[string]string{"first.txt": "before", "dir/inner.txt": "between", "last.txt": "behind"} {
		victim.await(path, victim.has(path, text))
	}
	for path, reason := range why {
		victim.awaitRefusal(m.id(), strings.ToValidUTF8(path, "\uFFFD"), reason)
	}
	if got := victim.refused(m.id()); len(got) != len(why) {
		t.Errorf("refused %d, want %d: %v", len(got), len(why), got)
	}
	if log := victim.log(); !strings.Contains(log, "its own parent") || !strings.Contains(log, m.id().Short()) {
		t.Error("the log does not name path and member")
	}
	works(victim, honest, m)
}

// Nobody claims events of somebody else, or more of his own than he can have made.
func TestHostileClaims(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	theirs := reconcile.Dot{Member: honest.identity.ID(), Incarnation: 3, Counter: 9}
	elsewhere := func(network p2p.ID, folder string, d reconcile.Dot) replica.Claim {
		return replica.Claim{Dot: d, Sig: m.identity.Sign(claimContext, claimMessage(network, folder, d))}
	}
	own := func(incarnation, counter uint64) reconcile.Dot {
		return reconcile.Dot{Member: m.id(), Incarnation: incarnation, Counter: counter}
	}
	stranger := m.town.newcomer(t, false)
	r, err := victim.s.runner(victim.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	victims := reconcile.Dot{Member: victim.identity.ID(), Incarnation: r.incarnation.Load(), Counter: 1 << 20}
	rows := []struct {
		claim replica.Claim
		why   string
	}{
		{m.claim(theirs), "signature"},
		{replica.Claim{Dot: theirs, Sig: make([]byte, 64)}, "signature"},
		{elsewhere(p2p.ID{9}, victim.folder.ID, own(11, 1)), "signature"},
		{elsewhere(m.town.id, strings.Repeat("a", 26), own(12, 1)), "signature"},
		{m.claim(own(13, 1<<60)), "claims"},
		{m.claim(own(14, reconcile.MaxJump+1)), "claims"},
		{replica.Claim{Dot: reconcile.Dot{Member: stranger.ID(), Incarnation: 1, Counter: 1}, Sig: make([]byte, 64)}, "not a member"},
		{m.claim(victims), "this computer"},
	}
	for i, row := range rows {
		name := fmt.Sprint("vouched by ", i)
		e := with(m.file(root, name, name), func(c *reconcile.Content) { c.Vector = c.Vector.Bump(row.claim.Dot) })
		rest := m.file(root, "rest of "+name, name)
		m.send(page{claims: []replica.Claim{m.all(), row.claim}, entries: []reconcile.Entry{e, rest}})
		victim.await("the rest of "+name, victim.has("rest of "+name, name))
		victim.awaitRefusal(m.id(), "", row.why)
		if row.claim.Dot.Member != stranger.ID() && row.claim.Dot.Counter <= reconcile.MaxCounter {
			victim.awaitRefusal(m.id(), name, "claimed")
		}
		if !victim.lacks(name) {
			t.Errorf("claim %d lets an entry in", i)
		}
		victim.mu.Lock()
		victim.events = nil
		victim.mu.Unlock()
	}
	works(victim, honest, m)
}

// A member cannot use up the room for the incarnations of others.
func TestManyIncarnations(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	m.tell(m.file(root, "early.txt", "first of all"))
	victim.await("the first file", victim.has("early.txt", "first of all"))
	var claims []replica.Claim
	for i := range 200 {
		claims = append(claims, m.claim(reconcile.Dot{Member: m.id(), Incarnation: uint64(100 + i), Counter: 1}))
	}
	m.send(page{claims: claims})
	victim.awaitRefusal(m.id(), "", "incarnations")
	works(victim, honest, m)
}
