package replica

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

const simFolder = "simulated"

// simNode is a computer.
type simNode struct {
	w      *simWorld
	name   string
	id     p2p.ID
	reader bool // may not change the folder
	mem    *applytest.MemFS
	store  *Memory
	backup *Memory // what the database was in some earlier run
	copied int     // in which run backup was made
	runs   int
	disk   *simDisk
	core   *Core // nil: not running
	random *rand.Rand

	busy   bool // in the middle of something
	ops    int  // points passed
	fuse   int  // at which the program ends; 0: it does not
	hookAt int
	hookOn string // if not at hookAt, then at such a point
	fuseOn string // likewise
	full   bool   // the disk
	eio    bool   // syncs fail
	doubt  *simDoubt
	reads  int // of the database
	// halfway: the program has told a person that what it was asked for has failed.
	halfway bool
	salt    int

	must map[string]bool         // contents that have to be on the disk, of whoever they are
	made map[string]string       // what was made by which event
	took map[reconcile.Hash]bool // what a person here has replaced or deleted
	let  map[p2p.ID][]simLet     // when something of members was deleted and replaced in this run
	// dated are paths at which a person came between while the program set mode and time: it
	// may have set those of what the person put there, of which they then need not be durable.
	dated map[string]bool
}

func newSimNode(w *simWorld, i int) *simNode {
	name := string(rune('A' + i))
	n := &simNode{
		w: w, name: name, id: sha256.Sum256([]byte("member " + name)), mem: applytest.NewMem(), store: NewMemory(),
		random: rand.New(rand.NewPCG(w.seed, uint64(i))), must: map[string]bool{}, dated: map[string]bool{}, made: map[string]string{}, took: map[reconcile.Hash]bool{},
	}
	n.mem.SetClock(w.tick)
	n.disk = newSimDisk(n)
	return n
}

// point is passed before and after everything that changes the disk or the database.
func (n *simNode) point(op string, paths ...string) {
	n.ops++
	if n.hookAt > 0 && (n.hookOn == "" && n.hookAt <= n.ops || n.hookOn == op) {
		n.hookAt = 0
		n.w.note("%s: comes between, at %s %v", n.name, op, paths)
		n.meddle(paths)
		if op == "setmeta" {
			n.dated[paths[0]] = true
		}
	}
	if n.fuse > 0 && (n.fuseOn == "" && n.fuse <= n.ops || n.fuseOn == op) {
		panic(simCrash{at: fmt.Sprint(op, paths)})
	}
}

// running calls f, and reports whether the program is still running then.
func (n *simNode) running(f func()) (ok bool) {
	defer func() {
		n.busy = false
		switch x := recover().(type) {
		case nil:
		case simCrash:
			n.w.note("%s: ends at %s", n.name, x.at)
			ok = false
		default:
			panic(x)
		}
	}()
	n.busy = true
	f()
	return true
}

// start starts the program.
func (n *simNode) start() {
	if n.core != nil {
		return
	}
	core := NewCore(CoreOptions{
		Folder: simFolder, Self: n.id, Store: &simStore{Memory: n.store, n: n}, Disk: n.disk, FS: &simFS{MemFS: n.mem, n: n},
		Writer: func(id p2p.ID) bool { return !n.w.isReader(id) },
		Sign:   sign, Verify: func(c Claim) bool { return slices.Equal(c.Sig, sign(c.Dot)) },
		Now: n.w.time, Random: n.random.Uint64,
		BrakeFiles: n.w.brakeFiles, SyncEach: 2,
	})
	n.let = map[p2p.ID][]simLet{}
	var err error
	if !n.running(func() { err = core.Open(context.Background()) }) {
		n.crash()
		return
	}
	if err != nil {
		n.forgive("open", err)
		return
	}
	n.core = core
	n.runs++
	n.disk.scan(-1)
	core.Dirty(nil, nil, true)
	n.w.note("%s: starts, incarnation %x", n.name, core.Incarnation())
	n.holdsAll("after the start")
}

// sign is a signature of the simplest kind.
func sign(d reconcile.Dot) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", d.Member, d.Incarnation, d.Counter))
	return slices.Concat(h[:], h[:])
}

