package replica

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
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
	// SyncEach is up to how many files are made durable one by one; of more, everything is at
	// once. 0: 32.
	SyncEach int
	Now      func() time.Time // nil: time.Now
	Random   func() uint64    // nil: crypto/rand
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
	unsure  map[string]bool
	doubted map[string]bool // what these were when they were looked at last
	looks   int             // how often they were looked at in a row
	sureAt  time.Time       // when they are looked at again
	next    uint64          // pending entries up to this number are seeds already, or parked
	again   map[reconcile.EntryID]bool

	parked   map[reconcile.EntryID]parking
	waiting  map[reconcile.Hash][]reconcile.EntryID // parked, by the content that has to come
	tries    map[reconcile.EntryID]attempts         // of parked entries
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
	tries   int // see attempts
}

// attempts counts how often in a row an entry was not done, for one reason. Until a content
// comes, or does not, an entry that waits for it can be planned any number of times: none of
// these is an attempt.
type attempts struct {
	content reconcile.Hash // it did not come; zero: it was something else
	count   int
}

// failed is a with one more, for a reason.
func (a attempts) failed(content reconcile.Hash) attempts {
	if a.content != content {
		a = attempts{content: content}
	}
	a.count++
	return a
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
	if o.SyncEach == 0 {
		o.SyncEach = syncEach
	}
	if o.BrakeFiles == 0 {
		o.BrakeFiles = brakeFiles
	}
	c := &Core{
		o: o, scan: o.Disk, dirty: map[string]bool{}, unsure: map[string]bool{}, again: map[reconcile.EntryID]bool{},
		parked: map[reconcile.EntryID]parking{}, waiting: map[reconcile.Hash][]reconcile.EntryID{},
		tries: map[reconcile.EntryID]attempts{}, claims: map[node]uint64{}, cursors: map[p2p.ID]Cursor{}, locals: map[string]Changed{}, late: map[reconcile.Hash][]string{}, problems: map[string]string{}, conflicts: map[string][]reconcile.Conflict{},
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
	Hash   reconcile.Hash // of the content; zero: it has none
	Member p2p.ID         // whose change it was
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
	c.doubt(sc.unsure)
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
