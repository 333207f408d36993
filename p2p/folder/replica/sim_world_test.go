package replica

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// simWorld is some computers that keep one folder the same, with persons who change
// it, a network that loses links, and all kinds of faults. Everything that happens
// follows from the seed.
type simWorld struct {
	t     testing.TB
	seed  uint64
	rng   *rand.Rand
	now   int64
	seq   int
	nodes []*simNode
	links []*simLink
	apart map[[2]string]bool // who cannot reach whom

	brakeFiles int
	hashes     map[string]reconcile.Hash
	acked      map[reconcile.Hash]string // what a node has committed: where
	consumed   map[reconcile.Hash]bool   // what a person has replaced or deleted
	archive    map[reconcile.Hash]string // what somebody has, who is not here
	authors    map[reconcile.Hash][]p2p.ID
	own        map[string]bool // what the person has made who may only read
	most       map[string]int
	calming    bool

	folds  bool
	doubts bool // of disks that fail, also the database is not written and not read
	story  strings.Builder
}

// fold makes the disks of all ignore case, and persons use both.
func (w *simWorld) fold() {
	w.folds = true
	for _, n := range w.nodes {
		n.mem.SetFold(reconcile.FoldCase)
	}
}

// key is the same for paths that are one.
func (w *simWorld) key(p string) string {
	if w.folds {
		return reconcile.FoldCase(p)
	}
	return p
}

func newSimWorld(t testing.TB, seed uint64) *simWorld {
	w := &simWorld{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), now: 1_700_000_000_000_000_000,
		apart: map[[2]string]bool{}, hashes: map[string]reconcile.Hash{}, acked: map[reconcile.Hash]string{},
		consumed: map[reconcile.Hash]bool{}, archive: map[reconcile.Hash]string{}, authors: map[reconcile.Hash][]p2p.ID{}, own: map[string]bool{}, most: map[string]int{},
	}
	count := []int{2, 3, 3, 3, 3, 3, 4, 5}[w.roll(8)]
	w.brakeFiles = []int{3, 8, 1000, 1000}[w.roll(4)]
	for i := range count {
		w.nodes = append(w.nodes, newSimNode(w, i))
	}
	if count > 2 && w.roll(4) == 0 {
		w.nodes[count-1].reader = true
	}
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a != b {
				w.links = append(w.links, &simLink{from: a, to: b})
			}
		}
	}
	return w
}

func (w *simWorld) roll(n int) int { return w.rng.IntN(n) }

// tick is the clock of all disks.
func (w *simWorld) tick() int64 { w.now += int64(time.Millisecond); return w.now }

func (w *simWorld) hash(content string) reconcile.Hash {
	h, ok := w.hashes[content]
	if !ok {
		h = blake3.Sum256([]byte(content))
		w.hashes[content] = h
	}
	return h
}

func (w *simWorld) note(format string, args ...any) {
	fmt.Fprintf(&w.story, format, args...)
	w.story.WriteByte('\n')
}

func (w *simWorld) trace() uint64 {
	h := fnv.New64a()
	h.Write([]byte(w.story.String()))
	for _, n := range w.nodes {
		fmt.Fprint(h, n.mem.String())
	}
	return h.Sum64()
}

func (w *simWorld) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Log("the story:\n" + w.story.String())
	for _, n := range w.nodes {
		w.t.Logf("%s (%s) has\n%s", n.name, n.id.Short(), n.mem)
	}
	w.t.Fatalf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

func (w *simWorld) isReader(id p2p.ID) bool {
	return slices.ContainsFunc(w.nodes, func(n *simNode) bool { return n.id == id && n.reader })
}

func (w *simWorld) nameOf(id p2p.ID) string {
	for _, n := range w.nodes {
		if n.id == id {
			return n.name
		}
	}
	return "nobody"
}

func (w *simWorld) mostFiles(n *simNode) int {
	files, _ := n.paths()
	w.most[n.name] = max(w.most[n.name], len(files))
	return w.most[n.name]
}

// refuse notes that what a member has written can go because a person says so.
func (w *simWorld) refuse(member p2p.ID) {
	for _, n := range w.nodes {
		_, _, global := n.trees()
		for _, e := range global {
			for _, c := range e.Contents {
				if c.Dot.Member == member {
					w.consumed[c.Hash] = true
				}
			}
		}
	}
}

func (w *simWorld) parted(a, b *simNode) bool { return w.apart[[2]string{a.name, b.name}] }

// part makes a and b unable, or able, to reach each other.
func (w *simWorld) part(a, b *simNode, apart bool) {
	w.apart[[2]string{a.name, b.name}], w.apart[[2]string{b.name, a.name}] = apart, apart
	if apart {
		w.link(a, b).cut()
		w.link(b, a).cut()
	}
}

// play lets things happen, and then everything come to rest.
func (w *simWorld) play(operations int) {
	for range operations {
		w.now += int64(w.roll(2000)) * 1e6
		w.step(w.nodes[w.roll(len(w.nodes))])
	}
	w.calm()
	w.check()
}

// step lets one thing happen.
func (w *simWorld) step(n *simNode) {
	if (n.full || n.eio) && w.roll(6) == 0 {
		w.recover(n)
	}
	n.start()
	switch k := w.roll(100); {
	case k < 26:
		n.act()
	case k < 36:
		n.scan(len(n.disk.hints))
	case k < 38:
		n.scan(w.roll(len(n.disk.hints) + 1))
	case k < 40:
		n.scan(-1)
	case k < 62:
		w.work(n)
	case k < 86:
		w.talk(n)
	case k < 88:
		m := w.nodes[w.roll(len(w.nodes))]
		if m != n {
			w.part(n, m, !w.parted(n, m))
		}
	case k < 89:
		w.link(n, w.nodes[(slices.Index(w.nodes, n)+1)%len(w.nodes)]).cut()
	case k < 92:
		w.disturb(n)
	case k < 93:
		n.restore()
	case k < 94:
		n.resolve()
	case k < 95:
		n.decide(w.roll(2) == 0)
	case k < 96:
		n.backup, n.copied = n.store.Clone(), n.runs
	default:
		w.trouble(n)
	}
}

