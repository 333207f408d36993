package dht_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// increase makes a change that counts.
func (n *testNode) increase(key string) (int, error) {
	ctx, cancel := context.WithTimeout(n.w.ctx, 20*time.Second)
	defer cancel()
	op := paxos.NewOp()
	r, err := n.register.Update(ctx, dht.KeyOf(key), &op, func(old []byte, exists bool) ([]byte, error) {
		if !exists {
			return []byte("1"), nil
		}
		i, err := strconv.Atoi(string(old))
		return strconv.AppendInt(nil, int64(i)+1, 10), err
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(r.Data))
}

func (n *testNode) count(key string, want int) {
	n.w.t.Helper()
	if got, err := n.increase(key); err != nil || got != want {
		n.w.t.Errorf("%s counts %s to %d, %v, want %d", n.member.Name, key, got, err, want)
	}
}

// TestRegisterFounderGoesSoon: the founder has given the root of the directory to two others, of
// whom one has heard of it, and goes. That one can show the other how it came about.
func TestRegisterFounderGoesSoon(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 4, lan, dht.Options{}, true)
		defer w.end()
		founder := w.nodes[0]
		var mu sync.Mutex // guards one and gone
		var one *testNode
		gone := false
		for _, n := range w.nodes[1:] {
			n.lies(func(proto string, honest dht.Handler) dht.Handler {
				if proto != dht.ProtoCas {
					return nil
				}
				return func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
					mu.Lock()
					if one == nil {
						one = n
					}
					deaf := one != n && !gone
					mu.Unlock()
					if deaf {
						return nil, errors.New("not now")
					}
					return honest(ctx, from, req)
				}
			})
		}
		time.Sleep(15 * time.Second)
		mu.Lock()
		gone = true
		mu.Unlock()
		founder.crash()
		if one == nil {
			t.Fatal("nobody has heard of it")
		}
		for i, n := range w.nodes[1:] {
			n.count("a", i+1)
		}
	})
}

// TestRegisterWithoutFounder: the one who made the network goes before anybody has used a
// register. Those who have got the directory make new ones, as long as most of them are on.
func TestRegisterWithoutFounder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 8, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		keepers, err := w.nodes[0].register.Keepers(w.ctx)
		if err != nil || keepers.Epoch != 2 || len(keepers.Acceptors) != 5 {
			t.Fatalf("the directory is kept by %+v, %v", keepers, err)
		}
		var first, rest []*testNode // of those who keep the directory, and the others
		for _, n := range w.nodes[1:] {
			if contains(keepers, n) {
				first = append(first, n)
			} else {
				rest = append(rest, n)
			}
		}
		w.nodes[0].crash()
		time.Sleep(time.Second)
		rest[0].count("a", 1)
		first[0].count("a", 2)
		for i := range 60 { // more than one page has
			w.nodes[1+i%7].count(strconv.Itoa(i), 1)
			w.nodes[1+(i+3)%7].count(strconv.Itoa(i), 2)
		}
		// Somebody who knows nothing any more.
		rest[1].crash()
		rest[1].start()
		rest[1].count("59", 3)
		rest[1].count("new", 1)
		first[0].crash() // three of five are left
		time.Sleep(time.Second)
		rest[1].count("newer", 1)
		first[1].crash()
		rest[0].crash()
		rest[0].start() // and has not seen a page of the directory
		time.Sleep(time.Second)
		if _, err := rest[0].increase("newest"); !errors.Is(err, dht.ErrDirectory) {
			t.Errorf("two of five keep the directory: %v", err)
		}
		w.nodes[0].start() // the founder is back, one of the five
		time.Sleep(time.Second)
		rest[0].count("newest", 1)
		w.nodes[0].count("a", 3)
		w.nodes[0].count("newest", 2)
		// Who is away for long is replaced; another one may have to find out first that he is.
		time.Sleep(22 * time.Minute)
		w.nodes[0].count("newest", 3)
		keepers, err = w.nodes[0].register.Keepers(w.ctx)
		if err != nil || keepers.Epoch < 3 || len(keepers.Acceptors) != 5 || contains(keepers, first[0]) || contains(keepers, first[1]) {
			t.Errorf("22 minutes later the directory is kept by %+v, %v", keepers, err)
		}
	})
}

func contains(c paxos.Config, n *testNode) bool {
	for _, id := range c.Acceptors {
		if id == n.member.ID {
			return true
		}
	}
	return false
}

// TestRegisterOfFew: with two computers the directory stays with the one who made the network.
func TestRegisterOfFew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 2, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		if c, err := w.nodes[0].register.Keepers(w.ctx); err != nil || c.Epoch != 1 {
			t.Errorf("the directory is kept by %+v, %v", c, err)
		}
		w.nodes[1].count("a", 1)
		w.nodes[0].count("a", 2)
		w.nodes[0].crash()
		time.Sleep(time.Second)
		if _, err := w.nodes[1].increase("b"); !errors.Is(err, dht.ErrDirectory) {
			t.Errorf("without the founder: %v", err)
		}
	})
}

