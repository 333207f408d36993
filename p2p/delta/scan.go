package delta

import (
	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/cpu"
)

// The budget for what is done beside rolling on, counted in bytes that the strong
// sum reads in the same time (about 22 of them in a nanosecond). Each window gets
// as much for each of its bytes, so that all the work together is at most
// proportional to the length of the file. Without it, sums that are wrong on
// purpose (or 40,000 equal blocks, in the oldest attack on rsync) make the strong
// sum read a block at each offset, and blocks of one byte are looked up at each.
// In a window that has run out of it no more blocks are found. Honest files with
// blocks of 32 bytes or more need at most half of it.
const (
	allowance    = 32  // for each byte
	lookCost     = 512 // for looking a sum up
	expectedCost = 256 // for finding the block that was expected
	// leastPaid is the length of window that a shorter one has the budget of.
	leastPaid = 256 << 10
)

// match says that a part of the old file is in the window, at byte at of it.
type match struct {
	at     int
	offset int64 // in the old file
	length int64
}

// later is a sum that a block may have and its place in the window.
type later struct {
	at  int
	sum uint64
}

// scanner looks for blocks in one window after the other.
type scanner struct {
	*index
	strong xxhash.Digest
	found  []int
	later  [lanes][]later
	idle   int // bytes rolled over since the last match, or since ahead gave up
	next   int // the block that follows the one matched last
	budget int64
	work   int64 // bytes read by the sums, and lookCost and expectedCost as in budget

	matches []match // what has been found, in order, adjoining ones joined

	// Two scanners that shared a line of the cache would take it from each other
	// with each of their steps.
	_ cpu.CacheLinePad
}

func newScanner(x *index) *scanner {
	return &scanner{index: x, found: make([]int, 0, maxCandidates)}
}

// scan finds blocks that begin in p[from:limit]. Unless last is true, which says
// that the file ends with p, block bytes follow behind limit. The matches
// are in s.matches.
func (s *scanner) scan(p []byte, from, limit int, last bool) {
	block := s.sig.block
	s.budget = allowance * int64(max(limit, leastPaid))
	s.matches = s.matches[:0]
	end, at := from, from
	var h uint64
	rolled := false // h is the sum at at, and the window there has been looked at
	for at < limit && len(p)-at >= block && s.budget > 0 {
		if !rolled {
			i := -1
			if s.next < s.sig.full() {
				i = s.expected(p[at:])
			}
			if i < 0 {
				s.work += int64(block)
				h, rolled = polynomial(p[at:at+block]), true
				if s.has(h) {
					i = s.look(p[at:at+block], h)
				}
			}
			if i < 0 && s.next == s.sig.full() { // the short one, if no long one fits
				i = s.expected(p[at:])
			}
			if i >= 0 {
				at += s.match(at, i)
				end, rolled = at, false
				continue
			}
		}
		in := p[at+block : min(len(p), limit-1+block)]
		if len(in) == 0 {
			at++
			break
		}
		if s.idle >= lanes*laneLen && len(in) >= lanes*laneLen && block <= longestAhead {
			to, sum, i := s.ahead(p, at, h)
			if at, h = to, sum; i >= 0 {
				at += s.match(at, i)
				end, rolled = at, false
			}
			continue
		}
		steps, sum, hit := s.roll(h, p[at:at+len(in)], in)
		s.work += int64(steps)
		s.idle += steps
		same := steps == 1 && sum == h
		at, h = at+steps, sum
		if !hit {
			continue
		}
		if same {
			// The sum was looked up a byte ago. In a run of one byte it stays the same.
			n := s.run(h, p[at:at+len(in)-steps], in[steps:])
			s.work += int64(n)
			at += n
			s.budget -= lookCost
			continue
		}
		if i := s.look(p[at:at+block], h); i >= 0 {
			at += s.match(at, i)
			end, rolled = at, false
		}
	}
	if last && s.sig.tail() > 0 {
		s.finish(p, end, !rolled && at == end)
	}
}

const (
	// longestAhead is the longest block with which the sums that lanes begin with
	// cost much less than is saved.
	longestAhead = 16 << 10
	// mostLater is how many sums of a lane wait until the lanes before it are done.
	// Honest files have 0.3 % of its length, or 2 % if there are very many blocks.
	mostLater = laneLen / 16
)

