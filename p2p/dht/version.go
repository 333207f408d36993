package dht

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// ErrFork: other versions stand beside the one that was wanted.
var ErrFork = errors.New("versions have forked")

// ErrNoVersion: a parent that was named is not there.
var ErrNoVersion = errors.New("no such version")

// How a version is written.
const (
	prepareTTL  = 5 * time.Second        // a writer that dies blocks others for so long
	forkBackoff = 500 * time.Millisecond // after a conflict wait for up to so long
	forkTries   = 30
)

// VPut is a write of a new version beside the old ones (vDHT).
type VPut struct {
	Name Name
	TTL  time.Duration // 0: until it is removed
	// Parents are the versions that the new one replaces. Nil: the heads there are, whatever
	// their number.
	Parents []Version
	// Update makes the new value from the versions that it is to replace, newest first: none
	// where nothing is there yet. It may be called again, with others, when somebody else was
	// faster. Its error ends the write and is returned.
	Update func(parents []Copy) ([]byte, error)
	// Optimistic leaves out the two phases: the version is put at once, and forks are possible.
	// It is there to show what the phases are good for.
	Optimistic bool
}

// VPutResult is how a version was written.
type VPutResult struct {
	Version Version
	Parents []Version
	Tries   int
	PutResult
}

// VPut writes a new version in two phases, as vDHT does: (1) read the heads from the
// replicas; (2) make the new version from them; (3) prepare it: each replica takes it
// unless another version replaces one of the same ones, shows it to nobody, and signs that
// it has done so (Vote); (4) when a majority has prepared it, confirm it with their votes, where
// each replica checks these and looks for forks again; otherwise take it back, wait for a random
// time, and begin again.
//
// Two writers cannot both get a majority for versions of the same parents while the
// replicas stay who they are; one that dies in between stands in the way until what it has
// prepared expires. Under heavy churn forks are possible all the same. They stay visible:
// every head is returned by Get, until somebody writes a version with all of them as
// parents.
//
// Who confirms without a majority, as the replica sees it, is refused (StatusNoQuorum) and named in
// its log. A majority is one of those that are to keep the name and can be asked.
//
// Errors: ErrFork and ErrNoQuorum after too many tries, that of Update, those of Put.
func (t *Table) VPut(ctx context.Context, w VPut) (VPutResult, Trace, error) {
	var trace Trace
	for try := 1; ; try++ {
		r, err := t.tryVersion(ctx, w, &trace)
		r.Tries = try
		if again := errors.Is(err, ErrFork) || errors.Is(err, ErrNoQuorum); !again || try == forkTries {
			return r, trace, err
		}
		select {
		case <-time.After(t.o.Jitter(forkBackoff)):
		case <-ctx.Done():
			return r, trace, fmt.Errorf("dht: write a version: %w: %w", ctx.Err(), err)
		}
	}
}

// tryVersion tries once.
func (t *Table) tryVersion(ctx context.Context, w VPut, trace *Trace) (r VPutResult, err error) {
	parents, err := t.parents(ctx, w, trace)
	if err != nil {
		return r, err
	}
	value, err := w.Update(parents)
	if err != nil {
		return r, err
	}
	number := uint64(0)
	for _, p := range parents {
		number = max(number, p.Version.Number())
		r.Parents = append(r.Parents, p.Version)
	}
	if number == math.MaxUint64 {
		return r, fmt.Errorf("dht: no number follows that of version %s: %w", parents[0].Version, ErrMalformed)
	}
	slices.SortFunc(r.Parents, Version.Compare)
	r.Version = NewVersion(number+1, value)
	put := Put{Address: w.Name.At(r.Version), Value: value, Based: r.Parents, TTL: w.TTL}
	if w.Optimistic {
		put.Fork = true
		r.PutResult, err = t.one(ctx, "vput", put, trace)
		return r, err
	}
	put.Prepared, put.TTL = true, prepareTTL
	prepared, err := t.one(ctx, "prepare", put, trace)
	if err != nil {
		return r, err
	}
	if prepared.Status != StatusPrepared {
		r.PutResult = prepared
		return r, t.reject(ctx, prepared, rejectTTL, trace)
	}
	t.confirmed.note(put.Address, &prepared.quorum, t.o.Now())
	confirm := Put{Address: put.Address, Renew: &prepared.Header, TTL: w.TTL, quorum: &prepared.quorum}
	if r.PutResult, err = t.one(ctx, "confirm", confirm, trace); err != nil {
		return r, err
	}
	if !r.Stored() {
		return r, t.reject(ctx, r.PutResult, TombstoneTTL, trace)
	}
	t.complete(r.PutResult, value)
	return r, nil
}

