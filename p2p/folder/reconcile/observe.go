package reconcile

import (
	"maps"
	"slices"
)

// observer finds out where on the disk the things of base are.
type observer struct {
	base    Base
	disk    Disk
	paths   []string            // of base, sorted: directories before what is in them
	kids    map[string][]string // of base, names by directory
	byInode map[uint64][]string // of disk

	at   map[string]string // base path → disk path; no entry: gone
	from map[string]string // disk path → base path
	held map[string]bool   // base paths at which nothing can be said
}

// observe matches base and disk. In short: directories are known by their inode,
// files by their path, and what has vanished from its path is looked for by inode
// and by content. A file that stands where a file was is the same file, edited:
// that is how editors save.
func observe(base Base, disk Disk) *observer {
	o := &observer{
		base: base, disk: disk, paths: slices.Sorted(maps.Keys(base)),
		kids: map[string][]string{}, byInode: map[uint64][]string{},
		at: make(map[string]string, len(base)), from: make(map[string]string, len(base)), held: map[string]bool{},
	}
	for _, p := range o.paths {
		o.kids[parent(p)] = append(o.kids[parent(p)], lastName(p))
	}
	for _, p := range slices.Sorted(maps.Keys(disk)) {
		if inode := disk[p].Inode; inode != 0 {
			o.byInode[inode] = append(o.byInode[inode], p)
		}
	}
	o.directoriesByInode()
	o.directoriesByPath()
	o.rotations()
	o.filesByPath()
	o.vanished()
	return o
}

func (o *observer) claim(p, q string) { o.at[p], o.from[q] = q, p }

func (o *observer) free(q string) bool { _, taken := o.from[q]; return !taken }

// expected returns where p is if it was not moved itself.
func (o *observer) expected(p string) (string, bool) {
	dir := parent(p)
	if dir == "" || dir == Aside {
		return p, true
	}
	at, ok := o.at[dir]
	return join(at, lastName(p)), ok
}

func (o *observer) directoriesByInode() {
	for _, p := range o.paths {
		row := o.base[p]
		found := o.byInode[row.Inode]
		if row.Kind != KindDir || row.Inode == 0 || len(found) != 1 {
			continue
		}
		if q := found[0]; o.disk[q].Kind == KindDir && o.free(q) && o.akin(p, q) {
			o.claim(p, q)
		}
	}
}

// akin reports whether directory q can be p: something that was in p is in q, or p
// was empty, or it is at the same path. Inodes are used again, for a new directory
// within seconds.
func (o *observer) akin(p, q string) bool {
	return p == q || len(o.kids[p]) == 0 || slices.ContainsFunc(o.kids[p], func(name string) bool {
		_, ok := o.disk[join(q, name)]
		return ok
	})
}

func (o *observer) directoriesByPath() {
	for _, p := range o.paths {
		row := o.base[p]
		if _, done := o.at[p]; done || row.Kind != KindDir {
			continue
		}
		o.byPath(p)
		if _, done := o.at[p]; done {
			continue
		}
		o.byAside(p)
	}
}

// byPath claims what is at the expected path of p, or holds p if it is not known
// what is there.
func (o *observer) byPath(p string) {
	q, ok := o.expected(p)
	if !ok {
		return
	}
	item, exists := o.disk[q]
	switch {
	case o.held[parent(p)] || exists && item.Kind == KindOther && o.free(q):
		o.held[p] = true
		o.claim(p, q)
	case exists && item.Kind == o.base[p].Kind && o.free(q):
		o.claim(p, q)
	}
}

// byAside claims what waits between two names for p.
func (o *observer) byAside(p string) {
	row := o.base[p]
	if len(row.Refs) == 0 {
		return
	}
	if q := asideOf(row.Refs[0].ID, lastName(p)); o.disk[q].Kind == row.Kind && o.free(q) {
		o.claim(p, q)
	}
}

// rotations finds files that have exchanged their names: each is where another one
// was, and all are there. A chain that is open at one end is not a rotation, but
// edits: so it is when an editor or a log keeps old versions under other names.
func (o *observer) rotations() {
	at := map[string]string{}       // base path → expected path
	byInode := map[uint64]string{}  // base inode → base path
	previous := map[string]string{} // base path → base path of the file that is there now
	for _, p := range o.paths {
		q, ok := o.expected(p)
		if ok && o.base[p].Kind == KindFile && o.disk[q].Kind == KindFile && !o.held[parent(p)] {
			at[p], byInode[o.base[p].Inode] = q, p
		}
	}
	for p, q := range at {
		item := o.disk[q]
		if was, ok := byInode[item.Inode]; ok && item.Inode != 0 && was != p && o.base[was].Hash == item.Hash {
			previous[p] = was
		}
	}
	for _, p := range slices.Sorted(maps.Keys(previous)) {
		ring := []string{p}
		for next := previous[p]; next != "" && next != p && len(ring) <= len(previous); next = previous[next] {
			ring = append(ring, next)
		}
		if previous[ring[len(ring)-1]] != p {
			continue
		}
		for _, member := range ring {
			if _, done := o.at[previous[member]]; !done {
				o.claim(previous[member], at[member])
			}
		}
	}
}

func (o *observer) filesByPath() {
	for _, p := range o.paths {
		if _, done := o.at[p]; !done && o.base[p].Kind == KindFile {
			o.byPath(p)
		}
	}
}

// vanished looks for files that are not where they were among those that are new:
// by inode and content, by the name they have between two names, and by content
// alone, preferring the same name. Empty files all have the same content, which
// says nothing.
func (o *observer) vanished() {
	var lost []string
	for _, p := range o.paths {
		if _, done := o.at[p]; !done && o.base[p].Kind == KindFile {
			lost = append(lost, p)
		}
	}
	if len(lost) == 0 {
		return
	}
	byInode := func(_ string, it Item) (sign, bool) { return sign{hash: it.Hash, inode: it.Inode}, it.Inode != 0 }
	byName := func(p string, it Item) (sign, bool) { return sign{hash: it.Hash, name: lastName(p)}, it.Size > 0 }
	byHash := func(_ string, it Item) (sign, bool) { return sign{hash: it.Hash}, it.Size > 0 }
	o.match(lost, byInode)
	for _, p := range lost {
		if _, done := o.at[p]; !done {
			o.byAside(p)
		}
	}
	o.match(lost, byName)
	o.match(lost, byHash)
}

// sign is what a lost and a found file are compared by.
type sign struct {
	hash  Hash
	inode uint64
	name  string
}

// match pairs lost files with new ones of the same sign, both in order.
func (o *observer) match(lost []string, of func(p string, it Item) (sign, bool)) {
	found := map[sign][]string{}
	for _, q := range slices.Sorted(maps.Keys(o.disk)) {
		if s, ok := of(q, o.disk[q]); ok && o.disk[q].Kind == KindFile && o.free(q) {
			found[s] = append(found[s], q)
		}
	}
	for _, p := range lost {
		if _, done := o.at[p]; done {
			continue
		}
		if s, ok := of(p, o.base[p].Item); ok && len(found[s]) > 0 {
			o.claim(p, found[s][0])
			found[s] = found[s][1:]
		}
	}
}

// moved reports whether p, which is at q now, was moved by itself. What waits
// aside was not moved by a person.
func (o *observer) moved(p, q string) bool {
	if isAside(q) || o.held[p] {
		return false
	}
	expected, ok := o.expected(p)
	return !ok || expected != q
}
