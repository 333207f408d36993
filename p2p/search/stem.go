package search

import (
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
)

// Which language a word is of is not known: a folder has several, and a query has
// too few words to tell. So two words are forms of one if they are in any language
// of their script.
var (
	latin    = []func(*snowballstem.Env) bool{english.Stem, german.Stem, french.Stem, spanish.Stem, italian.Stem, portuguese.Stem, dutch.Stem}
	cyrillic = []func(*snowballstem.Env) bool{russian.Stem}
)

const (
	// maxStemmed is the number of words beside the one that was typed, the nearest
	// first, of which it is found out whether they are forms of it.
	maxStemmed = 48
	// strange is what a word counts that is near to the one that was typed, but no
	// form of it.
	strange = 0.75
)

// stems are those of one word, for comparing others with it.
type stems struct {
	word   string
	rules  []func(*snowballstem.Env) bool
	stems  []string // by rules
	env    *snowballstem.Env
	looked int
}

// form reports whether other is a form of s's word.
func (s *stems) form(other string) bool {
	if s.looked++; s.looked > maxStemmed {
		return false
	}
	if s.env == nil {
		s.env = snowballstem.NewEnv("")
		first, _ := utf8.DecodeRuneInString(s.word)
		switch {
		case unicode.Is(unicode.Latin, first):
			s.rules = latin
		case unicode.Is(unicode.Cyrillic, first):
			s.rules = cyrillic
		}
		for _, rule := range s.rules {
			s.stems = append(s.stems, s.stem(rule, s.word))
		}
	}
	for i, rule := range s.rules {
		if s.stem(rule, other) == s.stems[i] {
			return true
		}
	}
	return false
}

func (s *stems) stem(rule func(*snowballstem.Env) bool, word string) string {
	s.env.SetCurrent(word)
	rule(s.env)
	return s.env.Current()
}
