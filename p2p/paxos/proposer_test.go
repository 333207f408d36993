package paxos

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

func recipients(o Output, k Kind) []p2p.ID {
	var to []p2p.ID
	for _, s := range o.Send {
		if s.Request.Kind == k {
			to = append(to, s.To)
		}
	}
	return to
}

// TestJointLives: who was an acceptor in the epoch before, and is one now in a later life, has
// forgotten what it promised: it counts among the new ones and not among the old.
func TestJointLives(t *testing.T) {
	one := config(t, 1, 2, 3)
	two, err := one.next(one.Acceptors, func(who p2p.ID) byte {
		if who == id(1) {
			return 1
		}
		return 0
	})
	if err != nil || two.Life(id(1)) != 1 || two.Life(id(2)) != 0 || sameSet(two) || two.Equal(Config{Epoch: 2, Acceptors: one.Acceptors, Joint: one.Acceptors}) {
		t.Fatalf("%+v, %v", two, err)
	}
	for age, serves := range map[Age]bool{{}: false, {Life: 1}: true, {Life: 2}: false} {
		if age.Serves(id(1), two) != serves || age.Serves(id(1), one) != (age.Life == 0) {
			t.Errorf("an acceptor in its life %d", age.Life)
		}
	}
	last := value("a")
	last.Next = &two
	p := NewProposer(id(10), p2p.Key{}, two, rand.New(rand.NewPCG(1, 1)))
	o := p.Read()
	reply := Reply{Kind: KindPromise, Ballot: o.Send[0].Request.Ballot}
	for _, n := range []byte{1, 3} {
		if got := p.Receive(id(n), reply); len(got.Send) > 0 || got.Done {
			t.Fatalf("after %d, which knows nothing: %+v", n, got)
		}
	}
	reply.Accepted, reply.Value = Ballot{Epoch: 1, Counter: 8, Proposer: id(9)}, last
	if got := p.Receive(id(2), reply); len(recipients(got, KindAccept)) != 3 || string(got.Send[0].Request.Value.Data) != "a" {
		t.Errorf("after both others: %+v", got)
	}
}

// TestJoint: a new epoch begins with promises of majorities of both sets, and as long as
// nothing is known to be chosen in it, each round asks both.
func TestJoint(t *testing.T) {
	one := config(t, 1, 2, 3)
	two, err := one.next([]p2p.ID{id(3), id(4), id(5)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := value("a")
	last.Next = &two
	old := Ballot{Epoch: 1, Counter: 8, Proposer: id(9)}
	promise := func(o Output, accepted Ballot, v Value) Reply {
		return Reply{Kind: KindPromise, Ballot: o.Send[0].Request.Ballot, Accepted: accepted, Value: v}
	}

	p := NewProposer(id(10), p2p.Key{}, two, rand.New(rand.NewPCG(1, 1)))
	o := p.Read()
	if to := recipients(o, KindPrepare); !slices.Equal(to, []p2p.ID{id(3), id(4), id(5), id(1), id(2)}) {
		t.Fatalf("prepares to %v", to)
	}
	for _, n := range []byte{4, 5} { // a majority of the new ones, which have nothing
		if got := p.Receive(id(n), promise(o, Ballot{}, Value{})); len(got.Send) > 0 {
			t.Fatalf("after %d sends %v", n, got.Send)
		}
	}
	if got := p.Receive(id(1), promise(o, Ballot{}, Value{})); len(got.Send) > 0 {
		t.Fatalf("after one of the old ones sends %v", got.Send)
	}
	// A second one of the old ones has the last value of the epoch before.
	got := p.Receive(id(3), promise(o, old, last))
	if to := recipients(got, KindAccept); !slices.Equal(to, two.Acceptors) {
		t.Fatalf("accepts to %v", to)
	}
	if m := got.Send[0].Request; string(m.Value.Data) != "a" || m.Value.Next != nil {
		t.Fatalf("proposes %+v", m.Value)
	}

	// Nobody answers. The next round finds that one of the new acceptors has the value, and
	// that is not chosen: the round after it must ask the old ones again.
	p.Timeout()
	o = p.Timeout()
	p.Receive(id(4), promise(o, Ballot{Epoch: 2, Counter: 1, Proposer: id(10)}, value("a")))
	p.Receive(id(5), promise(o, Ballot{}, Value{}))
	p.Timeout()
	if to := recipients(p.Timeout(), KindPrepare); len(to) != 5 {
		t.Errorf("later prepares to %v", to)
	}

	// What does not lead to the epoch is not taken over.
	p = NewProposer(id(10), p2p.Key{}, two, rand.New(rand.NewPCG(1, 1)))
	o = p.Read()
	for _, n := range []byte{3, 4, 1} {
		got = p.Receive(id(n), promise(o, old, value("b")))
	}
	if !got.Done || !errors.Is(got.Err, ErrConfig) {
		t.Errorf("from an epoch that is open: %+v", got)
	}
}

// TestReceive: what is late, doubled or malformed changes nothing.
func TestReceive(t *testing.T) {
	c := config(t, 1, 2, 3)
	p := NewProposer(id(10), p2p.Key{}, c, rand.New(rand.NewPCG(1, 1)))
	o := p.Read()
	b := o.Send[0].Request.Ballot
	for name, r := range map[string]Reply{
		"another round":             {Kind: KindPromise, Ballot: Ballot{1, 7, id(10), 0}},
		"accepted too early":        {Kind: KindAccepted, Ballot: b},
		"a value from the future":   {Kind: KindPromise, Ballot: b, Accepted: Ballot{1, 99, id(9), 0}},
		"data of what is not there": {Kind: KindPromise, Ballot: b, Value: Value{Data: []byte("x")}},
		"no kind":                   {Ballot: b},
		"no configuration":          {Kind: KindConflict, Ballot: b},
		"an epoch of the future":    {Kind: KindConflict, Ballot: b, Config: Config{Epoch: 1 << 60, Acceptors: c.Acceptors, Joint: c.Acceptors}},
	} {
		if got := p.Receive(id(1), r); len(got.Send) > 0 || got.Done || got.Timer > 0 || p.Config().Epoch != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	promise := Reply{Kind: KindPromise, Ballot: b}
	for range 3 {
		if got := p.Receive(id(1), promise); len(got.Send) > 0 {
			t.Fatalf("one promise, told three times, is taken for a majority")
		}
	}
	if got := p.Receive(id(99), promise); len(got.Send) > 0 {
		t.Fatalf("the promise of somebody else counts")
	}
	if got := p.Receive(id(2), promise); len(recipients(got, KindAccept)) != 3 {
		t.Errorf("two promises: %+v", got)
	}
}
