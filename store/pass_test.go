package store

import (
	"reflect"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// TestPasses: both stores of passes keep the same, the one on the disk keeps it over a restart, and there a pass
// goes with its seed.
func TestPasses(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, s.Seeds().Save(ctx, swarm.Row{ID: seed.ID{1}, Text: []byte("a"), Dir: "/a", Name: "a"}), s.Seeds().Save(ctx, swarm.Row{ID: seed.ID{2}, Text: []byte("b"), Dir: "/b", Name: "b"}))
	at := time.Unix(1000, 0).UTC()
	row := func(i byte, of seed.ID) pass.Row {
		return pass.Row{ID: pass.ID{i}, Secret: pass.Secret{i, 7}, Seed: of, Network: p2p.ID{i, 8}, MaxUses: 3, Created: at, Expires: at.Add(time.Hour)}
	}
	a, b, c := row(1, seed.ID{1}), row(2, seed.ID{1}), row(3, seed.ID{2})
	u, v := pass.Use{Guest: p2p.ID{1}, At: at.Add(time.Second)}, pass.Use{Guest: p2p.ID{2}, At: at.Add(2 * time.Second)}
	ended := a
	ended.Ended = true
	want := []pass.Row{ended, c}
	want[0].Uses = []pass.Use{v, u}
	check := func(name string, st pass.Store, want []pass.Row) {
		t.Helper()
		if got, err := st.Passes(ctx); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v, want\n%+v: %v", name, got, want, err)
		}
	}
	for name, st := range map[string]pass.Store{"memory": &pass.Memory{}, "disk": s.Passes()} {
		must(t, st.SavePass(ctx, a), st.SavePass(ctx, b), st.SavePass(ctx, c), st.UsePass(ctx, a.ID, v), st.UsePass(ctx, a.ID, u), st.UsePass(ctx, b.ID, u))
		must(t, st.SavePass(ctx, ended), st.DropPasses(ctx, []pass.ID{b.ID, {9}}))
		check(name, st, want)
	}
	if err := s.Passes().UsePass(ctx, a.ID, u); err == nil {
		t.Error("a use counts twice")
	}
	if err := s.Passes().SavePass(ctx, row(4, seed.ID{4})); err == nil {
		t.Error("a pass for a seed that is not kept")
	}
	must(t, s.Close())
	if s, err = Open(ctx, dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, s.Close()) }()
	check("disk, again", s.Passes(), want)
	must(t, s.Seeds().Forget(ctx, seed.ID{1}))
	check("after its seed was forgotten", s.Passes(), []pass.Row{c})
}
