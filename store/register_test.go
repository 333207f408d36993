package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
)

// TestRegisters: what an acceptor has promised is there again after a restart, and an error
// of the decision undoes all of it.
func TestRegisters(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, two := p2p.Key{1}, p2p.Key{2}
	config, err := paxos.NewConfig([]p2p.ID{{7}, {8}, {9}})
	if err != nil {
		t.Fatal(err)
	}
	state := paxos.State{
		Config: config, Promised: paxos.Ballot{Epoch: 1, Counter: 5, Proposer: p2p.ID{7}}, Accepted: paxos.Ballot{Epoch: 1, Counter: 4, Proposer: p2p.ID{8}},
		Value: paxos.Value{Exists: true, Data: []byte("hello"), Version: 1, Recent: []paxos.OpID{{1}}},
	}
	err = s.Registers().Change(t.Context(), []p2p.Key{one, two}, func(states []paxos.State) error {
		if !states[0].IsZero() || !states[1].IsZero() {
			t.Error("a new store knows something")
		}
		states[0] = state
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var steps []paxos.Step
	wrong := errors.New("wrong")
	err = s.Registers().Change(t.Context(), []p2p.Key{one}, func(states []paxos.State) error {
		states[0].Value.Data = []byte("other")
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	// How old it is others remember, and so does it of others.
	age, err := s.Registers().Age(t.Context())
	if err != nil || age != (paxos.Age{Changes: 1}) {
		t.Errorf("after one change, and one that was undone: %+v, %v", age, err)
	}
	seen := map[p2p.ID]paxos.Attest{{8}: {Age: paxos.Age{Life: 2, Changes: 1<<64 - 1}, Sig: []byte("signed")}}
	if err := s.Registers().Remember(t.Context(), seen); err != nil {
		t.Error(err)
	}
	if age, err = s.Registers().Renew(t.Context(), paxos.Age{Changes: 1}); err != nil || age.Life != 0 {
		t.Errorf("nothing was forgotten: %+v, %v", age, err)
	}
	if age, err = s.Registers().Renew(t.Context(), paxos.Age{Changes: 7}); err != nil || age != (paxos.Age{Life: 1, Changes: 8}) {
		t.Errorf("six changes were forgotten: %+v, %v", age, err)
	}
	// How epochs came about is added to what is known, and kept.
	for epoch := uint64(2); epoch < 5; epoch++ {
		next := config
		next.Epoch, next.Joint = epoch, config.Acceptors
		state.Config, state.Steps = next, []paxos.Step{{Last: paxos.Head{Version: epoch, Next: &next}, Votes: []paxos.Vote{{By: p2p.ID{7}, Mark: []byte{1}}}}}
		steps = append(steps, state.Steps...)
		err := s.Registers().Change(t.Context(), []p2p.Key{one}, func(states []paxos.State) error {
			if len(states[0].Steps) > 0 {
				t.Error("a state is read with its steps")
			}
			states[0] = state
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	state.Steps = nil
	age.Changes += 3
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if again, err := s.Registers().Age(t.Context()); err != nil || again != age {
		t.Errorf("after a restart: %+v, %v, want %+v", again, err, age)
	}
	if got, err := s.Registers().Remembered(t.Context()); err != nil || cmp.Diff(seen, got) != "" {
		t.Errorf("of others it remembers %v, %v", got, err)
	}
	for _, c := range []struct {
		after uint64
		most  int
		want  []paxos.Step
	}{{1, 9, steps}, {0, 2, steps[:2]}, {3, 9, steps[2:]}, {4, 9, nil}, {1<<64 - 1, 9, nil}} {
		if got, err := s.Registers().Steps(t.Context(), one, c.after, c.most); err != nil || cmp.Diff(c.want, got) != "" {
			t.Errorf("%d steps after epoch %d: %v, %v", c.most, c.after, got, err)
		}
	}
	err = s.Registers().Change(t.Context(), []p2p.Key{one, two}, func(states []paxos.State) error {
		if diff := cmp.Diff(state, states[0]); diff != "" {
			t.Error(diff)
		}
		if !states[1].IsZero() {
			t.Error("a register was made that nobody wanted")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
