package dht_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// propose sends what a proposer sends, whatever it is, and returns the answer or the code of the refusal.
func (n *testNode) propose(to *testNode, m paxos.Request) (paxos.Reply, string) {
	n.w.t.Helper()
	m.Ballot.Proposer = n.member.ID
	req, err := wire.Marshal(map[int]any{1: m, 2: map[int]any{}, 3: map[int]any{}})
	if err != nil {
		n.w.t.Fatal(err)
	}
	resp, err := n.caller.Call(n.w.ctx, to.member.ID, dht.ProtoCas, req)
	if refusal := (*p2p.CallError)(nil); errors.As(err, &refusal) {
		return paxos.Reply{}, refusal.Code
	}
	var a struct {
		Reply paxos.Reply  `cbor:"1,keyasint"`
		Own   paxos.Attest `cbor:"2,keyasint"`
	}
	if err == nil {
		err = wire.Unmarshal(resp, &a)
	}
	if err != nil {
		n.w.t.Fatal(err)
	}
	return a.Reply, ""
}

// registerOf returns the key that a register has in package paxos.
func registerOf(name string) p2p.Key {
	network, key := p2p.ID{1}, dht.KeyOf(name)
	return sha256.Sum256(slices.Concat([]byte("shoal register\x00"), network[:], key[:]))
}

// forget drops what was logged.
func (l *logged) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// promised returns what a node remembers of a register.
func (n *testNode) promised(register p2p.Key) (s paxos.State) {
	if err := n.promises.Change(context.Background(), []p2p.Key{register}, func(states []paxos.State) error {
		s = states[0]
		return nil
	}); err != nil {
		n.w.t.Error(err)
	}
	return s
}

