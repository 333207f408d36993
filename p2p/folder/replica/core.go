package replica

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// CoreOptions are what a core works with. Folder, Self, Store, Disk and FS are
// needed.
type CoreOptions struct {
	Folder string // its ID
	Self   p2p.ID
	Store  Store
	Disk   Disk
	FS     apply.FS
	// Known reports whether an ID is or was a member. Nil: everybody is.
	Known func(p2p.ID) bool
	// Writer reports whether a member may change the folder. Nil: everybody may.
	Writer func(p2p.ID) bool
	// Verify reports whether a claim was signed by its member. Nil: it was.
	Verify func(Claim) bool
	// Sign signs that this node has made so many events. Nil: nobody needs to know.
	Sign func(reconcile.Dot) []byte
	// BrakeFiles is how many files a member may delete or replace within ten minutes
	// before it is held, if a quarter of the folder is not more. 0: 50.
	BrakeFiles int
	Now        func() time.Time // nil: time.Now
	Random     func() uint64    // nil: crypto/rand
}

// Core is the replica of one folder. It belongs to one goroutine.
type Core struct {
	o      CoreOptions
	scan   Disk
	fold   func(name string) string // what names are compared by here; see reconcile.Options
	state  State
	author reconcile.Author
	run    run
	// settled: what was on the disk when the core was opened is recorded. Before,
	// nothing of others is merged; see reconcile.Plan.
	settled bool
	torn    bool // the journal has to be settled first
	// unsynced are directories in which names were changed, and are not durable.
	unsynced []string

	all   bool // compare everything
	dirty map[string]bool
	moved []Move
	// unsure are paths at which something was that no scan had seen yet: it may be gone,
	// or be what it was before, when a scan looks.
	unsure map[string]bool
	looks  int       // how often these were looked at in a row
	sureAt time.Time // when they are looked at again
	next   uint64    // pending entries up to this number are seeds already, or parked
	again  map[reconcile.EntryID]bool

	parked   map[reconcile.EntryID]parking
	waiting  map[reconcile.Hash][]reconcile.EntryID // parked, by the content that has to come
	tries    map[reconcile.EntryID]int              // how often a parked entry was not done in a row
	ahead    []Want                                 // that were found without a plan
	claims   map[node]uint64
	entries  int  // at most so many are known
	relapsed bool // see Relapsed
	cursors  map[p2p.ID]Cursor
	contents contents
	brake    brake
	locals   map[string]Changed
	late     map[reconcile.Hash][]string // paths that make room when a content has come
	// conflicts are those of the store, by path.
	conflicts map[string][]reconcile.Conflict
	problems  map[string]string
}

// parking is why a pending entry is not tried now.
type parking struct {
	hash    reconcile.Hash // a content that has to come first
	content reconcile.Hash // that it needs, if it needs any
	held    p2p.ID         // the brake of this member
	path    string
	why     string
	since   time.Time
	tries   int // how often it was not done in a row
}

// NewCore returns a core that has done nothing yet.
func NewCore(o CoreOptions) *Core {
	if o.Known == nil {
		o.Known = func(p2p.ID) bool { return true }
	}
	if o.Writer == nil {
		o.Writer = func(p2p.ID) bool { return true }
	}
	if o.Verify == nil {
		o.Verify = func(Claim) bool { return true }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = random
	}
	if o.BrakeFiles == 0 {
		o.BrakeFiles = brakeFiles
	}
	c := &Core{
		o: o, scan: o.Disk, dirty: map[string]bool{}, unsure: map[string]bool{}, again: map[reconcile.EntryID]bool{},
		parked: map[reconcile.EntryID]parking{}, waiting: map[reconcile.Hash][]reconcile.EntryID{},
		tries: map[reconcile.EntryID]int{}, claims: map[node]uint64{}, cursors: map[p2p.ID]Cursor{}, locals: map[string]Changed{}, late: map[reconcile.Hash][]string{}, problems: map[string]string{}, conflicts: map[string][]reconcile.Conflict{},
		contents: newContents(), brake: newBrake(),
	}
	c.Use(o.FS)
	return c
}

