package paxos

import (
	"context"
	"errors"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

func id(n byte) p2p.ID { return p2p.ID{n} }

func config(t testing.TB, ids ...byte) Config {
	t.Helper()
	var set []p2p.ID
	for _, n := range ids {
		set = append(set, id(n))
	}
	c, err := NewConfig(set)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func value(data string) Value {
	return Value{Exists: true, Data: []byte(data), Version: 1, Recent: make([]OpID, 1)}
}

// TestAcceptor goes through an acceptor's life, request by request.
func TestAcceptor(t *testing.T) {
	one := config(t, 1, 2, 3)
	two, err := one.next([]p2p.ID{id(2), id(3), id(4)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := config(t, 1, 2, 4)
	ballot := func(epoch, counter uint64, proposer byte) Ballot {
		return Ballot{Epoch: epoch, Counter: counter, Proposer: id(proposer)}
	}
	steps := []struct {
		name     string
		m        Request
		kind     Kind
		accepted Ballot // of a promise
		promised Ballot // of a conflict
		err      error
	}{
		{name: "it promises", m: Request{Kind: KindPrepare, Ballot: ballot(1, 5, 9), Config: one}, kind: KindPromise},
		{name: "once more", m: Request{Kind: KindPrepare, Ballot: ballot(1, 5, 9), Config: one}, kind: KindPromise},
		{name: "nothing below", m: Request{Kind: KindPrepare, Ballot: ballot(1, 5, 8), Config: one}, kind: KindConflict, promised: ballot(1, 5, 9)},
		{name: "nor accepts below", m: Request{Kind: KindAccept, Ballot: ballot(1, 4, 9), Config: one, Value: value("x")}, kind: KindConflict, promised: ballot(1, 5, 9)},
		{name: "it accepts", m: Request{Kind: KindAccept, Ballot: ballot(1, 5, 9), Config: one, Value: value("a"), Next: ballot(1, 6, 9)}, kind: KindAccepted},
		{name: "and has promised for the next", m: Request{Kind: KindPrepare, Ballot: ballot(1, 6, 8), Config: one}, kind: KindConflict, promised: ballot(1, 6, 9)},
		{name: "it tells what it has accepted", m: Request{Kind: KindPrepare, Ballot: ballot(1, 7, 8), Config: one}, kind: KindPromise, accepted: ballot(1, 5, 9)},
		{name: "a copy of the accept", m: Request{Kind: KindAccept, Ballot: ballot(1, 5, 9), Config: one, Value: value("a"), Next: ballot(1, 6, 9)}, kind: KindAccepted},
		{name: "which takes no promise back", m: Request{Kind: KindAccept, Ballot: ballot(1, 6, 9), Config: one, Value: value("b")}, kind: KindConflict, promised: ballot(1, 7, 8)},
		{name: "another configuration of the epoch", m: Request{Kind: KindPrepare, Ballot: ballot(1, 9, 9), Config: other}, kind: KindConflict, promised: ballot(1, 7, 8)},
		{name: "the next epoch, in which it is none", m: Request{Kind: KindPrepare, Ballot: ballot(2, 1, 7), Config: two}, kind: KindPromise, accepted: ballot(1, 5, 9)},
		{name: "the epoch before", m: Request{Kind: KindPrepare, Ballot: ballot(1, 10, 9), Config: one}, kind: KindConflict, promised: ballot(2, 1, 7)},
		{name: "an accept for others", m: Request{Kind: KindAccept, Ballot: ballot(2, 1, 7), Config: two, Value: value("c")}, err: ErrNotAcceptor},
		{name: "it retires", m: Request{Kind: KindRetire, Ballot: ballot(2, 1, 7), Config: two}, kind: KindAccepted},
		{name: "and says nothing more of the value", m: Request{Kind: KindPrepare, Ballot: ballot(2, 2, 7), Config: two}, kind: KindConflict, promised: ballot(2, 1, 7)},
		{name: "nor to those who come late", m: Request{Kind: KindPrepare, Ballot: ballot(1, 99, 9), Config: one}, kind: KindConflict, promised: ballot(2, 1, 7)},
		{name: "a ballot too far ahead", m: Request{Kind: KindPrepare, Ballot: ballot(2, MaxJump+3, 7), Config: two}, err: ErrFuture},
		{name: "a ballot of no round", m: Request{Kind: KindPrepare, Ballot: ballot(2, 0, 7), Config: two}, err: ErrMalformed},
		{name: "a ballot of another epoch", m: Request{Kind: KindPrepare, Ballot: ballot(3, 1, 7), Config: two}, err: ErrMalformed},
		{name: "no kind of request", m: Request{Kind: KindPromise, Ballot: ballot(2, 1, 7), Config: two}, err: ErrMalformed},
		{name: "a next that is not next", m: Request{Kind: KindAccept, Ballot: ballot(1, 20, 9), Config: one, Next: ballot(1, 30, 9)}, err: ErrMalformed},
		{name: "too much", m: Request{Kind: KindAccept, Ballot: ballot(1, 20, 9), Config: one, Value: Value{Exists: true, Data: make([]byte, MaxData+1)}}, err: p2p.ErrTooLarge},
		{name: "a memory that is too long", m: Request{Kind: KindAccept, Ballot: ballot(1, 20, 9), Config: one, Value: Value{Version: Window + 1, Recent: make([]OpID, Window+1)}}, err: ErrMalformed},
	}
	var s State
	for _, step := range steps {
		next, r, err := s.Answer(id(1), step.m, nil)
		if !errors.Is(err, step.err) || err == nil && (r.Kind != step.kind || r.Accepted != step.accepted || r.Promised != step.promised || r.Ballot != step.m.Ballot) {
			t.Fatalf("%s: %+v, %v", step.name, r, err)
		}
		s = next
	}
	if !s.Retired || s.Value.Exists || !s.Config.Equal(two) {
		t.Errorf("in the end it has %+v", s)
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range [][]p2p.ID{nil, {id(1), id(1)}, {{}}, {id(1), id(2), id(3), id(4), id(5), id(6), id(7), id(8)}} {
		if _, err := NewConfig(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("NewConfig of %d: %v", len(bad), err)
		}
	}
	for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4} {
		if got := majority(n); got != want {
			t.Errorf("majority of %d is %d, want %d", n, got, want)
		}
	}
	c, err := config(t, 3, 1, 2).next([]p2p.ID{id(5), id(3)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := back.Decode(b); err != nil || !back.Equal(c) {
		t.Errorf("%v became %v, %v", c, back, err)
	}
}

func FuzzConfig(f *testing.F) {
	b, err := config(f, 3, 1, 2).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Config
		if c.Decode(b) != nil {
			return
		}
		again, err := c.Encode()
		if err != nil || string(again) != string(b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
	})
}

// FuzzMessages: whatever members send, nobody panics and an acceptor's promise only
// grows.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{1, 1, 1, 2, 1, 3, 5, 2, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func(n byte) byte {
			if len(b) == 0 {
				return 0
			}
			v := b[0] % n
			b = b[1:]
			return v
		}
		configs := []Config{config(t, 1, 2, 3), config(t, 1, 4), {}, {Epoch: 9}}
		for _, set := range [][]p2p.ID{{id(2)}, {id(1), id(5)}} {
			c, err := configs[0].next(set, nil)
			if err != nil {
				t.Fatal(err)
			}
			configs = append(configs, c)
		}
		var s State
		for len(b) > 0 {
			c := configs[next(6)]
			m := Request{Kind: Kind(next(8)), Config: c, Ballot: Ballot{c.Epoch, uint64(next(5)), id(next(3)), 0}, Value: value("x")}
			if next(2) == 1 {
				m.Next = m.Ballot.next()
			}
			if next(4) == 1 {
				m.Value.Next = &configs[next(6)]
			}
			before := s
			after, r, err := s.Answer(id(1), m, nil)
			if after.Promised.Less(before.Promised) || after.Config.Epoch < before.Config.Epoch {
				t.Fatalf("%+v made %+v of %+v", m, after, before)
			}
			if err == nil && r.check(m.Ballot) != nil && m.Kind != KindRetire {
				t.Fatalf("%+v got %+v: %v", m, r, r.check(m.Ballot))
			}
			s = after
		}
	})
}

// TestAnswerBatch: many registers change in one transaction, each request for itself, and
// a ballot is taken from its owner only.
func TestAnswerBatch(t *testing.T) {
	a := Acceptor{Self: id(1), Store: &Memory{Max: 2}}
	c := config(t, 1, 2, 3)
	prepare := func(register byte, proposer byte) Request {
		return Request{Kind: KindPrepare, Register: p2p.Key{register}, Ballot: Ballot{1, 1, id(proposer), 0}, Config: c}
	}
	replies, err := a.Answer(context.Background(), id(9), []Request{prepare(2, 9), prepare(1, 9), prepare(2, 8), {}})
	if err != nil {
		t.Fatal(err)
	}
	if replies[0].Kind != KindPromise || replies[1].Kind != KindPromise || replies[2].Kind != 0 || replies[3].Kind != 0 {
		t.Errorf("answers %v", replies)
	}
	if _, err := a.Answer(context.Background(), id(9), []Request{prepare(1, 9), prepare(3, 9)}); !errors.Is(err, ErrFull) {
		t.Errorf("a third register: %v, want ErrFull", err)
	}
}
