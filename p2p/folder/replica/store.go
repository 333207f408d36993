package replica

import (
	"context"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Store keeps the replicas of a node: for each folder what all members have done,
// as far as it is known here, and what is committed on this disk. NewMemory and
// package store implement it; package replicatest says what an implementation must
// do. What Write has returned from is durable.
type Store interface {
	// Read calls fn with a snapshot of a folder's replica. One that was never written
	// is empty.
	Read(ctx context.Context, folder string, fn func(Reader) error) error
	// Write calls fn, and commits what it did when it returns nil; otherwise nothing
	// has happened. Only one Write runs at a time.
	Write(ctx context.Context, folder string, fn func(Writer) error) error
	// Forget removes everything of a folder. An unknown one is no error.
	Forget(ctx context.Context, folder string) error
}

// State is a replica's own part.
type State struct {
	Incarnation uint64   // 0: none yet
	Counter     uint64   // of the last event of this incarnation
	Seq         uint64   // of the newest entry; see Stored
	Nonce       [16]byte // of the run that uses the replica; also in the folder
	Before      [16]byte // of the run before
}

// Stored is an entry in the order in which this node came to know its present
// state: each change gives it the next number.
type Stored struct {
	Seq   uint64
	Entry reconcile.Entry
	// Pending: the disk may not be as the entry says yet. Need is how many bytes are
	// to come for that.
	Pending bool
	Need    int64
}

// Cursor says how far another member's entries have been taken over.
type Cursor struct {
	Member      p2p.ID
	Incarnation uint64 // of the member's replica, to which Seq belongs
	Seq         uint64 // of its entries, all up to here are merged
	Applied     uint64 // of this node's entries, the member has all up to here on its disk
	Of          uint64 // the incarnation of this node to which Applied belongs
}

// Claim is a member's word that it has made so many events, signed, so that nobody
// else can raise its counter. Sig covers folder, dot and network.
type Claim struct {
	Dot reconcile.Dot
	Sig []byte // ed25519, 64 bytes
}

// Discarded is something that was replaced or deleted.
type Discarded struct {
	N        int64  // numbers grow
	Path     string // where it was
	Kind     reconcile.Kind
	Hash     reconcile.Hash
	Size     int64
	Mode     uint32
	Modified int64     // ns since 1970
	Deleted  bool      // else replaced
	Member   p2p.ID    // who did it
	Time     time.Time // when this node did, or saw, it; milliseconds
	// Counts: it counts for the brake, until Member is decided about.
	Counts bool
	// Name is that of the file in the trash of this node; empty if the bytes are not
	// here, because a person here has deleted or replaced them: others may have them.
	Name string
}

// Hold is a brake: a member's deletions and replacements wait for a person.
type Hold struct {
	Member p2p.ID
	Since  time.Time // milliseconds; zero: nothing is held
	Done   int       // deletions and replacements of the ten minutes before, which were let through
	Limit  int       // what would have been let through
	// Decided is when a person has last decided; what Member did before counts no more.
	Decided time.Time
	// Released is the vector of the member's events, one dot for each incarnation, up to which a
	// person has let everything through.
	Released reconcile.Vector
}

// Move is a directory that has another path now, with everything in it.
type Move struct{ From, To string }

// Reader reads a replica. Slices it returns are the caller's.
type Reader interface {
	State() (State, error)

	// Entry returns an entry; found is false if there is none.
	Entry(id reconcile.EntryID) (s Stored, found bool, err error)
	// At returns the entries that have a place, the shown one or not, at a spot.
	At(spot reconcile.Spot) ([]reconcile.EntryID, error)
	// In returns the entries that have a place in a directory.
	In(parent reconcile.EntryID) ([]reconcile.EntryID, error)
	// CountEntries returns how many entries there are.
	CountEntries() (int, error)
	// Since returns up to limit entries whose number is greater than seq, by number.
	Since(seq uint64, limit int) ([]Stored, error)
	// Pending returns up to limit pending entries whose number is greater than seq, by
	// number.
	Pending(seq uint64, limit int) ([]Stored, error)
	// Needs counts the pending entries and adds up their needs.
	Needs() (entries int, bytes int64, err error)

	// Row returns the committed row of a path; found is false if there is none.
	Row(path string) (r reconcile.Row, found bool, err error)
	// RowsIn returns the rows directly in a directory, by path; "" is the folder and
	// reconcile.Aside what is between two names. limit 0: all.
	RowsIn(dir string, limit int) ([]reconcile.Placed, error)
	// RowsOf returns the paths whose row's Refs name an entry, sorted.
	RowsOf(id reconcile.EntryID) ([]string, error)
	// CountRows returns how many files have a row.
	CountRows() (files int, err error)

	// Cursors returns all, by member.
	Cursors() ([]Cursor, error)
	// Claims returns the newest claim of each member's incarnation, by dot.
	Claims() ([]Claim, error)
	// Journal returns what SetJournal has set, nil if nothing.
	Journal() ([]byte, error)
	// Discarded returns up to limit of what was discarded, newest first, with numbers
	// below before (0: from the newest).
	Discarded(before int64, limit int) ([]Discarded, error)
	// DiscardedAs returns those with a Name that have a content.
	DiscardedAs(h reconcile.Hash) ([]Discarded, error)
	// Conflicts returns what SetConflicts has put, by path.
	Conflicts() ([]reconcile.Conflict, error)
	// Holds returns all, by member.
	Holds() ([]Hold, error)
}

// Writer changes a replica, and reads what it has changed.
type Writer interface {
	Reader

	// SetState replaces incarnation, counter and nonces; Seq is the store's own.
	SetState(s State) error
	// PutEntry adds an entry, or replaces that of the same ID, with the next number.
	PutEntry(e reconcile.Entry, pending bool, need int64) error
	// SetPending changes whether an entry is pending. An unknown one is no error.
	SetPending(id reconcile.EntryID, pending bool, need int64) error

	// MoveRows gives directories, and all rows below them, other paths, all at once:
	// From are paths of before, To of after. Rows in the way are gone.
	MoveRows(moves []Move) error
	// Unset deletes the rows of paths, and all below them.
	Unset(paths []string) error
	// Set adds rows, or replaces those of the same path. Directories come before what
	// is in them. A row whose directory has no row is an error, but for those directly in "" and
	// in reconcile.Aside.
	Set(rows []reconcile.Placed) error
	// UnsetAll deletes all rows.
	UnsetAll() error

	SetCursor(c Cursor) error
	SetClaim(c Claim) error
	SetJournal(b []byte) error // nil: none
	// Discard adds to what was discarded; d.N is ignored.
	Discard(d Discarded) (n int64, err error)
	// Forgo deletes entries of what was discarded.
	Forgo(ns []int64) error
	// SetConflicts deletes all conflicts at paths, and then adds others.
	SetConflicts(gone []string, put []reconcile.Conflict) error
	// SetHold replaces the hold of the same member.
	SetHold(h Hold) error
}
