package reconcile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The mini-language of the tables. A case is sections separated by "|":
//
//	base: a=1@A1 d/@A2 | disk: a=2 d/ | global: a=3@A1B1 d/@A2 | plan: [edit a] …
//
// In base and global a thing is [TAG:]PATH=CONTENT@VECTOR or [TAG:]PATH/@VECTOR.
// The vector A1B3 is made by A's event 1 and B's event 3, the latter being the one
// that made the version. Things of one TAG (if none, their path) are one entry,
// named by the first event of its first vector. ^VECTOR gives the vector of the
// place, if it is not the first event. "-" in front is a tombstone.
//
// On the disk a thing is PATH=CONTENT, PATH/ or PATH! (something not shared), with
// #PATH for the inode of what base has there; without it, it is the inode of what
// base has at the same path, or a new one.
//
// Plans say what people did, in brackets, and the steps: [edit a] replace a=3.
// A conflict copy of a by B with content 2 is written a~B2.
type language struct {
	t      *testing.T
	ids    map[string]EntryID // by tag
	inodes map[string]uint64  // by base path
	words  map[string]string  // hash prefix → content
	base   Base
	disk   Disk
	global Global
}

var thing = regexp.MustCompile(`^(-?)(?:([^:]*):)?([^=@#!^]+?)(?:=([^@#^]*))?(!)?(?:@([A-Z0-9]+))?(?:\^([A-Z0-9]+))?(?:#(.*))?$`)

func (l *language) vector(text string) (Vector, Dot) {
	var v Vector
	var last Dot
	for _, m := range regexp.MustCompile(`([A-Z])(\d+)`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			l.t.Fatal(err)
		}
		last = Dot{Member: memberOf(m[1]), Incarnation: 1, Counter: n}
		v = v.Bump(last)
	}
	return v, last
}

func (l *language) hash(content string) Hash {
	h := hashOf(content)
	l.words[h.String()[:8]] = content
	return h
}

// read reads one section.
func (l *language) read(section, text string) {
	at := map[string]EntryID{}
	for _, word := range strings.Fields(text) {
		m := thing.FindStringSubmatch(word)
		if m == nil {
			l.t.Fatalf("cannot read %q", word)
		}
		dead, tag, path, content, other, vec, placeVec, inode := m[1] != "", m[2], m[3], m[4], m[5] != "", m[6], m[7], m[8]
		item := Item{Kind: KindFile, Mode: 0o644, Size: int64(len(content)), Hash: l.hash(content)}
		if p, ok := strings.CutSuffix(path, "/"); ok {
			path, item = p, Item{Kind: KindDir, Mode: 0o755}
		}
		if other {
			item = Item{Kind: KindOther}
		}
		if section == "disk" {
			if inode == "" {
				inode = path
			}
			if l.inodes[inode] == 0 || inode == "new" {
				l.inodes[inode] = uint64(len(l.inodes) + 1)
			}
			item.Inode = l.inodes[inode]
			l.disk[path] = item
			continue
		}
		if tag == "" {
			tag = path
		}
		if _, ok := l.ids[tag]; !ok {
			_, d := l.vector(regexp.MustCompile(`^[A-Z]\d+`).FindString(vec))
			l.ids[tag] = EntryID(d)
		}
		id := l.ids[tag]
		place := Place{Dot: Dot(id), Vector: Vector{Dot(id)}, Had: item.Hash}
		if placeVec != "" {
			place.Vector, place.Dot = l.vector(placeVec)
		}
		l.add(section, id, path, item, vec, place, dead, at)
	}
}