// TestRegisterLiar: a member that claims a majority which it has not got is refused by everybody
// with a code, and named in the log; the register goes on as if nothing had been said.
func TestRegisterLiar(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log := &logged{}
		w := newWorldOf(t, 8, lan, dht.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		w.nodes[1].count("a", 1)
		w.nodes[2].count("a", 2)
		a := registerOf("a")
		var victims []*testNode // that keep it
		var others []*testNode
		for _, n := range w.nodes {
			if n.promised(a).IsZero() {
				others = append(others, n)
			} else {
				victims = append(victims, n)
			}
		}
		if len(victims) != 5 {
			t.Fatalf("%d members keep the register", len(victims))
		}
		mallory, victim, stranger := victims[1], victims[0], others[0]
		now := victim.promised(a)
		ballot := paxos.Ballot{Epoch: now.Config.Epoch, Counter: now.Promised.Counter + 5, Run: 7}
		var promises []paxos.Vote
		for _, v := range victims {
			reply, code := mallory.propose(v, paxos.Request{Kind: paxos.KindPrepare, Register: a, Ballot: ballot, Config: now.Config})
			if reply.Kind != paxos.KindPromise {
				t.Fatalf("an honest prepare: %+v, %s", reply, code)
			}
			promises = append(promises, reply.Vote)
		}
		next := now.Value
		next.Data, next.Version, next.Recent = []byte("99"), next.Version+1, append(slices.Clone(next.Recent), paxos.OpID{9})
		accept := func(change func(m *paxos.Request)) paxos.Request {
			m := paxos.Request{
				Kind: paxos.KindAccept, Register: a, Ballot: ballot, Config: now.Config, Value: next,
				Proof: paxos.Proof{Votes: slices.Clone(promises), Base: now.Value.Head(), Recent: now.Value.Recent},
			}
			change(&m)
			return m
		}
		moved := now.Config
		moved.Epoch, moved.Joint, moved.Acceptors = 2, now.Config.Acceptors, []p2p.ID{victim.member.ID}
		retired := moved
		retired.Acceptors = []p2p.ID{mallory.member.ID}
		naming := now.Value
		naming.Next = &moved
		inEpoch2 := paxos.Ballot{Epoch: 2, Counter: 1, Run: 7}
		newcomer, err := paxos.NewConfig([]p2p.ID{stranger.member.ID, mallory.member.ID})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			to   *testNode
			m    paxos.Request
		}{
			{"no promises", victim, accept(func(m *paxos.Request) { m.Proof.Votes = nil })},
			{"those of two", victim, accept(func(m *paxos.Request) { m.Proof.Votes = m.Proof.Votes[:2] })},
			{"one five times", victim, accept(func(m *paxos.Request) { m.Proof.Votes = slices.Repeat(m.Proof.Votes[:1], 5) })},
			{"those for another ballot", victim, accept(func(m *paxos.Request) { m.Ballot.Counter++ })},
			{"one that was changed", victim, accept(func(m *paxos.Request) { m.Proof.Votes[0].Accepted, m.Proof.Votes[0].Value = paxos.Ballot{}, p2p.Key{} })},
			{"one in somebody's name", victim, accept(func(m *paxos.Request) { m.Proof.Votes[0].Mark = m.Proof.Votes[1].Mark })},
			{"one without a signature", victim, accept(func(m *paxos.Request) { m.Proof.Votes[0].Mark = nil })},
			{"one of another life", victim, accept(func(m *paxos.Request) { m.Proof.Votes[0].Life = 1 })},
			{"those of another register", victim, accept(func(m *paxos.Request) { m.Register = registerOf("b") })},
			{"nothing was found", victim, accept(func(m *paxos.Request) {
				m.Proof.Base, m.Proof.Recent = paxos.Value{}.Head(), nil
				m.Value.Version, m.Value.Recent = 1, m.Value.Recent[:1]
			})},
			{"what does not follow", victim, accept(func(m *paxos.Request) {
				m.Value.Version, m.Value.Recent = m.Value.Version+1, append(m.Value.Recent, paxos.OpID{8})
			})},
			{"the same version of something else", victim, accept(func(m *paxos.Request) {
				m.Value.Version, m.Value.Recent = now.Value.Version, now.Value.Recent
			})},
			{"another past", victim, accept(func(m *paxos.Request) { m.Value.Recent = slices.Repeat([]paxos.OpID{{5}}, len(m.Value.Recent)) })},
			{"too many votes", victim, accept(func(m *paxos.Request) { m.Proof.Votes = slices.Repeat(m.Proof.Votes, 9) })},
			{"an epoch that nobody has decided", victim, paxos.Request{Kind: paxos.KindPrepare, Register: a, Ballot: inEpoch2, Config: moved}},
			{"one that was not accepted", victim, paxos.Request{
				Kind: paxos.KindPrepare, Register: a, Ballot: inEpoch2, Config: moved, Steps: []paxos.Step{{Last: naming.Head(), Votes: promises}},
			}},
			{"that others have the value", victim, paxos.Request{Kind: paxos.KindRetire, Register: a, Ballot: inEpoch2, Config: retired}},
			{"a register that nobody has made", stranger, paxos.Request{
				Kind: paxos.KindPrepare, Register: registerOf("nobody's"), Ballot: paxos.Ballot{Epoch: 1, Counter: 1, Run: 7}, Config: newcomer,
			}},
			{"one that others keep", stranger, paxos.Request{
				Kind: paxos.KindPrepare, Register: a, Ballot: paxos.Ballot{Epoch: 1, Counter: 1, Run: 7}, Config: newcomer,
			}},
		} {
			log.forget()
			reply, code := mallory.propose(c.to, c.m)
			if code != "no_quorum" || !log.says("a proposal was refused", mallory.member.Name, "no_quorum") {
				t.Errorf("%s: %+v, %q", c.what, reply, code)
			}
		}
		// And then honestly.
		for _, v := range victims[:3] {
			if reply, code := mallory.propose(v, accept(func(*paxos.Request) {})); reply.Kind != paxos.KindAccepted {
				t.Errorf("with what it takes: %+v, %s", reply, code)
			}
		}
		w.nodes[3].count("a", 100)
		stranger.count("a", 101)
		stranger.count("nobody's", 1)
	})
}

