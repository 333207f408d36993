package reconcile

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Item is what was found at a path of a disk.
type Item struct {
	Kind     Kind
	Size     int64 // bytes of a file
	Modified int64 // of a file, ns since 1970
	Mode     fs.FileMode
	Hash     Hash   // of a file
	Inode    uint64 // what stays the same when it is renamed; 0: not known
}

// Disk is what a scan found, by path. The directories of all paths are in it. What
// is in [Aside] is in it too, though neither .shoal nor .shoal/aside is.
type Disk map[string]Item

// Row is what this node has committed for a path: what was verified to be there,
// and which versions that is.
type Row struct {
	Item
	Dot    Dot  // of the content whose mode and time were set; see Content
	Made   Dot  // see Content
	Parent Hash // see Content
	Refs   []Ref
}

// Base is all rows, by path.
type Base map[string]Row

// Aside is the directory for things that are between two names. Only the steps of
// a plan use it. It is on the file system of the folder.
const Aside = ".shoal/aside"

// Options are the circumstances of a node.
type Options struct {
	Author Author // this node
	// Fold maps a name to what the file system compares names by; see View.Twins.
	// Nil: it compares bytes.
	Fold func(name string) string
}

// Plan is what to do. It is carried out in this order: first, in one transaction,
// Entries are merged into the global state, Author is remembered, and the rows of
// Unset and Set are replaced; then Entries may be told to others; then the steps
// are done one after the other, each with its row.
//
// A plan can be given up after any step. If the node crashed, so that a step may
// have been done whose row was not committed, it must settle that before it merges
// anything: by its journal, or by a scan and a new plan, in which what agrees with
// the state is taken for the step that it was. Against a state that has moved on it
// would be taken for the work of a person, and a person's work supersedes.
type Plan struct {
	Changes   []Change // what a person did on this disk since Base
	Entries   []Entry  // the new versions of it; those that keep something come first
	Author    Author   // with the new counter
	Unset     []string // paths of Base that have no row now
	Set       []Placed // rows that are new or different
	Steps     []Step
	Conflicts []Conflict // resolved by rule, in the whole folder
	Problems  []Problem  // what cannot be done here and now
}

// Placed is a row and its path.
type Placed struct {
	Path string
	Row  Row
}

// Change is something that a person did.
type Change struct {
	Kind ChangeKind
	Path string
	From string // of a move
}

// ChangeKind says what somebody did.
type ChangeKind string

// The kinds of change.
const (
	ChangeCreate ChangeKind = "create"
	ChangeEdit   ChangeKind = "edit" // content, mode or time
	ChangeMove   ChangeKind = "move"
	ChangeDelete ChangeKind = "delete"
)

// Step is one action on the disk. Expect is what must be there for it to be done;
// if anything else is found, which means that it changed since the scan, the plan
// is given up and made again.
type Step struct {
	Do     Action
	Path   string // what comes about, or goes
	From   string // Move, Copy: where it is now
	Expect Item   // Move, Copy: at From. Trash, Replace, Meta: at Path. Otherwise zero: nothing is at Path
	// Kept is where Trash leaves the same content, if it is for that that the file goes, also of the Note
	// before it: As must be there.
	Kept string
	As   Item
	// Row is committed for Path once the step is done, with what was observed then
	// in place of its Item. After a Move the rows below From are rows below Path;
	// the row of From and of what was trashed goes.
	Row Row
}

// Action says what a step does.
type Action string

// The actions.
const (
	DoTrash   Action = "trash"   // move a file to the trash, or remove an empty directory
	DoMove    Action = "move"    // rename, with everything in it; nothing is at Path
	DoMkdir   Action = "mkdir"   //
	DoCopy    Action = "copy"    // make a file with the content of From
	DoFetch   Action = "fetch"   // make a file with the content Row.Hash
	DoReplace Action = "replace" // put the content Row.Hash in the place of a file, which goes to the trash
	DoMeta    Action = "meta"    // set mode and time
	DoNote    Action = "note"    // nothing but committing Row
)

// Problem is why something is not as it should be.
type Problem struct {
	Path string
	Why  string
}

// Reconcile compares the three trees and says what to do. It changes none of its
// arguments, and the same arguments always give the same plan.
func Reconcile(base Base, disk Disk, global Global, o Options) Plan {
	if o.Author.Counter > MaxCounter-1<<40 {
		return Plan{Author: o.Author, Problems: []Problem{{Why: "all event numbers are used: a new incarnation is needed"}}}
	}
	r := newRecorder(base, disk, global, o.Author)
	view := r.record()
	l := newLayout(disk, r.rows, view, o.Fold)
	l.assign()
	l.settle()
	l.run()
	plan := Plan{
		Changes: r.changes, Entries: r.entries(), Author: r.author, Steps: l.steps,
		Conflicts: view.Conflicts, Problems: append(r.problems, l.problems...),
	}
	for _, id := range view.Waiting {
		if e := r.g[id]; len(e.Places) > 0 { // not a losing version, whose entry waits too
			plan.Problems = append(plan.Problems, Problem{Path: place(e).Name, Why: "its directory has not arrived, or its path is too long"})
		}
	}
	plan.Unset, plan.Set = difference(base, r.rows)
	return plan
}

// difference says how to get from one base to another.
func difference(from, to Base) (unset []string, set []Placed) {
	for _, p := range slices.Sorted(maps.Keys(from)) {
		if _, ok := to[p]; !ok {
			unset = append(unset, p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(to)) {
		if old, ok := from[p]; !ok || !sameRows(old, to[p]) {
			set = append(set, Placed{Path: p, Row: to[p]})
		}
	}
	return unset, set
}

func sameRows(a, b Row) bool {
	return a.Item == b.Item && a.Dot == b.Dot && a.Made == b.Made && a.Parent == b.Parent && sameRefs(a.Refs, b.Refs)
}

func sameRefs(a, b []Ref) bool {
	return slices.EqualFunc(a, b, func(x, y Ref) bool {
		return x.ID == y.ID && x.Of == y.Of && slices.Equal(x.Place, y.Place) && slices.EqualFunc(x.Contents, y.Contents, slices.Equal)
	})
}

// asideOf returns where an entry waits that is between two names, the former of
// which is name.
func asideOf(id EntryID, name string) string {
	mark := fmt.Sprintf("%.12s-%x-%d ", id.Member, id.Incarnation, id.Counter)
	return join(Aside, mark+Cut(name, MaxName-len(mark)))
}

// asideName returns the name that what waits at q had, as far as it fitted.
func asideName(q string) string {
	_, name, _ := strings.Cut(lastName(q), " ")
	return name
}

// isAside reports whether p is directly in Aside.
func isAside(p string) bool { return parent(p) == Aside }

// inAside reports whether p is somewhere below Aside.
func inAside(p string) bool { return strings.HasPrefix(p, Aside+"/") }