// Use has the core work in fsys from now on: the same directory, opened again.
func (c *Core) Use(fsys apply.FS) {
	c.o.FS, c.o.Disk = fsys, asideDisk{c.scan, fsys, c.fold}
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return binary.LittleEndian.Uint64(b[:])
}

// errorf says what was attempted on this folder.
func (c *Core) errorf(what string, err error) error {
	return fmt.Errorf("replica: folder %.26s: %s: %w", c.o.Folder, what, err)
}

// runFiles prove that the folder and the database have seen the same runs. They are
// written in turn, so that one is whole whatever happens to the other.
var runFiles = [2]string{apply.Private + "/run-0", apply.Private + "/run-1"}

// Open begins a run: it settles what a crash has left behind, and finds out whether
// the database is the one that was used last in this folder. If it is not (it is new, or
// was restored from a copy) the replica gets a new incarnation, so that no number of
// an event that was forgotten is used again, and no row is left, so that nothing
// is taken for deleted that is only unknown.
func (c *Core) Open(ctx context.Context) error {
	if err := apply.Prepare(c.o.FS); err != nil {
		return c.errorf("prepare", err)
	}
	fold, err := apply.Fold(c.o.FS)
	if err != nil {
		return c.errorf("prepare", err)
	}
	c.fold = fold
	c.Use(c.o.FS)
	found, err := c.readRun()
	if err != nil {
		return c.errorf("find out about the last run", err)
	}
	err = c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		if c.state, err = r.State(); err != nil {
			return err
		}
		all, err := r.Conflicts()
		if err != nil {
			return err
		}
		for _, x := range all {
			c.conflicts[x.Path] = append(c.conflicts[x.Path], x)
		}
		cursors, err := r.Cursors()
		if err != nil {
			return err
		}
		for _, x := range cursors {
			c.cursors[x.Member] = x
		}
		claims, err := r.Claims()
		if err != nil {
			return err
		}
		for _, x := range claims {
			c.claims[nodeOf(x.Dot)] = x.Dot.Counter
		}
		if c.entries, err = r.CountEntries(); err != nil {
			return err
		}
		return c.brake.load(r)
	})
	if err != nil {
		return c.errorf("read the state", err)
	}
	same := c.state.Incarnation != 0 && found.Serial > 0 && (found.Nonce == c.state.Nonce || found.Nonce == c.state.Before)
	next := c.state
	if same {
		next.Counter = max(next.Counter, found.Reserved)
	} else {
		next.Incarnation, next.Counter = c.o.Random()|1, 0
	}
	next.Before = found.Nonce
	binary.LittleEndian.PutUint64(next.Nonce[:8], c.o.Random())
	binary.LittleEndian.PutUint64(next.Nonce[8:], c.o.Random())
	err = c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error {
		if !same {
			if err := errors.Join(w.UnsetAll(), w.SetJournal(nil), allPending(w)); err != nil {
				return err
			}
		}
		return errors.Join(w.SetState(next), c.signAgain(w, next))
	})
	if err != nil {
		return c.errorf("begin a run", err)
	}
	c.state, c.run = next, found
	c.author = reconcile.Author{Member: c.o.Self, Incarnation: next.Incarnation, Counter: next.Counter}
	// The database first: a crash here leaves the nonce of before, which it knows too.
	if err := c.writeRun(next.Counter); err != nil {
		return c.errorf("write down that a run begins", err)
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if !same {
		if err := c.recover(ctx); err != nil {
			return err
		}
	}
	c.all = true
	return c.contents.open(c.o.FS)
}

// allPending makes all entries pending, for it is not known what of them is on the
// disk.
func allPending(w Writer) error {
	var seq uint64
	for {
		page, err := w.Since(seq, turnEntries)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			if err := w.SetPending(s.Entry.ID, true, sizeOf(s.Entry)); err != nil {
				return err
			}
			seq = s.Seq
		}
	}
}

// run is what is in the folder: the nonce, and up to which number events may have
// been made in this incarnation. The number is what tells a database that was copied
// and restored during one run: it goes on with numbers that were not used before.
type run struct {
	Serial   uint64 // of the writing; the larger one is valid
	Reserved uint64
	Nonce    [16]byte
}

