package replica

import "github.com/shoal-p2p/shoal/p2p/folder/reconcile"

// twinPaths has the paths loaded that are one with p on this file system. All names in
// a directory are read for it, once for a plan.
func (g *gatherer) twinPaths(p string) error {
	dir := parent(p)
	names, ok := g.names[dir]
	if !ok {
		names = map[string][]string{}
		g.names[dir] = names
		rows, err := g.r.RowsIn(dir, 0)
		if err != nil {
			return err
		}
		for _, row := range rows {
			name := g.fold(lastName(row.Path))
			names[name] = append(names[name], row.Path)
		}
		seen, err := g.d.Children(g.ctx, dir)
		if err != nil {
			return err
		}
		for _, s := range seen {
			name := g.fold(lastName(s.Path))
			names[name] = append(names[name], s.Path)
		}
	}
	for _, twin := range names[g.fold(lastName(p))] {
		g.path(twin)
	}
	return nil
}

// twinSpots has the spots loaded that are one with s on this file system.
func (g *gatherer) twinSpots(s reconcile.Spot) error {
	spots, ok := g.taken[s.Parent]
	if !ok {
		spots = map[string][]reconcile.Spot{}
		g.taken[s.Parent] = spots
		ids, err := g.r.In(s.Parent)
		if err != nil {
			return err
		}
		for _, id := range ids {
			e, _, err := g.r.Entry(id)
			if err != nil {
				return err
			}
			for _, p := range e.Entry.Places {
				if p.Parent == s.Parent {
					name := g.fold(p.Name)
					spots[name] = append(spots[name], p.Spot)
				}
			}
		}
	}
	for _, twin := range spots[g.fold(s.Name)] {
		g.spot(twin)
	}
	return nil
}
