package replica

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Errors that callers tell apart.
var (
	// ErrNotFound: no such conflict, discarded file or hold.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: what cannot be asked.
	ErrInvalid = errors.New("not valid")
	// ErrReadOnly: the folder is read-only for this node.
	ErrReadOnly = errors.New("read-only on this computer")
	// ErrNotHere: the file is not on this disk yet.
	ErrNotHere = errors.New("not on this computer yet")
	// ErrNotKept: the folder is not kept in line by this node.
	ErrNotKept = errors.New("folder is not kept here")
)

// Conflicts returns what was resolved by rule, by path.
func (c *Core) Conflicts(ctx context.Context) ([]Conflict, error) {
	var s seeds
	for p := range c.conflicts {
		s.paths = append(s.paths, p)
		for _, x := range c.conflicts[p] {
			if x.Kind == reconcile.ConflictContent {
				s.paths = append(s.paths, x.Others...)
			}
		}
	}
	if len(s.paths) == 0 {
		return nil, nil
	}
	slices.Sort(s.paths)
	var sc scope
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		sc, err = gather(ctx, r, c.o.Disk, c.fold, s)
		return err
	})
	if err != nil {
		return nil, c.errorf("list conflicts", err)
	}
	view := sc.global.View()
	var out []Conflict
	for _, x := range view.Conflicts {
		out = append(out, describe(sc, view, x)...)
	}
	slices.SortFunc(out, func(a, b Conflict) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Theirs.Path, b.Theirs.Path), cmp.Compare(a.N, b.N))
	})
	return out, nil
}

// describe makes one Conflict for each of the others.
func describe(sc scope, view reconcile.View, x reconcile.Conflict) []Conflict {
	ours := side(x.Path, view.At[x.Path].Content)
	c := Conflict{Kind: x.Kind, Path: x.Path, Ours: ours}
	if len(x.Others) == 0 {
		for _, ref := range view.At[x.Path].Refs {
			for _, content := range sc.global[ref.ID].Contents {
				if content.Deleted {
					c.Theirs = side("", content)
				}
			}
		}
		return []Conflict{c.numbered()}
	}
	var out []Conflict
	for _, other := range x.Others {
		c := c
		if x.Kind == reconcile.ConflictContent {
			c.Theirs = side(other, view.At[other].Content)
		} else {
			c.Theirs = Side{Path: join(parent(x.Path), other)}
		}
		out = append(out, c.numbered())
	}
	return out
}

func side(path string, c reconcile.Content) Side {
	s := Side{Path: path, Hash: c.Hash, Size: c.Size, Member: c.Dot.Member, Deleted: c.Deleted}
	if c.Hash != (reconcile.Hash{}) { // of a directory no time is kept
		s.Modified = time.Unix(0, c.Modified).UTC()
	}
	return s
}

