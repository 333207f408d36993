package lexicon

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// freshFor is how long a view is told as it was, while documents come and go.
	freshFor = 3 * time.Second
	// maxViews is the number of different views that are remembered, and maxPast that of versions
	// since which changes are told.
	maxViews = 16
	maxPast  = 4
	// A member may ask so often, and for so many bytes of words before they are packed.
	callsBurst = 64
	callsRate  = 1 // per second
	bytesBurst = 4 << 20
	bytesRate  = 32 << 10 // per second
	maxMeters  = 1024
	codeBusy   = "busy"
)

// Offers answers other members with the words of an index that they may see.
type Offers struct {
	index *search.Index
	now   func() time.Time
	words int // MaxWords, but for tests

	packer   packer
	building chan struct{} // one element while a view is made

	mu     sync.Mutex // guards all following fields
	views  map[string]*view
	meters map[p2p.ID]*meter
}

// view is what all those are told who may see the same. It does not change but for used.
type view struct {
	made      time.Time
	of        uint64 // the index' version
	used      time.Time
	version   chunkID
	chunks    []chunkID
	first     map[chunkID]string // words of the chunks
	least     uint8              // class of the rarest words that are all told
	eighths   uint8              // of the words that are rarer by one class: so much of them is told
	documents int
	past      []past
}

// past is what a view was.
type past struct {
	version chunkID
	chunks  []chunkID
}

type meter struct{ calls, bytes *rate.Limiter }

// NewOffers returns what answers for an index, which says what each member may see
// (search.Index.Restrict).
func NewOffers(index *search.Index, now func() time.Time) *Offers {
	if now == nil {
		now = time.Now
	}
	return &Offers{index: index, now: now, words: MaxWords, building: make(chan struct{}, 1), views: map[string]*view{}, meters: map[p2p.ID]*meter{}}
}

// Handle answers a call of Proto to the member that asks, whichever way it has come.
func (o *Offers) Handle(ctx context.Context, from p2p.ID, b []byte) ([]byte, error) {
	var q request
	err := wire.Unmarshal(b, &q)
	if err == nil {
		err = q.check()
	}
	var want []chunkID
	if err == nil {
		want, err = idsOf(q.Want)
	}
	if err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	m := o.meter(from)
	if !m.calls.AllowN(o.now(), 1) {
		return nil, &p2p.CallError{Code: codeBusy, Message: "lexicon: asked too often"}
	}
	sees := o.index.ViewOf(from)
	v, err := o.view(ctx, sees)
	if err != nil {
		return nil, err
	}
	r := response{Version: v.version[:]}
	if len(want) == 0 {
		v.changes(&q, &r)
	} else if err := v.serve(ctx, sees, want, &r, m, o); err != nil {
		return nil, err
	}
	return wire.Marshal(r)
}

func (o *Offers) meter(from p2p.ID) *meter {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.meters[from]
	if m == nil {
		if len(o.meters) >= maxMeters {
			clear(o.meters) // their members begin with a full account
		}
		m = &meter{rate.NewLimiter(callsRate, callsBurst), rate.NewLimiter(bytesRate, bytesBurst)}
		o.meters[from] = m
	}
	return m
}

