package reconcile

import (
	"maps"
	"slices"
)

// split separates tombstones from the rest.
func split(contents []Content) (live, dead []Content) {
	for _, c := range contents {
		if c.Deleted {
			dead = append(dead, c)
		} else {
			live = append(live, c)
		}
	}
	return live, dead
}

// revived reports whether a person moved e and nobody who knew of that deleted it:
// there is a place, not made by the program, that no author of a tombstone had
// seen, whose author had what was deleted. (Who moved older bytes, which somebody
// replaced before deleting, does not bring back the newer ones, which perhaps
// nobody has any more.)
func revived(e Entry) bool {
	return slices.ContainsFunc(e.Places, func(p Place) bool {
		overruled := func(c Content) bool { return c.Deleted && (c.Seen.Covers(p.Vector) || c.Hash != p.Had) }
		return !p.Auto && !slices.ContainsFunc(e.Contents, overruled)
	})
}

// alternatives returns what of e may be shown: for a directory always itself; for
// a file every content that is neither deleted nor superseded, one of them under
// e's ID and the others under the IDs that they would have as entries; for a dead
// file nothing. The one is that with which e began, as it has this ID already, or
// else the best. Which of them gets the name is not decided here.
func alternatives(g Global, e Entry) []candidate {
	live, dead := split(e.Contents)
	if e.Kind == KindDir {
		return []candidate{directory(e, live, dead)}
	}
	if len(live) == 0 && revived(e) {
		// A tombstone describes what it deleted, which is what is back.
		live, dead = dead, nil
	}
	live = slices.DeleteFunc(slices.Clone(live), func(c Content) bool {
		_, own := g[EntryID(c.Dot)]
		return own && EntryID(c.Dot) != e.ID
	})
	var out []candidate
	groups := variants(live)
	first := max(0, slices.IndexFunc(groups, func(group []Content) bool {
		return slices.ContainsFunc(group, func(c Content) bool { return EntryID(c.Dot) == e.ID })
	}))
	for i, contents := range groups {
		if i == first {
			out = append(out, itself(e, contents, dead))
		} else {
			out = append(out, losing(e, contents))
		}
	}
	return out
}

// directory is e as a candidate; if it is dead its best content is a tombstone.
func directory(e Entry, live, dead []Content) candidate {
	if len(live) == 0 && revived(e) {
		live = slices.Clone(dead)
		for i := range live {
			live[i].Deleted = false
		}
	}
	byRank := func(a, b Content) int { return rankContents(b, a) }
	slices.SortFunc(live, byRank)
	slices.SortFunc(dead, byRank)
	c := itself(e, live, dead)
	c.kind = KindDir
	return c
}

// itself makes the candidate that has e's own ID, of contents (best first) and
// tombstones. It is dead if there are no contents.
func itself(e Entry, contents, dead []Content) candidate {
	c := candidate{kind: KindFile, refs: []Ref{{ID: e.ID}}}
	for i, x := range slices.Concat(contents, dead) {
		if i == 0 {
			c.best = x
		}
		c.refs[0].Contents = append(c.refs[0].Contents, x.Vector)
	}
	c.best.Deleted = len(contents) == 0
	for _, p := range e.Places {
		c.refs[0].Place = c.refs[0].Place.Merge(p.Vector)
	}
	return c
}

// losing makes the candidate of contents of e that are not shown as e.
func losing(e Entry, contents []Content) candidate {
	c := candidate{kind: KindFile, best: contents[0]}
	c.best.Deleted = false
	for _, x := range contents {
		c.refs = append(c.refs, Ref{ID: EntryID(x.Dot), Of: e.ID, Contents: []Vector{x.Vector}})
	}
	return c
}

// variants groups contents by what they say, best group first and in each group
// the best version first. Versions from which another one descends are in the
// group of that one, after its own.
//
// y descends from x if the vector of y has the event that wrote the bytes of x: x
// is then a change of mode or time, concurrent with y, of bytes that y replaced.
func variants(contents []Content) [][]Content {
	groups := byHash(contents, func(c Content) Content { return c })
	into := heirs(len(groups), func(i, j int) bool {
		return slices.ContainsFunc(groups[i], func(x Content) bool {
			return slices.ContainsFunc(groups[j], func(y Content) bool { return y.Vector.Has(x.Made) })
		})
	})
	return merged(groups, into)
}

