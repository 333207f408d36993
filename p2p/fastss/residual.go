package fastss

import (
	"math/bits"
	"unicode/utf8"
)

const (
	// prefixLetters is the number of letters whose residuals are indexed, which
	// bounds what a word costs (Garbe, SymSpell 5.0).
	//
	// No word is lost by it. Words w and q within k edits keep the same letters after
	// at most k deletions from each. Of those that w[:7] and q[:7] keep let w[:7]
	// have fewer, or as many: they begin what q[:7] keeps. If both words have 7
	// letters, w[:7] loses 7 less what it keeps, and q[:7] has to lose as many for the
	// same: at most k, since w[:7] lost only letters that w loses. If q is shorter,
	// it has to lose less than that; and if w is, it keeps all that is kept, and
	// so q[:7] keeps no more.
	prefixLetters = 7
	// maxEdits is the number of deletions that are indexed.
	maxEdits = 2
	// maxResiduals is the number of residuals of a prefix: C(7,0)+C(7,1)+C(7,2).
	maxResiduals = 1 + 7 + 21

	letterBits = 9
	letterMask = 1<<letterBits - 1
)

// A residual is at most seven letters, each as one of 511 classes, the first one
// lowest; 0 is no letter. Letters of ASCII have a class each. Others share some,
// which lets more words be compared and loses none: equal residuals stay equal.
type residual uint64

// beginning returns the beginning of word as a residual and how many letters it has.
func beginning(word string, seed uint64) (r residual, letters int) {
	shift := 0
	for _, letter := range word {
		class := residual(letter) + 1
		if letter >= utf8.RuneSelf {
			const rest = letterMask - utf8.RuneSelf
			hash, _ := bits.Mul64(uint64(letter)*seed, rest)
			class = utf8.RuneSelf + 1 + residual(hash)
		}
		r |= class << shift
		shift += letterBits
		letters++
		if letters == prefixLetters {
			break
		}
	}
	return r, letters
}

// at returns the letter at i.
func (r residual) at(i int) residual { return r >> (letterBits * i) & letterMask }

// without returns what is left without the letter at i.
func (r residual) without(i int) residual {
	before := residual(1)<<(letterBits*i) - 1
	return r&before | r>>letterBits&^before
}

// appendResiduals appends what is left of r, which has n letters, after at most k
// deletions, 0 to maxEdits, each residual once.
//
// The same residual is left by several deletions when letters repeat. Of these only
// the one is taken that keeps each letter as far to the left as it can be: the letter
// behind a deleted run is none of the run. At the end everything may be deleted.
func appendResiduals(all []residual, r residual, n, k int) []residual {
	all = append(all, r)
	if k == 0 {
		return all
	}
	for i := range n {
		once := r.without(i)
		apart := i == n-1 || r.at(i+1) != r.at(i)
		if apart {
			all = append(all, once)
		}
		if k == 1 || i == n-1 {
			continue
		}
		// The letter behind i goes too.
		if i+2 == n || r.at(i+2) != r.at(i) && r.at(i+2) != r.at(i+1) {
			all = append(all, once.without(i))
		}
		if !apart {
			continue
		}
		for j := i + 2; j < n; j++ {
			if j == n-1 || r.at(j+1) != r.at(j) {
				all = append(all, once.without(j-1))
			}
		}
	}
	return all
}
