package fastss

import (
	"math"
	"slices"
	"strings"
)

// Slip is a kind of typing error.
type Slip int

// The kinds of errors that are told apart. Each is one edit, but for FirstLetter and
// LastLetter, which are counted besides when a word begins or ends with an error.
const (
	Transposed       Slip = iota // two neighbouring letters
	TransposedVowels             // two neighbouring vowels
	WrongVowel                   // in place of another vowel
	WrongSound                   // in place of a consonant that sounds like it
	WrongKey                     // in place of the letter beside on a keyboard
	WrongLetter                  // in place of any other
	LostDouble                   // one of two equal letters
	LostVowel
	LostLetter
	ExtraDouble // a letter twice
	ExtraVowel
	ExtraLetter
	FirstLetter
	LastLetter

	slipKinds
)

const noSlip Slip = -1

var slipNames = [slipKinds]string{
	"transposed", "transposed vowels", "wrong vowel", "wrong sound", "wrong key", "wrong letter",
	"lost double", "lost vowel", "lost letter", "extra double", "extra vowel", "extra letter",
	"first letter", "last letter",
}

func (s Slip) String() string {
	if s < 0 || s >= slipKinds {
		return "no slip"
	}
	return slipNames[s]
}

// slipCosts say how unlikely a slip is where another one explains as much, in nats,
// and all but the last two beyond slipBase, which makes fewer edits cheaper than more.
// They are what e2e/bench/search -train makes of half of codespell's misspellings; how
// well they do is measured with the other half.
var slipCosts = [slipKinds]float64{
	Transposed: -.2, TransposedVowels: -1.4, WrongVowel: 1.3, WrongSound: .4, WrongKey: 2.7, WrongLetter: 3.9,
	LostDouble: -1.5, LostVowel: -.8, LostLetter: .1,
	ExtraDouble: .2, ExtraVowel: 1.4, ExtraLetter: 2.5,
	FirstLetter: 2.4, LastLetter: .9,
}

const slipBase = 4

// Slips returns the slips by which meant most likely became typed, in order.
func Slips(typed, meant string) []Slip {
	s := newSlipper(typed)
	s.cost(meant, max(len(s.typed), len([]rune(meant))))
	return s.slips()
}

// slipper tells how one word came about from others that may have been meant.
type slipper struct {
	typed, meant []rune
	rows         [][]way // by letters of typed, then of meant
}

// way is the best way to an element of the edit matrix.
type way struct {
	cost         float64
	typed, meant int8 // letters that its last step takes
	slip         Slip // of its last step
	first, last  bool // FirstLetter, LastLetter
}

func newSlipper(typed string) *slipper {
	s := &slipper{typed: []rune(typed)}
	s.rows = make([][]way, len(s.typed)+1)
	return s
}

// cost returns the cost of the best way from meant to typed, which are at most
// distance edits apart, and leaves it in the rows. Only that far from the diagonal
// such a way can be.
func (s *slipper) cost(meant string, distance int) float64 {
	s.meant = s.meant[:0]
	for _, r := range meant {
		s.meant = append(s.meant, r)
	}
	m, n := len(s.typed), len(s.meant)
	for i := range m + 1 {
		s.rows[i] = slices.Grow(s.rows[i][:0], n+1)[:n+1]
		for j := max(0, i-distance-1); j <= min(n, i+distance+1); j++ {
			s.rows[i][j] = way{cost: math.Inf(1)}
		}
		for j := max(0, i-distance); j <= min(n, i+distance); j++ {
			s.fill(i, j)
		}
	}
	return s.rows[m][n].cost
}

// fill finds the best way to an element.
func (s *slipper) fill(i, j int) {
	if i == 0 && j == 0 {
		s.rows[0][0] = way{}
		return
	}
	if i > 0 && j > 0 {
		s.step(i, j, 1, 1, s.wrong(i-1, j-1))
	}
	if i > 0 {
		s.step(i, j, 1, 0, s.extra(i-1))
	}
	if j > 0 {
		s.step(i, j, 0, 1, s.lost(j-1))
	}
	if i > 1 && j > 1 && s.typed[i-1] == s.meant[j-2] && s.typed[i-2] == s.meant[j-1] && s.typed[i-1] != s.typed[i-2] {
		slip := Transposed
		if isVowel(s.typed[i-1]) && isVowel(s.typed[i-2]) {
			slip = TransposedVowels
		}
		s.step(i, j, 2, 2, slip)
	}
}

