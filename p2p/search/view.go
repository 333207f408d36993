package search

import (
	"context"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// View is the words of an index as somebody may see them: of what was published, and of the
// folders that he may read, as it was known when the View was made.
type View struct {
	index    *Index
	readable map[string]bool // with all, nothing
	all      bool
}

// ViewOf returns what a member may see now.
func (x *Index) ViewOf(member p2p.ID) View {
	readable, all := x.seenBy(member)
	return View{index: x, readable: readable, all: all}
}

// Key tells views apart that do not show the same.
func (v View) Key() string {
	if v.all {
		return "*"
	}
	var ids []string
	for id, readable := range v.readable {
		if readable {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, "\n")
}

// Version grows whenever documents come or go: as long as it stays, so does what any View
// of the index shows.
func (x *Index) Version() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.version
}

// count returns the number of documents.
func (x *Index) count() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.slots)
}

// Size returns the number of documents that are seen, and that of the different words of the
// index, seen or not.
func (v View) Size() (documents, words int) {
	x := v.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, hidden := x.hidden(request{restricted: !v.all, readable: v.readable})
	return len(x.slots) - hidden, x.vocabulary.Len()
}

// Words calls each with every word that is seen, in the order of the alphabet from a word on,
// and with the number of documents that are seen and have it, until it returns false. Words
// that come or go meanwhile may be among them or not. The error is that of ctx.
//
// Each must not use the index.
func (v View) Words(ctx context.Context, from string, each func(word string, documents int) bool) error {
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, more = v.some(from, each)
	}
	return nil
}

// some is Words for as much as is done while others wait to change the index; it returns
// where to go on.
func (v View) some(from string, each func(string, int) bool) (next string, more bool) {
	x := v.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	hidden, _ := x.hidden(request{restricted: !v.all, readable: v.readable})
	steps := 0
	for m := range x.vocabulary.From(from) {
		if steps >= x.turn {
			return m.Word, true
		}
		steps += wordSteps
		documents := m.Count
		if len(hidden) > 0 {
			var read int
			documents, read = x.seen(m, hidden)
			steps += read
		}
		if documents > 0 && !each(m.Word, documents) {
			return "", false
		}
	}
	return "", false
}

// wordSteps is what a word costs whose documents need not be looked at.
const wordSteps = 8

// seen returns how many documents have a word that are not in hidden folders, and the steps
// that took. The caller holds mu.
func (x *Index) seen(m fastss.Match, hidden map[string]bool) (documents, steps int) {
	for c := x.lists[m.Number].walk(); c.advance(); steps++ {
		if d := &x.docs[c.slot]; d.id != "" && !hidden[d.folder] {
			documents++
		}
	}
	return documents, steps
}

// Beginning returns the words of the index that begin with something, in the order of the
// alphabet.
func (x *Index) Beginning(prefix string) []fastss.Match {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Collect(x.vocabulary.Prefix(prefix))
}

// Within returns the words of the index that are at most so many edits away.
func (x *Index) Within(word string, edits int) []fastss.Match {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.vocabulary.Within(word, edits)
}
