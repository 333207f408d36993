package folder

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// maxOwn is how many of a share's own writes are remembered, at least.
const maxOwn = 16384

// own remembers the states of files that Record has told of, so that the file
// system's events about them do not have them read again. The zero value works.
//
// Of two halves the older is forgotten when the newer is full.
type own struct {
	newer, older map[string]ownState
}

type ownState struct {
	inode   uint64
	changed int64
}

func (o *own) add(r Row) {
	if len(o.newer) >= maxOwn {
		o.older, o.newer = o.newer, nil
	}
	if o.newer == nil {
		o.newer = make(map[string]ownState)
	}
	o.newer[r.Path] = ownState{r.Inode, r.Changed}
}

// is reports whether the file at path is still as it was recorded; its size and
// times are those of its row.
func (o *own) is(path string, st stat) bool {
	was, found := o.newer[path]
	if !found {
		was, found = o.older[path]
	}
	return found && was == ownState{st.inode, st.changed}
}

// overtaken is what Record has changed while a scan runs: what the scan has found
// there may have been so before.
type overtaken struct {
	scanning bool
	paths    map[string]struct{}
	moves    []Move
}

// has reports whether path is where something was recorded.
func (o *overtaken) has(path string) bool {
	if _, found := o.paths[path]; found {
		return true
	}
	return slices.ContainsFunc(o.moves, func(m Move) bool { return within(path, m.From) || within(path, m.To) })
}

// touches reports whether something was recorded at dir or in it.
func (o *overtaken) touches(dir string) bool {
	for p := range o.paths {
		if within(p, dir) {
			return true
		}
	}
	return slices.ContainsFunc(o.moves, func(m Move) bool {
		return within(m.From, dir) || within(m.To, dir) || within(dir, m.From) || within(dir, m.To)
	})
}

