package folder

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
)

// Errors that callers tell apart. The wrapping text says what was attempted and,
// where a person can do something, what.
var (
	// ErrNotFound: no such folder here, or no such file in it.
	ErrNotFound = errors.New("not found")
	// ErrOverlap: the directory is in another folder or the data directory, or
	// contains one of them.
	ErrOverlap = errors.New("overlaps")
	// ErrUnusable: the directory cannot be shared.
	ErrUnusable = errors.New("cannot be shared")
	// ErrUnavailable: the folder is in StateError: its files are not there now.
	ErrUnavailable = errors.New("folder not available")
	// ErrInvalid: a label or access that cannot be.
	ErrInvalid = errors.New("not valid")
	// ErrForbidden: the asker has no access to the folder.
	ErrForbidden = errors.New("no access to the folder")
	// ErrChanged: the file is not, or no longer, the one that was asked for.
	ErrChanged = errors.New("file has changed")
	// ErrBusy: too many reads run at once; worth another try.
	ErrBusy = errors.New("too many reads at once")
)

// What other members may do with a folder; see package p2p.
const (
	AccessWrite = p2p.AccessWrite
	AccessRead  = p2p.AccessRead
	AccessNone  = p2p.AccessNone
)

// State is what a folder is doing.
type State string

// The states of a folder.
const (
	StateIdle     State = "idle"     // what is known is what is there, as far as anybody told
	StateScanning State = "scanning" // looking
	StatePaused   State = "paused"   // by a person; not looking
	StateError    State = "error"    // not there, or cannot be worked with; Folder.Error says why
	StateSyncing  State = "syncing"  // becoming like the other members'
	StateHeld     State = "held"     // changes of others wait for a person to let them through
)

// Folder is a shared directory and what is known about it.
type Folder struct {
	ID      string // 26 characters, the same on every member that has it
	Label   string
	Path    string // absolute, without symbolic links
	Access  string // of other members who have no grant
	Grants  p2p.Grants
	State   State
	Paused  bool  // by a person, whatever the state
	Files   int   // known and readable
	Bytes   int64 // of the files
	Error   string
	Warning string // works, but not as well as it could: what, and why
	Skipped int    // how many were left out; see Service.Skipped
	Created time.Time
	Scanned time.Time // when the last complete scan ended; zero: never in this run
	Creator p2p.ID    // who offers it; zero: this node

	// See Status.
	NeedFiles int
	NeedBytes int64
	Conflicts int
}

// Record is what is kept of a folder between runs.
type Record struct {
	ID, Label, Path, Access string
	Created                 time.Time
	Paused                  bool
	Marked                  bool   // its marker could be written
	Inode                   uint64 // of the directory; what an unmarked folder is known by
	Creator                 p2p.ID // who offers it; zero: this node
	Grants                  p2p.Grants
}

// Skipped is something that is in a folder's directory but not shared.
type Skipped struct {
	Path   string // as text for people: quoted unless it is plain UTF-8
	Reason Reason
}

// Reason says why something was skipped.
type Reason string

// The reasons for which something is skipped.
const (
	ReasonLink       Reason = "symbolic link"
	ReasonSpecial    Reason = "neither file nor directory"
	ReasonMount      Reason = "another file system"
	ReasonName       Reason = "name is not UTF-8"
	ReasonLong       Reason = "path too long"
	ReasonUnreadable Reason = "cannot be read"
	ReasonChanging   Reason = "changed while it was read"
	ReasonNode       Reason = "data directory of a node"
)

// Skips is what the last complete scan left out, with what was met since.
type Skips struct {
	Items  []Skipped // at most 1000
	Total  int
	Counts map[Reason]int
}

// MaxLabel is the most bytes that a label has.
const MaxLabel = 128

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newID makes an ID of 16 random bytes.
func newID(rand io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("folder: new id: %w", err)
	}
	return idEncoding.EncodeToString(b[:]), nil
}

// IsID reports whether s has the form of a folder's ID.
func IsID(s string) bool {
	b, err := idEncoding.DecodeString(s)
	// The last character has two unused bits; only one spelling is an ID.
	return err == nil && len(b) == 16 && idEncoding.EncodeToString(b) == s
}

func checkLabel(label string) error {
	if label == "" || len(label) > MaxLabel || !utf8.ValidString(label) {
		return fmt.Errorf("folder: label %.140q: %w: 1 to %d bytes of UTF-8", label, ErrInvalid, MaxLabel)
	}
	for _, r := range label {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("folder: label %.140q: %w: control character", label, ErrInvalid)
		}
	}
	return nil
}

func checkAccess(access string) error {
	if !p2p.IsAccess(access) {
		return fmt.Errorf("folder: access %.20q: %w: %s, %s or %s", access, ErrInvalid, AccessWrite, AccessRead, AccessNone)
	}
	return nil
}
