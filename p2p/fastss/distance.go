package fastss

import (
	"slices"
	"unicode/utf8"
)

// Metric says what counts as one edit. The zero value is OSA.
type Metric int

const (
	// OSA counts insertions, deletions, substitutions and transpositions of two
	// neighbouring letters that are not edited otherwise.
	OSA Metric = iota
	// Levenshtein counts a transposition as two substitutions.
	Levenshtein
)

// Distance returns the OSA distance of two words.
func Distance(a, b string) int { return OSA.Distance(a, b) }

// Distance returns the number of edits that turn a into b.
func (m Metric) Distance(a, b string) int {
	return m.Compile(a).Distance(b, max(utf8.RuneCountInString(a), utf8.RuneCountInString(b)))
}

// Within returns the distance of a and b if it is at most k, otherwise k+1.
func (m Metric) Within(a, b string, k int) int { return m.Compile(a).Distance(b, k) }

// Matrix returns the whole table of the dynamic program (Wagner & Fischer 1974,
// with the transposition of Lowrance & Wagner 1975): element [i][j] is the
// distance between the first i letters of a and the first j letters of b. It is
// what a lesson shows and what the fast versions are tested against.
func (m Metric) Matrix(a, b string) [][]int {
	s, t := []rune(a), []rune(b)
	d := make([][]int, len(s)+1)
	for i := range d {
		d[i] = make([]int, len(t)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if m == OSA && i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d
}

// word is the number of letters that fit the bits of a machine word.
const word = 64

// Pattern is a word prepared for being compared with many others. It may be used
// by several goroutines at once.
type Pattern struct {
	metric Metric
	text   []rune
	// Bit i of a letter's mask is set where the pattern has that letter at i.
	ascii [utf8.RuneSelf]uint64
	// The other letters are in a hash table with open addressing, which is at most
	// half full. The zero rune is in no slot, since it is ASCII.
	others bool // there are any
	runes  [2 * word]rune
	masks  [2 * word]uint64
}

// Compile prepares pattern.
func (m Metric) Compile(pattern string) *Pattern {
	p := new(Pattern)
	p.compile(m, pattern)
	return p
}

// compile makes p the pattern of another word.
func (p *Pattern) compile(m Metric, pattern string) {
	if len(p.text) <= word {
		for _, r := range p.text {
			if r < utf8.RuneSelf {
				p.ascii[r] = 0
			}
		}
	}
	if p.others {
		p.others, p.runes, p.masks = false, [2 * word]rune{}, [2 * word]uint64{}
	}
	p.metric, p.text = m, p.text[:0]
	for _, r := range pattern {
		p.text = append(p.text, r)
	}
	if len(p.text) > word {
		return
	}
	for i, r := range p.text {
		if r < utf8.RuneSelf {
			p.ascii[r] |= 1 << i
			continue
		}
		slot := p.slot(r)
		p.runes[slot] = r
		p.masks[slot] |= 1 << i
		p.others = true
	}
}

// slot returns where r is among the other letters, or the free slot for it.
func (p *Pattern) slot(r rune) int {
	slot := int(r) % len(p.runes)
	for p.runes[slot] != r && p.runes[slot] != 0 {
		slot = (slot + 1) % len(p.runes)
	}
	return slot
}

// Distance returns the distance between the pattern and text if it is at most k,
// otherwise k+1.
func (p *Pattern) Distance(text string, k int) int {
	n := utf8.RuneCountInString(text)
	if n-len(p.text) > k || len(p.text)-n > k {
		return k + 1
	}
	if len(p.text) == 0 {
		return n
	}
	if len(p.text) > word {
		return p.row(text, k, false)
	}
	return p.middle(text, 0, len(p.text), n, k)
}

// PrefixDistance returns the least distance between the pattern and any prefix
// of text if it is at most k, otherwise k+1. It is what an unfinished word is
// measured by.
func (p *Pattern) PrefixDistance(text string, k int) int {
	if len(p.text) == 0 {
		return 0
	}
	if len(p.text) > word {
		return p.row(text, k, true)
	}
	return p.prefixBits(text, k)
}

// mask returns the bits where the pattern has r.
func (p *Pattern) mask(r rune) uint64 {
	if r < utf8.RuneSelf {
		return p.ascii[r]
	}
	if !p.others {
		return 0
	}
	return p.masks[p.slot(r)]
}

// middle returns the distance between m letters of a pattern of at most 64, from
// start, and the n letters of text if it is at most k, otherwise k+1; m is not 0.
//
// One column of the matrix is coded by differences: bit i of vp says that the value
// below row i is one larger, of vn that it is one smaller. d0 marks the rows where
// the diagonal does not grow, and tr those where a transposition ends (Hyyrö, A
// Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances, 2003).
func (p *Pattern) middle(text string, start uint, m, n, k int) int {
	var vn, d0, before uint64
	vp, d, last := ^uint64(0), m, uint64(1)<<(m-1)
	swaps := uint64(0) // all ones where transpositions count
	if p.metric == OSA {
		swaps--
	}
	for _, r := range text {
		var eq uint64
		if r < utf8.RuneSelf {
			eq = p.ascii[r]
		} else {
			eq = p.mask(r)
		}
		eq >>= start & 63
		tr := (^d0 & eq) << 1 & before & swaps
		d0 = ((eq&vp + vp) ^ vp) | eq | vn | tr
		hp := vn | ^(d0 | vp)
		hn := d0 & vp
		if hp&last != 0 {
			d++
		} else if hn&last != 0 {
			d--
		}
		// Each remaining letter lowers the value by at most one.
		if n--; d-n > k {
			return k + 1
		}
		hp = hp<<1 | 1
		vp = hn<<1 | ^(d0 | hp)
		vn = hp & d0
		before = eq
	}
	return d
}

// prefixBits computes PrefixDistance for a pattern of 1 to 64 letters: the least
// value that middle has in its last row.
func (p *Pattern) prefixBits(text string, k int) int {
	var vn, d0, before uint64
	vp, d, last := ^uint64(0), len(p.text), uint64(1)<<(len(p.text)-1)
	best, left := min(d, k+1), len(p.text)+k
	for _, r := range text {
		if left == 0 {
			break // a longer prefix has more than k letters too many
		}
		left--
		eq, tr := p.mask(r), uint64(0)
		if p.metric == OSA {
			tr = (^d0 & eq) << 1 & before
		}
		d0 = ((eq&vp + vp) ^ vp) | eq | vn | tr
		hp := vn | ^(d0 | vp)
		hn := d0 & vp
		if hp&last != 0 {
			d++
		} else if hn&last != 0 {
			d--
		}
		best = min(best, d)
		hp = hp<<1 | 1
		vp = hn<<1 | ^(d0 | hp)
		vn = hp & d0
		before = eq
	}
	return best
}

// row computes both distances for patterns of any length with three rows of the
// matrix. With prefix it returns the least value of the pattern's last row.
func (p *Pattern) row(text string, k int, prefix bool) int {
	t := []rune(text)
	if prefix {
		t = t[:min(len(t), len(p.text)+k)]
	}
	before, above, here := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range here {
		here[j] = j
	}
	for i, c := range p.text {
		before, above, here = above, here, before
		here[0] = i + 1
		for j, r := range t {
			cost := 1
			if c == r {
				cost = 0
			}
			here[j+1] = min(above[j+1]+1, here[j]+1, above[j]+cost)
			if p.metric == OSA && i > 0 && j > 0 && c == t[j-1] && p.text[i-1] == r {
				here[j+1] = min(here[j+1], before[j-1]+1)
			}
		}
		// Values never fall from one row to the next but by a transposition,
		// which adds one to the row before.
		if slices.Min(here) > k && slices.Min(above) > k {
			return k + 1
		}
	}
	if prefix {
		return min(slices.Min(here), k+1)
	}
	return min(here[len(t)], k+1)
}