// step takes a way to an element if it is better than the one that is there.
func (s *slipper) step(i, j, typed, meant int, slip Slip) {
	w := way{cost: s.rows[i-typed][j-meant].cost, typed: int8(typed), meant: int8(meant), slip: slip}
	if slip != noSlip {
		w.cost += slipBase + slipCosts[slip]
		if w.first = i == typed && j == meant; w.first {
			w.cost += slipCosts[FirstLetter]
		}
		if w.last = i == len(s.typed) && j == len(s.meant); w.last {
			w.cost += slipCosts[LastLetter]
		}
	}
	if w.cost < s.rows[i][j].cost {
		s.rows[i][j] = w
	}
}

// slips reads the best way back.
func (s *slipper) slips() []Slip {
	var all []Slip
	for i, j := len(s.typed), len(s.meant); i > 0 || j > 0; {
		w := s.rows[i][j]
		if w.last {
			all = append(all, LastLetter)
		}
		if w.slip != noSlip {
			all = append(all, w.slip)
		}
		if w.first {
			all = append(all, FirstLetter)
		}
		i, j = i-int(w.typed), j-int(w.meant)
	}
	slices.Reverse(all)
	return all
}

func (s *slipper) wrong(i, j int) Slip {
	a, b := s.typed[i], s.meant[j]
	switch {
	case a == b:
		return noSlip
	case isVowel(a) && isVowel(b):
		return WrongVowel
	case alike.have(a, b):
		return WrongSound
	case beside.have(a, b):
		return WrongKey
	}
	return WrongLetter
}

func (s *slipper) lost(j int) Slip {
	r := s.meant[j]
	switch {
	case j > 0 && s.meant[j-1] == r || j+1 < len(s.meant) && s.meant[j+1] == r:
		return LostDouble
	case isVowel(r):
		return LostVowel
	}
	return LostLetter
}

func (s *slipper) extra(i int) Slip {
	r := s.typed[i]
	switch {
	case i > 0 && s.typed[i-1] == r || i+1 < len(s.typed) && s.typed[i+1] == r:
		return ExtraDouble
	case isVowel(r):
		return ExtraVowel
	}
	return ExtraLetter
}

func isVowel(r rune) bool {
	switch r {
	case 'a', 'e', 'i', 'o', 'u', 'y':
		return true
	}
	return false
}

// pairs are pairs of letters a–z, as bits by letter.
type pairs ['z' - 'a' + 1]uint32

func (p *pairs) have(a, b rune) bool {
	return a >= 'a' && a <= 'z' && b >= 'a' && b <= 'z' && p[a-'a']>>(b-'a')&1 != 0
}

func (p *pairs) add(a, b rune) {
	p[a-'a'] |= 1 << (b - 'a')
	p[b-'a'] |= 1 << (a - 'a')
}

// alike are consonants that often sound alike.
var alike = func() *pairs {
	var p pairs
	for _, pair := range strings.Fields("ck cs cx cz kq cq sx sz gj fv dt mn bp vw") {
		p.add(rune(pair[0]), rune(pair[1]))
	}
	return &p
}()

// beside are letters whose keys touch on a keyboard: in the rows of QWERTY, which most
// Latin keyboards share but for a few letters, each shifted against the one above.
var beside = func() *pairs {
	var p pairs
	rows := []string{"qwertyuiop", "asdfghjkl", "zxcvbnm"}
	for y, row := range rows {
		for x, r := range row {
			if x > 0 {
				p.add(r, rune(row[x-1]))
			}
			for _, above := range []int{x, x + 1} {
				if y > 0 && above < len(rows[y-1]) {
					p.add(r, rune(rows[y-1][above]))
				}
			}
		}
	}
	return &p
}()
