package replica

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Want is a content that is needed here.
type Want struct {
	Hash reconcile.Hash
	Size int64
	Path string // one where it is to be, with this mode and time
	Mode fs.FileMode
	// Modified is in ns since 1970.
	Modified int64
	Made     p2p.ID // who wrote it
	Old      string // a file here that has probably much in common with it; empty: none
	// OldSize is the size of Old.
	OldSize int64
	// Far: it was looked for on this disk, and is not there.
	Far bool
}

// maxWants is how many contents are waited for at once; more is not planned before
// some of them have come.
const maxWants = 4096

// inlineCopy is up to which size a second file of the same content is copied at
// once.
const inlineCopy = 1 << 20

// partial is what the name of a temporary file ends with that is not known to have
// all of its content.
const partial = ".part"

// contents are the temporary files of a core.
type contents struct {
	ready map[reconcile.Hash]arrival // checked
	wants map[reconcile.Hash]Want
	// copies are temporary files besides: of empty files, and where several files have
	// one content.
	copies map[string]bool
}

// arrival is a content that is here.
type arrival struct {
	path string
	stat apply.Stat // of the file, on which a step can build; without Kind: it has to be looked at
}

func newContents() contents {
	return contents{ready: map[reconcile.Hash]arrival{}, wants: map[reconcile.Hash]Want{}, copies: map[string]bool{}}
}

func (c *contents) has(h reconcile.Hash) bool {
	_, here := c.ready[h]
	return here
}

func (c *contents) full() bool { return len(c.wants) >= maxWants }

