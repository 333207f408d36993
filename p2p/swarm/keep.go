package swarm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// GetOptions say what is downloaded, and where to.
type GetOptions struct {
	Seed seed.Seed // without the values of its pieces, if they are not known
	Dir  string    // empty: Options.Dir; else it must be there
	// Web are servers that have the file, besides those of the seed, named by the person who asks: they may be
	// anywhere.
	Web []string
	// Keep: the file has no place of its own, and goes with the seed.
	Keep bool
	// Pass lets this node in at somebody who has the file and is of another network; nil: none.
	Pass *pass.Pass

	reading bool // only what somebody reads is fetched
}

// Download begins to bring a seed, or goes on with it. One that is whole here stays as it is, if its file is there. If Dir
// is another one than where it is or comes, a copy is put there when it is whole, and Status.Path is where: the bytes
// come once. Errors: ErrUnusable, pass.ErrExpired.
func (s *Service) Download(ctx context.Context, o GetOptions) (Status, error) {
	r, err := s.newRow(o)
	if err != nil {
		return Status{}, err
	}
	st, err := s.download(ctx, o, r)
	if err == nil && o.Dir != "" && !o.Keep && filepath.Dir(st.Path) != r.Dir {
		return s.also(ctx, r.ID, r.Dir)
	}
	return st, err
}

func (s *Service) download(ctx context.Context, o GetOptions, r Row) (Status, error) {
	id := r.ID
	s.lookAt(id)
	s.mu.Lock()
	e := s.entries[id]
	if e != nil && e.row.Reading && !o.reading {
		// What was only read is wanted as a whole now.
		s.mu.Unlock()
		if r.Via != "" && r.Own {
			if err := s.enterBy(ctx, id, r.Via, o.Pass); err != nil {
				return Status{}, err
			}
		}
		return s.adopt(ctx, e, r)
	}
	if e != nil && (e.row.Whole && e.why == nil || e.d != nil && o.Pass == nil) {
		defer s.mu.Unlock()
		return s.status(e, s.takersOf()), nil
	}
	changed := e != nil && e.why != nil
	s.mu.Unlock()
	if o.Pass != nil && o.Pass.Expired(s.now()) {
		return Status{}, fmt.Errorf("swarm: %s: %w", o.Seed.Name, pass.ErrExpired)
	}
	if changed {
		// The file was changed: it is a person's now, and the seed comes anew.
		if err := s.Forget(ctx, id, false); err != nil && !errors.Is(err, ErrUnusable) {
			return Status{}, err
		}
		e = nil
	}
	if e != nil {
		if r.Via != "" {
			if err := s.enterBy(ctx, id, r.Via, o.Pass); err != nil {
				return Status{}, err
			}
		}
		return s.Resume(ctx, id)
	}
	// Of two who want it at the same time the second finds what the first has begun.
	done, err := s.turn(ctx, id)
	if err != nil {
		return Status{}, err
	}
	defer done()
	s.rows.Lock()
	defer s.rows.Unlock()
	s.mu.Lock()
	if e := s.entries[id]; e != nil {
		defer s.mu.Unlock()
		return s.status(e, s.takersOf()), nil
	}
	s.mu.Unlock()
	if err := s.o.Store.Save(ctx, r); err != nil {
		return Status{}, fmt.Errorf("swarm: %w", err)
	}
	if o.Seed.Pieces != nil {
		if err := s.o.Store.Describe(ctx, id, o.Seed.PackPieces(), nil); err != nil {
			return Status{}, fmt.Errorf("swarm: %w", err)
		}
	}
	s.mu.Lock()
	if s.entries[id] == nil {
		e = s.enter(r, o.Seed)
		e.web = o.Web
		s.begin(e)
	}
	st := s.status(s.entries[id], s.takersOf())
	s.mu.Unlock()
	if !o.reading {
		s.o.Publish(Added{Seed: id, Name: o.Seed.Name, Size: o.Seed.Size})
	}
	return st, nil
}

// resolveWait is how long it is asked what a link leads to.
const resolveWait = 3 * time.Second

// Resolve returns the seed that a link leads to, with what others know of it: older versions, servers. Of a seed
// of the old form somebody has to be there who knows it. Errors: ErrNotFound.
func (s *Service) Resolve(ctx context.Context, l seed.Link) (seed.Seed, error) {
	s.mu.Lock()
	if e := s.entries[l.ID]; e != nil {
		defer s.mu.Unlock()
		return e.seed, nil
	}
	s.mu.Unlock()
	known, linkErr := l.Seed()
	within, cancel := context.WithTimeout(ctx, resolveWait)
	defer cancel()
	more, err := s.o.Tracker.Text(within, l.ID)
	if err == nil && (more.ID() != l.ID || more.Size != l.Size) {
		err = fmt.Errorf("%w: what is told of it is of another file", ErrNotFound)
	}
	if linkErr != nil {
		if err != nil {
			return seed.Seed{}, fmt.Errorf("swarm: %s: %w: %w", l.ID.Short(), ErrNotFound, err)
		}
		known = more
		known.Name = l.Name
		return known, nil
	}
	if err == nil {
		known.Bases = more.Bases
		known.Web = unite(known.Web, more.Web, seed.MaxWeb)
		known.Trackers = unite(known.Trackers, more.Trackers, seed.MaxTrackers)
		if more.Pieces != nil && known.Pieces == nil {
			if whole, err := known.WithPieces(more.Pieces); err == nil {
				known = whole
			}
		}
	}
	return known, nil
}

