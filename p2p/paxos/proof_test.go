package paxos

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// votesOf returns what acceptors of epoch 1 say that have accepted a value and promised for a ballot.
func votesOf(c Config, register p2p.Key, promised, accepted Ballot, v Value, ids ...byte) (votes []Vote) {
	for _, n := range ids {
		s := State{Promised: promised, Accepted: accepted, Value: v, Sealed: v.Next != nil}
		votes = append(votes, s.vote(id(n), 0).signed(register, c, mac(id(n))))
	}
	return votes
}

// TestProofAltered: of an accept that shows its majority no bit of the proof can be another one.
func TestProofAltered(t *testing.T) {
	c := config(t, 1, 2, 3, 4, 5)
	old, ballot := Ballot{1, 4, id(8), 1}, Ballot{1, 7, id(9), 2}
	found := value("a")
	changed, _, err := found.apply(&Op{ID: OpID{7}}, appendWord("b"))
	if err != nil {
		t.Fatal(err)
	}
	m := Request{
		Kind: KindAccept, Register: p2p.Key{7}, Ballot: ballot, Config: c, Value: changed, Next: ballot.next(),
		Proof: Proof{Votes: votesOf(c, p2p.Key{7}, ballot, old, found, 1, 3, 4), Base: found.Head(), Recent: found.Recent},
	}
	if err := errors.Join(m.check(), m.proven(mac{}.Check)); err != nil {
		t.Fatal(err)
	}
	proof, err := wire.Marshal(m.Proof)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for i := range 8 * len(proof) {
		b := slices.Clone(proof)
		b[i/8] ^= 1 << (i % 8)
		other := m
		other.Proof = Proof{}
		if wire.Unmarshal(b, &other.Proof) != nil || reflect.DeepEqual(other.Proof, m.Proof) {
			continue
		}
		read++
		if err := other.proven(mac{}.Check); !errors.Is(err, ErrNoQuorum) {
			t.Errorf("bit %d of the proof is another one: %v", i, err)
		}
	}
	if read < len(proof) {
		t.Errorf("%d other proofs were tried", read)
	}
}