// forgive fails unless err comes of a fault that is there now.
func (n *simNode) forgive(what string, err error) {
	n.w.note("%s: %s: error", n.name, what)
	if n.full && errors.Is(err, syscall.ENOSPC) || n.eio && errors.Is(err, syscall.EIO) {
		return
	}
	n.w.fail("%s: %s: %v", n.name, what, err)
}

// contents returns the files on the disk: seen by people, and all but temporary ones.
func (n *simNode) contents() map[string]bool {
	all := map[string]bool{}
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if st.Kind == reconcile.KindFile && !below(path, apply.TempDir) && !slices.Contains(runFiles[:], path) {
			all[string(content)] = true
		}
	})
	return all
}

// holdsAll checks that nothing that was on the disk before is gone, and goes on from
// what is there now.
//
// While a journal waits to be settled, what is there now need not be durable.
func (n *simNode) holdsAll(when string) {
	now := n.contents()
	for content := range n.must {
		if !now[content] {
			n.w.fail("%s: %.20q is gone %s", n.name, content, when)
		}
	}
	if !n.core.torn {
		n.must = now
	}
}

// turn lets the program do what it can, once.
func (n *simNode) turn() (idle bool) {
	if n.core == nil {
		return true
	}
	n.holdsAll("before a turn")
	n.checkReady()
	var t Turn
	var err error
	if !n.running(func() { t, err = n.core.Turn(context.Background()) }) {
		n.crash()
		return false
	}
	n.noteTurn(t)
	if err != nil {
		n.forgive("turn", err)
		return true
	}
	n.holdsAll("after a turn")
	n.checkReady()
	return t.Idle
}

func (n *simNode) noteTurn(t Turn) {
	if t.Idle {
		return
	}
	var b strings.Builder
	for _, c := range t.Changes {
		fmt.Fprintf(&b, "\n    * %s %s %s", c.Kind, c.From, c.Path)
	}
	for _, s := range t.Installed {
		fmt.Fprintf(&b, "\n    > %s %s %s (%s)", s.Do, s.From, s.Path, n.w.nameOf(s.Member))
	}
	for _, x := range t.Wants {
		fmt.Fprintf(&b, "\n    ? %s %.4s", x.Path, x.Hash)
	}
	for _, p := range t.Problems {
		fmt.Fprintf(&b, "\n    ! %s: %s", p.Path, p.Why)
	}
	n.w.note("%s: turn%s", n.name, b.String())
}

// turns lets the program work until there is nothing to do.
func (n *simNode) turns(most int) {
	for range most {
		if n.turn() {
			return
		}
	}
	if most >= 200 {
		n.w.fail("%s: is never done", n.name)
	}
}

// scan looks at the disk and tells the program.
func (n *simNode) scan(some int) {
	if n.core == nil || n.w.roll(3) == 0 && !n.scanMoves() {
		return
	}
	paths, moved := n.disk.scan(some)
	if n.w.roll(2) == 0 {
		n.disk.durable = maps.Clone(n.disk.rows)
	}
	n.w.note("%s: scan %v %v all=%v", n.name, paths, moved, some < 0)
	n.core.Dirty(paths, moved, some < 0)
}

// scanMoves is the first half of a scan: it tells of directories that were moved before
// anything else is known, and the program may go on at once. It reports whether it still runs.
func (n *simNode) scanMoves() bool {
	moved := n.disk.moves(n.disk.look(), func(string) bool { return true })
	if len(moved) == 0 {
		return true
	}
	for _, m := range moved {
		n.disk.move(m)
	}
	n.w.note("%s: scan, first %v", n.name, moved)
	n.core.Dirty(nil, moved, false)
	n.turn()
	return n.core != nil
}

// kill ends the program; what is on the disk and in the cache stays.
func (n *simNode) kill() {
	n.core, n.fuse, n.hookAt, n.halfway = nil, 0, 0, false
	n.w.unlink(n)
	n.doubt.resolve(n)
}

// unreadable decides whether the database can be read now.
func (n *simNode) unreadable() bool {
	n.reads++
	return n.chosen(fmt.Sprint("read", n.reads))
}

// crash ends the program, or the computer.
func (n *simNode) crash() {
	n.kill()
	if n.w.roll(3) == 0 {
		n.w.note("%s: killed", n.name)
		return
	}
	n.w.note("%s: power cut", n.name)
	n.mem = n.mem.Crash(n.w.rng)
	n.disk.rows = maps.Clone(n.disk.durable)
	n.disk.hints = nil
}