// unite returns what is in either list, most elements at most.
func unite[T comparable](a, b []T, most int) []T {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) && len(out) < most {
			out = append(out, x)
		}
	}
	return out
}

// newRow is what is kept of a seed that is about to be downloaded.
func (s *Service) newRow(o GetOptions) (Row, error) {
	via, err := viaOf(o)
	if err != nil {
		return Row{}, err
	}
	r := Row{Via: via, ID: o.Seed.ID(), Text: textOf(o.Seed), Dir: o.Dir, Name: o.Seed.Name, Own: o.Keep, Reading: o.reading, Added: s.now()}
	switch {
	case o.Keep && s.o.Keep == "" || o.Dir == "" && s.o.Dir == "":
		return Row{}, fmt.Errorf("swarm: %w: this node has no place for downloads", ErrUnusable)
	case o.Keep:
		r.Dir = filepath.Join(s.o.Keep, r.ID.String()[:24])
		return r, nil
	case o.Dir == "":
		r.Dir = s.o.Dir
		return r, nil
	}
	full, err := filepath.Abs(o.Dir)
	if err == nil {
		r.Dir, err = filepath.EvalSymlinks(full)
	}
	var st fs.FileInfo
	if err == nil {
		st, err = os.Stat(r.Dir)
	}
	if err == nil && !st.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return Row{}, fmt.Errorf("swarm: %s: %w: %w", o.Dir, ErrUnusable, err)
	}
	return r, nil
}

// textOf is what is kept of what a seed says: a link, where more is not known.
func textOf(s seed.Seed) []byte {
	if s.Pieces == nil && s.Legacy == nil && s.List == (chunk.Hash{}) {
		return []byte(s.Link().String())
	}
	return s.Text()
}

// Pause stops a download until Resume. Errors: ErrNotFound.
func (s *Service) Pause(ctx context.Context, id seed.ID) (Status, error) {
	s.mu.Lock()
	e, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return Status{}, err
	}
	if e.row.Whole && !e.row.Paused {
		defer s.mu.Unlock()
		return s.status(e, s.takersOf()), nil
	}
	e.row.Paused = true
	d := e.d
	s.mu.Unlock()
	if d != nil {
		d.cancel(errPaused)
		<-d.over
	}
	if err := s.save(ctx, e); err != nil {
		return Status{}, err
	}
	return s.Get(id)
}

// save makes durable what is known of an entry now, unless it was forgotten: what was known a moment ago may
// be less than a download has kept meanwhile.
func (s *Service) save(ctx context.Context, e *entry) error {
	s.rows.Lock()
	defer s.rows.Unlock()
	s.mu.Lock()
	row, kept := e.row, s.entries[e.row.ID] == e
	s.mu.Unlock()
	if !kept {
		return nil
	}
	if err := s.o.Store.Save(ctx, row); err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	return nil
}

// Withhold stops all downloads and all sharing until Resume, each for itself, and returns what it has stopped: for a
// node that comes among strangers.
func (s *Service) Withhold(ctx context.Context) ([]seed.ID, error) {
	s.mu.Lock()
	var stopped []seed.ID
	for _, id := range s.order {
		e := s.entries[id]
		if e.row.Paused {
			continue
		}
		stopped = append(stopped, id)
		if e.row.Whole {
			e.row.Paused = true
			if e.c != nil {
				e.c.end(errPaused)
				e.c = nil
				s.queue.Forget(e.number)
			}
		}
	}
	running := s.running
	s.mu.Unlock()
	var errs []error
	for _, id := range stopped {
		if running {
			s.o.Tracker.Withdraw(id)
		}
		_, err := s.Pause(ctx, id)
		errs = append(errs, err)
	}
	return stopped, errors.Join(errs...)
}

// Resume goes on with a download that was paused, or stands still. Errors: ErrNotFound.
func (s *Service) Resume(ctx context.Context, id seed.ID) (Status, error) {
	s.mu.Lock()
	e, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return Status{}, err
	}
	again := e.row.Whole && (e.why != nil || e.row.Paused)
	e.row.Paused, e.row.Error = false, ""
	s.mu.Unlock()
	if again {
		s.openAgain(e) // perhaps it was put back
	}
	if err := s.save(ctx, e); err != nil {
		return Status{}, err
	}
	s.mu.Lock()
	if s.entries[id] == e && !e.row.Whole && !e.row.Paused {
		s.begin(e)
	}
	s.mu.Unlock()
	return s.Get(id)
}