func (c *Core) readRun() (r run, err error) {
	for _, path := range runFiles {
		x, err := c.readRunFile(path)
		if err != nil {
			return r, err
		}
		if x.Serial > r.Serial {
			r = x
		}
	}
	return r, nil
}

func (c *Core) readRunFile(path string) (r run, err error) {
	f, err := c.o.FS.Open(path)
	if errors.Is(err, errNotExist) {
		return run{}, nil
	}
	if err != nil {
		return run{}, err
	}
	defer f.Close() // nothing was written
	err = binary.Read(io.NewSectionReader(f, 0, int64(binary.Size(r))), binary.LittleEndian, &r)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return run{}, nil // cut off by a crash
	}
	return r, err
}

// writeRun makes durable that events up to a number may be made.
func (c *Core) writeRun(reserved uint64) error {
	r := run{Serial: c.run.Serial + 1, Reserved: reserved, Nonce: c.state.Nonce}
	b, err := binary.Append(nil, binary.LittleEndian, r)
	if err != nil {
		return err
	}
	path := runFiles[r.Serial%2]
	f, err := c.o.FS.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		// What was not written may look as if it had been, for ever.
		return errors.Join(err, c.o.FS.Remove(path))
	}
	if err := c.o.FS.SyncDir(apply.Private); err != nil {
		return err
	}
	c.run = r
	return nil
}

// reserveEvents is how many numbers of events are reserved at once, hence how many
// can be left out when a run begins.
const reserveEvents = 4096

// reserve sees to it that events up to a number can be made.
func (c *Core) reserve(counter uint64) error {
	if counter <= c.run.Reserved {
		return nil
	}
	return c.writeRun(counter + reserveEvents)
}

// Incarnation is that of this run.
func (c *Core) Incarnation() uint64 { return c.state.Incarnation }

// Relapsed reports whether it has turned out that database and folder are of an earlier
// moment than this node remembers: a disk was put back. Numbers of events would be used
// twice, so that the replica must be forgotten, and begun anew as one whose database was
// lost.
func (c *Core) Relapsed() bool { return c.relapsed }

// Met reports whether anything of another member was ever taken over.
func (c *Core) Met() bool {
	for _, x := range c.cursors {
		if x.Seq > 0 {
			return true
		}
	}
	return false
}

// Settled reports whether what others have done can be merged.
func (c *Core) Settled() bool { return c.settled && !c.torn }

// Dirty tells what has changed on the disk. All: compare everything. It is called
// after each scan, even if nothing has changed.
func (c *Core) Dirty(paths []string, moved []Move, all bool) {
	c.all = c.all || all
	c.lookAgain() // the scan may know more now
	for _, p := range paths {
		c.dirty[p] = true
	}
	c.moved = append(c.moved, moved...)
	c.follow(moved)
	if len(paths)+len(moved) > 0 {
		c.unpark()
	}
}

// unpark has tried again what waits for something at a path that has changed.
func (c *Core) unpark() {
	for id, p := range c.parked {
		if p.hash == (reconcile.Hash{}) && p.held.IsZero() && c.dirty[p.path] {
			c.again[id] = true
		}
	}
}

// maxFollow bounds, as a product, how many dirty paths follow how many moves.
const maxFollow = 10_000_000

// follow has what is dirty in directories that were moved since looked at where it is now,
// too: it may be looked at in a later turn than the move.
func (c *Core) follow(moved []Move) {
	if len(moved)*len(c.dirty) > maxFollow {
		c.all = true
		return
	}
	for _, m := range moved {
		for _, p := range sorted(c.dirty) {
			if below(p, m.From) && len(m.To)+len(p)-len(m.From) <= reconcile.MaxPath {
				c.dirty[m.To+p[len(m.From):]] = true
			}
		}
	}
}

// lookAgain makes dirty what was not known for sure.
func (c *Core) lookAgain() {
	for p := range c.unsure {
		c.dirty[p] = true
	}
	clear(c.unsure)
}

