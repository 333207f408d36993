package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/delta"
)

// Where a replica lacks a large record and has another one of its name, only the difference
// travels (package delta): who has the old value says how its blocks sum up, and who has the new
// one sends what is not among them. The record itself is as it was signed, so that all else
// stays, and its sum tells whether the value is what its author wrote.

const (
	deltaAt   = 8 << 10 // bytes of a value that is large
	maxDeltas = 64      // in one message
	// deltaEdits is how many places of a value are expected to have changed: with more, blocks
	// that are smaller would do a little better.
	deltaEdits = 1
)

// blocks is what a replica says of a value that it has.
type blocks struct {
	Sum   []byte `cbor:"1,keyasint,omitempty"` // of the value; empty: there is none of use
	Size  uint32 `cbor:"2,keyasint,omitempty"`
	Block uint32 `cbor:"3,keyasint,omitempty"`
	Seed  uint64 `cbor:"4,keyasint,omitempty"`
	Table []byte `cbor:"5,keyasint,omitempty"`
}

// want asks for a record, as a whole or as what is not among the blocks.
type want struct {
	Address Address `cbor:"1,keyasint"`
	Hash    []byte  `cbor:"2,keyasint"` // the first 8 bytes of the header's hash
	Blocks  blocks  `cbor:"3,keyasint"`
}

// large reports whether a record is worth a difference.
func (h Header) large() bool { return h.Kind == KindValue && h.Size >= deltaAt }

// base returns the record from which that at an address can be made: the one that is there, or
// the version before it.
func (t *Table) base(ctx context.Context, a Address) (base Held, ok bool, err error) {
	for h, err := range t.o.Store.Read(ctx, atName(a.Name())) {
		if err != nil {
			return base, false, fmt.Errorf("dht: read %x: %w", a.Location[:4], err)
		}
		if h.large() && (!ok || h.Version.Compare(a.Version) <= 0) {
			base, ok = h, true // they come in the order of versions
		}
	}
	return base, ok, nil
}

// atName asks for all values of a name.
func atName(n Name) Query {
	return Query{Location: n.Location, Domain: n.Domain, Contents: []p2p.Key{n.Content}, Versions: true, Prepared: true}
}

// blocksFor returns the blocks of what can be the base of a record.
func (t *Table) blocksFor(ctx context.Context, a Address) (b blocks, err error) {
	base, ok, err := t.base(ctx, a)
	if err != nil || !ok {
		return b, err
	}
	sig, err := delta.Sign(bytes.NewReader(base.Value), delta.SignOptions{
		Size: int64(len(base.Value)), Edits: deltaEdits, Seed: rand.Uint64() | 1, Bare: true, Workers: 1,
	})
	if err != nil {
		return b, fmt.Errorf("dht: blocks of %d bytes: %w", len(base.Value), err)
	}
	return blocks{base.Sum[:], uint32(sig.Size()), uint32(sig.Block()), sig.Seed(), sig.Table()}, nil
}

// difference returns what makes a value out of one with these blocks; nil where sending the
// value is no more.
func (b blocks) difference(value []byte) []byte {
	if len(b.Sum) != len(p2p.Key{}) || b.Size > MaxValue {
		return nil
	}
	sig, err := delta.NewSignature(int(b.Block), int64(b.Size), b.Seed, b.Table)
	if err != nil {
		return nil
	}
	var out bytes.Buffer
	if _, err := delta.EncodeWith(&out, sig, bytes.NewReader(value), int64(len(value)), delta.EncodeOptions{Bare: true}); err != nil || out.Len() > len(value)/2 {
		return nil
	}
	return out.Bytes()
}

// errBase: the value that a difference is to is not here.
var errBase = errors.New("no base of the difference")

// patched returns the value of a record out of the difference to the value with a sum.
func (t *Table) patched(ctx context.Context, r Record, base, difference []byte) ([]byte, error) {
	if len(base) != len(p2p.Key{}) || !r.IsHeader() || !r.large() || r.Size > MaxValue {
		return nil, fmt.Errorf("%w: a difference to nothing", ErrMalformed)
	}
	for h, err := range t.o.Store.Read(ctx, atName(r.Name())) {
		if err != nil {
			return nil, fmt.Errorf("dht: read %x: %w", r.Location[:4], err)
		}
		if h.Kind != KindValue || !bytes.Equal(h.Sum[:], base) {
			continue
		}
		d, err := delta.NewReader(bytes.NewReader(difference))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		out := bytes.NewBuffer(make([]byte, 0, r.Size))
		if _, err := delta.Patch(bytes.NewReader(h.Value), d.Ops(), out, delta.PatchOptions{Size: int64(r.Size), Bare: true}); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if SumOf(out.Bytes()) != r.Sum {
			return nil, errBase // by chance blocks were mistaken, or somebody lies: the whole value tells
		}
		return out.Bytes(), nil
	}
	return nil, errBase
}