// work lets a node's program do something, to an end that may be bad.
func (w *simWorld) work(n *simNode) {
	if n.core == nil {
		return
	}
	critical := []string{"exchange", "exchange done", "rename", "rename done", "mkdir done", "commit", "commit done"}
	point := func() (int, string) {
		if w.roll(2) == 0 {
			return n.ops + 1, critical[w.roll(len(critical))]
		}
		return n.ops + 1 + w.roll(30), ""
	}
	switch w.roll(8) {
	case 0, 1:
		n.fuse, n.fuseOn = point()
	case 2, 3, 4:
		n.hookAt, n.hookOn = point()
	case 5:
		n.hookAt, n.hookOn = point()
		n.fuse, n.fuseOn = point()
	}
	n.turns(1 + w.roll(3))
	n.fuse, n.hookAt = 0, 0
	if n.core != nil && n.core.Settled() && !n.pending() {
		n.checkDone()
	}
}

// talk lets entries and contents come to a node, and go from it.
func (w *simWorld) talk(n *simNode) {
	if n.core == nil {
		return
	}
	if w.roll(20) == 0 {
		n.fuse, n.fuseOn = n.ops+1+w.roll(10), ""
	}
	for _, l := range w.links {
		if l.from == n {
			l.connect()
			l.send(1 + w.roll(40))
		}
	}
	for _, l := range w.links {
		if l.to == n && n.core != nil {
			l.connect()
			l.deliver(false)
		}
	}
	for n.core != nil && w.roll(4) > 0 {
		wants := n.wants()
		if len(wants) == 0 {
			break
		}
		n.fetch(wants[w.roll(len(wants))], false)
	}
	for _, l := range w.links {
		if l.to == n && n.core != nil && w.roll(3) == 0 {
			l.ack()
		}
	}
	n.fuse = 0
}

func (n *simNode) wants() []Want {
	wants := n.core.Wants()
	slices.SortFunc(wants, func(a, b Want) int { return a.Hash.Compare(b.Hash) })
	return wants
}

// disturb begins a fault of a disk.
func (w *simWorld) disturb(n *simNode) {
	n.salt = w.roll(1000)
	n.full = w.roll(2) == 0
	n.eio = !n.full
	w.note("%s: disk full=%v failing=%v", n.name, n.full, n.eio)
}

func (w *simWorld) recover(n *simNode) {
	n.full, n.eio = false, false
	w.note("%s: disk recovers", n.name)
}

// trouble is what ends a program, and worse.
func (w *simWorld) trouble(n *simNode) {
	if n.core == nil {
		return
	}
	switch w.roll(6) {
	case 0, 1, 2:
		n.cutPower()
	case 3, 4:
		w.note("%s: killed", n.name)
		n.kill()
	default:
		n.loseState()
	}
}

// calm lets everybody hear of everything until nothing happens any more.
func (w *simWorld) calm() {
	w.note("calm")
	w.calming = true
	clear(w.apart)
	for _, n := range w.nodes {
		n.full, n.eio, n.fuse, n.hookAt = false, false, 0, 0
	}
	const rounds = 40
	for round := range rounds {
		if !w.round(round > rounds-3) {
			return
		}
	}
	w.fail("does not come to rest")
}

// round lets everybody do and hear everything once.
func (w *simWorld) round(tell bool) (busy bool) {
	w.now += int64(time.Minute)
	for _, n := range w.nodes {
		before := n.story()
		n.start()
		n.scan(-1)
		n.core.Retry(w.time())
		n.turns(200)
		for len(n.core.Holds()) > 0 {
			n.decide(true)
			n.turns(200)
		}
		for range 100 {
			wants := n.wants()
			if len(wants) == 0 {
				break
			}
			n.serve(wants)
			n.turns(200)
		}
		if after := n.story(); after != before {
			busy = true
			if tell {
				w.note("%s: was\n%s\nis\n%s", n.name, before, after)
			}
		}
	}
	for _, l := range w.links {
		l.connect()
		for l.send(1000) {
			busy = true
		}
		l.deliver(true)
		if l.up && len(l.queue) > 0 {
			busy = true
		}
	}
	return busy
}

// serve brings all that is wanted, if anybody has it.
func (n *simNode) serve(wants []Want) {
	for _, want := range wants {
		if _, _, ok := n.w.find(n, want.Hash, true); !ok && !n.w.consumed[want.Hash] && !n.w.halfway(want.Hash) {
			n.w.fail("%s: nobody has content %.4s for %s", n.name, want.Hash, want.Path)
		} else if !ok {
			n.core.Failed(want.Hash)
			continue
		}
		n.fetch(want, true)
	}
}

// story is what a node has come to, for comparison.
func (n *simNode) story() string {
	var b strings.Builder
	tree := n.tree()
	var seq uint64
	base, _, global := n.trees()
	for _, e := range global {
		for _, v := range e.Vectors() {
			for _, d := range v {
				seq += d.Counter
			}
		}
	}
	fmt.Fprintf(&b, "%v %d %d", tree, seq, len(base))
	return b.String()
}