// TestRegisterOldKeepers: those who keep the directory have got it when steps were not kept yet. Who
// comes new believes most of them.
func TestRegisterOldKeepers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 8, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		w.nodes[1].count("a", 1)
		keepers, err := w.nodes[0].register.Keepers(w.ctx)
		if err != nil || keepers.Epoch != 2 {
			t.Fatalf("%+v, %v", keepers, err)
		}
		for _, n := range w.nodes {
			n.crash()
			n.stepless = true
		}
		for _, n := range w.nodes[1:] { // the founder stays away
			n.start()
		}
		time.Sleep(15 * time.Second)
		for i, n := range w.nodes[1:] {
			n.count("a", 2+i)
			n.count("b", 1+i)
		}
		time.Sleep(22 * time.Minute)
		if keepers, err = w.nodes[2].register.Keepers(w.ctx); err != nil || keepers.Epoch < 3 || contains(keepers, w.nodes[0]) {
			t.Errorf("the directory is kept by %+v, %v", keepers, err)
		}
		for i, n := range w.nodes[1:] {
			n.count("c", 1+i)
		}
	})
}

// TestRegisterElsewhere: who says that a register is somewhere else, where nobody else says so, is
// not believed as long as the directory can be asked.
func TestRegisterElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 8, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		register := registerOf("a")
		mallory := w.nodes[4]
		alone, err := paxos.NewConfig([]p2p.ID{mallory.member.ID})
		if err != nil {
			t.Fatal(err)
		}
		if err := mallory.promises.Change(w.ctx, []p2p.Key{register}, func(states []paxos.State) error {
			states[0] = paxos.State{Config: alone}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		w.nodes[1].count("a", 1)
		w.nodes[2].count("a", 2)
	})
}

// TestRegisterSilent: one of five who keep the directory does not say what is in it.
func TestRegisterSilent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 8, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		keepers, err := w.nodes[0].register.Keepers(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		var bad, rest *testNode
		for _, n := range w.nodes[1:] {
			if contains(keepers, n) {
				bad = n
			} else {
				rest = n
			}
		}
		bad.lies(func(proto string, _ dht.Handler) dht.Handler {
			if proto != dht.ProtoLocate {
				return nil
			}
			return func(ctx context.Context, _ p2p.ID, _ []byte) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		for _, name := range []string{"a", "b", "c"} {
			rest.count(name, 1)
		}
	})
}

// TestRegisterPage: one of five who keep the directory says of it what it has not accepted.
func TestRegisterPage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 8, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		w.nodes[1].count("z", 1)
		keepers, err := w.nodes[0].register.Keepers(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		var bad *testNode
		var victims []*testNode
		for _, n := range w.nodes[1:] {
			if contains(keepers, n) {
				bad = n
			}
		}
		for _, n := range w.nodes {
			if n != bad {
				victims = append(victims, n)
			}
		}
		a := registerOf("a")
		victim := victims[2]
		c, err := paxos.NewConfig([]p2p.ID{bad.member.ID, victim.member.ID})
		if err != nil {
			t.Fatal(err)
		}
		bad.lies(func(proto string, h dht.Handler) dht.Handler {
			if proto != dht.ProtoLocate {
				return nil
			}
			return func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
				b, err := h(ctx, from, req)
				var x map[int]any
				if err != nil || wire.Unmarshal(b, &x) != nil || x[5] == nil {
					return b, err
				}
				fake, err := paxos.Enter(a, c)(nil, false)
				if err != nil {
					return nil, err
				}
				x[5] = fake
				return wire.Marshal(x)
			}
		})
		for i := range 20 {
			r, _ := bad.propose(victim, paxos.Request{Kind: paxos.KindPrepare, Register: a, Config: c, Ballot: paxos.Ballot{Epoch: 1, Counter: 1, Run: 1}})
			if r.Kind == paxos.KindPromise {
				t.Errorf("attempt %d: a promise for acceptors that nobody entered", i)
				return
			}
		}
	})
}