// add puts one thing into base or global. at has the directories that were met.
func (l *language) add(section string, id EntryID, path string, item Item, vec string, p Place, dead bool, at map[string]EntryID) {
	if item.Kind == KindDir {
		at[path] = id
	}
	v, d := l.vector(vec)
	if section == "base" {
		l.inodes[path] = uint64(len(l.inodes) + 1)
		item.Inode = l.inodes[path]
		l.base[path] = Row{Item: item, Dot: d, Made: d, Refs: []Ref{{ID: id, Place: p.Vector, Contents: []Vector{v}}}}
		return
	}
	c := content(item)
	c.Dot, c.Vector, c.Made, c.Deleted = d, v, d, dead
	if dead {
		c.Seen = p.Vector
	}
	p.Spot = Spot{Name: lastName(path)}
	if dir := parent(path); dir != "" {
		p.Parent = EntryID{Counter: 404} // not known
		if known, ok := at[dir]; ok {
			p.Parent = known
		}
	}
	l.global.Merge(Entry{ID: id, Kind: item.Kind, Places: []Place{p}, Contents: []Content{c}})
}

func newLanguage(t *testing.T) *language {
	return &language{
		t: t, ids: map[string]EntryID{}, inodes: map[string]uint64{}, words: map[string]string{},
		base: Base{}, disk: Disk{}, global: Global{},
	}
}

var marked = regexp.MustCompile(` \(conflict ([a-z2-7]{12}) ([0-9a-f]{8})( \d+)?\)`)

// short abbreviates conflict names.
func (l *language) short(path string) string {
	return marked.ReplaceAllStringFunc(path, func(mark string) string {
		m := marked.FindStringSubmatch(mark)
		for _, name := range []string{"A", "B", "C", "D", "E"} {
			if memberOf(name).Short() == m[1] {
				return "~" + name + l.words[m[2]]
			}
		}
		return mark
	})
}

func (l *language) plan(p Plan) string {
	var did, steps []string
	for _, c := range p.Changes {
		did = append(did, strings.Join(strings.Fields(fmt.Sprint(c.Kind, " ", c.From, " ", c.Path)), " "))
	}
	for _, s := range p.Steps {
		text := string(s.Do) + " "
		if s.From != "" {
			text += s.From + " → "
		}
		text += s.Path
		if s.Do == DoFetch || s.Do == DoReplace {
			text += "=" + l.words[s.Row.Hash.String()[:8]]
		}
		steps = append(steps, regexp.MustCompile(`\.shoal/aside/\S+ `).ReplaceAllString(l.short(text), "aside/"))
	}
	for _, x := range p.Problems {
		steps = append(steps, "! "+l.short(x.Path)+": "+x.Why)
	}
	if len(did)+len(steps) == 0 {
		return "nothing"
	}
	return strings.TrimSpace("[" + strings.Join(did, ", ") + "] " + strings.Join(steps, ", "))
}

func (l *language) tree(disk Disk) string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(disk)) {
		if disk[p].Kind == KindDir {
			out = append(out, l.short(p)+"/")
		} else {
			out = append(out, l.short(p)+"="+l.words[disk[p].Hash.String()[:8]])
		}
	}
	return strings.Join(out, " ")
}

// story plays what nodes do, "A: write a 1", and "sync", and returns the tree
// that all have in the end, and the conflicts that are told.
func story(t *testing.T, script string) (tree, conflicts string) {
	l := newLanguage(t)
	w := newWorld(t, func(n int) int { return n - 1 }, 3)
	for line := range strings.SplitSeq(script, "|") {
		f := strings.Fields(line)
		w.seq++
		if f[0] == "sync" {
			w.calm()
			continue
		}
		n := w.nodes[f[0][0]-'A']
		switch f[1] {
		case "write":
			n.write(f[2], f[3])
			l.hash(f[3])
		case "mkdir":
			n.mkdir(f[2])
		case "rm":
			n.remove(f[2])
		case "mv":
			n.rename(f[2], f[3])
		case "swap":
			n.swap(f[2], f[3])
		case "chmod":
			n.chmod(f[2], 1)
		case "scan":
			n.reconcile(1<<30, false)
		case "lose":
			n.loseState()
		default:
			t.Fatalf("cannot read %q", line)
		}
	}
	w.calm()
	var told []string
	for _, c := range w.nodes[0].global.View().Conflicts {
		text := string(c.Kind) + " " + l.short(c.Path)
		for _, o := range c.Others {
			text += " " + l.short(o)
		}
		told = append(told, text)
	}
	return l.tree(w.nodes[0].disk), strings.Join(told, ", ")
}