// numbered names c by all that it says.
func (c Conflict) numbered() Conflict {
	h := blake3.New()
	for _, s := range []string{
		string(c.Kind), c.Path, c.Theirs.Path, c.Ours.Hash.String(), c.Theirs.Hash.String(), c.Ours.Member.String(), c.Theirs.Member.String(),
	} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(s), s) // never fails (hash.Hash)
	}
	c.N = binary.BigEndian.Uint64(h.Sum(nil)) >> 11
	return c
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// Resolve resolves conflicts as a person says: by doing on this disk what the
// person would do, or by saying that what is there is meant. Errors: ErrNotFound if
// one is not there (any more), ErrInvalid, ErrReadOnly, ErrNotHere.
func (c *Core) Resolve(ctx context.Context, numbers []uint64, keep string) (resolved int, err error) {
	if !c.o.Writer(c.o.Self) {
		return 0, c.errorf("resolve a conflict", ErrReadOnly)
	}
	if keep != KeepOurs && keep != KeepTheirs && keep != KeepBoth {
		return 0, c.errorf("resolve a conflict", fmt.Errorf("%w: keep %.20q: %s, %s or %s", ErrInvalid, keep, KeepOurs, KeepTheirs, KeepBoth))
	}
	if err := c.whole(ctx); err != nil {
		return 0, err
	}
	all, err := c.Conflicts(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, n := range numbers {
		i := slices.IndexFunc(all, func(x Conflict) bool { return x.N == n })
		if i < 0 {
			errs = append(errs, fmt.Errorf("conflict %d: %w", n, ErrNotFound))
			continue
		}
		if err := c.resolve(ctx, all[i], keep); err != nil {
			errs = append(errs, fmt.Errorf("conflict at %s: %w", all[i].Path, err))
			continue
		}
		resolved++
	}
	if err := errors.Join(errs...); err != nil {
		return resolved, c.errorf("resolve", err)
	}
	return resolved, nil
}

// whole settles what was under way when something went wrong: what a person does
// now must not be taken for a part of it.
func (c *Core) whole(ctx context.Context) error {
	if !c.torn {
		return nil
	}
	return c.settle(ctx)
}

func (c *Core) resolve(ctx context.Context, x Conflict, keep string) error {
	switch x.Kind {
	case reconcile.ConflictContent:
		return c.resolveContent(ctx, x, keep)
	case reconcile.ConflictName:
		if keep == KeepTheirs {
			return c.personMoves(x.Path, x.Theirs.Path)
		}
		return c.insist(ctx, reconcile.Insisting{Path: x.Path, Place: true})
	case reconcile.ConflictMove:
		if keep == KeepTheirs {
			return fmt.Errorf("%w: the move would put a directory into itself", ErrInvalid)
		}
		return c.insist(ctx, reconcile.Insisting{Path: x.Path, Place: true})
	}
	if keep == KeepTheirs {
		return c.personDeletes(ctx, x.Path)
	}
	// What the person was shown is meant, not an older version that is here until that comes.
	if err := c.same(ctx, x.Path, x.Ours.Hash); err != nil {
		return err
	}
	return c.insist(ctx, reconcile.Insisting{Path: x.Path})
}

func (c *Core) resolveContent(ctx context.Context, x Conflict, keep string) error {
	// What a person has put there just now is not what was shown.
	if err := c.same(ctx, x.Theirs.Path, x.Theirs.Hash); err != nil {
		return err
	}
	switch keep {
	case KeepOurs:
		return c.personDeletes(ctx, x.Theirs.Path)
	case KeepBoth:
		return c.personMoves(x.Theirs.Path, c.freeName(x.Path))
	}
	// Theirs gets the name in one moment, and ours is beside it until it is in the
	// trash.
	if err := c.same(ctx, x.Path, x.Ours.Hash); err != nil {
		return err
	}
	err := errors.ErrUnsupported
	if !c.isDir(x.Path) { // what is in a directory goes one by one
		err = c.o.FS.Exchange(x.Path, x.Theirs.Path)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		if err = c.personDeletes(ctx, x.Path); err == nil {
			err = c.personMoves(x.Theirs.Path, x.Path)
		}
		return err
	}
	if err != nil {
		return err
	}
	c.Dirty([]string{x.Path, x.Theirs.Path}, nil, false)
	c.o.Disk.Hint(x.Path, x.Theirs.Path)
	return c.trash(ctx, x.Theirs.Path)
}

func (c *Core) isDir(p string) bool {
	st, err := c.o.FS.Lstat(p)
	return err == nil && st.Kind == reconcile.KindDir
}

// same reports, as ErrNotHere, that what is at p on this disk is not the content h.
func (c *Core) same(ctx context.Context, p string, h reconcile.Hash) error {
	seen, state, err := c.o.Disk.Observe(ctx, p, Seen{})
	if err != nil {
		return err
	}
	if state != Current || seen.Hash != h {
		return fmt.Errorf("%s: %w", p, ErrNotHere)
	}
	return nil
}

// freeName returns a name beside p that nothing has: "name 2.ext".
func (c *Core) freeName(p string) string {
	ext := path.Ext(p)
	if strings.TrimPrefix(lastName(p), ".") == strings.TrimPrefix(ext, ".") {
		ext = "" // a name that begins with a dot
	}
	stem := strings.TrimSuffix(p, ext)
	for i := 2; ; i++ {
		name := fmt.Sprintf("%s %d%s", stem, i, ext)
		if _, err := c.o.FS.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
}

// personMoves renames, as a person here would.
func (c *Core) personMoves(from, to string) error {
	if err := c.o.FS.Rename(from, to); err != nil {
		return err
	}
	c.o.Disk.Hint(from, to)
	return apply.SyncDirs(c.o.FS, []string{parent(from), parent(to)})
}

// personDeletes moves what is at p, with all that is in it, to the trash, as a
// person here would.
func (c *Core) personDeletes(ctx context.Context, p string) error {
	children, err := c.o.Disk.Children(ctx, p)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := c.personDeletes(ctx, child.Path); err != nil {
			return err
		}
	}
	return c.trash(ctx, p)
}

// trash moves one file to the trash, or removes an empty directory.
func (c *Core) trash(ctx context.Context, p string) error {
	st, err := c.o.FS.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", p, ErrNotHere)
	}
	if err != nil {
		return err
	}
	want := apply.Expect{Item: reconcile.Item{Kind: st.Kind, Size: st.Size, Modified: st.Modified, Mode: st.Mode, Inode: st.Inode}, Changed: st.Changed}
	name := ""
	if st.Kind == reconcile.KindFile {
		name = apply.TrashName(c.o.Now(), c.o.Random(), lastName(p))
		// What the scan knows need not be read again: it can be large, and others wait.
		if seen, state, e := c.o.Disk.Observe(ctx, p, Seen{}); e == nil && state == Current {
			want.Item.Hash = seen.Hash
		} else if want.Item.Hash, err = hashFile(ctx, c.o.FS, p); err != nil {
			return err
		}
	}
	if err := apply.Discard(c.o.FS, p, want, name); err != nil {
		return err
	}
	c.o.Disk.Hint(p)
	if err := apply.SyncDirs(c.o.FS, []string{parent(p), apply.TrashDir}); err != nil {
		return err
	}
	if name == "" {
		return nil
	}
	return c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error {
		_, err := w.Discard(discarded(p, want.Item, c.o.Self, c.o.Now(), true, lastName(name)))
		return err
	})
}

