package paxos

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// lie sends a request of the member 99 to an acceptor, which answers or refuses.
func (m *mesh) lie(t *testing.T, to byte, r Request) (Reply, error) {
	t.Helper()
	a := m.acceptors[id(to)]
	var why error
	a.Refused = func(_ p2p.ID, _ Request, err error) { why = err }
	replies, err := a.Answer(t.Context(), id(99), []Request{r})
	if err != nil {
		t.Fatal(err)
	}
	return replies[0], why
}

// told is lie where the acceptor answers.
func (m *mesh) told(t *testing.T, to byte, r Request) Reply {
	t.Helper()
	reply, err := m.lie(t, to, r)
	if err != nil {
		t.Fatalf("acceptor %d refused: %v", to, err)
	}
	return reply
}

// meshOf is acceptors that ask each other for steps, and the directory for what is new to them.
func meshOf(t *testing.T, begin Config, ids ...byte) *mesh {
	t.Helper()
	m := &mesh{acceptors: map[p2p.ID]Acceptor{}, off: map[p2p.ID]bool{}, deaf: map[p2p.ID]bool{}, asked: map[Kind]int{}}
	for _, n := range ids {
		a := Acceptor{Self: id(n), Store: &Memory{}, Signer: mac(id(n)), Begin: func(context.Context, Request) (Config, []Step, error) { return begin, nil, nil }}
		a.Ask = func(ctx context.Context, who p2p.ID, register p2p.Key, after uint64) []Step {
			m.mu.Lock()
			o := m.acceptors[who]
			m.mu.Unlock()
			if o.Store == nil || who == id(n) {
				return nil
			}
			steps, err := o.Store.Steps(ctx, register, after, MaxSteps)
			if err != nil {
				t.Error(err)
			}
			return steps
		}
		m.acceptors[id(n)] = a
	}
	return m
}

