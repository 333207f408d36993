package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Conflicts returns the conflicts of a folder, by path.
func (s *Service) Conflicts(ctx context.Context, id string) (out []replica.Conflict, err error) {
	err = s.with(ctx, id, func(ctx context.Context, c *replica.Core) (err error) {
		out, err = c.Conflicts(ctx)
		return err
	})
	return out, err
}

// Resolve resolves conflicts; see replica.Core.
func (s *Service) Resolve(ctx context.Context, id string, numbers []uint64, keep string) (n int, err error) {
	err = s.with(ctx, id, func(ctx context.Context, c *replica.Core) (err error) {
		n, err = c.Resolve(ctx, numbers, keep)
		return err
	})
	return n, err
}

// Held returns what waits for a person's word.
func (s *Service) Held(ctx context.Context, id string) (out []replica.Held, err error) {
	err = s.with(ctx, id, func(ctx context.Context, c *replica.Core) (err error) {
		out, err = c.Held(ctx)
		return err
	})
	return out, err
}

// Decide lets through what is held, or refuses it; see replica.Core.
func (s *Service) Decide(ctx context.Context, id string, of p2p.ID, release bool) error {
	return s.with(ctx, id, func(ctx context.Context, c *replica.Core) error { return c.Decide(ctx, of, release) })
}

// Locals returns what was changed here in a folder that is read-only here.
func (s *Service) Locals(ctx context.Context, id string) (out []replica.Changed, err error) {
	err = s.with(ctx, id, func(_ context.Context, c *replica.Core) error {
		out = c.Locals()
		return nil
	})
	return out, err
}

// Revert undoes such changes; see replica.Core.
func (s *Service) Revert(ctx context.Context, id string, paths []string) error {
	return s.with(ctx, id, func(ctx context.Context, c *replica.Core) error { return c.Revert(ctx, paths) })
}

// Trash returns what was replaced or deleted, newest first.
func (s *Service) Trash(ctx context.Context, id string, before int64, limit int) (out []replica.Discarded, err error) {
	if _, err := s.await(ctx, id); err != nil {
		return nil, err
	}
	err = s.o.Store.Read(ctx, id, func(r replica.Reader) (err error) {
		out, err = r.Discarded(before, limit)
		return err
	})
	return out, err
}

// Restore brings back what was discarded; see replica.Core. What is not in the trash
// here is fetched from members that have it in theirs.
func (s *Service) Restore(ctx context.Context, id string, numbers []int64) (paths []string, err error) {
	r, err := s.await(ctx, id)
	if err != nil {
		return nil, err
	}
	var wants []replica.Want
	err = s.with(ctx, id, func(ctx context.Context, c *replica.Core) (err error) {
		wants, err = c.Missing(ctx, numbers)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.bring(ctx, wants); err != nil {
		return nil, err
	}
	err = s.with(ctx, id, func(ctx context.Context, c *replica.Core) (err error) {
		paths, err = c.Restore(ctx, numbers)
		return err
	})
	return paths, err
}

// with runs f where it may use the core of a folder.
func (s *Service) with(ctx context.Context, id string, f func(context.Context, *replica.Core) error) error {
	r, err := s.await(ctx, id)
	if err != nil {
		return err
	}
	return r.do(ctx, func(ctx context.Context) error {
		defer r.news.wake() // it may have made versions
		return f(ctx, r.core)
	})
}

// bring fetches contents now, for a person who waits.
func (r *runner) bring(ctx context.Context, wants []replica.Want) error {
	for _, w := range wants {
		x := &fetch{want: w, tried: map[p2p.ID]bool{}, local: true}
		x.t = r.s.begin(r.id, w)
		x.t.queued.Store(false)
		err := r.bringNow(ctx, x)
		r.s.ended(x.t, err)
		if err != nil {
			return fmt.Errorf("exchange: restore %s: %w", w.Path, err)
		}
	}
	return nil
}

func (r *runner) bringNow(ctx context.Context, x *fetch) error {
	fsys, leave, err := r.place.enter()
	if err != nil {
		return err
	}
	defer leave()
	if r.fetch.copyHere(ctx, fsys, x) {
		return nil
	}
	var errs []error
	for _, p := range r.fetch.sources() {
		err := r.fetch.bringSegments(ctx, fsys, []p2p.Link{p.link}, x, nil)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, p2p.ErrUnreachable)
	}
	return errors.Join(append(errs, replica.ErrNotHere)...)
}
