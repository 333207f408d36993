package reconcile

import (
	"slices"
	"strings"
)

// What a person can do.

func (n *modelNode) newInode() uint64 {
	if k := len(n.freed); k > 0 && n.w.roll(2) == 0 {
		i := n.freed[k-1]
		n.freed = n.freed[:k-1]
		return i
	}
	n.inode++
	return n.inode
}

func (n *modelNode) consume(p string) {
	it := n.disk[p]
	if it.Kind == KindFile {
		n.w.consumed[it.Hash] = true
	}
	n.freed = append(n.freed, it.Inode)
}

func (n *modelNode) write(p, content string) {
	old, exists := n.disk[p]
	if exists && old.Kind != KindFile {
		return
	}
	it := Item{Kind: KindFile, Size: int64(len(content)), Modified: int64(n.w.seq), Mode: 0o644, Hash: hashOf(content), Inode: old.Inode}
	if exists && old.Hash != it.Hash {
		n.w.consumed[old.Hash] = true
	}
	if !exists || n.w.roll(3) == 0 { // as editors do: a new file in the place of the old
		it.Inode = n.newInode()
	}
	n.disk[p] = it
	n.w.note("%s: write %s %s (%.4s)", n.name, p, content, it.Hash)
}

func (n *modelNode) mkdir(p string) {
	if _, exists := n.disk[p]; !exists {
		n.disk[p] = Item{Kind: KindDir, Mode: 0o755, Inode: n.newInode()}
		n.w.note("%s: mkdir %s", n.name, p)
	}
}

func (n *modelNode) below(p string) []string {
	var out []string
	for q := range n.disk {
		if q == p || strings.HasPrefix(q, p+"/") {
			out = append(out, q)
		}
	}
	slices.Sort(out)
	return out
}

func (n *modelNode) remove(p string) {
	for _, q := range n.below(p) {
		n.consume(q)
		delete(n.disk, q)
	}
	n.w.note("%s: remove %s", n.name, p)
}

// shift renames without any check.
func (n *modelNode) shift(from, to string) {
	for _, q := range n.below(from) {
		it := n.disk[q]
		delete(n.disk, q)
		n.disk[to+strings.TrimPrefix(q, from)] = it
	}
}

// rename does nothing while a row is lost. If a file was replaced, the row of that
// was lost, and a copy of what it was is renamed to its path before the next scan,
// then it looks as if it had not been replaced yet, which is done again. What it
// was is in the trash then, and not where the person put it.
func (n *modelNode) rename(from, to string) {
	if n.torn || to == from || strings.HasPrefix(to, from+"/") {
		return
	}
	if old, exists := n.disk[to]; exists {
		if old.Kind != KindFile || n.disk[from].Kind != KindFile {
			return
		}
		n.consume(to)
		delete(n.disk, to)
	}
	n.shift(from, to)
	n.w.note("%s: rename %s %s", n.name, from, to)
}

func (n *modelNode) swap(a, b string) {
	if n.torn || a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
		return
	}
	n.shift(a, "\x00")
	n.shift(b, a)
	n.shift("\x00", b)
	n.w.note("%s: swap %s %s", n.name, a, b)
}

func (n *modelNode) chmod(p string, mode int) {
	it := n.disk[p]
	it.Mode = it.Mode&^0o77 | 0o11*7&it.Mode
	it.Mode ^= 0o10 << mode
	n.disk[p] = it
	n.w.note("%s: chmod %s", n.name, p)
}
