package tracker

import (
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Proto is the call by which a tracker is told, and asked.
const Proto = "tracker/1"

// Times. They are part of the protocol: a tracker says them with each answer.
const (
	Every = 30 * time.Second // how often a node says that what it has told still holds
	TTL   = 90 * time.Second // how long a tracker believes it
)

// Limits of messages. They are part of the protocol.
const (
	// MaxSeeds is how many seeds a node tells to one tracker.
	MaxSeeds = 4096
	// MaxWant is how many sources one query returns.
	MaxWant = 64
	// maxText is how long a text may be that is told; a longer one is asked for.
	maxText = 52 << 10
	// maxUpdate is what an update takes at most: it goes without a link, too (package route).
	maxUpdate = 55 << 10
	// maxPart is how much of a text one answer has.
	maxPart = 48 << 10
	// maxListed is how many seeds one answer lists.
	maxListed = 100
	maxQuery  = 200 // characters of what is looked for in a list
)

// request is one of them.
type request struct {
	Update *update   `cbor:"1,keyasint,omitempty"`
	Query  *query    `cbor:"2,keyasint,omitempty"`
	Get    *get      `cbor:"3,keyasint,omitempty"`
	List   *listCall `cbor:"4,keyasint,omitempty"`
}

// Verb says what a request of Proto is: update, query, get_seed or list.
func Verb(req []byte) string {
	var r request
	switch err := wire.Unmarshal(req, &r); {
	case err != nil:
		return "nothing that makes sense"
	case r.Update != nil:
		return "update"
	case r.Query != nil:
		return "query"
	case r.Get != nil:
		return "get_seed"
	}
	return "list"
}

// update is what a node says of its own seeds. Updates of one epoch, which is a run of the program,
// are numbered, and what is older than what was heard is dropped. After the last part of each
// update both sides know the same; Sum and Count say whether they do, so that an update with
// nothing else in it renews everything.
type update struct {
	Epoch uint64         `cbor:"1,keyasint"`
	Seq   uint64         `cbor:"2,keyasint"`
	First bool           `cbor:"3,keyasint,omitempty"` // what follows is all there is: forget the rest after the last part
	More  bool           `cbor:"4,keyasint,omitempty"` // another part follows
	Has   []announcement `cbor:"5,keyasint,omitempty"`
	Gone  []seed.ID      `cbor:"6,keyasint,omitempty"`
	Sum   uint64         `cbor:"7,keyasint"`
	Count uint32         `cbor:"8,keyasint"`
	End   bool           `cbor:"9,keyasint,omitempty"` // the node stops: nothing holds any more
}

// announcement says that a node has a seed. What the seed is comes with the first one only.
type announcement struct {
	ID      seed.ID `cbor:"1,keyasint"`
	Version uint64  `cbor:"2,keyasint"` // of this announcement, by the node's own count
	Have    have    `cbor:"3,keyasint"`
	Up      uint32  `cbor:"4,keyasint,omitempty"` // KiB per second that it sends, and
	Down    uint32  `cbor:"5,keyasint,omitempty"` // receives
	Wants   bool    `cbor:"6,keyasint,omitempty"` // it is downloading
	Text    []byte  `cbor:"7,keyasint,omitempty"` // without the list of pieces
	Name    string  `cbor:"8,keyasint,omitempty"` // if the text is too long
	Size    int64   `cbor:"9,keyasint,omitempty"`
}

// updated is the answer to an update.
type updated struct {
	TTL   uint32 `cbor:"1,keyasint"` // seconds
	Every uint32 `cbor:"2,keyasint"`
	Again bool   `cbor:"3,keyasint,omitempty"` // the sums differ: tell everything
}

// query asks who has a seed.
type query struct {
	ID   seed.ID `cbor:"1,keyasint"`
	Want uint32  `cbor:"2,keyasint"`
}

// sources is the answer to a query: only what the sources have said themselves.
type sources struct {
	Peers []told `cbor:"1,keyasint,omitempty"` // best first
	Total uint32 `cbor:"2,keyasint"`           // that are known
	// Of the Slices that download it the asker is number Slice: a hint where to begin.
	Slice  uint32 `cbor:"3,keyasint,omitempty"`
	Slices uint32 `cbor:"4,keyasint,omitempty"`
}

// told is a source.
type told struct {
	ID    p2p.ID `cbor:"1,keyasint"`
	Have  have   `cbor:"2,keyasint"`
	Up    uint32 `cbor:"3,keyasint,omitempty"`
	Down  uint32 `cbor:"4,keyasint,omitempty"`
	Wants bool   `cbor:"5,keyasint,omitempty"`
	Left  uint32 `cbor:"6,keyasint"` // milliseconds for which it holds
}

// get asks for the text of a seed, from a byte on.
type get struct {
	ID   seed.ID `cbor:"1,keyasint"`
	From uint32  `cbor:"2,keyasint,omitempty"`
}

// part is a part of a text, and how long all of it is.
type part struct {
	Text []byte `cbor:"1,keyasint"`
	Size uint32 `cbor:"2,keyasint"`
}

// listCall asks what seeds there are.
type listCall struct {
	Query string `cbor:"1,keyasint,omitempty"`
	After string `cbor:"2,keyasint,omitempty"`
	Limit uint32 `cbor:"3,keyasint,omitempty"`
}

// listing is the answer.
type listing struct {
	Seeds []listed `cbor:"1,keyasint,omitempty"`
	Next  string   `cbor:"2,keyasint,omitempty"`
}

type listed struct {
	ID      seed.ID `cbor:"1,keyasint"`
	Name    string  `cbor:"2,keyasint,omitempty"`
	Size    int64   `cbor:"3,keyasint"`
	Whole   uint32  `cbor:"4,keyasint,omitempty"`
	Partial uint32  `cbor:"5,keyasint,omitempty"`
	Since   int64   `cbor:"6,keyasint"` // Unix milliseconds
}

// Codes of refusals.
const (
	codeMalformed = "malformed"
	codeBusy      = "busy"
	codeNotFound  = "not_found"
	codeForbidden = "forbidden"
)

// ErrNotFound: nobody who could be asked knows the seed.
var ErrNotFound = errors.New("nobody is known to have the seed")

// check reports what is wrong with an update by itself.
func (u *update) check() error {
	switch {
	case len(u.Has)+len(u.Gone) > MaxSeeds:
		return fmt.Errorf("%d announcements: %w", len(u.Has)+len(u.Gone), p2p.ErrTooLarge)
	case u.End && (len(u.Has) > 0 || len(u.Gone) > 0 || u.More):
		return fmt.Errorf("an end that is something else too: %w", wire.ErrMalformed)
	}
	return nil
}
