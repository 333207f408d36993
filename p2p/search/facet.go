package search

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// MaxFacet is the number of values of a facet, the most frequent ones.
const MaxFacet = 32

// Facets count the documents that match by their properties, on all nodes that
// answered. A file that several nodes hold counts once for each.
type Facets struct {
	Types   []Count
	Folders []Count // by ID; what was published without a file is in none
	Years   []Count // of the last change, UTC
	Nodes   []NodeCount
	Cut     bool // there are more values than MaxFacet
}

// Count is how many documents have a value.
type Count struct {
	Value     string `cbor:"1,keyasint"`
	Documents int    `cbor:"2,keyasint"`
}

// NodeCount is how many documents are on a node.
type NodeCount struct {
	Node      p2p.ID
	Name      string
	Documents int
}

// wireFacets are the Facets that a member knows.
type wireFacets struct {
	Types   []Count `cbor:"1,keyasint,omitempty"`
	Folders []Count `cbor:"2,keyasint,omitempty"`
	Years   []Count `cbor:"3,keyasint,omitempty"`
	Cut     bool    `cbor:"4,keyasint,omitempty"`
}

// counter counts values.
type counter map[string]int

// counts returns the most frequent values, and whether there are more.
func (c counter) counts() (list []Count, cut bool) {
	for v, n := range c {
		list = append(list, Count{v, n})
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Documents, a.Documents), strings.Compare(a.Value, b.Value))
	})
	return list[:min(len(list), MaxFacet)], len(list) > MaxFacet
}

// group is all that facets tell of a document. Documents are counted by the numbers of their groups,
// which are far fewer.
type group struct {
	kind, folder string
	year         int // of the last change, UTC
}

// groups numbers groups.
type groups struct {
	all     []group // by number; nothing is changed or taken away
	numbers map[group]uint32
}

// number returns the number of a document's group.
func (g *groups) number(d *doc) uint32 {
	of := group{d.kind, d.folder, time.Unix(0, d.modified).UTC().Year()}
	n, ok := g.numbers[of]
	if !ok {
		if g.numbers == nil {
			g.numbers = make(map[group]uint32)
		}
		n = uint32(len(g.all))
		g.all, g.numbers[of] = append(g.all, of), n
	}
	return n
}

// facetCounter counts documents by their properties.
type facetCounter struct {
	types, folders counter
	years          map[int]int
	cut            bool
}

func newFacetCounter() *facetCounter {
	return &facetCounter{types: counter{}, folders: counter{}, years: map[int]int{}}
}

// add adds so many documents of a group.
func (f *facetCounter) add(g group, n int) {
	if n == 0 {
		return
	}
	f.types[g.kind] += n
	if g.folder != "" {
		f.folders[g.folder] += n
	}
	f.years[g.year] += n
}

// merge adds what a node has counted.
func (f *facetCounter) merge(w *wireFacets) {
	for _, c := range w.Types {
		f.types[c.Value] += c.Documents
	}
	for _, c := range w.Folders {
		f.folders[c.Value] += c.Documents
	}
	for _, c := range w.Years {
		if year, err := strconv.Atoi(c.Value); err == nil {
			f.years[year] += c.Documents
		}
	}
	f.cut = f.cut || w.Cut
}

func (f *facetCounter) result() wireFacets {
	years := counter{}
	for year, n := range f.years {
		years[strconv.Itoa(year)] = n
	}
	w := wireFacets{Cut: f.cut}
	for _, one := range []struct {
		to   *[]Count
		from counter
	}{{&w.Types, f.types}, {&w.Folders, f.folders}, {&w.Years, years}} {
		list, cut := one.from.counts()
		*one.to = list
		w.Cut = w.Cut || cut
	}
	return w
}

// check bounds what a member has counted of so many documents.
func (w *wireFacets) check(total int) error {
	for _, list := range [][]Count{w.Types, w.Folders, w.Years} {
		if len(list) > MaxFacet {
			return fmt.Errorf("facet of %d values", len(list))
		}
		sum := 0
		for _, c := range list {
			if !validLabel(c.Value, maxLabel) || c.Documents < 1 || c.Documents > total {
				return fmt.Errorf("facet value %.40q of %d documents", c.Value, c.Documents)
			}
			sum += c.Documents
		}
		if sum > total {
			return fmt.Errorf("facet of %d of %d documents", sum, total)
		}
	}
	for _, c := range w.Years {
		if year, err := strconv.Atoi(c.Value); err != nil || year < 1677 || year > 2262 || strconv.Itoa(year) != c.Value {
			return fmt.Errorf("facet of the year %.40q", c.Value)
		}
	}
	return nil
}

// facets merges what nodes have counted of the documents of an answer.
func facets(replies []reply, missing int) *Facets {
	all := newFacetCounter()
	f := new(Facets)
	for i := range replies {
		r := &replies[i]
		if r.part.Err != nil || r.part.Missing != missing || r.Total == 0 {
			continue
		}
		if r.Facets != nil {
			all.merge(r.Facets)
		}
		f.Nodes = append(f.Nodes, NodeCount{r.part.Node, r.part.Name, r.Total})
	}
	w := all.result()
	f.Types, f.Folders, f.Years, f.Cut = w.Types, w.Folders, w.Years, w.Cut
	slices.SortStableFunc(f.Nodes, func(a, b NodeCount) int { return cmp.Compare(b.Documents, a.Documents) })
	if len(f.Nodes) > MaxFacet {
		f.Nodes, f.Cut = f.Nodes[:MaxFacet], true
	}
	return f
}