// view returns what is told of what somebody sees. One is made at a time.
func (o *Offers) view(ctx context.Context, sees search.View) (*view, error) {
	key := sees.Key()
	if v := o.known(key); v != nil {
		return v, nil
	}
	select {
	case o.building <- struct{}{}:
		defer func() { <-o.building }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if v := o.known(key); v != nil {
		return v, nil // somebody else has asked the same
	}
	v, err := o.make(ctx, sees)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if old := o.views[key]; old != nil {
		v.past = old.past
		if old.version != v.version {
			v.past = append(slices.Clone(old.past[max(0, len(old.past)-maxPast+1):]), past{old.version, old.chunks})
		}
	}
	o.views[key] = v
	for len(o.views) > maxViews {
		oldest := key
		for k, other := range o.views {
			if other.used.Before(o.views[oldest].used) {
				oldest = k
			}
		}
		delete(o.views, oldest)
	}
	return v, nil
}

// known returns a view that is as it would be made now, or was a moment ago.
func (o *Offers) known(key string) *view {
	version, now := o.index.Version(), o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	v := o.views[key]
	if v == nil || v.of != version && now.Sub(v.made) >= freshFor {
		return nil
	}
	v.used = now
	return v
}

// make reads all words that somebody sees.
func (o *Offers) make(ctx context.Context, sees search.View) (*view, error) {
	now := o.now()
	v := &view{made: now, used: now, of: o.index.Version(), first: map[chunkID]string{}}
	var words int
	if v.documents, words = sees.Size(); words > o.words {
		var of [maxClass + 1]int
		if err := sees.Words(ctx, "", func(_ string, documents int) bool {
			of[classOf(documents)]++
			return true
		}); err != nil {
			return nil, err
		}
		v.least = maxClass + 1
		left := o.words
		for ; v.least > 0 && of[v.least-1] <= left; v.least-- {
			left -= of[v.least-1]
		}
		if v.least > 0 {
			v.eighths = uint8(8 * left / of[v.least-1])
		}
	}
	c := cutter{done: func(first string, chunk []byte) {
		id := idOf(chunk)
		v.chunks = append(v.chunks, id)
		v.first[id] = first
	}}
	told := 0
	if err := sees.Words(ctx, "", func(word string, documents int) bool {
		if class := classOf(documents); v.tells(word, class) {
			c.add(word, class)
			told++
		}
		return told < o.words+o.words/8 && len(v.chunks) < maxChunks // eighths are about so large
	}); err != nil {
		return nil, err
	}
	if len(v.chunks) < maxChunks {
		c.end()
	}
	v.version = versionOf(v.chunks)
	return v, nil
}

// tells reports whether a word is one of those that are told.
func (v *view) tells(word string, class uint8) bool {
	return (class >= v.least || class == v.least-1 && eighth(word) < v.eighths) && isWord([]byte(word))
}

// changes tells how to come to the view's version from the one that q has.
func (v *view) changes(q *request, r *response) {
	r.Documents, r.Cut = v.documents, v.least > 0
	if bytes.Equal(q.Since, v.version[:]) {
		return
	}
	r.All = true
	add, gone := v.chunks, []chunkID(nil)
	for _, p := range v.past {
		if bytes.Equal(q.Since, p.version[:]) {
			r.All, add, gone = false, without(v.chunks, p.chunks), without(p.chunks, v.chunks)
		}
	}
	skip := q.Skip
	if !bytes.Equal(q.At, v.version[:]) {
		skip = 0 // they were about another version
	}
	for i, id := range slices.Concat(gone, add) {
		switch {
		case i < skip:
		case i >= skip+maxListed:
			r.More = true
			return
		case i < len(gone):
			r.Gone = append(r.Gone, id[:])
		default:
			r.New = append(r.New, id[:])
		}
	}
}

// without returns those of all that others do not have.
func without(all, others []chunkID) []chunkID {
	has := make(map[chunkID]bool, len(others))
	for _, id := range others {
		has[id] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(id chunkID) bool { return has[id] })
}

// serve reads chunks of the view again, as far as they are as they were.
func (v *view) serve(ctx context.Context, sees search.View, want []chunkID, r *response, m *meter, o *Offers) error {
	var chunks [][]byte
	size := 0
	for _, id := range want {
		first, ok := v.first[id]
		if !ok || size > 2*maxServed {
			continue
		}
		chunk, err := v.read(ctx, sees, first)
		if err != nil {
			return err
		}
		if idOf(chunk) == id {
			chunks = append(chunks, chunk)
			size += len(chunk)
		}
	}
	if !m.bytes.AllowN(o.now(), size) {
		return &p2p.CallError{Code: codeBusy, Message: "lexicon: asked for too much"}
	}
	packed, _, err := o.packer.pack(chunks)
	r.Chunks = packed
	return err
}

// read returns the chunk that begins with a word.
func (v *view) read(ctx context.Context, sees search.View, first string) (chunk []byte, err error) {
	ended := false
	c := cutter{done: func(_ string, done []byte) { chunk, ended = bytes.Clone(done), true }}
	err = sees.Words(ctx, first, func(word string, documents int) bool {
		if class := classOf(documents); v.tells(word, class) {
			c.add(word, class)
		}
		return !ended
	})
	if !ended {
		c.end()
	}
	return chunk, err
}