// insist makes versions that say that what is here is meant.
func (c *Core) insist(ctx context.Context, what ...reconcile.Insisting) error {
	var s seeds
	for _, w := range what {
		s.paths = append(s.paths, w.Path)
	}
	var sc scope
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		sc, err = gather(ctx, r, c.o.Disk, c.fold, s)
		return err
	})
	if err != nil {
		return err
	}
	plan := reconcile.Insist(sc.base, sc.disk, sc.global, reconcile.Options{Author: c.author, Fold: c.fold}, what)
	if err := c.reserve(plan.Author.Counter); err != nil {
		return fmt.Errorf("reserve event numbers: %w", err)
	}
	state := c.state
	state.Counter = plan.Author.Counter
	err = c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error {
		for _, e := range plan.Entries {
			if err := w.PutEntry(e, true, 0); err != nil {
				return err
			}
		}
		return errors.Join(c.setState(w, state), w.Unset(plan.Unset), w.Set(plan.Set))
	})
	if err != nil {
		return err
	}
	c.state, c.author = state, plan.Author
	for _, w := range what {
		c.dirty[w.Path] = true
	}
	return nil
}

// Decide lets through what is held of a member (zero: of all), or refuses it: then
// what is here is made the newest version. Errors: ErrNotFound if nothing is held of
// the member.
func (c *Core) Decide(ctx context.Context, of p2p.ID, release bool) error {
	if err := c.whole(ctx); err != nil {
		return err
	}
	found := false
	for _, h := range c.Holds() {
		if !of.IsZero() && h.Member != of {
			continue
		}
		found = true
		if err := c.decide(ctx, h, release); err != nil {
			return c.errorf("decide what is held of "+h.Member.Short(), err)
		}
	}
	if !found && !of.IsZero() {
		return c.errorf("decide", fmt.Errorf("what is held of %s: %w", of.Short(), ErrNotFound))
	}
	return nil
}

func (c *Core) decide(ctx context.Context, h Hold, release bool) error {
	items, dots, err := c.heldItems(ctx, h.Member)
	if err != nil {
		return err
	}
	if release {
		// What was seen, and no more: not what the member may have announced.
		for _, d := range dots {
			h.Released = h.Released.Bump(d)
		}
	} else {
		var what []reconcile.Insisting
		for _, it := range items {
			what = append(what, reconcile.Insisting{Path: it.Path})
		}
		if c.o.Writer(c.o.Self) {
			if err := c.insist(ctx, what...); err != nil {
				return err
			}
		} else if len(what) > 0 {
			return ErrReadOnly
		}
	}
	h.Decided = c.o.Now().UTC().Truncate(time.Millisecond)
	if err := c.endHold(ctx, h); err != nil {
		return err
	}
	delete(c.brake.done, h.Member)
	for id, p := range c.parked {
		if p.held == h.Member {
			c.again[id] = true
		}
	}
	return nil
}

// Held returns what waits for a person's word, by member.
func (c *Core) Held(ctx context.Context) ([]Held, error) {
	var out []Held
	for _, h := range c.Holds() {
		items, _, err := c.heldItems(ctx, h.Member)
		if err != nil {
			return nil, c.errorf("list what is held", err)
		}
		x := Held{Member: h.Member, Since: h.Since, Limit: h.Limit, Done: h.Done}
		for _, it := range items {
			if it.Deleted {
				x.Deleted++
			} else {
				x.Changed++
			}
		}
		x.Items = items[:min(len(items), MaxHeldItems)]
		out = append(out, x)
	}
	return out, nil
}

// heldItems returns the changes of a member that wait, by path.
func (c *Core) heldItems(ctx context.Context, of p2p.ID) (items []HeldItem, dots []reconcile.Dot, err error) {
	var s seeds
	for id, p := range c.parked {
		if p.held == of {
			s.entries = append(s.entries, id)
		}
	}
	if len(s.entries) == 0 {
		return nil, nil, nil
	}
	var sc scope
	err = c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		sc, err = gather(ctx, r, c.o.Disk, c.fold, s)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	plan := reconcile.Reconcile(sc.base, sc.disk, sc.global, reconcile.Options{Author: c.author, Fold: c.fold})
	w := &work{Core: c, ctx: ctx, scope: sc, plan: plan}
	w.index()
	for _, step := range plan.Steps {
		if destroys(step) && w.responsible(step) == of {
			dots = append(dots, w.dotOf(step))
			items = append(items, HeldItem{
				Path: step.Path, Deleted: step.Do == reconcile.DoTrash, Size: step.Expect.Size, NewSize: step.Row.Size,
			})
		}
	}
	slices.SortFunc(items, func(a, b HeldItem) int { return strings.Compare(a.Path, b.Path) })
	return items, dots, nil
}
