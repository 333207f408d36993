// Package extracttest holds the tests that every extract.Store passes.
package extracttest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/extract"
)

// Store tests a Store that open makes empty.
func Store(t *testing.T, open func(t *testing.T) extract.Store) {
	ctx := t.Context()
	s := open(t)
	unread := func(path string, why extract.Reason) extract.Unread {
		return extract.Unread{Path: path, Reason: why, Detail: "because", Version: extract.Version}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Note(ctx, "f", nil, []string{"never seen"}))
	must(s.Note(ctx, "f", []extract.Unread{unread("b", extract.Damaged), unread("a", extract.Encrypted), unread("c/d", extract.Damaged)}, nil))
	must(s.Note(ctx, "g", []extract.Unread{unread("a", extract.TimedOut)}, nil))
	list := func(want ...extract.Unread) func(folder string, why extract.Reason, after string, limit int) {
		return func(folder string, why extract.Reason, after string, limit int) {
			t.Helper()
			got, err := s.List(ctx, folder, why, after, limit)
			must(err)
			if diff := cmp.Diff(append([]extract.Unread{}, want...), append([]extract.Unread{}, got...)); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
		}
	}
	list(unread("a", extract.Encrypted), unread("b", extract.Damaged), unread("c/d", extract.Damaged))("f", "", "", 10)
	list(unread("a", extract.Encrypted), unread("b", extract.Damaged))("f", "", "", 2)
	list(unread("c/d", extract.Damaged))("f", "", "b", 2)
	list(unread("b", extract.Damaged), unread("c/d", extract.Damaged))("f", extract.Damaged, "", 10)
	list()("nothing", "", "", 10)
	counts := func(want map[string]map[extract.Reason]int) {
		t.Helper()
		got, err := s.Counts(ctx)
		must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	}
	counts(map[string]map[extract.Reason]int{"f": {extract.Damaged: 2, extract.Encrypted: 1}, "g": {extract.TimedOut: 1}})

	// One is gone or can be read now, one fails for another reason.
	must(s.Note(ctx, "f", []extract.Unread{unread("a", extract.Cut)}, []string{"b", "z"}))
	list(unread("a", extract.Cut), unread("c/d", extract.Damaged))("f", "", "", 10)
	must(s.Forget(ctx, "f"))
	counts(map[string]map[extract.Reason]int{"g": {extract.TimedOut: 1}})
}