// openAgain has what is whole be served, if its file is there.
func (s *Service) openAgain(e *entry) {
	s.mu.Lock()
	row, known := e.row, e.seed
	s.mu.Unlock()
	if !row.Whole {
		return
	}
	c, why := whole(row, known)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[row.ID] != e || e.c != nil || !e.row.Whole || e.row.Paused || e.row.Dir != row.Dir || e.row.Name != row.Name {
		return // somebody was faster
	}
	e.why = nil
	s.reopen(e, c, why)
	s.announce(e)
	s.copyOut(e)
}

// Forget ends the sharing of a seed. What has come of a download that is not whole is deleted; a file that is
// whole stays, unless it has no place of its own, or deletion is asked for: then ErrUnusable says that it was changed, or
// another file has its name by now, which stays. Errors: ErrNotFound.
func (s *Service) Forget(ctx context.Context, id seed.ID, deletion bool) error {
	s.mu.Lock()
	e, err := s.find(id)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.forget(ctx, id, e, deletion, always)
}

func always(*entry) bool { return true }

// onlyRead reports whether an entry is what somebody has read, and nobody wants. Service.mu is held.
func onlyRead(e *entry) bool { return e.row.Reading }

// forget forgets an entry, if it is still kept and is still, when all that was under way has ended, what it is
// forgotten for: meanwhile a person may have made it a download, or a file of his own. Errors: ErrNotFound.
func (s *Service) forget(ctx context.Context, id seed.ID, e *entry, deletion bool, still func(*entry) bool) error {
	done, err := s.turn(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	return s.forgetNow(ctx, e, deletion, still)
}

// forgetNow is forget for who has the seed's turn.
func (s *Service) forgetNow(ctx context.Context, e *entry, deletion bool, still func(*entry) bool) error {
	row, known, d, err := s.strike(ctx, e, still)
	for d != nil { // another one, if somebody has resumed it meanwhile
		d.cancel(ErrForgotten)
		<-d.over
		row, known, d, err = s.strike(ctx, e, still)
	}
	if err != nil {
		return err
	}
	s.o.Publish(Removed{Seed: row.ID, Name: known.Name})
	if row.Whole && (deletion || row.Own) && !row.Reading {
		if err := stillIs(ctx, row, known); err != nil {
			return err
		}
	}
	return s.discard(row, deletion)
}

// strike takes an entry and its row away, unless d is still bringing it. Both go at once: who wants the seed again
// meanwhile keeps a row of its own after that, which stays. Errors: ErrNotFound.
func (s *Service) strike(ctx context.Context, e *entry, still func(*entry) bool) (row Row, known seed.Seed, d *download, err error) {
	s.rows.Lock()
	defer s.rows.Unlock()
	s.mu.Lock()
	row, known, d = e.row, e.seed, e.d
	id, running := row.ID, s.running
	if s.entries[id] != e || !still(e) {
		s.mu.Unlock()
		return row, known, nil, fmt.Errorf("swarm: %s: %w", id.Short(), ErrNotFound)
	}
	if d == nil {
		s.remove(id)
	}
	s.mu.Unlock()
	if d != nil {
		return row, known, d, nil
	}
	if running {
		s.o.Tracker.Withdraw(id)
	}
	if err := s.o.Store.Forget(ctx, id); err != nil {
		return row, known, nil, fmt.Errorf("swarm: %w", err)
	}
	return row, known, nil, nil
}

// stillIs reports whether the file of a seed is what was shared, or nothing: what a person has put into its place
// is not deleted. Errors: ErrUnusable.
func stillIs(ctx context.Context, r Row, known seed.Seed) error {
	at := place{r.Dir, r.Name}
	f, st, err := at.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("swarm: forget %s: %w", at.path(), err)
	}
	defer f.Close() // nothing was written
	if st.Size() == r.Size && st.ModTime().UnixNano() == r.Modified {
		return nil
	}
	if err := known.VerifyFile(ctx, f, nil); err != nil {
		return fmt.Errorf("swarm: forget %s: %w: it is another file now, and stays: %w", at.path(), ErrUnusable, err)
	}
	return nil
}

// discard deletes what is here of a seed that was forgotten, as far as it is this program's.
func (s *Service) discard(r Row, deletion bool) error {
	root, err := os.OpenRoot(r.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("swarm: %s: %w", r.Dir, err)
	}
	err = nil
	if !r.Whole {
		err = gone(root.Remove(partName(r.ID)))
	}
	if r.Whole && (r.Own || deletion) {
		err = errors.Join(err, gone(root.Remove(r.Name)))
	}
	err = errors.Join(err, root.Close())
	if r.Own {
		err = errors.Join(err, gone(os.Remove(r.Dir))) // it was the only file there
	}
	if err != nil {
		return fmt.Errorf("swarm: forget %s: %w", r.Name, err)
	}
	return nil
}

// gone passes over that something is not there.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
