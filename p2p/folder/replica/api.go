package replica

import (
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Conflict is something that was resolved by rule, so that nothing was lost, and
// that a person may want to resolve otherwise.
type Conflict struct {
	N    uint64 // names the conflict as long as neither side changes; below 2^53
	Kind reconcile.ConflictKind
	// Path is where the winner is: "ours". Of a content conflict Theirs is the copy
	// beside it, of a name conflict Theirs.Path the name not taken; otherwise Theirs
	// is what Member wanted: that it be deleted, or moved.
	Path   string
	Ours   Side
	Theirs Side
}

// Side is one of the two that met.
type Side struct {
	Path     string // empty: not at any path
	Hash     reconcile.Hash
	Size     int64
	Modified time.Time
	Member   p2p.ID // who made this version
	Deleted  bool
}

// What a conflict can be resolved to.
const (
	KeepOurs   = "ours"   // what has the name stays, the copy goes to the trash
	KeepTheirs = "theirs" // the copy gets the name, what had it goes to the trash
	KeepBoth   = "both"   // the copy becomes a file of its own, under a plain name
)

// Held is what the brake keeps from being done.
type Held struct {
	Member  p2p.ID
	Since   time.Time
	Limit   int        // deletions and replacements that would have been let through
	Done    int        // those of the ten minutes before Since, which were let through
	Deleted int        // files
	Changed int        // files to be replaced
	Items   []HeldItem // at most MaxHeldItems, by path
}

// MaxHeldItems is how many changes a preview names.
const MaxHeldItems = 1000

// HeldItem is one change that waits.
type HeldItem struct {
	Path    string
	Deleted bool  // else replaced
	Size    int64 // now
	NewSize int64
}

// Transfer is a file on its way to this node, or one that came.
type Transfer struct {
	ID      string
	Folder  string
	Path    string
	Peer    p2p.ID        // who sends, or sent, most of it; zero: nobody yet
	Total   int64         // bytes of the file
	Done    int64         // of these here
	Wire    int64         // bytes that came over the network
	Reused  int64         // bytes taken from this disk
	Resumed int64         // bytes that an earlier attempt has left
	Rate    float64       // bytes per second, of late
	ETA     time.Duration // negative: not known
	State   TransferState
	Error   string
	Began   time.Time
	Ended   time.Time // zero: not yet
}

// TransferState is how far a transfer is.
type TransferState string

// The states of a transfer.
const (
	TransferWaiting TransferState = "waiting" // for its turn, or for somebody who has the file
	TransferRunning TransferState = "running"
	TransferDone    TransferState = "done"
	TransferFailed  TransferState = "failed" // tried again later
)

// Preview is what joining a folder would do to a directory.
type Preview struct {
	Path    string // the directory
	Exists  bool
	Known   bool          // somebody who has the folder could be asked; else only what is here is counted
	Same    int           // files here that are there, the same
	Here    int           // only here: they would be shared
	There   int           // only there: they would be fetched
	Fetch   int64         // bytes of these
	Differ  int           // another content on each side: both would be kept
	Items   []PreviewItem // at most MaxPreviewItems; differing ones first
	Partial bool          // there is more than could be compared; the numbers are lower bounds
}

// MaxPreviewItems is how many files a preview names.
const MaxPreviewItems = 200

// PreviewItem is one file of a preview that is not the same on both sides.
type PreviewItem struct {
	Path string
	What string // "here", "there" or "differ"
	Size int64
}

// Known is something that the network knows to be in a folder.
type Known struct {
	Path     string
	Kind     reconcile.Kind
	Size     int64
	Modified time.Time
	Mode     uint32
	Hash     reconcile.Hash
	Local    bool     // it is on this disk, in this state
	Members  []p2p.ID // who has it on their disks, as far as they have said; this node included
}

// Changed is a change of this computer in a folder that is read-only for it. It
// goes nowhere.
type Changed struct {
	Path string
	What string // "new", "edited"
	Size int64
}