// cutPower is a crash while the program does nothing: all that it has done must
// be durable.
func (n *simNode) cutPower() {
	quiet := !n.core.torn && !n.halfway
	before := n.tree()
	n.crash()
	after := n.tree()
	for p := range n.dated {
		for _, tree := range []map[string]string{before, after} {
			if was, ok := tree[p]; ok {
				tree[p], _, _ = strings.Cut(was, " ")
			}
		}
	}
	if quiet && !maps.Equal(before, after) {
		n.w.fail("%s: not durable:\n%v\n%v", n.name, before, after)
	}
}

// loseState is what happens when the database is gone, or is restored from a copy.
// What the node has told of can be had from somebody then: if nobody else has a
// content, and a person has replaced or deleted it, and the database that knew of that
// is lost, it can be had from nobody for ever. And somebody has heard all of it, so
// that there is nothing in directories that nobody knows, which would wait for ever.
func (n *simNode) loseState() {
	n.turns(1)
	if n.core == nil || !n.tellAll() {
		return
	}
	n.kill()
	for content, h := range n.w.hashes {
		if _, told := n.w.acked[h]; told {
			n.w.archive[h] = content
		}
	}
	if n.backup != nil && n.copied < n.runs && n.w.roll(2) == 0 {
		n.w.note("%s: an old state is restored", n.name)
		n.store = n.backup.Clone()
		return
	}
	n.w.note("%s: loses its state", n.name)
	n.store = NewMemory()
}

// tellAll tells another node all that is known, if there is one that can take it.
func (n *simNode) tellAll() bool {
	for _, m := range n.w.nodes {
		if m == n || m.reader || m.core == nil || !m.core.Settled() || n.w.parted(n, m) || m.full || m.eio {
			continue
		}
		l := n.w.link(n, m)
		l.connect()
		for l.send(1000) {
			continue
		}
		l.deliver(true)
		return true
	}
	return false
}

// tree is what a person sees, without times of directories.
func (n *simNode) tree() map[string]string {
	out := map[string]string{}
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		switch {
		case applytest.Hidden(path):
		case st.Kind == reconcile.KindFile:
			out[path] = fmt.Sprintf("%.4s %o %d", n.w.hash(string(content)), st.Mode, st.Modified)
		default:
			out[path] = fmt.Sprintf("%s %o", st.Kind, st.Mode)
		}
	})
	return out
}

// fetch brings one content that is wanted, or does not.
func (n *simNode) fetch(want Want, certain bool) {
	content, from, ok := n.w.find(n, want.Hash, certain)
	if !ok || !certain && n.w.roll(4) == 0 {
		n.w.note("%s: %.4s for %s does not come", n.name, want.Hash, want.Path)
		n.core.Failed(want.Hash)
		return
	}
	var err error
	var st apply.Stat
	path := apply.TempName(want.Hash)
	whole := n.w.roll(2) == 0 // as a small one comes, ready to be installed
	if whole {
		path = UniqueName(want.Hash, n.random.Uint64())
	}
	if !n.running(func() { st, err = n.place(path, content, want, whole) }) {
		n.crash()
		return
	}
	if err != nil {
		n.forgive("fetch", err)
		n.core.Failed(want.Hash)
		return
	}
	n.w.note("%s: %.4s for %s comes from %s", n.name, want.Hash, want.Path, from)
	n.core.Arrived(want.Hash, path, st)
}

func (n *simNode) place(path, content string, want Want, whole bool) (st apply.Stat, err error) {
	f, err := n.core.o.FS.Create(path)
	if err != nil {
		return st, err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(content), 0)
	}
	if err == nil && whole {
		st, err = f.SetMeta(want.Mode, want.Modified)
	}
	return st, errors.Join(err, f.Close())
}

func (w *simWorld) time() time.Time { return time.Unix(0, w.now).UTC() }

// checkReady checks that what has come is what was wanted, where it is still there.
func (n *simNode) checkReady() {
	if n.core.torn {
		return
	}
	for h, a := range n.core.contents.ready {
		content, err := n.mem.ReadFile(a.path)
		if err == nil && n.w.hash(content) != h {
			n.w.fail("%s: %.4s has become %.20q", n.name, h, content)
		}
	}
}
