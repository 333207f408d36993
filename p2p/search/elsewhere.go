package search

import (
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/search/query"
)

// Elsewhere is what is known of the words of other members before they are asked. It may be
// old, and must not decide what is found: only how what is found is weighed, and what is
// said of it before all have answered.
type Elsewhere interface {
	// Documents is how many documents others have.
	Documents() int
	// Find returns how many of them have a word, about; false: it is not known that any has.
	Find(word string) (documents int, ok bool)
	// Within returns the words at most so many edits away, Prefix those that begin so.
	Within(word string, edits int) []fastss.Match
	Prefix(prefix string) []fastss.Match
}

const (
	// maxRarity is the number of words of a query that are weighed by all documents of the
	// network: the weights are part of the cursor.
	maxRarity = 16
	// rarityStep is how finely: an IDF is at most 21.
	rarityStep = 12
)

// weigh returns how rare the words of a query are in the whole network, for request.Rarity;
// nothing where it does not matter or is not known.
//
// Without it, each node goes by its own documents: a word that is in each of those weighs little
// there, though nobody else has it, and its documents come behind worse ones of others.
func (m *Mesh) weigh(q Query, questions []query.Match) (string, error) {
	if m.Elsewhere == nil {
		return "", nil
	}
	others := m.Elsewhere.Documents()
	p, err := newPlan(q.Text, q.Filter, make([]bool, len(questions)))
	if err != nil || others == 0 || len(p.words) < 2 || len(p.words) > maxRarity {
		return "", err
	}
	all := others + m.Index.count()
	var out []byte
	for _, i := range p.words {
		n := min(m.documents(p.units[i], q.Fuzz), all)
		out = append(out, byte(min(max(idf(n, all)*rarityStep+.5, 1), 255)))
	}
	return string(out), nil
}

// documents returns in how many documents of the network a unit is, about: no more than have
// the rarest of its parts, and those that have it as one word.
func (m *Mesh) documents(u unit, fuzz int) int {
	of := func(word string, prefix bool) int {
		edits := fuzz
		if fuzz == Auto {
			edits = Tolerance(len([]rune(word)))
		}
		if u.exact {
			edits = 0
		}
		n := 0
		for _, found := range [][]fastss.Match{m.Index.Within(word, edits), m.Elsewhere.Within(word, edits)} {
			n += occurrences(found)
		}
		if prefix {
			for _, found := range [][]fastss.Match{m.Index.Beginning(word), m.Elsewhere.Prefix(word)} {
				n += occurrences(found)
			}
		}
		return n
	}
	least := -1
	for i, word := range u.parts {
		if n := of(word, u.unfinished(i)); least < 0 || n < least {
			least = n
		}
	}
	if u.whole != "" {
		least += of(u.whole, u.last)
	}
	return max(least, 0)
}

// doubtful leaves out corrections of words that are known to be elsewhere: whoever has them has
// yet to answer.
func (m *Mesh) doubtful(all []Correction) []Correction {
	kept := []Correction{}
	for _, c := range all {
		if _, known := m.elsewhere(c.From); !known {
			kept = append(kept, c)
		}
	}
	return kept
}

func (m *Mesh) elsewhere(typed string) (documents int, ok bool) {
	if m.Elsewhere == nil {
		return 0, false
	}
	return m.Elsewhere.Find(Fold(typed))
}