// lookSometimes is lookAgain without a reason, the more seldom the longer there is
// something that is not known.
func (c *Core) lookSometimes() (any bool) {
	if len(c.unsure) == 0 {
		c.looks = 0
		return false
	}
	if c.o.Now().Before(c.sureAt) {
		return false
	}
	c.lookAgain()
	c.looks++
	c.sureAt = c.o.Now().Add(min(time.Second<<min(c.looks, 12), longestWait))
	return true
}

// Limits of one turn.
const (
	turnPaths   = 8192
	turnEntries = 2048
)

// Turn is what one turn has come to.
type Turn struct {
	Idle      bool // there was nothing to do
	Changes   []reconcile.Change
	Installed []Installed
	Wants     []Want // contents that are needed from now on
	Problems  []reconcile.Problem
}

// Installed is a step that was done for somebody else.
type Installed struct {
	Do     reconcile.Action
	Path   string
	From   string
	Size   int64
	Member p2p.ID // whose change it was
}

// Turn does what can be done now, and returns. It is called again until it is Idle.
// On error what was committed stays, and the rest is tried again.
func (c *Core) Turn(ctx context.Context) (Turn, error) {
	if c.torn {
		if err := c.settle(ctx); err != nil {
			return Turn{}, err
		}
	}
	if c.all {
		if err := c.compare(ctx); err != nil {
			return Turn{}, c.errorf("compare with the disk", err)
		}
		c.all = false
	}
	s, err := c.take(ctx)
	if err != nil {
		return Turn{}, c.errorf("find what is pending", err)
	}
	ahead := c.ahead
	c.ahead = nil
	if len(s.paths)+len(s.entries)+len(s.moved) == 0 {
		if c.settled && !c.contents.full() {
			if err := c.lift(ctx); err != nil {
				return Turn{Idle: true}, c.errorf("end what is held", err)
			}
		}
		c.settled = true
		if len(ahead) > 0 {
			return Turn{Wants: ahead}, nil
		}
		if err := c.tidy(); err != nil {
			return Turn{Idle: true}, c.errorf("remove temporary files", err)
		}
		return Turn{Idle: true}, nil
	}
	t, err := c.turn(ctx, s)
	t.Wants = append(ahead, t.Wants...)
	if err != nil {
		c.giveBack(s)
		return t, c.errorf("bring up to date", err)
	}
	return t, nil
}

func (c *Core) giveBack(s seeds) {
	c.Dirty(s.paths, s.moved, false)
	for _, id := range s.entries {
		c.again[id] = true
	}
}

// take takes seeds: what has changed here first, so that nothing of others is
// installed over what is not recorded yet.
func (c *Core) take(ctx context.Context) (seeds, error) {
	s := seeds{moved: c.moved, paths: sorted(c.dirty)}
	c.moved = nil
	s.paths = s.paths[:min(len(s.paths), turnPaths)]
	for _, p := range s.paths {
		delete(c.dirty, p)
	}
	if len(s.paths)+len(s.moved) > 0 || !c.settled {
		return s, nil
	}
	for id := range c.again {
		if len(s.entries) == turnEntries {
			break
		}
		s.entries = append(s.entries, id)
	}
	slices.SortFunc(s.entries, reconcile.EntryID.Compare)
	for _, id := range s.entries {
		delete(c.again, id)
		delete(c.parked, id)
	}
	dirs := paths{}
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) error {
		some, err := r.Discarded(0, 1)
		if err != nil {
			return err
		}
		for len(s.entries) < turnEntries && !c.contents.full() {
			page, err := r.Pending(c.next, turnEntries-len(s.entries))
			if err != nil || len(page) == 0 {
				return err
			}
			for _, p := range page {
				c.next = p.Seq
				if _, waits := c.parked[p.Entry.ID]; waits {
					continue
				}
				ahead, err := c.wantAhead(ctx, r, dirs, len(some) > 0, p.Entry)
				if err != nil {
					return err
				}
				if !ahead {
					s.entries = append(s.entries, p.Entry.ID)
				}
			}
		}
		return nil
	})
	return s, err
}

