package dht

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Direct replication: who writes a record writes it again from time to time, so that it has all
// its replicas again soon, and ends with its TTL when its author has gone. TomP2P has it beside
// the repair between replicas.

// maxRefreshed bounds what one node refreshes.
const maxRefreshed = 10_000

// Refreshed is a put that is made again and again.
type Refreshed struct {
	Number uint64 // to stop it
	Put    Put
	Every  time.Duration
	Next   time.Time
	Times  int       // that it was made
	Last   PutResult // what became of it
	Err    error     // that of the last time
}

// refreshes is what is to be refreshed.
type refreshes struct {
	changed chan struct{} // has room for one

	mu     sync.Mutex // guards the following
	number uint64
	all    map[uint64]*Refreshed
}

// Refresh lets Run make a put now, and again every so often, until StopRefresh or the end
// of Run. Where somebody else writes to the address, the next time overwrites that. Where the
// replicas have the value, only its header travels. Errors: ErrMalformed for what cannot be put
// again, p2p.ErrTooLarge if there are 10,000 already.
func (t *Table) Refresh(p Put, every time.Duration) (number uint64, err error) {
	if every <= 0 || p.TTL > 0 && p.TTL <= every || p.Absent || p.Prepared || p.Renew != nil {
		return 0, fmt.Errorf("dht: refresh every %v what lives for %v: %w", every, p.TTL, ErrMalformed)
	}
	r := &t.refreshes
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == maxRefreshed {
		return 0, fmt.Errorf("dht: refresh more than %d records: %w", maxRefreshed, p2p.ErrTooLarge)
	}
	r.number++
	r.all[r.number] = &Refreshed{Number: r.number, Put: p, Every: every, Next: t.o.Now()}
	wake(r.changed)
	return r.number, nil
}

// StopRefresh ends a refresh, and reports whether there was one. The record stays for its TTL.
func (t *Table) StopRefresh(number uint64) bool {
	t.refreshes.mu.Lock()
	defer t.refreshes.mu.Unlock()
	_, there := t.refreshes.all[number]
	delete(t.refreshes.all, number)
	return there
}

// Refreshes returns what is refreshed, in the order in which it began.
func (t *Table) Refreshes() []Refreshed {
	t.refreshes.mu.Lock()
	defer t.refreshes.mu.Unlock()
	out := make([]Refreshed, 0, len(t.refreshes.all))
	for _, r := range t.refreshes.all {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Refreshed) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// due returns what is to be refreshed now.
func (r *refreshes) due(now time.Time) (due []Refreshed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		if !one.Next.After(now) {
			due = append(due, *one)
			one.Next = now.Add(one.Every)
		}
	}
	slices.SortFunc(due, func(a, b Refreshed) int { return cmp.Compare(a.Number, b.Number) })
	return due
}

// wait returns how long nothing is due.
func (r *refreshes) wait(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := time.Hour
	for _, one := range r.all {
		wait = min(wait, one.Next.Sub(now))
	}
	return max(wait, 0)
}

// runRefresh refreshes.
func (t *Table) runRefresh(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.refreshes.changed:
		case <-timer.C:
		}
		if due := t.refreshes.due(t.o.Now()); len(due) > 0 {
			t.refresh(ctx, due)
		}
		timer.Reset(t.refreshes.wait(t.o.Now()))
	}
}

// refresh makes puts again: headers first, and the values for who lacks them.
func (t *Table) refresh(ctx context.Context, due []Refreshed) {
	puts := make([]Put, len(due))
	for i, d := range due {
		puts[i] = d.Put
		if d.Last.Stored() && d.Last.Header.Size > 0 {
			puts[i].Renew, puts[i].Value = &d.Last.Header, nil
		}
	}
	results, _, err := t.put(ctx, "refresh", puts)
	if err == nil {
		var whole []Put
		var of []int
		for i, r := range results {
			if puts[i].Renew != nil && (!r.Stored() || slices.ContainsFunc(r.Replicas, func(o Replica) bool { return o.Status == StatusNotFound || o.Status == StatusDeleted })) {
				p := due[i].Put
				p.seq = r.Header.Seq + 1
				whole, of = append(whole, p), append(of, i)
			}
		}
		if len(whole) > 0 {
			var again []PutResult
			again, _, err = t.put(ctx, "refresh", whole)
			for i, r := range again {
				results[of[i]] = r
			}
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.o.Logger.Warn("records not refreshed", "records", len(due), "error", err)
	}
	t.refreshes.mu.Lock()
	defer t.refreshes.mu.Unlock()
	for i, d := range due {
		one := t.refreshes.all[d.Number]
		if one == nil {
			continue
		}
		one.Times++
		if one.Err = err; err == nil {
			one.Last = results[i]
		}
	}
}
