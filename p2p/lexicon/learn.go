package lexicon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// look is how often Run looks for members that are to be asked.
	look = 2 * time.Second
	// soon is when a member is asked again whose words were others than before; as long as they stay
	// it is asked half as often each time, down to once in every. One that did not answer, or does
	// not know of this, is asked again after retry.
	soon  = 4 * time.Second
	every = 32 * time.Second
	retry = 2 * time.Minute
	// askTimeout is how long a member has for one answer, and asksAtOnce how many are asked.
	askTimeout = 10 * time.Second
	asksAtOnce = 4
	// maxAsks bounds the questions for one vocabulary: what is not here then comes next time.
	maxAsks = 40
	// maxVocabulary is the number of bytes of chunks that are taken from one member at once.
	maxVocabulary = 4 << 20
	// maxMembers is the number of members whose words are known.
	maxMembers = 256
)

// Options of Run.
type Options struct {
	Caller p2p.Caller
	// Linked returns the members that there are links to, who are asked, and Member whether
	// somebody still is one: what others have told is forgotten.
	Linked func() []p2p.ID
	Member func(p2p.ID) bool
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is logged
}

// learner asks members.
type learner struct {
	*Lexicon
	o   Options
	due map[p2p.ID]turn
}

// turn is when a member is asked next, and how long that is after it was asked.
type turn struct {
	at    time.Time
	after time.Duration
}

// Run asks members for what is new in their words, until ctx ends.
func (l *Lexicon) Run(ctx context.Context, o Options) error {
	r := newLearner(l, o)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		r.once(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func newLearner(l *Lexicon, o Options) *learner {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &learner{Lexicon: l, o: o, due: map[p2p.ID]turn{}}
}

// once asks those that are due.
func (r *learner) once(ctx context.Context) {
	r.forget(r.o.Member)
	maps.DeleteFunc(r.due, func(id p2p.ID, _ turn) bool { return !r.o.Member(id) })
	now := r.o.Now()
	var due []p2p.ID
	for _, id := range r.o.Linked() {
		if next, asked := r.due[id]; !now.Before(next.at) && (asked || len(r.due) < maxMembers) {
			due = append(due, id)
			r.due[id] = next
		}
	}
	var asking sync.WaitGroup
	places := make(chan struct{}, asksAtOnce)
	next := make([]time.Duration, len(due))
	for i, id := range due {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			changed, err := r.ask(ctx, id)
			switch {
			case err != nil && ctx.Err() == nil:
				next[i] = retry
				r.o.Logger.Debug("a member's words are not known", "peer", id.Short(), "error", err)
			case changed:
				next[i] = soon
			}
		})
	}
	asking.Wait()
	for i, id := range due {
		if next[i] == 0 {
			next[i] = min(max(2*r.due[id].after, soon), every)
		}
		r.due[id] = turn{now.Add(next[i]), next[i]}
	}
}

// ask brings what is known of a member up to date; changed: it was not.
func (r *learner) ask(ctx context.Context, id p2p.ID) (changed bool, err error) {
	has, asks := r.of(id), 0
	call := func(q request) (response, error) {
		if asks++; asks > maxAsks {
			return response{}, errors.New("lexicon: too many answers for one vocabulary")
		}
		return r.call(ctx, id, q)
	}
	now, err := target(has, call)
	if err != nil {
		return false, err
	}
	told, full := distinct(has.chunks), r.full()
	var want []chunkID
	for _, c := range now.chunks {
		// What was refused for lack of room is not fetched again while there is none.
		if !r.has(c) && !(full && told[c]) {
			want = append(want, c)
		}
	}
	if now.version == has.version && now.documents == has.documents && now.cut == has.cut && len(want) == 0 {
		return false, nil
	}
	fetched := map[chunkID][]byte{}
	var failed error
	size := 0
	for len(want) > 0 && failed == nil {
		var some [][]byte
		for _, c := range want[:min(len(want), maxWanted)] {
			some = append(some, c[:])
		}
		var got response
		if got, failed = call(request{Want: some}); failed != nil {
			break
		}
		before := len(want)
		if want, failed = keep(got.Chunks, want, fetched, &size); failed == nil && len(want) == before {
			break // they are not there any more
		}
	}
	// What came is of use, also if the rest did not.
	r.learn(id, now, fetched)
	return true, failed
}

// call asks a member one thing.
func (r *learner) call(ctx context.Context, id p2p.ID, q request) (out response, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	b, err := wire.Marshal(q)
	if err != nil {
		return out, err
	}
	if b, err = r.o.Caller.Call(ctx, id, Proto, b); err != nil {
		return out, fmt.Errorf("lexicon: ask %s: %w", id.Short(), err)
	}
	if err := wire.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("lexicon: answer of %s: %w", id.Short(), err)
	}
	return out, out.check()
}

// target asks what a member's words are made of by now.
func target(has known, call func(request) (response, error)) (now known, err error) {
	var q request
	if has.version != (chunkID{}) {
		q.Since = has.version[:]
	}
	var add, gone []chunkID
	for more := true; more; {
		r, err := call(q)
		if err != nil {
			return now, err
		}
		if q.Skip > 0 && chunkID(r.Version) != now.version {
			return now, errors.New("lexicon: answers about different versions")
		}
		now.version, now.documents, now.cut = chunkID(r.Version), r.Documents, r.Cut
		if now.version == has.version {
			now.chunks = has.chunks
			return now, nil
		}
		a, err := idsOf(r.New)
		if err != nil {
			return now, err
		}
		g, err := idsOf(r.Gone)
		if err != nil {
			return now, err
		}
		add, gone = append(add, a...), append(gone, g...)
		if len(add)+len(gone) > 2*maxChunks {
			return now, errors.New("lexicon: too many chunks")
		}
		q.At, q.Skip, more = r.Version, len(add)+len(gone), r.More
		if !r.All {
			continue
		}
		has.chunks = nil
	}
	now.chunks = append(without(has.chunks, gone), add...)
	if len(now.chunks) > maxChunks || len(now.chunks) != len(distinct(now.chunks)) || versionOf(now.chunks) != now.version {
		return now, errors.New("lexicon: a version that is not made of its chunks")
	}
	return now, nil
}

func distinct(ids []chunkID) map[chunkID]bool {
	m := make(map[chunkID]bool, len(ids))
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// keep reads chunks that came, whose bytes it adds to size, and returns those that are still
// wanted.
func keep(packed []byte, want []chunkID, fetched map[chunkID][]byte, size *int) (rest []chunkID, err error) {
	chunks, err := unpack(packed)
	if err != nil {
		return want, err
	}
	for _, c := range chunks {
		id := idOf(c)
		if !slices.Contains(want, id) {
			return want, errors.New("lexicon: a chunk that nobody has asked for")
		}
		if err := read(c, func(entry) {}); err != nil {
			return want, err
		}
		if *size += len(c); *size > maxVocabulary {
			return want, errors.New("lexicon: a vocabulary of too many bytes")
		}
		fetched[id] = slices.Clone(c)
	}
	return slices.DeleteFunc(slices.Clone(want), func(id chunkID) bool { return fetched[id] != nil }), nil
}