// wantAhead has the content of a file that is new here fetched before anything is planned for
// it: there is nothing to plan with before it has come. What is on this disk already is
// planned at once, for perhaps nothing needs to be fetched at all. trash: there is some.
func (c *Core) wantAhead(ctx context.Context, r Reader, dirs paths, trash bool, e reconcile.Entry) (bool, error) {
	if e.Kind != reconcile.KindFile || len(e.Contents) != 1 || len(e.Places) != 1 {
		return false, nil
	}
	x := e.Contents[0]
	if x.Deleted || x.Size == 0 || c.contents.has(x.Hash) {
		return false, nil
	}
	if rows, err := r.RowsOf(e.ID); err != nil || len(rows) > 0 {
		return false, err
	}
	if _, here, err := c.o.Disk.ByHash(ctx, x.Hash); err != nil || here {
		return false, err
	}
	if trash {
		if files, err := r.DiscardedAs(x.Hash); err != nil || len(files) > 0 {
			return false, err
		}
	}
	path, err := dirs.path(r, e)
	if err != nil || path == "" {
		return false, err
	}
	w := Want{Hash: x.Hash, Size: x.Size, Path: path, Mode: x.Mode, Modified: x.Modified, Made: x.Made.Member, Far: true}
	if c.contents.want(w) {
		c.ahead = append(c.ahead, w)
	}
	c.parked[e.ID] = parking{hash: x.Hash, content: x.Hash, path: w.Path, since: c.o.Now()}
	c.waiting[x.Hash] = append(c.waiting[x.Hash], e.ID)
	return true, nil
}

// paths are those of directories, as they are found out.
type paths map[reconcile.EntryID]string

// path returns where an entry with one place is; empty if a directory above is not
// known, or has not one place.
func (d paths) path(r Reader, e reconcile.Entry) (string, error) {
	if len(e.Places) != 1 {
		return "", nil
	}
	place := e.Places[0]
	if place.Parent.IsZero() {
		return place.Name, nil
	}
	dir, known := d[place.Parent]
	if !known {
		d[place.Parent] = "" // a cycle ends here
		s, found, err := r.Entry(place.Parent)
		if err != nil || !found {
			return "", err
		}
		if dir, err = d.path(r, s.Entry); err != nil {
			return "", err
		}
		d[place.Parent] = dir
	}
	if dir == "" {
		return "", nil
	}
	return join(dir, place.Name), nil
}

// turn plans for s and does it.
func (c *Core) turn(ctx context.Context, s seeds) (Turn, error) {
	var sc scope
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		sc, err = gather(ctx, r, c.o.Disk, c.fold, s)
		return err
	})
	if err != nil {
		return Turn{}, err
	}
	for _, p := range sc.unsure {
		c.unsure[p] = true
	}
	if !c.o.Writer(c.o.Self) {
		moved, err := c.makeRoom(ctx, c.keepToMyself(&sc))
		if moved || err != nil {
			if err == nil {
				c.giveBack(s)
			}
			return Turn{}, err
		}
	} else {
		clear(c.locals)
	}
	plan := reconcile.Reconcile(sc.base, sc.disk, sc.global, reconcile.Options{Author: c.author, Fold: c.fold})
	if !c.o.Writer(c.o.Self) && len(plan.Entries) > 0 {
		return Turn{}, fmt.Errorf("a change in a folder that is read-only here would be told: %v", plan.Changes)
	}
	w := &work{Core: c, ctx: ctx, scope: sc, plan: plan, failed: map[reconcile.EntryID]parking{}}
	w.index()
	if err := w.commit(s); err != nil {
		return Turn{}, err
	}
	w.turn.Changes, w.turn.Problems = plan.Changes, plan.Problems
	c.note(s, sc, plan)
	if err := w.act(); err != nil {
		w.resume()
		return w.turn, err
	}
	if err := w.conclude(s); err != nil {
		w.resume()
		return w.turn, err
	}
	return w.turn, nil
}

// resume has all that the plan was about tried again.
func (w *work) resume() {
	for _, id := range w.about {
		w.again[id] = true
	}
}

