package replica

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Named returns the entries under which Reader.RowsOf finds a row, each once: those
// of its refs, the first of them first, and those of which they are losing versions.
func Named(r reconcile.Row) []reconcile.EntryID {
	var ids []reconcile.EntryID
	for _, ref := range r.Refs {
		for _, id := range [...]reconcile.EntryID{ref.ID, ref.Of} {
			if !id.IsZero() && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// SplitRow takes the path of a row apart. "" and reconcile.Aside have no row; they
// are an error.
func SplitRow(path string) (dir, name string, err error) {
	i := strings.LastIndexByte(path, '/')
	dir, name = path[:max(i, 0)], path[i+1:]
	if name == "" || i == 0 || path == reconcile.Aside {
		return "", "", fmt.Errorf("replica: %.300q is not the path of a row", path)
	}
	return dir, name, nil
}

// OrderMoves returns the indexes of moves in an order in which they can be done when
// all that moves has been taken out before: directories before what comes into
// them. A path that occurs twice is an error.
func OrderMoves(moves []Move) ([]int, error) {
	from, to := make(map[string]bool, len(moves)), make(map[string]bool, len(moves))
	order := make([]int, len(moves))
	for i, m := range moves {
		order[i] = i
		for _, p := range [...]string{m.From, m.To} {
			if _, _, err := SplitRow(p); err != nil {
				return nil, err
			}
		}
		if from[m.From] || to[m.To] {
			return nil, fmt.Errorf("replica: move rows of %.300q to %.300q: one of them is in two moves", m.From, m.To)
		}
		from[m.From], to[m.To] = true, true
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Compare(strings.Count(moves[i].To, "/"), strings.Count(moves[j].To, "/"))
	})
	return order, nil
}
