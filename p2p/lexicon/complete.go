package lexicon

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// Completion is a word of the network that may be meant by the end of what somebody types.
type Completion struct {
	Word      string
	Query     string // what was typed, with the word at its end
	Documents int    // that have it, on all nodes, about
	Distance  int    // edits; 0: the word begins with what was typed
}

// minCompleted is the number of letters from which a word is completed: fewer begin almost
// everything.
const minCompleted = 2

// Complete returns words for the last one of a text, at most so many: those that begin with
// it, the most frequent first, or where there are none those that are most likely meant by it.
// They are of this node's index and of what others have told. There are none for a text that does
// not end in a word, nor for values such as those of type: and size:.
func (l *Lexicon) Complete(own *search.Index, text string, limit int) []Completion {
	t, ok := lastWord(text)
	if !ok || limit <= 0 {
		return []Completion{}
	}
	found := merged(own.Beginning(t.Term), l.Prefix(t.Term))
	found = slices.DeleteFunc(found, func(m fastss.Match) bool { return m.Word == t.Term || l.isFileName(own, m.Word) })
	slices.SortFunc(found, func(a, b fastss.Match) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(len(a.Word), len(b.Word)), strings.Compare(a.Word, b.Word))
	})
	if edits := search.Tolerance(utf8.RuneCountInString(t.Term)); len(found) == 0 && edits > 0 && !l.known(own, t.Term) {
		found = merged(own.Within(t.Term, edits), l.Within(t.Term, edits))
		fastss.Rank(t.Term, found)
	}
	out := []Completion{}
	for _, m := range found[:min(len(found), limit)] {
		out = append(out, Completion{Word: m.Word, Query: text[:t.Start] + m.Word, Documents: m.Count, Distance: m.Distance})
	}
	return out
}

// known reports whether a word is anywhere.
func (l *Lexicon) known(own *search.Index, word string) bool {
	_, elsewhere := l.Find(word)
	return elsewhere || len(own.Within(word, 0)) > 0
}

// endings are what the names of files end with and words do not.
var endings = []string{"pdf", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "txt", "docx", "xlsx", "pptx", "odt", "ods", "odp", "html", "json", "csv", "xml", "epub", "mp3", "mp4", "zip"}

// isFileName reports whether a word is of a file's name, such as reportpdf of report.pdf: search
// knows these in one, and nobody wants to type them so.
func (l *Lexicon) isFileName(own *search.Index, word string) bool {
	for _, e := range endings {
		if rest, ok := strings.CutSuffix(word, e); ok && rest != "" && l.known(own, e) && l.known(own, rest) {
			return true
		}
	}
	return false
}

// lastWord returns the word that a text ends with, if it is one to be completed.
func lastWord(text string) (last search.Token, ok bool) {
	for t := range search.Tokens(text) {
		if t.End == len(text) && !t.Whole {
			last, ok = t, true
		}
	}
	if !ok || utf8.RuneCountInString(last.Term) < minCompleted {
		return last, false
	}
	// What is behind a colon is a value, but for fields that have words.
	before := text[:last.Start]
	field := before[strings.LastIndexAny(before, " \t\n(-\"")+1:]
	name, _, isValue := strings.Cut(field, ":")
	return last, !isValue || name == "name" || name == "title"
}

// merged returns the words of two lists, which are sorted here, each once with both counts.
// Their numbers are new.
func merged(a, b []fastss.Match) []fastss.Match {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(a, b fastss.Match) int { return strings.Compare(a.Word, b.Word) })
	out := all[:0]
	for _, m := range all {
		if last := len(out) - 1; last >= 0 && out[last].Word == m.Word {
			out[last].Count += m.Count
			continue
		}
		out = append(out, m)
	}
	for i := range out {
		out[i].Number, out[i].Prefix = uint32(i), false
	}
	return out
}