// byHash groups items by the hash of their content and sorts both levels by rank,
// best first.
func byHash[T any](items []T, content func(T) Content) [][]T {
	rank := func(a, b T) int { return rankContents(content(b), content(a)) }
	groups := map[Hash][]T{}
	for _, x := range items {
		groups[content(x).Hash] = append(groups[content(x).Hash], x)
	}
	for _, group := range groups {
		slices.SortFunc(group, rank)
	}
	return slices.SortedFunc(maps.Values(groups), func(a, b []T) int { return rank(a[0], b[0]) })
}

// heirs says who takes the place of whom: heirs[i] is i if nothing does. descends
// reports whether j descends from i. Who has no descendant stays; who has one goes
// only if some chain of descendants ends with one who stays, so that a circle
// (something was changed and changed back) keeps all its members.
func heirs(n int, descends func(i, j int) bool) []int {
	into := make([]int, n)
	for i := range into {
		into[i] = -1
	}
	var seek func(i int, seen []bool) int
	seek = func(i int, seen []bool) int {
		seen[i] = true
		last, heir := true, -1
		for j := range n {
			if i == j || !descends(i, j) {
				continue
			}
			last = false
			if !seen[j] && heir < 0 {
				heir = seek(j, seen)
			}
		}
		if last {
			return i
		}
		return heir
	}
	for i := range into {
		into[i] = i
		if heir := seek(i, make([]bool, n)); heir >= 0 {
			into[i] = heir
		}
	}
	return into
}

// merged appends groups to those of their heirs.
func merged[T any](groups [][]T, into []int) [][]T {
	var out [][]T
	for i, group := range groups {
		if into[i] != i {
			continue
		}
		all := slices.Clone(group)
		for j, other := range groups {
			if j != i && into[j] == i {
				all = append(all, other...)
			}
		}
		out = append(out, all)
	}
	return out
}

// naming gives names to the candidates of one directory.
type naming struct {
	taken  map[string]candidate
	copies map[string][]string // conflict names of the losers at a name
	losers []candidate
}

// contest decides who has name.
func (n *naming) contest(name string, all []candidate) {
	var dirs, files []candidate
	for _, c := range all {
		if c.kind == KindDir {
			dirs = append(dirs, c)
		} else {
			files = append(files, c)
		}
	}
	ranked := rivals(files)
	if len(dirs) > 0 {
		n.taken[name] = united(dirs)
	} else {
		n.taken[name], ranked = ranked[0], ranked[1:]
	}
	n.losers = append(n.losers, ranked...)
}

// united makes one directory of several; the one with the smallest ID stands for
// all, unless it is dead and another is not.
func united(dirs []candidate) candidate {
	slices.SortFunc(dirs, func(a, b candidate) int {
		if c := compareBool(a.best.Deleted, b.best.Deleted); c != 0 {
			return c
		}
		return a.refs[0].ID.Compare(b.refs[0].ID)
	})
	one := dirs[0]
	for _, d := range dirs[1:] {
		one.refs = append(one.refs, d.refs...)
	}
	return one
}

// rivals makes one candidate of each content, best first. Between entries that is
// all that can be said: their vectors cannot be compared, and that one has bytes
// which another once had does not mean that nobody wants them here.
func rivals(files []candidate) []candidate {
	var out []candidate
	for _, group := range byHash(files, func(c candidate) Content { return c.best }) {
		one := group[0]
		for _, c := range group[1:] {
			one.refs = append(one.refs, c.refs...)
		}
		out = append(out, one)
	}
	return out
}

// nameLosers finds a free name for every loser. The names are free in the sense
// that nobody wants them for other reasons: all natural names are given by now.
func (n *naming) nameLosers() {
	for _, c := range n.losers {
		for try := 0; ; try++ {
			name := conflictName(c.name, c.best, try)
			other, taken := n.taken[name]
			if taken && (other.kind != KindFile || other.best.Hash != c.best.Hash) {
				continue
			}
			if taken {
				c = rivals([]candidate{other, c})[0]
			}
			n.taken[name] = c
			n.copies[c.name] = append(n.copies[c.name], name)
			break
		}
	}
}
