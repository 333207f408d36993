package search

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Sort says which hits come first.
type Sort string

// The sorts. Whatever it is, what has the words as they were typed comes before what
// is similar. If there are no words, and so nothing is more relevant than the rest,
// SortRelevance is SortModified.
const (
	SortRelevance Sort = "relevance"
	SortModified  Sort = "modified"
	SortSize      Sort = "size"
	SortName      Sort = "name" // of the file, or the title of what is none
)

// Order is the direction of a Sort.
type Order string

// The orders. Without one, it is from the newest, the largest, and A to Z.
const (
	Ascending  Order = "asc"
	Descending Order = "desc"
)

// ErrSort: a sort that does not exist, or relevance the other way round.
var ErrSort = errors.New("not a way to sort")

// sorts are the ways to sort by their number on the wire.
var sorts = [...]Sort{SortRelevance, SortModified, SortSize, SortName}

// sorting is a Sort with its direction.
type sorting struct {
	by         Sort // empty: by relevance
	descending bool
}

func (q Query) sorting() sorting {
	switch q.Sort {
	case "", SortRelevance:
		return sorting{}
	case SortName:
		return sorting{by: q.Sort, descending: q.Order == Descending}
	}
	return sorting{by: q.Sort, descending: q.Order != Ascending}
}

// checkSort returns ErrSort if q cannot be sorted so.
func (q Query) checkSort() error {
	switch q.Sort {
	case "", SortRelevance:
		if q.Order == Ascending {
			return fmt.Errorf("search: sort by relevance, ascending: %w", ErrSort)
		}
	case SortModified, SortSize, SortName:
	default:
		return fmt.Errorf("search: sort %.20q: %w", q.Sort, ErrSort)
	}
	switch q.Order {
	case "", Ascending, Descending:
		return nil
	}
	return fmt.Errorf("search: order %.20q: %w", q.Order, ErrSort)
}

// key is a hit's place in the order of all hits.
type key struct {
	missing  int
	distance int
	score    float64
	id       string
	value    int64  // what is sorted by, if it is a number
	name     string // if it is a name
}

// compare orders keys: fewer words missing, what was typed before what is similar, what is
// sorted by, fewer edits, more score.
func (s sorting) compare(a, b key) int {
	// Not all at once by cmp.Or: most keys differ early, and texts take time.
	sign := 1
	if s.descending {
		sign = -1
	}
	if c := cmp.Or(cmp.Compare(a.missing, b.missing), cmp.Compare(min(a.distance, 1), min(b.distance, 1)), sign*cmp.Compare(a.value, b.value)); c != 0 {
		return c
	}
	if c := sign * strings.Compare(a.name, b.name); c != 0 {
		return c
	}
	if c := cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(b.score, a.score)); c != 0 {
		return c
	}
	return strings.Compare(a.id, b.id)
}

// set sets what k is sorted by.
func (s sorting) set(k *key, size, modified int64, title, path string) {
	switch s.by {
	case SortModified:
		k.value = modified
	case SortSize:
		k.value = size
	case SortName:
		name, _, _ := (&Document{Title: title, Path: path}).places()
		k.name = sortName(name)
	}
}

// maxSortName is the number of bytes of a name by which it is sorted.
const maxSortName = 120

// sortName returns a name as it is sorted: without capitals and accents.
func sortName(name string) string {
	name = cutBytes(name, maxSortName)
	out := make([]byte, 0, maxSortName)
	if !isASCII(name) {
		name = norm.NFKD.String(name)
	}
	for _, r := range strings.ToLower(name) {
		switch s := spelled(r); {
		case isAccent(r):
		case s != "":
			out = append(out, s...)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return cutBytes(string(out), maxSortName)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// key returns the place of a hit in the order.
func (s sorting) key(h *Hit, missing int) key {
	k := key{missing: missing, distance: h.Distance, score: h.Score, id: h.ID}
	s.set(&k, h.Size, h.Modified.UnixNano(), h.Title, h.Path)
	return k
}

// hits compares hits; what is equal to people keeps an order that never changes.
func (s sorting) hits(a, b Hit) int {
	return cmp.Or(s.compare(s.key(&a, 0), s.key(&b, 0)), a.Node.Compare(b.Node))
}