// parents returns the versions that the new one is to replace, newest first.
func (t *Table) parents(ctx context.Context, w VPut, trace *Trace) ([]Copy, error) {
	q := Query{Location: w.Name.Location, Domain: w.Name.Domain, Contents: []p2p.Key{w.Name.Content}, Versions: w.Parents != nil}
	found, more, err := t.get(ctx, "latest", []Query{q}, ReadOptions{})
	trace.Add(more)
	if err != nil {
		return nil, err
	}
	answered := 0
	for _, a := range found[0].Replicas {
		if a.Status == StatusOK {
			answered++
		}
	}
	if want := min(t.Replicas(), len(found[0].Replicas)); 2*answered <= want {
		return nil, fmt.Errorf("dht: latest versions: %d of %d replicas: %w", answered, want, ErrNoReplica)
	}
	all := found[0].Records
	if w.Parents != nil {
		for _, v := range w.Parents {
			if !slices.ContainsFunc(all, func(c Copy) bool { return c.Version == v }) {
				return nil, fmt.Errorf("dht: parent %s: %w", v, ErrNoVersion)
			}
		}
		all = slices.DeleteFunc(all, func(c Copy) bool { return !slices.Contains(w.Parents, c.Version) })
	}
	slices.SortFunc(all, func(a, b Copy) int { return b.Version.Compare(a.Version) })
	if len(all) > MaxBased {
		return nil, fmt.Errorf("dht: %d heads, at most %d can be replaced at once: %w", len(all), MaxBased, p2p.ErrTooLarge)
	}
	return all, nil
}

// one puts one record as a part of something larger.
func (t *Table) one(ctx context.Context, name string, p Put, trace *Trace) (PutResult, error) {
	results, more, err := t.put(ctx, name, []Put{p})
	trace.Add(more)
	if err != nil {
		return PutResult{}, err
	}
	return results[0], nil
}

// rejectTTL is how long it is remembered that a version was taken back: longer than what
// was prepared can be on its way.
const rejectTTL = time.Minute

// reject takes back what some replicas have prepared or, perhaps, confirmed: those whose
// answers are missing too. A confirmed version does not go away by itself, so that the
// tombstone has to last.
func (t *Table) reject(ctx context.Context, r PutResult, ttl time.Duration, trace *Trace) error {
	why := fmt.Errorf("dht: version %s: %s: %w", r.Header.Version, r.Status, ErrFork)
	switch {
	case r.Status == StatusNoQuorum:
		why = fmt.Errorf("dht: version %s: %w", r.Header.Version, ErrNoQuorum)
	case r.Status != StatusFork && r.Status != StatusPrepared && !r.Status.Stored():
		why = fmt.Errorf("dht: version %s: %s", r.Header.Version, r.Status)
	}
	if r.Copies == 0 && r.Status != StatusNoQuorum && !slices.ContainsFunc(r.Replicas, func(o Replica) bool { return o.Status == StatusFailed }) {
		return why
	}
	_, err := t.one(ctx, "reject", Put{Address: r.Header.Address, TTL: ttl, tombstone: true, seq: r.Header.Seq + 1}, trace)
	return errors.Join(why, err)
}

// complete sends a confirmed version to the replicas that have not prepared it.
func (t *Table) complete(r PutResult, value []byte) {
	// The signature is over the header, so that it holds with the value too.
	to := map[p2p.ID][]Write{}
	for _, replica := range r.Replicas {
		if !replica.Status.Stored() && replica.Status != StatusFailed {
			record := r.record
			record.Value = value
			to[replica.ID] = append(to[replica.ID], Write{Record: record, Repair: true, Quorum: t.votes(record.Header)})
		}
	}
	if len(to) > 0 {
		t.repair.deliver(to)
	}
}
