package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// Sizes of snippets, in code points.
const (
	snippetLength = 180 // wanted
	snippetMax    = 220 // never exceeded
	snippetLead   = 40  // wanted before the first match
	snippetSlack  = 20  // by which an end moves to fall between words
)

// maxMarks bounds the marks of a snippet: there is at most one for two letters.
const maxMarks = snippetMax / 2

// Snippet is a piece of a document's text that shows what matched. It has no
// control characters or line breaks, and an ellipsis where the text goes on.
type Snippet struct {
	Text  string   `json:"text"`
	Marks [][2]int `json:"marks"` // [start, end) in code points of Text, in order, not overlapping
}

// wanted says which words of a document to mark.
type wanted struct {
	words map[string]meaning
	first [256]bool // by the first byte: whether any word begins so
	least int       // smallest distance of the words
}

// meaning says which unit of a query a word stands for and at what distance.
type meaning struct{ unit, distance int }

// add notes a word; its nearest meaning counts.
func (w *wanted) add(word string, unit, distance int) {
	if w.words == nil {
		w.words, w.least = make(map[string]meaning), distance
	}
	w.least = min(w.least, distance)
	if old, ok := w.words[word]; !ok || distance < old.distance {
		w.words[word] = meaning{unit, distance}
		w.first[word[0]] = true
	}
}

// occurrence is a wanted word in a text.
type occurrence struct {
	start, end     int // bytes
	unit, distance int
}

// enough is how much of a text is searched for the best place in it; beyond, any
// place will do where one of the nearest words is.
const enough = 128 << 10

// find returns the occurrences of wanted words in text, in order, without those
// inside of others.
func (w *wanted) find(text string) []occurrence {
	var found []occurrence
	done := false // one of the nearest words has been found
	s := scanner{text: text}
	s.scan(func(t token) bool {
		if done && t.start > enough {
			return false
		}
		if !w.first[t.term[0]] {
			return true
		}
		m, ok := w.words[string(t.term)]
		if !ok {
			return true
		}
		if n := len(found); n > 0 && t.whole && found[n-1].start >= t.start {
			// The whole comes behind its parts and covers them.
			for n > 0 && found[n-1].start >= t.start {
				n--
			}
			found = found[:n]
		}
		found = append(found, occurrence{t.start, t.end, m.unit, m.distance})
		done = done || m.distance == w.least
		return true
	})
	return found
}

// snippet returns the piece of text where most of the wanted words come
// together. Of the words that may stand for a unit only the nearest are shown
// that occur in the text or in beside, which are the title and the path: beside
// an exact match, a similar word is noise. Without any, it is how text begins.
// With markup, marks at the beginning of lines are left out.
func (w *wanted) snippet(text string, markup bool, beside ...string) Snippet {
	found := w.find(text)
	nearest := make(map[int]int)
	note := func(o occurrence) {
		if d, ok := nearest[o.unit]; !ok || o.distance < d {
			nearest[o.unit] = o.distance
		}
	}
	for _, o := range found {
		note(o)
	}
	for _, s := range beside {
		for _, o := range w.find(s) {
			note(o)
		}
	}
	found = slices.DeleteFunc(found, func(o occurrence) bool { return o.distance > nearest[o.unit] })
	if len(found) == 0 {
		return cut(text, markup, 0, nil, snippetLength)
	}
	first, last := densest(text, found)
	return cut(text, markup, found[first].start, found[first:last], snippetLength)
}

// densest returns the occurrences [first, last) that fit a snippet and have the
// most different units, then the most occurrences; of equal ones the earliest.
func densest(text string, found []occurrence) (first, last int) {
	places := offsets(text, found)
	counts := make(map[int]int)
	best := 0
	from := 0
	for to := range found {
		counts[found[to].unit]++
		for places[to][1]-places[from][0] > snippetLength-snippetLead-snippetSlack && from < to {
			if counts[found[from].unit]--; counts[found[from].unit] == 0 {
				delete(counts, found[from].unit)
			}
			from++
		}
		if score := len(counts)<<20 + to - from + 1; score > best {
			best, first, last = score, from, to+1
		}
	}
	return first, last
}

// offsets returns where occurrences are in code points.
func offsets(text string, found []occurrence) [][2]int {
	places := make([][2]int, len(found))
	at, n := 0, 0
	for i, o := range found {
		n += utf8.RuneCountInString(text[at:o.start])
		length := utf8.RuneCountInString(text[o.start:o.end])
		places[i] = [2]int{n, n + length}
		n, at = n+length, o.end
	}
	return places
}

const ellipsis = '…'