// TestRegisterFlood: a member that has others look for registers which do not exist keeps the
// directory busy for a moment only, and holds nobody up.
func TestRegisterFlood(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 8, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		w.nodes[2].count("before", 1)
		mallory, victim, other := w.nodes[1], w.nodes[3], w.nodes[4]
		config, err := paxos.NewConfig([]p2p.ID{victim.member.ID, mallory.member.ID, other.member.ID})
		if err != nil {
			t.Fatal(err)
		}
		const made, atOnce = 3000, 50
		var mu sync.Mutex // guards codes
		codes := map[string]int{}
		var running sync.WaitGroup
		began := time.Now()
		for worker := range atOnce {
			running.Go(func() {
				for i := worker; i < made; i += atOnce {
					_, code := mallory.propose(victim, paxos.Request{
						Kind: paxos.KindPrepare, Register: registerOf(fmt.Sprint("made up ", i)), Ballot: paxos.Ballot{Epoch: 1, Counter: 1, Run: 7}, Config: config,
					})
					mu.Lock()
					codes[code]++
					mu.Unlock()
				}
			})
		}
		running.Wait()
		took := time.Since(began)
		if looked := made - codes["busy"]; looked > 500+int(took/(20*time.Millisecond))+1 || looked > made/2 || codes[""] > 0 {
			t.Errorf("in %s the victim has looked for %d: %v", took, looked, codes)
		}
		for i, n := range w.nodes {
			n.count("meanwhile", i+1)
		}
	})
}

// TestRegisterFormerKeeper: that somebody who kept the directory long ago can show how it left the
// founder, and those who keep it now cannot, holds up nobody who comes to keep it.
func TestRegisterFormerKeeper(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldOf(t, 8, lan, dht.Options{}, true)
		defer w.end()
		time.Sleep(15 * time.Second)
		first, err := paxos.NewConfig([]p2p.ID{w.nodes[0].member.ID})
		if err != nil {
			t.Fatal(err)
		}
		root := paxos.Root(p2p.ID{1}, first).Key
		w.nodes[1].count("a", 1)
		keepers := func() (best paxos.Config) {
			for _, n := range w.nodes {
				if c, err := n.register.Keepers(w.ctx); err == nil && c.Epoch > best.Epoch {
					best = c
				}
			}
			return best
		}
		kept := func(n *testNode) p2p.Key { return n.member.Position.Distance(root) }
		var former *testNode // the farthest of those who keep it: others take its place
		for _, n := range w.nodes[1:] {
			if contains(keepers(), n) && (former == nil || kept(n).Compare(kept(former)) > 0) {
				former = n
			}
		}
		for _, n := range w.nodes {
			n.crash()
			n.stepless = n != former
		}
		for range 30 {
			w.admit().stepless = true
		}
		for _, n := range w.nodes[1:] {
			if n != former {
				n.start()
			}
		}
		time.Sleep(25 * time.Minute) // the founder and the former keeper are away
		before := keepers()
		if before.Epoch < 3 || contains(before, former) {
			t.Fatalf("epoch %d, the former keeper keeps it: %v", before.Epoch, contains(before, former))
		}
		former.start()
		w.changed()
		time.Sleep(time.Minute)
		for _, n := range w.nodes[1:] {
			if contains(before, n) {
				n.crash()
				break
			}
		}
		time.Sleep(25 * time.Minute)
		after := keepers()
		for _, n := range w.nodes {
			if contains(after, n) && n.promised(root).IsZero() {
				t.Errorf("%s is to keep the directory in epoch %d and has refused all that was asked", n.member.Name, after.Epoch)
			}
		}
		if after.Epoch == before.Epoch {
			t.Error("nobody has taken a place")
		}
	})
}
