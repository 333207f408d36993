package ranges

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Remove removes the entry at a place, if there is one, from wherever it is kept.
func (x *Index) Remove(ctx context.Context, at Place) (removed bool, trace dht.Trace, err error) {
	// An entry can be at any segment of its path, also where a mark has gone since.
	path := x.o.Scheme.Path(min(KeyAt(at), Last(x.bits)))
	queries := make([]dht.Query, len(path))
	for i, s := range path {
		queries[i] = dht.Query{Location: x.Location(s), Domain: entries, Contents: []p2p.Key{at}, Bare: true}
	}
	copies, results, trace, err := x.o.Table.MultiRemove(ctx, queries)
	if err != nil {
		return false, trace, fmt.Errorf("ranges: remove from %q: %w", x.o.Name, err)
	}
	for i, r := range results {
		if !r.Stored() {
			return false, trace, fmt.Errorf("ranges: remove from %q: %s", x.o.Name, r.Status)
		}
		for _, s := range path {
			if x.Location(s) == copies[i].Location {
				x.change(s, func(st *state) { st.count = max(st.count-1, 0) })
			}
		}
	}
	return len(copies) > 0, trace, nil
}
