package store

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// TestSeeds: both stores of seeds keep the same, and the one on the disk keeps it over a restart.
func TestSeeds(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stores := map[string]swarm.Store{"memory": &swarm.Memory{}, "disk": s.Seeds()}
	a := swarm.Row{
		ID: seed.ID{1}, Text: []byte("one"), Dir: "/a", Name: "one.txt", Own: true, Whole: true, Size: 5, Modified: 7,
		Added: time.UnixMilli(1000), Ended: time.UnixMilli(2000),
	}
	b := swarm.Row{ID: seed.ID{2}, Text: []byte("two"), Via: "shoal:seed/02", Dir: "/b", Name: "two.txt", Paused: true, Reading: true, Settling: "two (2).txt", Also: []string{"/c", "/d \"e"}, Error: "why", Added: time.UnixMilli(3000)}
	counts := swarm.Counts{Wire: 1, Reused: 2, Wasted: 3, Sent: 4, Resumed: 5}
	for name, st := range stores {
		ctx := t.Context()
		must(t, st.Save(ctx, a), st.Save(ctx, b), st.Progress(ctx, b.ID, []byte{9}, counts), st.Progress(ctx, seed.ID{3}, []byte{9}, counts))
		must(t, st.Describe(ctx, a.ID, []byte("values"), nil), st.Describe(ctx, a.ID, nil, []byte("manifest")), st.Describe(ctx, seed.ID{3}, []byte("x"), nil))
		a.Name = "three.txt"
		must(t, st.Save(ctx, a))
		a.Name = "one.txt"
		checkSeeds(t, name, st, a, b, counts)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, s.Close()) }()
	checkSeeds(t, "disk, again", s.Seeds(), a, b, counts)
	stores["disk"] = s.Seeds()
	for name, st := range stores {
		must(t, st.Forget(t.Context(), a.ID))
		rows, err := st.Rows(t.Context())
		if err != nil || len(rows) != 1 || rows[0].ID != b.ID {
			t.Errorf("%s: after one was forgotten: %+v, %v", name, rows, err)
		}
		if v, err := st.Values(t.Context(), a.ID); v != nil || err != nil {
			t.Errorf("%s: of a seed that was forgotten: %q, %v", name, v, err)
		}
	}
}

func checkSeeds(t *testing.T, name string, st swarm.Store, a, b swarm.Row, counts swarm.Counts) {
	t.Helper()
	ctx := context.Background()
	a.Name = "three.txt"
	b.Counts = counts
	rows, err := st.Rows(ctx)
	if want := []swarm.Row{a, b}; err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("%s:\n%+v\nwant\n%+v, %v", name, rows, want, err)
	}
	for what, get := range map[string]func(context.Context, seed.ID) ([]byte, error){"values": st.Values, "manifest": st.Manifest} {
		if v, err := get(ctx, a.ID); string(v) != what || err != nil {
			t.Errorf("%s: %s are %q, %v", name, what, v, err)
		}
		if v, err := get(ctx, seed.ID{3}); v != nil || err != nil {
			t.Errorf("%s: %s of nothing are %q, %v", name, what, v, err)
		}
	}
	if v, err := st.Have(ctx, b.ID); string(v) != "\t" || err != nil {
		t.Errorf("%s: pieces %q, %v", name, v, err)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