// cut returns the piece of text of about length code points around the byte at,
// with marks for those of found that lie in it. Both ends fall between words if
// a space is near, else between user-perceived characters.
func cut(text string, markup bool, at int, found []occurrence, length int) Snippet {
	start := begin(text, at)
	end := finish(text, start, length, found)
	b := builder{runes: make([]rune, 0, snippetMax), marks: [][2]int{}}
	shown := func(from, to int) string { return text[from:to] }
	if markup {
		line := lineStart(text, start)
		plain := unmark(text[line:end], line > 0 && text[line-1] != '\n')
		shown = func(from, to int) string { return plain[from-line : to-line] }
	}
	if start > 0 {
		b.runes = append(b.runes, ellipsis)
	}
	for _, o := range found {
		if o.start < start || o.end > end {
			continue
		}
		b.write(shown(start, o.start))
		from := len(b.runes)
		b.write(shown(o.start, o.end))
		b.marks = append(b.marks, [2]int{from, len(b.runes)})
		start = o.end
	}
	b.write(shown(start, end))
	if n := len(b.runes); n > 0 && b.runes[n-1] == ' ' {
		b.runes = b.runes[:n-1]
	}
	if end < len(text) && strings.TrimSpace(text[end:]) != "" {
		b.runes = append(b.runes, ellipsis)
	}
	return Snippet{Text: string(b.runes), Marks: b.marks}
}

// lineStart returns where the line of the byte at begins, or at if that is far.
func lineStart(text string, at int) int {
	near := max(0, at-snippetLead)
	if n := strings.LastIndexByte(text[near:at], '\n'); n >= 0 {
		return near + n + 1
	}
	if near == 0 {
		return 0
	}
	return at
}

// begin returns where a snippet starts that shows the byte at: the beginning of
// the earliest word that is near enough.
func begin(text string, at int) int {
	start, word, far := at, -1, at
	for n := range snippetLead + snippetSlack {
		r, size := utf8.DecodeLastRuneInString(text[:start])
		if size == 0 {
			return 0 // rather a little more than the first words left out
		}
		if unicode.IsSpace(r) && n <= snippetLead {
			word = start
		}
		if start -= size; n < snippetLead {
			far = start
		}
	}
	if word >= 0 {
		return word
	}
	// A script without spaces. The place may lie inside a character that is
	// composed of several; what the second boundary begins is complete.
	clusters := 0
	for it := graphemes.FromString(text[far:at]); it.Next(); {
		if clusters++; clusters == 2 {
			return far + it.End()
		}
	}
	return at
}

// finish returns where a snippet of about length code points from start ends.
func finish(text string, start, length int, found []occurrence) int {
	end, space, after := start, -1, 0
	it := graphemes.FromString(text[start:min(len(text), start+8*length)])
	for room := length; room > 0 && it.Next(); {
		n := utf8.RuneCountInString(it.Value())
		if n > snippetSlack {
			break // a heap of accents, nothing to read
		}
		room -= n
		after += n
		if r, _ := utf8.DecodeRuneInString(it.Value()); unicode.IsSpace(r) {
			space, after = end, 0
		}
		end = start + it.End()
	}
	marked := func(o occurrence) bool { return o.start >= space && o.start < end }
	if end < len(text) && space > start && after <= snippetSlack && !slices.ContainsFunc(found, marked) {
		return space
	}
	return end
}

// shortened returns about length code points of s around the first mark.
func (s Snippet) shortened(length int) Snippet {
	var found []occurrence
	at, n := 0, 0
	for _, m := range s.Marks {
		o := occurrence{}
		at += runeBytes(s.Text[at:], m[0]-n)
		o.start = at
		at += runeBytes(s.Text[at:], m[1]-m[0])
		o.end, n = at, m[1]
		found = append(found, o)
	}
	if len(found) == 0 {
		return cut(s.Text, false, 0, nil, length)
	}
	return cut(s.Text, false, found[0].start, found, length)
}

// runeBytes returns the number of bytes of the first n code points of s.
func runeBytes(s string, n int) int { return len(cutRunes(s, n)) }

// builder writes text without line breaks and control characters.
type builder struct {
	runes []rune
	marks [][2]int
}

func (b *builder) write(text string) {
	for _, r := range text {
		switch {
		case unicode.IsSpace(r) || r == 0:
			if n := len(b.runes); n > 0 && b.runes[n-1] != ' ' && (n > 1 || b.runes[0] != ellipsis) {
				b.runes = append(b.runes, ' ')
			}
		case !unicode.IsControl(r) && !isDirection(r):
			b.runes = append(b.runes, r)
		}
	}
}

// isDirection reports whether r is an invisible order to write the other way,
// which would reach beyond the snippet.
func isDirection(r rune) bool {
	return 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}