// TestTwoValues: a member gives two values to one ballot, of which each follows from what was found and
// names other acceptors. Whatever it does with them, one of them only is decided.
func TestTwoValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := p2p.Key{7}
		one := config(t, 1, 2, 3)
		m := meshOf(t, one, 1, 2, 3, 4, 5)
		update(t, open(t, m, 50, one), appendWord("base,"))
		time.Sleep(time.Minute)
		prepare := func(b Ballot, c Config, steps []Step, to ...byte) map[byte]Reply {
			out := map[byte]Reply{}
			for _, n := range to {
				out[n] = m.told(t, n, Request{Kind: KindPrepare, Register: key, Ballot: b, Config: c, Steps: steps})
			}
			return out
		}
		accept := func(b Ballot, c Config, v Value, votes []Vote, base Value, steps []Step) Request {
			return Request{
				Kind: KindAccept, Register: key, Ballot: b, Config: c, Value: v, Steps: steps,
				Proof: Proof{Votes: votes, Base: base.Head(), Recent: base.Recent},
			}
		}
		next := func(n byte) Config {
			c, err := one.next([]p2p.ID{id(n)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		x, y := next(4), next(5)
		first, second, third := Ballot{1, 100, id(99), 1}, Ballot{1, 101, id(99), 1}, Ballot{1, 102, id(99), 1}
		p := prepare(first, one, nil, 1, 2, 3)
		base := p[1].Value
		toX, toY := base, base
		toX.Next, toY.Next = &x, &y
		votes := []Vote{p[1].Vote, p[2].Vote, p[3].Vote}
		a1 := m.told(t, 1, accept(first, one, toX, votes, base, nil)).Vote
		a2 := m.told(t, 2, accept(first, one, toX, votes, base, nil)).Vote
		m.told(t, 3, accept(first, one, toY, votes, base, nil))
		step := func(v Value, votes ...Vote) Request {
			return Request{
				Kind: KindPrepare, Register: key, Ballot: Ballot{2, 1, id(99), 1}, Config: *v.Next, Steps: []Step{{v.Head(), votes}},
			}
		}
		refused := func(what string, to byte, r Request) {
			t.Helper()
			if reply, err := m.lie(t, to, r); !errors.Is(err, ErrNoQuorum) {
				t.Errorf("%s: %+v, %v", what, reply, err)
			}
		}
		refused("an epoch that is not sealed", 1, step(toX, a1, a2))

		p = prepare(second, one, nil, 1, 2, 3)
		a1 = m.told(t, 1, accept(second, one, toX, []Vote{p[1].Vote, p[2].Vote}, toX, nil)).Vote
		a2 = m.told(t, 2, accept(second, one, toY, []Vote{p[3].Vote, p[2].Vote}, toY, nil)).Vote
		a3 := m.told(t, 3, accept(second, one, toY, []Vote{p[3].Vote, p[2].Vote}, toY, nil)).Vote
		if !a1.Sealed || a2.Sealed || a3.Sealed {
			t.Errorf("sealed are %t, %t, %t", a1.Sealed, a2.Sealed, a3.Sealed)
		}
		refused("one that others have not accepted", 1, step(toX, a1, a2))
		refused("one that is sealed with another ballot", 2, step(toY, a2, a3))

		p = prepare(third, one, nil, 1, 2, 3)
		refused("another one beside one that is sealed", 1, accept(third, one, toY, []Vote{p[1].Vote, p[2].Vote}, toY, nil))
		a2 = m.told(t, 2, accept(third, one, toY, []Vote{p[2].Vote, p[3].Vote}, toY, nil)).Vote
		a3 = m.told(t, 3, accept(third, one, toY, []Vote{p[2].Vote, p[3].Vote}, toY, nil)).Vote
		m.told(t, 1, accept(third, one, toX, []Vote{p[1].Vote, p[2].Vote}, toX, nil))
		m.told(t, 2, step(toY, a2, a3))
		for i, word := range []string{"first,", "second,"} {
			if r := update(t, open(t, m, byte(51+i), one), appendWord(word)); r.Version != uint64(i+2) || !r.Config.Equal(y) {
				t.Errorf("change %d is version %d in %+v", i+1, r.Version, r.Config)
			}
		}
	})
}

// TestThreeValues: after three values with one ballot, none of which was chosen, people go on with any of
// them, and nobody honest is taken for the liar.
func TestThreeValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := p2p.Key{7}
		one := config(t, 1, 2, 3)
		m := meshOf(t, one, 1, 2, 3)
		var blamed int
		for n, a := range m.acceptors {
			a.Refused = func(from p2p.ID, _ Request, err error) {
				if from == id(3) && errors.Is(err, ErrNoQuorum) {
					blamed++
				}
			}
			m.acceptors[n] = a
		}
		b := Ballot{1, 100, id(99), 1}
		var votes []Vote
		for n := range byte(3) {
			votes = append(votes, m.told(t, n+1, Request{Kind: KindPrepare, Register: key, Ballot: b, Config: one}).Vote)
		}
		for n := range byte(3) {
			r := m.told(t, n+1, Request{Kind: KindAccept, Register: key, Ballot: b, Config: one, Value: value("v" + string('0'+n)), Proof: Proof{Votes: votes}})
			if r.Kind != KindAccepted {
				t.Fatal(r)
			}
		}
		h := open(t, m, 3, one) // is an acceptor too, which answers first
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if r, err := h.Read(ctx); err != nil || blamed > 0 || len(r.Data) != 2 {
			t.Errorf("an honest read: %q, %v; refused %d times", r.Data, err, blamed)
		}
	})
}