// expand puts values in the place of differences, and says of those where it cannot why not.
func (t *Table) expand(ctx context.Context, writes []Write, results []result) error {
	deltas := 0
	for i := range writes {
		w := &writes[i]
		if len(w.Delta) == 0 {
			continue
		}
		if deltas++; deltas > maxDeltas {
			results[i].Status = StatusMalformed
			continue
		}
		value, err := t.patched(ctx, w.Record, w.Base, w.Delta)
		switch {
		case err == nil:
			w.Record.Value = value
		case errors.Is(err, ErrMalformed):
			results[i].Status = StatusMalformed
		case errors.Is(err, errBase):
			results[i].Status = StatusNotFound
		default:
			return err
		}
		w.Base, w.Delta = nil, nil
	}
	return nil
}

// answerWants appends the records that are wanted to copies, as long as there is room.
func (t *Table) answerWants(ctx context.Context, wants []want, copies []byte, offered room) (n int, _ []byte, err error) {
	now := t.now()
	for _, w := range wants {
		q := atName(w.Address.Name())
		q.VersionFrom, q.VersionTo = w.Address.Version, w.Address.Version
		for h, err := range t.o.Store.Read(ctx, q) {
			if err != nil {
				return n, copies, fmt.Errorf("dht: read: %w", err)
			}
			hash := h.hash()
			if h.Address != w.Address || !bytes.Equal(hash[:hashSize], w.Hash) || !h.live(now) {
				continue
			}
			c := copied{Record: h.Record, Left: h.Left(now), Quorum: t.votes(h.Header)}
			if d := w.Blocks.difference(h.Value); d != nil {
				c.Record.Value, c.Base, c.Delta = nil, w.Blocks.Sum, d
			}
			next, err := appendItem(copies, c)
			if err != nil {
				return n, copies, err
			}
			if size := len(next) + 1<<10; size <= offered.bytes() || n == 0 && size <= offered.alone() {
				copies, n = next, n+1
			}
		}
	}
	return n, copies, nil
}

// fetch asks the peer for the values of large records of which it has sent the headers, and
// keeps them; it returns how many it has stored.
//
// What another comparison is fetching is left to it.
func (c *comparison) fetch(ctx context.Context, bare []copied) (kept int, err error) {
	bare = slices.DeleteFunc(bare, func(one copied) bool {
		_, busy := c.t.repair.fetching.LoadOrStore(one.Record.Address, true)
		return busy
	})
	claimed := slices.Clone(bare)
	defer func() {
		for _, one := range claimed {
			c.t.repair.fetching.Delete(one.Record.Address)
		}
	}()
	for len(bare) > 0 {
		some := bare[:min(len(bare), maxDeltas)]
		wants := make([]want, len(some))
		for i, one := range some {
			hash := one.Record.hash()
			wants[i] = want{Address: one.Record.Address, Hash: hash[:hashSize]}
			if wants[i].Blocks, err = c.t.blocksFor(ctx, one.Record.Address); err != nil {
				return kept, err
			}
		}
		_, copies, err := c.ask(ctx, syncRequest{Wants: wants})
		if err != nil || len(copies) == 0 {
			return kept, err
		}
		n, err := c.take(ctx, copies)
		kept += n
		if err != nil {
			return kept, err
		}
		// What did not find room is asked for again; what has gone since is not.
		rest := 0
		for i, one := range some {
			if one.Record.Address == copies[len(copies)-1].Record.Address {
				rest = i + 1
			}
		}
		if rest == 0 {
			return kept, nil
		}
		bare = bare[rest:]
	}
	return kept, nil
}

// shrink puts differences in the place of large values that a peer lacks, where it has what
// they are to. The writes that were are returned by their place.
func (c *comparison) shrink(ctx context.Context, writes []Write) (map[int]Write, error) {
	var at []int
	for i, w := range writes {
		if w.Record.large() && w.Record.Value != nil {
			at = append(at, i)
		}
	}
	whole := map[int]Write{}
	for len(at) > 0 {
		some := at[:min(len(at), maxDeltas)]
		at = at[len(some):]
		offers := make([]Address, len(some))
		for i, place := range some {
			offers[i] = writes[place].Record.Address
		}
		a, _, err := c.ask(ctx, syncRequest{Offers: offers})
		if err != nil {
			return nil, err
		}
		for i, place := range some {
			if d := a.Offered[i].difference(writes[place].Record.Value); d != nil {
				whole[place] = writes[place]
				writes[place].Record.Value, writes[place].Base, writes[place].Delta = nil, a.Offered[i].Sum, d
			}
		}
	}
	return whole, nil
}