// open tidies what the last run has left: it cannot be known whether all of it is
// on the disk, so that it counts as begun.
func (c *contents) open(fsys apply.FS) error {
	names, err := fsys.Names(apply.TempDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := apply.TempDir + "/" + name
		switch {
		case strings.HasSuffix(name, partial):
		case len(name) == 2*len(reconcile.Hash{}) && !slices.Contains(names, name+partial):
			err = fsys.Rename(path, path+partial)
		default:
			err = fsys.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// want notes a want, and reports whether it is new.
func (c *contents) want(w Want) bool {
	if _, ok := c.wants[w.Hash]; ok {
		return false
	}
	c.wants[w.Hash] = w
	return true
}

// temp is a temporary file that is ready to be installed.
type temp struct {
	path string
	stat apply.Stat
}

// take returns a temporary file with what item says, if its content is here. The
// first of several takes the file that has come, the others a copy.
func (c *contents) take(fsys apply.FS, item reconcile.Item, claimed map[reconcile.Hash]bool, random func() uint64) (t temp, ok bool, err error) {
	if err := c.check(fsys, item); err != nil {
		return t, false, err
	}
	source, here := c.ready[item.Hash]
	switch {
	case item.Size == 0:
		t.path = UniqueName(item.Hash, random())
		c.copies[t.path] = true
		f, err := fsys.Create(t.path)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return t, false, err
		}
	case !here:
		return t, false, nil
	case !claimed[item.Hash]:
		claimed[item.Hash] = true
		t.path = source.path
		if s := source.stat; s.Kind == reconcile.KindFile && s.Mode == item.Mode.Perm() && s.Modified == item.Modified {
			t.stat = s
			return t, true, nil
		}
		c.doubt(item.Hash)
	case item.Size <= inlineCopy:
		t.path = UniqueName(item.Hash, random())
		c.copies[t.path] = true
		if err := copyFile(fsys, source.path, t.path, item.Size); err != nil {
			return t, false, err
		}
	default:
		return t, false, nil
	}
	t.stat, err = fsys.SetMeta(t.path, item.Mode, item.Modified)
	return t, err == nil, err
}

// doubt has the file of a content looked at before it is used again.
func (c *contents) doubt(h reconcile.Hash) {
	if a, ok := c.ready[h]; ok {
		a.stat = apply.Stat{}
		c.ready[h] = a
	}
}

// doubtAll is doubt of all of them: it is not known what of a group of steps was done.
func (c *contents) doubtAll() {
	for h := range c.ready {
		c.doubt(h)
	}
}

// check forgets a content that is not there any more: it was installed, and a person
// has changed it before that was noted.
func (c *contents) check(fsys apply.FS, item reconcile.Item) error {
	a, here := c.ready[item.Hash]
	if !here || a.stat.Kind == reconcile.KindFile && a.stat.Size == item.Size {
		return nil
	}
	st, err := fsys.Lstat(a.path)
	if err != nil && !errors.Is(err, errNotExist) {
		return err
	}
	if err != nil || st.Size != item.Size {
		delete(c.ready, item.Hash)
	}
	return nil
}

func copyFile(fsys apply.FS, from, to string, size int64) error {
	in, err := fsys.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() // nothing was written
	out, err := fsys.Create(to)
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(in, b); err != nil {
		return errors.Join(err, out.Close())
	}
	_, err = out.WriteAt(b, 0)
	return errors.Join(err, out.Close())
}

// used notes that a temporary file has been installed.
func (c *contents) used(h reconcile.Hash, path string) {
	if c.ready[h].path == path {
		delete(c.ready, h)
	}
	delete(c.copies, path)
}

// distrust throws away all contents that have come: after a sync of the whole disk has
// failed, none of them may be on it, however it looks.
func (c *contents) distrust(fsys apply.FS) (err error) {
	for _, h := range slices.SortedFunc(maps.Keys(c.ready), reconcile.Hash.Compare) {
		if e := fsys.Remove(c.ready[h].path); e != nil && !errors.Is(e, errNotExist) {
			err = errors.Join(err, e)
		}
		delete(c.ready, h)
	}
	return err
}

// tidy removes temporary files that nothing needs: a step was not done, or the
// version has been superseded before its content came. It is called when there is
// nothing to do, so that what still waits is parked.
func (c *Core) tidy() error {
	if len(c.contents.copies)+len(c.contents.ready) == 0 {
		return nil
	}
	needed := map[reconcile.Hash]bool{}
	for _, p := range c.parked {
		needed[p.content] = true
	}
	for _, path := range slices.Sorted(maps.Keys(c.contents.copies)) { // the same every time
		if err := c.o.FS.Remove(path); err != nil && !errors.Is(err, errNotExist) {
			return err
		}
		delete(c.contents.copies, path)
	}
	for _, h := range slices.SortedFunc(maps.Keys(c.contents.ready), reconcile.Hash.Compare) {
		if needed[h] {
			continue
		}
		if err := c.o.FS.Remove(c.contents.ready[h].path); err != nil && !errors.Is(err, errNotExist) {
			return err
		}
		delete(c.contents.ready, h)
	}
	return nil
}

// ArrivalName is where who fetches a content puts it before Arrived: the names that
// apply.TempName gives belong to steps, and what is there can be a person's file for a
// moment.
func ArrivalName(h reconcile.Hash) string { return apply.TempName(h) + ".new" + partial }

// UniqueName is a name for a content that nobody else uses: n is random. A step takes
// the file by it. What is left at the end of a run is removed.
func UniqueName(h reconcile.Hash, n uint64) string {
	return fmt.Sprintf("%s-%016x", apply.TempName(h), n)
}

// Arrived tells that a content that was wanted is at path, checked: its ArrivalName or
// a UniqueName, or apply.TempName. st is the state of the file if it is at a UniqueName
// and that is known; it may have the mode and time that were wanted already.
func (c *Core) Arrived(h reconcile.Hash, path string, st apply.Stat) {
	if !c.receive(h, path, st) {
		c.Failed(h)
		return
	}
	delete(c.contents.wants, h)
	for _, id := range c.waiting[h] {
		if c.parked[id].hash == h {
			c.again[id] = true
		}
	}
	for _, p := range c.late[h] {
		c.dirty[p] = true
	}
	delete(c.late, h)
	delete(c.waiting, h)
}

// Keeps reports whether a content that has arrived waits to be installed.
func (c *Core) Keeps(h reconcile.Hash) bool { return c.contents.has(h) }

// receive gives what has arrived the name by which steps know it, and reports whether it
// is there.
func (c *Core) receive(h reconcile.Hash, path string, st apply.Stat) bool {
	if _, here := c.contents.ready[h]; here {
		return path == c.contents.ready[h].path || c.o.FS.Remove(path) == nil
	}
	if path == ArrivalName(h) {
		path, st = apply.TempName(h), apply.Stat{}
		if err := c.o.FS.Rename(ArrivalName(h), path); err != nil {
			return false // something unknown is there: it is asked for again
		}
	}
	if st.Kind == "" {
		if _, err := c.o.FS.Lstat(path); err != nil {
			return false
		}
	}
	c.contents.ready[h] = arrival{path, st}
	return true
}

// Failed tells that a content does not come now. What needs it makes room for others,
// and is tried again later, by Retry or Reachable.
func (c *Core) Failed(h reconcile.Hash) {
	delete(c.contents.wants, h)
	for _, id := range c.waiting[h] {
		p, ok := c.parked[id]
		if !ok || p.hash != h {
			continue
		}
		c.tries[id] = c.tries[id].failed(h)
		p.hash, p.why, p.since, p.tries = reconcile.Hash{}, "nobody who is linked has its content", c.o.Now(), c.tries[id].count
		c.parked[id] = p
	}
	delete(c.waiting, h)
}

// Reachable has tried again what nobody had who was linked: there is somebody else.
func (c *Core) Reachable() {
	for id, p := range c.parked {
		if p.hash == (reconcile.Hash{}) && p.content != (reconcile.Hash{}) && p.held.IsZero() {
			c.again[id] = true
		}
	}
}

// Wants returns what is waited for.
func (c *Core) Wants() []Want {
	out := make([]Want, 0, len(c.contents.wants))
	for _, w := range c.contents.wants {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b Want) int { return strings.Compare(a.Path, b.Path) })
	return out
}