// ahead rolls on from at, where the sum is h, in several lanes at the same time, as
// long as no block is found. It returns where it stands, the sum there, and the
// block there or -1. What it finds is what one step after the other finds: sums of a
// lane are looked up when all lanes before it are done. At most as much is done in
// vain as has been done since the last match, or since ahead gave up.
func (s *scanner) ahead(p []byte, at int, h uint64) (to int, sum uint64, found int) {
	block := s.sig.block
	sums := [lanes]uint64{h}
	for j := 1; j < lanes; j++ {
		from := at + j*laneLen
		sums[j], s.later[j] = polynomial(p[from:from+block]), s.later[j][:0]
		s.work += int64(block)
	}
	out, in := (*[lanes * laneLen]byte)(p[at:]), (*[lanes * laneLen]byte)(p[at+block:])
	for i := 0; i < laneLen; {
		before, n := sums, i
		i = s.rollLanes(&sums, i, out, in)
		s.work += lanes * int64(i-n)
		for j, g := range sums {
			if !s.has(g) {
				continue
			}
			same := i == n+1 && g == before[j] // as in a run of one byte
			if j > 0 {
				if same || len(s.later[j]) == mostLater {
					s.idle = 0
					return at + i, sums[0], -1
				}
				s.later[j] = append(s.later[j], later{at + j*laneLen + i, g})
			} else if same {
				s.idle = 0
				return at + n, g, -1
			} else if found := s.look(p[at+i:at+i+block], g); found >= 0 {
				return at + i, g, found
			}
		}
		if s.budget <= 0 {
			return at + i, sums[0], -1
		}
	}
	for _, waiting := range s.later {
		for _, l := range waiting {
			if found := s.look(p[l.at:l.at+block], l.sum); found >= 0 || s.budget <= 0 {
				return l.at, l.sum, found
			}
		}
	}
	return at + lanes*laneLen, sums[lanes-1], -1
}

// finish looks for the short last block of the old file where it is expected and
// at the very end of the new one, where fewer bytes are left than in a block.
func (s *scanner) finish(p []byte, end int, expect bool) {
	n, last := s.sig.tail(), s.sig.full()
	if expect && s.next == last && s.expected(p[end:]) >= 0 {
		s.match(end, last)
	} else if at := len(p) - n; at >= end && s.strongSum(p[at:]) == s.sig.strong(last) {
		s.match(at, last)
	}
}

// expected returns the block that follows the one matched last, if it is what p
// begins with, otherwise -1. Where files are equal this is all that is done. It
// costs at most as much as the match before it did.
func (s *scanner) expected(p []byte) int {
	if s.next >= s.sig.Blocks() {
		return -1
	}
	n := s.length(s.next)
	if len(p) < n || s.strongSum(p[:n]) != s.sig.strong(s.next) {
		return -1
	}
	s.budget -= expectedCost
	s.work += expectedCost
	return s.next
}

// look returns a block that is equal to p, whose polynomial is h, or -1.
func (s *scanner) look(p []byte, h uint64) int {
	s.budget -= lookCost
	s.work += lookCost
	s.found = s.candidates(s.found[:0], weakOf(h))
	if len(s.found) == 0 || s.budget < int64(len(p)) {
		return -1
	}
	s.budget -= int64(len(p))
	strong := s.strongSum(p)
	for _, i := range s.found {
		if s.sig.strong(i) == strong {
			return i
		}
	}
	return -1
}

func (s *scanner) strongSum(p []byte) uint64 {
	s.work += int64(len(p))
	return strongSum(&s.strong, s.sig.seed, p)
}

// length returns that of block i.
func (s *scanner) length(i int) int {
	if i == s.sig.full() {
		return s.sig.tail()
	}
	return s.sig.block
}

// match takes block i for what is at at, and returns its length.
func (s *scanner) match(at, i int) int {
	offset, n := int64(i)*int64(s.sig.block), s.length(i)
	s.next, s.idle = i+1, 0
	if k := len(s.matches) - 1; k >= 0 {
		m := &s.matches[k]
		if int64(m.at)+m.length == int64(at) && m.offset+m.length == offset {
			m.length += int64(n)
			return n
		}
	}
	s.matches = append(s.matches, match{at, offset, int64(n)})
	return n
}