// TestUncheckedHead: a head that names no configuration is refused.
func TestUncheckedHead(t *testing.T) {
	one := config(t, 1, 2, 3)
	m := meshOf(t, one, 1, 2, 3)
	for round := range uint64(2) {
		b := Ballot{1, 100 + round, id(99), 1}
		var votes []Vote
		for n := range byte(3) {
			votes = append(votes, m.told(t, n+1, Request{Kind: KindPrepare, Register: p2p.Key{7}, Ballot: b, Config: one}).Vote)
		}
		r := Request{Kind: KindAccept, Register: p2p.Key{7}, Ballot: b, Config: one, Value: value("x"), Proof: Proof{Votes: votes}}
		if round == 1 {
			r.Proof.Base.Next = &Config{Acceptors: []p2p.ID{id(1), id(2)}, Lives: []byte{1}}
		}
		for n := range byte(3) {
			if _, err := m.lie(t, n+1, r); errors.Is(err, ErrNoQuorum) != (round == 1) {
				t.Errorf("round %d at %d: %v", round, n+1, err)
			}
		}
	}
}

// TestFatSteps: a step that was padded is not believed, and so is not told on.
func TestFatSteps(t *testing.T) {
	register := p2p.Key{7}
	one := config(t, 1, 2, 3)
	two, err := one.next([]p2p.ID{id(1), id(2)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	last, ballot := value("a"), Ballot{1, 4, id(8), 1}
	last.Next = &two
	step := Step{last.Head(), votesOf(one, register, ballot, ballot, last, 1, 2)}
	step.Votes = append(step.Votes, Vote{By: id(3), Accepted: ballot, Value: step.Votes[0].Value, Mark: make([]byte, 4000)})
	if to, taken := Walk(register, one, []Step{step}, mac{}.Check); to.Epoch != 1 || taken != nil {
		t.Errorf("it leads to epoch %d", to.Epoch)
	}
}

// TestMostSteps: as many steps as a message has, each with all votes of as many acceptors as there can
// be, fit into one with the largest value.
func TestMostSteps(t *testing.T) {
	full := Config{Epoch: 1 << 60}
	for i := range byte(MaxAcceptors) {
		full.Acceptors = append(full.Acceptors, p2p.ID(slices.Repeat([]byte{100 + i}, 32)))
	}
	full.Joint, full.Lives, full.JointLives = full.Acceptors, slices.Repeat([]byte{200}, MaxAcceptors), slices.Repeat([]byte{200}, MaxAcceptors)
	b := Ballot{1 << 60, 1 << 60, full.Acceptors[0], 1 << 63}
	var votes []Vote
	for i := range maxVotes {
		votes = append(votes, Vote{By: full.Acceptors[i%MaxAcceptors], Life: 200, Promised: b, Accepted: b, Value: p2p.Key(full.Acceptors[0]), Mark: make([]byte, 96)})
	}
	recent := slices.Repeat([]OpID{{255, 255, 255, 255, 255, 255, 255, 255}}, Window)
	v := Value{Exists: true, Data: make([]byte, MaxData), Version: 1 << 60, Recent: recent, Next: &full}
	step := Step{Last: v.Head(), Votes: votes[:MaxAcceptors]}
	m := Request{
		Kind: KindAccept, Ballot: b, Config: full, Value: v, Next: b, Steps: slices.Repeat([]Step{step}, MaxSteps),
		Proof: Proof{Votes: votes, Base: v.Head(), Recent: recent},
	}
	raw, err := wire.Marshal(m)
	if err != nil || len(raw) > 56<<10 {
		t.Errorf("a request has up to %d bytes, %v", len(raw), err)
	}
}

// TestLargeNumbers: that one acceptor was told very large numbers keeps nobody from the others.
func TestLargeNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := p2p.Key{7}
		one := config(t, 1, 2, 3)
		m := meshOf(t, one, 1, 2, 3)
		for k := range uint64(2) {
			m.told(t, 1, Request{Kind: KindPrepare, Register: key, Ballot: Ballot{1, (k + 1) * MaxJump, id(99), 1}, Config: one})
		}
		h := open(t, m, 50, one)
		m.set(m.off, true, 3) // for one round
		go func() { time.Sleep(RoundTimeout + 10*time.Millisecond); m.set(m.off, false, 3) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		op := NewOp()
		if _, err := h.Update(ctx, &op, appendWord("a")); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}