// within reports whether path is dir or in it.
func within(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// filter takes out of d what was overtaken, and returns the paths of that, without
// those of moves.
func (o *overtaken) filter(d *Diff) (again []string) {
	if len(o.paths) == 0 && len(o.moves) == 0 {
		return nil
	}
	path := func(p string) bool {
		if o.has(p) {
			again = append(again, p)
			return true
		}
		return false
	}
	row := func(r Row) bool { return path(r.Path) }
	d.Drop, d.Left = slices.DeleteFunc(d.Drop, path), slices.DeleteFunc(d.Left, path)
	d.Put, d.Same = slices.DeleteFunc(d.Put, row), slices.DeleteFunc(d.Same, row)
	d.Moved = slices.DeleteFunc(d.Moved, func(m Move) bool { return o.touches(m.From) || o.touches(m.To) })
	return again
}

// recorded saves what the one who keeps the folder in sync has done.
func (sh *share) recorded(ctx context.Context, drop []string, moved []Move, put []Row) error {
	sh.writes.Lock()
	defer sh.writes.Unlock()
	if sh.overtaken.scanning {
		sh.overtaken.add(drop, moved, put)
	}
	d := Diff{Drop: drop, Moved: moved, Put: put}
	if err := sh.root(ctx, &d); err != nil {
		return err
	}
	put = d.Put
	delta, err := sh.service.store.Apply(ctx, sh.id, d)
	if err != nil {
		return err
	}
	for _, r := range put {
		if r.Kind == KindFile {
			sh.own.add(r)
		}
	}
	sh.pace(func() { sh.post(delta) })
	if sh.scans != sh.pinned {
		sh.verify(drop, moved, put)
		sh.look()
	}
	return nil
}

const (
	// lookAfter is the least time from when people and a synchronisation have worked in a
	// folder at once to a complete scan, and lookShare how many times as long as that scan
	// takes it is otherwise.
	lookAfter = 5 * time.Second
	lookShare = 30
)

// look has everything looked at in a while. Where two have worked at once it is not left to
// the hints alone that nothing was overlooked.
func (sh *share) look() {
	sh.set(func() {
		if sh.looking {
			return
		}
		sh.looking = true
		time.AfterFunc(max(lookAfter, lookShare*sh.took), func() {
			sh.set(func() { sh.looking = false })
			sh.ask()
		})
	})
}

// verify has looked again at what is not as it was just recorded. A scan that has ended
// since that was done, but before it was recorded, may have seen what has happened to it
// afterwards, and could not tell.
func (sh *share) verify(drop []string, moved []Move, put []Row) {
	t, err := sh.open()
	if err != nil {
		return // a complete scan follows
	}
	defer t.close() // nothing was written
	for _, p := range drop {
		if _, err := t.root.Lstat(p); err == nil {
			sh.hint(hint{dir: parent(p), path: p})
		}
	}
	for _, m := range moved {
		sh.hint(hint{dir: m.To, path: m.To, deep: true})
	}
	for i := range put {
		info, err := t.root.Lstat(put[i].Path)
		if err != nil || put[i].Kind == KindFile && !put[i].same(statOf(info)) {
			sh.hint(hint{dir: parent(put[i].Path), path: put[i].Path})
		}
	}
}

// root takes out of d the rows whose directories would have none: nobody would ever look at
// them again. A scan is asked to find them, if they are there.
func (sh *share) root(ctx context.Context, d *Diff) error {
	known := map[string]bool{"": true}
	for _, p := range slices.Concat(d.Drop, d.Left) {
		known[p] = false
	}
	for _, m := range d.Moved {
		known[m.To] = true
	}
	rows := slices.Concat(d.Put, d.Same)
	// Directories come before what is in them.
	slices.SortStableFunc(rows, func(a, b Row) int { return strings.Compare(a.Path, b.Path) })
	homeless := map[string]bool{}
	for _, r := range rows {
		dir := parent(r.Path)
		is, asked := known[dir]
		if !asked {
			var err error
			if is, err = sh.hasDir(ctx, dir, d.Moved); err != nil {
				return err
			}
			known[dir] = is
		}
		if !is {
			homeless[r.Path] = true
			sh.hint(hint{dir: dir, path: r.Path})
		}
		known[r.Path] = is && r.Kind == KindDir
	}
	if len(homeless) > 0 {
		is := func(r Row) bool { return homeless[r.Path] }
		d.Put, d.Same = slices.DeleteFunc(d.Put, is), slices.DeleteFunc(d.Same, is)
	}
	return nil
}

// hasDir reports whether a directory has a row, or will have one after moves.
func (sh *share) hasDir(ctx context.Context, dir string, moves []Move) (bool, error) {
	row, err := sh.service.store.Row(ctx, sh.id, dir)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	is := err == nil && row.Kind == KindDir
	for _, m := range moves {
		is = (is && !within(dir, m.From)) || within(dir, m.To)
	}
	return is, nil
}

func (o *overtaken) add(drop []string, moved []Move, put []Row) {
	for _, p := range drop {
		o.paths[p] = struct{}{}
	}
	for _, r := range put {
		o.paths[r.Path] = struct{}{}
	}
	o.moves = append(o.moves, moved...)
}

// scanning notes that a scan begins, or has ended.
func (sh *share) scanning(begins bool) {
	sh.writes.Lock()
	defer sh.writes.Unlock()
	sh.overtaken = overtaken{scanning: begins}
	if begins {
		sh.overtaken.paths = make(map[string]struct{})
	} else {
		sh.scans++
	}
}

// found saves what a scan has found; news: the public should know. What was recorded
// meanwhile stays, and is looked at once more. The moves that were saved are returned.
func (sh *share) found(ctx context.Context, d Diff, news bool) ([]Move, error) {
	sh.writes.Lock()
	defer sh.writes.Unlock()
	again := sh.overtaken.filter(&d)
	if err := sh.root(ctx, &d); err != nil {
		return nil, err
	}
	delta, err := sh.service.store.Apply(ctx, sh.id, d)
	if err != nil {
		return nil, err
	}
	for _, p := range again {
		sh.hint(hint{dir: parent(p), path: p})
	}
	sh.alter(func() { sh.post(delta) }, news)
	return d.Moved, nil
}

// isOwn reports whether the file at path is in the state that was recorded.
func (sh *share) isOwn(path string, st stat) bool {
	sh.writes.Lock()
	defer sh.writes.Unlock()
	return sh.own.is(path, st)
}

// post counts a change and lets the teller know. The caller holds sh.mu.
func (sh *share) post(d Delta) {
	sh.files += int64(d.Files)
	sh.bytes += d.Bytes
	sh.posted++
	select {
	case sh.outbox <- struct{}{}:
	default:
	}
}
