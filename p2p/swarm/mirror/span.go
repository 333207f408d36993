package mirror

import (
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Lengths in bytes.
const (
	leastSpan   = 1 << 20   // a request for less costs more than it brings
	longestSpan = 8 << 20   // what is lost where one breaks off is bounded
	shortGap    = 256 << 10 // that much is read in the time that a request takes
	maxSkip     = 1 << 20   // read in vain where a server sends more than was asked for
)

// A span is a range that is asked for at once.
type span struct {
	offset, length int64
	wanted         int64 // bytes of pieces, without gaps
	pieces         []int // in order
}

// plan cuts pieces into spans, which several connections can fetch. Without ranges
// there is one.
func plan(l seed.Layout, pieces []int, ranges bool) ([]span, error) {
	pieces = slices.Clone(pieces)
	slices.Sort(pieces)
	pieces = slices.Compact(pieces)
	total := int64(0)
	for _, i := range pieces {
		if i < 0 || i >= l.Count() {
			return nil, fmt.Errorf("piece %d of %d", i, l.Count())
		}
		_, n := l.Extent(i)
		total += int64(n)
	}
	most := min(max(total/perHost, leastSpan), longestSpan)
	var spans []span
	for _, i := range pieces {
		offset, n := l.Extent(i)
		last := len(spans) - 1
		if last < 0 || ranges && !spans[last].takes(offset, int64(n), most) {
			spans = append(spans, span{offset: offset})
			last++
		}
		s := &spans[last]
		s.length = offset + int64(n) - s.offset
		s.wanted += int64(n)
		s.pieces = append(s.pieces, i)
	}
	return spans, nil
}

// takes reports whether a piece belongs to the span, too.
func (s span) takes(offset, n, most int64) bool {
	return offset-s.end() < shortGap && offset+n-s.offset <= most
}

func (s span) end() int64 { return s.offset + s.length }

// vain returns how many bytes are read for nothing where the whole file is sent.
func (s span) vain() int64 { return s.end() - s.wanted }
