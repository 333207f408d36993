package fastss

// Neighbour is what is left of a word after some letters have been deleted.
type Neighbour struct {
	Residual string
	// Gaps has an element for each deleted letter: how many letters of Residual
	// stand before the place where it was. It is sorted, and letters that stood side
	// by side have the same gap.
	Gaps []int
}

// Neighbourhood returns the deletion neighbourhood of word: a neighbour for every
// way to delete at most k letters, those with fewer deletions first, then by the
// places of the deleted letters from the left. A word of n letters has
// C(n,0)+…+C(n,k) of them; several may have the same residual.
//
// FastSS (Bocek, Hunt, Hausheer, Stiller: Fast similarity search in peer-to-peer
// networks, NOMS 2008): words within k Levenshtein edits have a residual in common,
// so that similar words are found by looking up what is equal.
func Neighbourhood(word string, k int) []Neighbour {
	letters := []rune(word)
	var all []Neighbour
	places := make([]int, 0, len(letters))
	var choose func(from, left int)
	choose = func(from, left int) {
		if left == 0 {
			all = append(all, without(letters, places))
			return
		}
		for i := from; i+left <= len(letters); i++ {
			places = append(places, i)
			choose(i+1, left-1)
			places = places[:len(places)-1]
		}
	}
	for deleted := 0; deleted <= min(k, len(letters)); deleted++ {
		choose(0, deleted)
	}
	return all
}

// without deletes the letters at places, which are sorted.
func without(letters []rune, places []int) Neighbour {
	rest := make([]rune, 0, len(letters))
	gaps := make([]int, len(places))
	deleted := 0
	for i, r := range letters {
		if deleted < len(places) && places[deleted] == i {
			gaps[deleted] = len(rest)
			deleted++
			continue
		}
		rest = append(rest, r)
	}
	return Neighbour{Residual: string(rest), Gaps: gaps}
}

// Residuals returns the different residuals of word's neighbourhood, in its order.
// They are the keys under which a word is published, and looked up.
func Residuals(word string, k int) []string {
	seen := make(map[string]bool)
	var all []string
	for _, n := range Neighbourhood(word, k) {
		if !seen[n.Residual] {
			seen[n.Residual] = true
			all = append(all, n.Residual)
		}
	}
	return all
}

// Distance returns how many edits lead from the word of n to that of o, which has
// the same residual, if nothing that both have left is edited: deletions in the
// same gap are substitutions, all others insertions and deletions, so that it is
// the number of all less that of those in common. The least over all residuals that
// two neighbourhoods have in common is the Levenshtein distance, without a dynamic
// program.
//
// A best alignment of two words keeps some letters of both: the residual. In each
// gap between them it substitutes as many letters as the shorter side has there, and
// inserts or deletes the others.
func (n Neighbour) Distance(o Neighbour) int {
	common, i, j := 0, 0, 0
	for i < len(n.Gaps) && j < len(o.Gaps) {
		switch {
		case n.Gaps[i] < o.Gaps[j]:
			i++
		case n.Gaps[i] > o.Gaps[j]:
			j++
		default:
			common++
			i++
			j++
		}
	}
	return len(n.Gaps) + len(o.Gaps) - common
}

// Meeting is where the neighbourhoods of two words meet.
type Meeting struct {
	A, B     Neighbour
	Distance int
}

// Meet returns the meeting of a's and b's neighbourhoods with the least distance,
// of several the first in a's order. It reports whether there is one at distance k or
// less, which is so if the Levenshtein distance is k or less.
func Meet(a, b string, k int) (Meeting, bool) {
	of := make(map[string][]Neighbour)
	for _, n := range Neighbourhood(b, k) {
		of[n.Residual] = append(of[n.Residual], n)
	}
	best := Meeting{Distance: k + 1}
	for _, n := range Neighbourhood(a, k) {
		for _, o := range of[n.Residual] {
			if d := n.Distance(o); d < best.Distance {
				best = Meeting{A: n, B: o, Distance: d}
			}
		}
	}
	return best, best.Distance <= k
}
