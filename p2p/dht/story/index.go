package story

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dst"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// Limits of indexes.
const (
	maxIndexes   = 8
	maxIndexBits = 8 // of keys
	fewSegments  = 7 // are all shown, also those that have nothing
)

// index is an order of entries that all nodes share. In a story keys begin with any number,
// below it with 0.
type index struct {
	name    string
	scheme  ranges.Scheme
	first   int // key
	room    int
	entries map[ranges.Place]string // that have ever been inserted, as they are shown
}

// segment names one: from its first key to its last.
func (x *index) segment(s ranges.Segment) string {
	b := x.scheme.Bits()
	return fmt.Sprintf("[%d..%d]", x.first+int(s.From(b)), x.first+int(s.To(b)))
}

func (x *index) segments(all []ranges.Segment) (out []string) {
	for _, s := range all {
		out = append(out, x.segment(s))
	}
	return out
}

// all returns the segments that can have entries, the widest first.
func (x *index) all() (out []ranges.Segment) {
	seen := map[ranges.Segment]bool{}
	for key := range ranges.Last(x.scheme.Bits()) + 1 {
		for _, s := range x.scheme.Path(key) {
			if !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b ranges.Segment) int {
		return cmp.Or(a.Depth-b.Depth, cmp.Compare(a.Prefix, b.Prefix))
	})
	return out
}

// at is an index as a node sees it. It knows what it has asked since it came.
func (n *node) at(x *index) *ranges.Index {
	i := n.indexes[x.name]
	if i == nil {
		i = ranges.New(ranges.Options{Table: n.table, Name: x.name, Scheme: x.scheme, Capacity: x.room, Now: n.w.time})
		n.indexes[x.name] = i
	}
	return i
}

func (w *world) doIndex(_ context.Context, a *args) error {
	name, err := a.next("a name")
	if err != nil {
		return err
	}
	switch {
	case len(w.indexes) >= maxIndexes:
		return fmt.Errorf("more than %d indexes", maxIndexes)
	case name == "" || len(name) > 20:
		return fmt.Errorf("%.30q is no name of an index", name)
	case slices.ContainsFunc(w.indexes, func(x *index) bool { return x.name == name }):
		return fmt.Errorf("there is an index %s already", name)
	}
	way, err := a.next("dst, pht or buckets")
	if err != nil {
		return err
	}
	if !a.is("keys") {
		return fmt.Errorf("its keys are missing, such as: keys 1..8")
	}
	first, last, err := a.span()
	if err != nil {
		return err
	}
	depth := bits.Len(uint(last-first+1)) - 1
	if last-first+1 != 1<<depth || depth < 1 || depth > maxIndexBits {
		return fmt.Errorf("keys from %d to %d are not 2, 4, 8 … or %d", first, last, 1<<maxIndexBits)
	}
	x := &index{name: name, first: first, entries: map[ranges.Place]string{}}
	leaf := 0 // bits of the keys of a leaf
	for len(a.words) > 0 {
		switch {
		case a.is("room"):
			if x.room, err = a.number("a number of entries", 1, 100); err != nil {
				return err
			}
		case way != "pht" && a.is("leaf"):
			n, err := a.number("a number of keys", 1, 1<<depth)
			if err != nil {
				return err
			}
			if leaf = bits.Len(uint(n)) - 1; n != 1<<leaf {
				return fmt.Errorf("a leaf of %d keys, not of 1, 2, 4 …", n)
			}
		default:
			return fmt.Errorf("%.40q is no option", a.words[0])
		}
	}
	switch way {
	case "dst":
		x.scheme = dst.Tree{KeyBits: depth, LeafBits: leaf}
	case "pht":
		x.scheme = pht.Tree{KeyBits: depth}
	case "buckets":
		x.scheme = ranges.Buckets{KeyBits: depth, Depth: depth - leaf}
	default:
		return fmt.Errorf("%.40q is not dst, pht or buckets", way)
	}
	w.indexes = append(w.indexes, x)
	return nil
}

// span reads two numbers.
func (a *args) span() (from, to int, err error) {
	word, err := a.next("two numbers such as 1..8")
	if err != nil {
		return 0, 0, err
	}
	left, right, _ := strings.Cut(word, "..")
	from, err = strconv.Atoi(left)
	if err == nil {
		to, err = strconv.Atoi(right)
	}
	if err != nil || from < 0 || from > 1<<20 || to > 1<<20 || to < from {
		return 0, 0, fmt.Errorf("%.40q is not two numbers such as 1..8", word)
	}
	return from, to, nil
}

// index takes a node and the name of an index.
func (a *args) index() (*node, *index, error) {
	n, err := a.node()
	if err != nil {
		return nil, nil, err
	}
	x, err := a.anyIndex()
	return n, x, err
}

func (a *args) anyIndex() (*index, error) {
	word, err := a.next("the name of an index")
	if err != nil {
		return nil, err
	}
	for _, x := range a.w.indexes {
		if x.name == word {
			return x, nil
		}
	}
	return nil, fmt.Errorf("there is no index %.40q", word)
}

// entry takes a key of an index and a value.
func (a *args) entry(x *index) (e ranges.Entry, err error) {
	key, err := a.number("a key", x.first, x.first+int(ranges.Last(x.scheme.Bits())))
	if err != nil {
		return e, err
	}
	value, err := a.value()
	return ranges.Entry{Key: uint64(key - x.first), ID: value, Value: []byte(value)}, err
}

