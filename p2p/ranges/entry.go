package ranges

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Entry is a value that has a place in the order.
type Entry struct {
	Key   uint64
	ID    string // which entry of the key; the same again replaces it
	Value []byte // at most MaxValue bytes
	// TTL is how long it is kept; 0: until it is removed.
	TTL time.Duration
	// New: there has never been an entry of this key and ID, so that nobody needs to be asked
	// where it is.
	New bool
}

// MaxValue is how many bytes a value can have.
const MaxValue = dht.MaxValue - 8

// stamped returns the value of an entry's records: when it was put, as the number of
// microseconds since 1970, and its value. Of records that do not agree the later one holds:
// one entry is at several locations, which do not all know of what was refused at another.
func stamped(at uint64, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), at), value...)
}

// maxAhead is how much later than the number of its record a stamp can be: an honest clock is
// not further ahead of those of replicas, which number the record. A stamp that says it is from
// later is from then, or it would hold for ever.
const maxAhead = uint64(24 * time.Hour / time.Microsecond)

// stampOf reads it from the value of a record with a number; ok is false where there is none.
func stampOf(seq uint64, value []byte) (at uint64, rest []byte, ok bool) {
	if len(value) < 8 {
		return 0, nil, false
	}
	at = min(binary.BigEndian.Uint64(value), seq+min(maxAhead, math.MaxUint64-seq))
	return at, value[8:], at > 0
}

// Place is where an entry is in the order of an index: its key, then a hash of its ID. It is
// the content key of its records.
type Place = p2p.Key

// Place returns the place of an entry.
func (e Entry) Place() Place {
	var p Place
	binary.BigEndian.PutUint64(p[:], e.Key)
	sum := sha256.Sum256([]byte(e.ID))
	copy(p[8:], sum[:])
	return p
}

// KeyAt returns the key of the entries at a place.
func KeyAt(p Place) uint64 { return binary.BigEndian.Uint64(p[:]) }

// firstAt and lastAt are the first and the last place of a key.
func firstAt(key uint64) (p Place) {
	binary.BigEndian.PutUint64(p[:], key)
	return p
}

func lastAt(key uint64) Place {
	p := firstAt(key)
	for i := 8; i < len(p); i++ {
		p[i] = 0xff
	}
	return p
}

// after returns the next place; ok is false after the last of all.
func after(p Place) (_ Place, ok bool) {
	for i := len(p) - 1; i >= 0; i-- {
		p[i]++
		if p[i] != 0 {
			return p, true
		}
	}
	return p, false
}

// before returns the place before.
func before(p Place) (_ Place, ok bool) {
	for i := len(p) - 1; i >= 0; i-- {
		p[i]--
		if p[i] != 0xff {
			return p, true
		}
	}
	return p, false
}