// note remembers the problems at the paths that were planned.
func (c *Core) note(s seeds, sc scope, plan reconcile.Plan) {
	for p := range sc.base {
		delete(c.problems, p)
	}
	for _, p := range s.paths {
		delete(c.problems, p)
	}
	for p := range sc.disk {
		delete(c.problems, p)
	}
	for _, p := range plan.Problems {
		if _, own := c.locals[p.Path]; own {
			continue // it is listed as what it is
		}
		if len(c.problems) < maxProblems {
			c.problems[p.Path] = p.Why
		}
	}
}

const maxProblems = 1000

// Problems returns what cannot be as it should, by path.
func (c *Core) Problems() []reconcile.Problem {
	out := make([]reconcile.Problem, 0, len(c.problems))
	for _, p := range slices.Sorted(maps.Keys(c.problems)) {
		out = append(out, reconcile.Problem{Path: p, Why: c.problems[p]})
	}
	return out
}

// longestWait bounds the time from one attempt at what could not be done to the next.
const longestWait = time.Hour

// Retry has what could not be done tried again, if it has waited since before t, and
// the longer the more often it was tried: what was in the way may be gone. Where
// something changes on the disk it is tried anyway.
func (c *Core) Retry(before time.Time) (any bool) {
	any = c.lookSometimes()
	now := c.o.Now()
	for id, p := range c.parked {
		longest := longestWait
		if p.content != (reconcile.Hash{}) {
			longest = time.Minute // others come and go
		}
		wait := min(now.Sub(before)<<min(max(p.tries-1, 0), 12), longest)
		if p.hash == (reconcile.Hash{}) && p.held.IsZero() && p.since.Before(now.Add(-wait)) {
			c.again[id] = true
			any = true
		}
	}
	return any
}

// signAgain signs the claims of this node once more: they hold in one network, and this
// may be another one than before.
func (c *Core) signAgain(w Writer, s State) error {
	if c.o.Sign == nil {
		return nil
	}
	own := map[node]uint64{{c.o.Self, s.Incarnation}: s.Counter}
	for n, counter := range c.claims {
		if n.member == c.o.Self {
			own[n] = max(own[n], counter)
		}
	}
	for n, counter := range own {
		d := reconcile.Dot{Member: n.member, Incarnation: n.incarnation, Counter: counter}
		if counter == 0 {
			continue
		}
		if err := w.SetClaim(Claim{Dot: d, Sig: c.o.Sign(d)}); err != nil {
			return err
		}
	}
	return nil
}

// setState makes the counter of the author durable, with a claim to it.
func (c *Core) setState(w Writer, s State) error {
	if err := w.SetState(s); err != nil || c.o.Sign == nil || s.Counter == c.state.Counter {
		return err
	}
	d := reconcile.Dot{Member: c.o.Self, Incarnation: s.Incarnation, Counter: s.Counter}
	return w.SetClaim(Claim{Dot: d, Sig: c.o.Sign(d)})
}

// Acked notes that another member has this node's entries, up to a number, on its disk.
func (c *Core) Acked(ctx context.Context, member p2p.ID, applied uint64) error {
	cur := c.cursors[member]
	if cur.Of == c.state.Incarnation && cur.Applied >= applied {
		return nil
	}
	cur.Member, cur.Applied, cur.Of = member, applied, c.state.Incarnation
	err := c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error { return w.SetCursor(cur) })
	if err != nil {
		return c.errorf("note what "+member.Short()+" has", err)
	}
	c.cursors[member] = cur
	return nil
}

// Cursor says how far the entries of another member are merged.
func (c *Core) Cursor(member p2p.ID) Cursor { return c.cursors[member] }

// Done reports whether nothing is pending: all that was merged is on the disk. It is asked
// when there is nothing to do.
func (c *Core) Done(ctx context.Context) (bool, error) {
	entries := 0
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		entries, _, err = r.Needs()
		return err
	})
	if err != nil {
		return false, c.errorf("count what is pending", err)
	}
	if entries > 0 {
		return false, nil
	}
	// What was done by way of something else may still be thought to wait.
	clear(c.parked)
	clear(c.waiting)
	clear(c.tries)
	return true, nil
}

// Parked reports whether anything waits.
func (c *Core) Parked() bool { return len(c.parked) > 0 }

// ConflictCount is how many paths have a conflict.
func (c *Core) ConflictCount() int { return len(c.conflicts) }
