package reconcile

// place returns the place of e that is shown. e has at least one.
func place(e Entry) Place {
	best := e.Places[0]
	for _, p := range e.Places[1:] {
		if rankPlaces(p, best) > 0 {
			best = p
		}
	}
	return best
}

// spots returns where every entry with a place is, such that no directory is in
// itself, and which moves were undone for that.
//
// Concurrent moves, A into B and B into A, make a cycle. Of every cycle the place
// that ranks highest is undone: its entry is where it was before the move, and if
// that is in a cycle too, in the folder itself under the new name. The result
// depends on the places only: the cycles of one round have no directory in common,
// because every directory has one parent, so that their order does not matter.
// It terminates: an entry is undone twice at most, and is then in the folder
// itself, on no cycle.
func spots(g Global) (map[EntryID]Spot, map[EntryID]bool) {
	at := make(map[EntryID]Spot, len(g))
	for id, e := range g {
		if len(e.Places) > 0 {
			at[id] = place(e).Spot
		}
	}
	undone := map[EntryID]bool{}
	for {
		all := cycles(g, at)
		if len(all) == 0 {
			return at, undone
		}
		for _, cycle := range all {
			loser := highest(g, cycle)
			at[loser] = undo(g, loser, undone[loser])
			undone[loser] = true
		}
	}
}

// undo returns where entry id goes if its move is undone, for the first time or
// again.
func undo(g Global, id EntryID, again bool) Spot {
	p := place(g[id])
	_, known := g[p.Was.Parent]
	if again || p.Was.Name == "" || !known && !p.Was.Parent.IsZero() {
		return Spot{Name: p.Name}
	}
	return p.Was
}

// highest returns the entry of cycle whose place ranks highest.
func highest(g Global, cycle []EntryID) EntryID {
	best := cycle[0]
	for _, id := range cycle[1:] {
		if rankPlaces(place(g[id]), place(g[best])) > 0 {
			best = id
		}
	}
	return best
}

// cycles returns all cycles of parents.
func cycles(g Global, at map[EntryID]Spot) [][]EntryID {
	var found [][]EntryID
	walk := map[EntryID]int{} // the walk in which a directory was met first
	n := 0
	for start, e := range g {
		if e.Kind != KindDir {
			continue
		}
		n++
		id := start
		for {
			spot, ok := at[id]
			if !ok || walk[id] != 0 {
				break
			}
			walk[id] = n
			id = spot.Parent
		}
		if walk[id] == n {
			found = append(found, loop(at, id))
		}
	}
	return found
}

// loop returns the cycle that id is on.
func loop(at map[EntryID]Spot, id EntryID) []EntryID {
	cycle := []EntryID{id}
	for next := at[id].Parent; next != id; next = at[next].Parent {
		cycle = append(cycle, next)
	}
	return cycle
}
