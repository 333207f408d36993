package ranges

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Removal names an entry to remove.
type Removal struct {
	Index *Index
	Place Place
}

// Remove removes the entry at a place, if there is one, from wherever it is kept.
func (x *Index) Remove(ctx context.Context, at Place) (removed bool, trace dht.Trace, err error) {
	n, trace, err := removeAll(ctx, x.o.Table, []Removal{{x, at}})
	return n > 0, trace, err
}

// RemoveAll removes entries of several indexes of a table, all at once. What is not there is
// no error; what may be there is one, where nobody could be asked: then the others are removed.
func RemoveAll(ctx context.Context, table Table, removals []Removal) (dht.Trace, error) {
	_, trace, err := removeAll(ctx, table, removals)
	return trace, err
}

func removeAll(ctx context.Context, table Table, removals []Removal) (records int, trace dht.Trace, err error) {
	type visit struct {
		*Removal
		Segment
	}
	ways := make([][]Segment, len(removals)) // that are left of each path
	for i, r := range removals {
		ways[i] = r.Index.o.Scheme.Path(min(KeyAt(r.Place), Last(r.Index.bits)))
	}
	var remove []dht.Query
	var of []visit
	unasked := 0
	for {
		var queries []dht.Query
		var asked []visit
		for i := range removals {
			r := &removals[i]
			n := len(ways[i])
			if !r.Index.o.Scheme.Everywhere() {
				n = min(n, r.Index.o.Window)
			}
			for _, s := range ways[i][:n] {
				location := r.Index.Location(s)
				asked = append(asked, visit{r, s})
				queries = append(queries,
					dht.Query{Location: location, Domain: entries, Contents: []p2p.Key{r.Place}, Bare: true},
					dht.Query{Location: location, Domain: marks, Contents: []p2p.Key{s.markAt(r.Index.bits)}, Bare: true})
			}
			ways[i] = ways[i][n:]
		}
		if len(queries) == 0 {
			break
		}
		found, more, err := table.MultiGet(ctx, queries, dht.ReadOptions{})
		trace.Add(more)
		if err != nil {
			return 0, trace, fmt.Errorf("ranges: remove: %w", err)
		}
		full := map[*Removal]bool{} // the last segment of each that was asked, as far as is known
		for i, v := range asked {
			if len(found[2*i].Records) > 0 {
				remove, of = append(remove, queries[2*i]), append(of, v)
			}
			_, full[v.Removal], _ = v.Index.learn(v.Segment, found[2*i+1])
			if !answered(found[2*i]) || !answered(found[2*i+1]) {
				unasked++
				full[v.Removal] = true
			}
		}
		for i := range removals {
			// Below what has refused nothing nothing is.
			if !full[&removals[i]] && !removals[i].Index.o.Scheme.Everywhere() {
				ways[i] = nil
			}
		}
	}
	var copies []dht.Copy
	if len(remove) > 0 {
		var results []dht.PutResult
		var more dht.Trace
		copies, results, more, err = table.MultiRemove(ctx, remove)
		trace.Add(more)
		if err != nil {
			return 0, trace, fmt.Errorf("ranges: remove: %w", err)
		}
		for _, r := range results {
			if !r.Stored() {
				return 0, trace, fmt.Errorf("ranges: remove: %s: %w", r.Status, dht.ErrNoReplica)
			}
		}
	}
	if unasked > 0 {
		return 0, trace, fmt.Errorf("ranges: remove: %d segments: %w", unasked, dht.ErrNoReplica)
	}
	for _, v := range of {
		v.Index.change(v.Segment, func(st *state) { st.count = max(st.count-1, 0) })
	}
	return len(copies), trace, nil
}