// TestRegisterForgotten: the disk of a computer is put back to an earlier time. It learns that
// from those who have heard what it has promised since, and keeps no register before it is
// made an acceptor anew; nobody loses a change.
func TestRegisterForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 5, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		victim := w.nodes[2]
		w.nodes[1].count("a", 1)
		backup := victim.promises.Clone()
		victim.count("a", 2) // it is the proposer itself
		w.nodes[1].count("a", 3)
		w.nodes[3].count("b", 1)
		time.Sleep(40 * time.Second)
		victim.crash()
		victim.promises = backup
		victim.start()
		w.nodes[1].count("a", 4)
		age, found, err := victim.register.Memory(w.ctx)
		if err != nil || age.Life != 1 || found == nil || found.Seen.Changes <= found.Was.Changes {
			t.Fatalf("put back to an earlier time: %+v, %+v, %v", age, found, err)
		}
		for i := range 3 { // it is made an acceptor again
			w.nodes[i].count("a", 5+i)
			w.nodes[i].count("b", 2+i)
		}
		time.Sleep(30 * time.Second)
		keepers, err := w.nodes[1].register.Keepers(w.ctx)
		if err != nil || !contains(keepers, victim) || keepers.Life(victim.member.ID) != 1 {
			t.Errorf("the directory is kept by %+v, %v", keepers, err)
		}
		// And it is needed: three of five are left.
		w.nodes[0].crash()
		w.nodes[1].crash()
		time.Sleep(time.Second)
		victim.count("a", 8)
		w.nodes[3].count("c", 1)
	})
}

// TestRegisterRefusals: proposals that no honest member makes are refused with a code, and who has made
// them is named; the register goes on.
func TestRegisterRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log := &logged{}
		w := newWorldOf(t, 3, lan, dht.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}, true)
		defer w.end()
		w.nodes[1].count("a", 1)
		mallory, victim := w.nodes[1], w.nodes[0]
		config, err := paxos.NewConfig([]p2p.ID{victim.member.ID, mallory.member.ID})
		if err != nil {
			t.Fatal(err)
		}
		later := config
		later.Epoch, later.Joint = 1<<60, config.Acceptors
		for _, c := range []struct {
			what, want string
			m          paxos.Request
		}{
			{"as somebody else", "foreign_ballot", paxos.Request{Kind: paxos.KindPrepare, Ballot: paxos.Ballot{Epoch: 1, Counter: 1, Proposer: w.nodes[2].member.ID}, Config: config}},
			{"a counter from the future", "from_the_future", paxos.Request{Kind: paxos.KindPrepare, Ballot: paxos.Ballot{Epoch: 1, Counter: 1 << 60, Proposer: mallory.member.ID}, Config: config}},
			{"an epoch from the future", "from_the_future", paxos.Request{Kind: paxos.KindPrepare, Ballot: paxos.Ballot{Epoch: 1 << 60, Counter: 1, Proposer: mallory.member.ID}, Config: later}},
			{"a ballot of another epoch", "malformed", paxos.Request{Kind: paxos.KindPrepare, Ballot: paxos.Ballot{Epoch: 2, Counter: 1, Proposer: mallory.member.ID}, Config: config}},
		} {
			c.m.Register = dht.KeyOf("forged")
			req, err := wire.Marshal(map[int]any{1: c.m, 2: map[int]any{}, 3: map[int]any{}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = mallory.caller.Call(w.ctx, victim.member.ID, dht.ProtoCas, req)
			var refusal *p2p.CallError
			if !errors.As(err, &refusal) || refusal.Code != c.want {
				t.Errorf("%s: %v, want %s", c.what, err, c.want)
			}
			if !log.says("a proposal was refused", mallory.member.Name, c.want) {
				t.Errorf("%s: not logged", c.what)
			}
		}
		w.nodes[2].count("a", 2)
	})
}

// TestRegisterSlander: nobody can make a node believe that it has forgotten something.
func TestRegisterSlander(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 3, lan, dht.Options{}, true)
		defer w.end()
		w.nodes[1].count("a", 1)
		lie, err := wire.Marshal(map[int]any{1: map[int]any{}, 3: map[int]any{1: map[int]any{2: uint64(1 << 40)}, 2: make([]byte, 64)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.nodes[1].caller.Call(w.ctx, w.nodes[0].member.ID, dht.ProtoCas, lie); err != nil {
			t.Log(err)
		}
		if age, found, err := w.nodes[0].register.Memory(w.ctx); err != nil || age.Life != 0 || found != nil {
			t.Errorf("%+v, %+v, %v", age, found, err)
		}
	})
}