// TestProofOfAnEpoch: the first value of an epoch takes the majorities of two sets, a closed one
// gets no other value, and a step takes the acceptances of one value.
func TestProofOfAnEpoch(t *testing.T) {
	register := p2p.Key{7}
	one := config(t, 1, 2, 3)
	two, err := one.next([]p2p.ID{id(3), id(4), id(5)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := value("a")
	last.Next = &two
	old, ballot := Ballot{1, 4, id(8), 1}, Ballot{2, 1, id(9), 2}
	first := last
	first.Next = nil
	accept := func(votes []Vote, v Value) Request {
		return Request{
			Kind: KindAccept, Register: register, Ballot: ballot, Config: two, Value: v,
			Proof: Proof{Votes: votes, Base: last.Head(), Recent: last.Recent},
		}
	}
	nothing := votesOf(two, register, ballot, Ballot{}, Value{}, 4, 5)
	both := append(votesOf(two, register, ballot, old, last, 1, 3), nothing...)
	for _, row := range []struct {
		name string
		m    Request
		want error
	}{
		{"both sets", accept(both, first), nil},
		{"the new ones alone", accept(append(votesOf(two, register, ballot, old, last, 3), nothing...), first), ErrNoQuorum},
		{"the old ones alone", accept(votesOf(two, register, ballot, old, last, 1, 2, 3), first), ErrNoQuorum},
		{"a stranger among them", accept(append(both, votesOf(two, register, ballot, Ballot{2, 0, id(9), 1}, value("x"), 9)...), first), ErrNoQuorum},
		{"the closed value", accept(both, last), ErrMalformed},
		{"a change with it", accept(both, value("b")), ErrNoQuorum},
	} {
		err := row.m.check()
		if err == nil {
			err = row.m.proven(mac{}.Check)
		}
		if !errors.Is(err, row.want) || err != nil && row.want == nil {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
	}
	closed := Request{
		Kind: KindAccept, Register: register, Ballot: Ballot{1, 9, id(9), 2}, Config: one, Value: last,
		Proof: Proof{Votes: votesOf(one, register, Ballot{1, 9, id(9), 2}, old, last, 1, 2), Base: last.Head(), Recent: last.Recent},
	}
	if err := closed.proven(mac{}.Check); err != nil {
		t.Errorf("a closed value as it is: %v", err)
	}
	if closed.Value.Next = nil; !errors.Is(closed.proven(mac{}.Check), ErrNoQuorum) {
		t.Error("a closed epoch is opened again")
	}

	other, err := one.next([]p2p.ID{id(9)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := last
	elsewhere.Next = &other
	var unsealed []Vote
	for _, n := range []byte{1, 2} {
		unsealed = append(unsealed, State{Promised: old, Accepted: old, Value: last}.vote(id(n), 0).signed(register, one, mac(id(n))))
	}
	step := Step{last.Head(), votesOf(one, register, old, old, last, 1, 2)}
	for _, row := range []struct {
		name string
		step Step
		want uint64
	}{
		{"a majority", step, 2},
		{"and others", Step{last.Head(), append(votesOf(one, register, old, old, last, 8, 9), step.Votes...)}, 1},
		{"of another configuration", Step{last.Head(), votesOf(two, register, old, old, last, 1, 2)}, 1},
		{"one", Step{last.Head(), step.Votes[:1]}, 1},
		{"others", Step{last.Head(), votesOf(one, register, old, old, last, 8, 9)}, 1},
		{"for another one", Step{elsewhere.Head(), step.Votes}, 1},
		{"for several", Step{last.Head(), append(votesOf(one, register, old, old, last, 1), votesOf(one, register, old, old, elsewhere, 2)...)}, 1},
		{"with two ballots", Step{last.Head(), append(votesOf(one, register, old, old, last, 1), votesOf(one, register, ballot, Ballot{1, 5, id(8), 1}, last, 2)...)}, 1},
		{"of another register", Step{last.Head(), votesOf(one, p2p.Key{8}, old, old, last, 1, 2)}, 1},
		{"before it is sealed", Step{last.Head(), unsealed}, 1},
		{"nowhere", Step{first.Head(), step.Votes}, 1},
	} {
		if to, _ := Walk(register, one, []Step{row.step}, mac{}.Check); to.Epoch != row.want {
			t.Errorf("a step by %s leads to epoch %d, want %d", row.name, to.Epoch, row.want)
		}
	}
}

// TestCatchUp: an acceptor that was away while all others were replaced again and again, more often
// than a message can tell, asks how that came about, and goes on.
func TestCatchUp(t *testing.T) {
	m := newMesh(5)
	for n, a := range m.acceptors {
		a.Ask = func(ctx context.Context, who p2p.ID, register p2p.Key, after uint64) []Step {
			m.mu.Lock()
			store := m.acceptors[who].Store
			m.mu.Unlock()
			if store == nil || who == n {
				return nil
			}
			steps, err := store.Steps(ctx, register, after, MaxSteps)
			if err != nil {
				t.Error(err)
			}
			return steps
		}
		m.acceptors[n] = a
	}
	p := NewProposer(id(1), p2p.Key{7}, config(t, 1, 2, 3), rand.New(rand.NewPCG(1, 1)))
	p.check = mac{}.Check
	away := map[p2p.ID]bool{}
	run := func(o Output) Output {
		for !o.Done {
			if len(o.Send) == 0 {
				t.Fatal("it stands still")
			}
			var next Output
			for _, s := range o.Send {
				if away[s.To] {
					continue
				}
				replies, err := m.acceptors[s.To].Answer(t.Context(), id(1), []Request{s.Request})
				if err != nil {
					t.Fatal(err)
				}
				if out := p.Receive(s.To, replies[0]); len(out.Send) > 0 || out.Done {
					next = out
				}
			}
			o = next
		}
		return o
	}
	op := NewOp()
	if o := run(p.Update(&op, appendWord("a"))); o.Err != nil {
		t.Fatal(o.Err)
	}
	away[id(1)] = true
	for i := range 3 * MaxSteps {
		set := []p2p.ID{id(1), id(2), id(3 + byte((i+1)%3))}
		if i == 3*MaxSteps-1 {
			set = []p2p.ID{id(1), id(5)}
			delete(away, id(1))
		}
		if o := run(p.Replace(func(Config) ([]p2p.ID, error) { return set, nil })); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	s := m.acceptors[id(1)].Store.(*Memory).states[p2p.Key{7}]
	if s.Config.Epoch != uint64(3*MaxSteps+1) || string(s.Value.Data) != "a" {
		t.Errorf("who was away knows epoch %d and %q", s.Config.Epoch, s.Value.Data)
	}
}

// FuzzAcceptor: whatever bytes come for a request, an acceptor neither panics nor accepts anything
// without its proof.
func FuzzAcceptor(f *testing.F) {
	c := config(f, 1, 2, 3)
	ballot := Ballot{1, 7, id(9), 2}
	for _, m := range []Request{
		{Kind: KindPrepare, Ballot: ballot, Config: c},
		{Kind: KindAccept, Ballot: ballot, Config: c, Value: value("x"), Proof: Proof{Votes: votesOf(c, p2p.Key{}, ballot, Ballot{}, Value{}, 1, 2), Base: Value{}.Head()}},
		{Kind: KindRetire, Ballot: ballot, Config: c, Steps: []Step{{}, {Last: Head{Next: &c}}}},
	} {
		b, err := wire.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Request
		if wire.Unmarshal(b, &m) != nil {
			return
		}
		store := &Memory{}
		a := Acceptor{Self: id(1), Store: store, Signer: mac(id(1)), Ask: func(context.Context, p2p.ID, p2p.Key, uint64) []Step { return m.Steps }}
		replies, err := a.Answer(t.Context(), m.Ballot.Proposer, []Request{m})
		if err != nil {
			t.Fatal(err)
		}
		if replies[0].Kind == KindAccepted && m.proven(mac{}.Check) != nil {
			t.Errorf("%+v was accepted", m)
		}
	})
}