func (w *world) doInsert(ctx context.Context, a *args) error {
	n, x, err := a.index()
	if err != nil {
		return err
	}
	e, err := a.entry(x)
	if err != nil {
		return err
	}
	return w.write(ctx, n, func(ctx context.Context) error {
		results, trace, err := n.at(x).Insert(ctx, []ranges.Entry{e})
		if err != nil {
			return err
		}
		w.flush()
		r := results[0]
		x.entries[e.Place()] = string(e.Value)
		for _, s := range x.scheme.Path(e.Key) {
			text := ""
			switch {
			case slices.Contains(r.Full, s):
				text = "is full, and refuses " + short(string(e.Value))
			case slices.Contains(r.At, s):
				text = "takes " + short(string(e.Value))
			default:
				continue
			}
			w.add(Line{Kind: KindEvent, From: x.segment(s), Text: text})
		}
		w.last = outcome{status: r.Status.String(), trace: trace, kept: x.segments(r.At), refused: x.segments(r.Full)}
		w.say("%s: %s, at %s; %s", n.name, r.Status, many(len(r.At), "segment"), cost(trace))
		return nil
	})
}

func (w *world) doErase(ctx context.Context, a *args) error {
	n, x, err := a.index()
	if err != nil {
		return err
	}
	e, err := a.entry(x)
	if err != nil {
		return err
	}
	removed, trace, err := n.at(x).Remove(ctx, e.Place())
	w.flush()
	if err != nil {
		return err
	}
	w.last = outcome{trace: trace, status: dht.StatusOK.String()}
	if !removed {
		w.last.status = dht.StatusNotFound.String()
	}
	w.say("%s: %s; %s", n.name, w.last.status, cost(trace))
	return nil
}

func (w *world) doRange(ctx context.Context, a *args) error {
	n, x, err := a.index()
	if err != nil {
		return err
	}
	from, to, err := a.span()
	if err != nil {
		return err
	}
	last := x.first + int(ranges.Last(x.scheme.Bits()))
	if from < x.first || to > last {
		return fmt.Errorf("the keys are %d to %d", x.first, last)
	}
	r := ranges.Range{From: uint64(from - x.first), To: uint64(to - x.first)}
	for len(a.words) > 0 {
		switch {
		case a.is("descending"):
			r.Descending = true
		case a.is("limit"):
			if r.Limit, err = a.number("a number of entries", 1, 1000); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%.40q is no option", a.words[0])
		}
	}
	got, err := n.at(x).Query(ctx, r)
	w.flush()
	if err != nil {
		w.last = outcome{status: "failed"}
		w.say("%s: nobody could be asked", n.name)
		return ctx.Err()
	}
	w.last = outcome{status: "ok", trace: got.Trace}
	for _, s := range got.Segments {
		w.last.asked = append(w.last.asked, x.segment(s.Segment))
		w.add(Line{Kind: KindEvent, From: x.segment(s.Segment), Text: fmt.Sprintf("asked in round %d: %s", s.Round, x.has(s))})
	}
	for _, e := range got.Entries {
		w.last.values = append(w.last.values, string(e.Value))
	}
	more := ""
	if got.Partial {
		more = ", and not all could be asked"
	}
	if got.Next != nil {
		more += ", and there is more"
	}
	w.say("%s: %s%s; %s", n.name, shorts(w.last.values), more, cost(got.Trace))
	return nil
}

// has says what a segment had of a range.
func (x *index) has(s ranges.Asked) string {
	text := "nothing of the range"
	switch {
	case s.Failed:
		return "no answer"
	case s.Entries == 1:
		text = "1 entry of the range"
	case s.Entries > 1:
		text = fmt.Sprintf("%d entries of the range", s.Entries)
	}
	switch {
	case s.Full && x.scheme.Everywhere():
		text += "; it is full, so its halves are asked instead"
	case s.Full:
		text += "; it is full, so its halves are asked too"
	}
	if s.Mended {
		text += "; it has all that is below, and is full no more"
	}
	return text
}

// showIndex shows what is at which segment, by what is in the stores.
func (w *world) showIndex(ctx context.Context, a *args) error {
	x, err := a.anyIndex()
	if err != nil {
		return err
	}
	var n *node
	for _, o := range w.nodes {
		if o.up {
			n = o
		}
	}
	if n == nil {
		return fmt.Errorf("nobody runs")
	}
	places := make([]ranges.Place, 0, len(x.entries))
	for p := range x.entries {
		places = append(places, p)
	}
	slices.SortFunc(places, ranges.Place.Compare)
	all, i := x.all(), n.at(x)
	for _, s := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		var has []string
		for _, p := range places {
			there, err := w.somebodyHas(ctx, i.EntryAt(s, p))
			if err != nil {
				return err
			}
			if there {
				has = append(has, fmt.Sprintf("%s at %d", short(x.entries[p]), x.first+int(ranges.KeyAt(p))))
			}
		}
		full, err := w.somebodyHas(ctx, i.MarkOf(s))
		if err != nil {
			return err
		}
		if len(has) == 0 && !full && len(all) > fewSegments {
			continue
		}
		text := cmp.Or(strings.Join(has, ", "), "nothing")
		if full {
			text += ", and a mark: full"
		}
		var who []string
		for _, m := range n.table.Responsible(i.Location(s)) {
			who = append(who, m.Name)
		}
		w.say("%s, kept by %s: %s", x.segment(s), strings.Join(who, ", "), text)
	}
	return nil
}

// somebodyHas reports whether a running node has a record that is valid.
func (w *world) somebodyHas(ctx context.Context, at dht.Address) (bool, error) {
	now := w.time().UnixMilli()
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		for h, err := range n.store.Read(ctx, dht.Query{Location: at.Location, Domain: at.Domain, Contents: []p2p.Key{at.Content}}) {
			if err != nil {
				return false, err
			}
			if h.Kind == dht.KindValue && (h.Expires == 0 || now < h.Expires) {
				return true, nil
			}
		}
	}
	return false, nil
}
