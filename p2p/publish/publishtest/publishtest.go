// Package publishtest holds the tests that every publish.Store passes.
package publishtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/publish"
)

// Store tests a Store that open makes empty.
func Store(t *testing.T, open func(t *testing.T) publish.Store) {
	ctx := t.Context()
	s := open(t)
	want := func(records ...publish.Record) {
		t.Helper()
		got, err := s.Load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(records, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	save := func(put []publish.Record, gone ...string) {
		t.Helper()
		if err := s.Save(ctx, put, gone); err != nil {
			t.Fatal(err)
		}
	}
	want()
	a := publish.Record{Document: "a", Network: p2p.ID{1}, Entry: []byte(`{"x":1}`)}
	b := publish.Record{Document: "b", Network: p2p.ID{2}, Entry: []byte{0, 0xff}}
	save([]publish.Record{b, a}, "never seen")
	want(a, b)
	a.Network, a.Entry = p2p.ID{3}, []byte("other")
	save([]publish.Record{a}, "b")
	want(a)
	save(nil)
	want(a)
	save(nil, "a", "b")
	want()
}
