package folder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// lister is the member 7, whom another one answers entries/1 with handle.
type lister struct {
	handle func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error)
}

func (l lister) Call(ctx context.Context, _ p2p.ID, proto string, req []byte) ([]byte, error) {
	if proto != ListProtocol {
		return nil, p2p.ErrNoProtocol
	}
	return l.handle(ctx, p2p.ID{7}, req)
}

func TestFetchEntries(t *testing.T) {
	b := newBench(t, Options{Allowed: func(from p2p.ID, _ string) bool { return from == p2p.ID{7} }}).start()
	var tree []string
	for i := range 700 { // several pages
		tree = append(tree, fmt.Sprintf("d/%s%03d.txt=x", strings.Repeat("long", 20), i))
	}
	id := b.add(newTree(t, append(tree, "a=1", "z=2")...)).ID
	want, next, err := b.Entries(t.Context(), id, "", "", MaxEntries)
	if err != nil || next != "" || len(want) != 703 {
		t.Fatalf("%d entries, next %q, %v", len(want), next, err)
	}
	l := lister{handle: b.HandleList}
	var got []Entry
	for cursor := ""; ; {
		page, next, err := FetchEntries(t.Context(), l, p2p.ID{8}, id, "", cursor, MaxEntries)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if cursor = next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if page, next, err := FetchEntries(t.Context(), l, p2p.ID{8}, id, "z", "", 5); err != nil || len(page) != 1 || next != "" {
		t.Errorf("prefix z: %v, next %q, %v", page, next, err)
	}
	if _, _, err := FetchEntries(t.Context(), l, p2p.ID{8}, strings.Repeat("a", 26), "", "", 5); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown folder: %v", err)
	}
	stranger := newBench(t, Options{}).start()
	if _, _, err := FetchEntries(t.Context(), lister{handle: stranger.HandleList}, p2p.ID{8}, id, "", "", 5); !errors.Is(err, ErrForbidden) {
		t.Errorf("no access: %v", err)
	}
}

// What a member says about its entries is believed only as far as it can be true.
func TestFetchEntriesFromALiar(t *testing.T) {
	for what, page := range map[string]listResponse{
		"path that leads out": {Entries: []listed{{Path: "../x"}}},
		"reserved path":       {Entries: []listed{{Path: ".shoal/id"}}},
		"order":               {Entries: []listed{{Path: "bb"}, {Path: "ba"}}},
		"twice":               {Entries: []listed{{Path: "ba"}, {Path: "ba"}}},
		"before the cursor":   {Entries: []listed{{Path: "A"}}},
		"size":                {Entries: []listed{{Path: "b", Size: -1}}},
		"hash":                {Entries: []listed{{Path: "b", Hash: []byte{1}}}},
		"endless":             {Next: "b"},
		"endless, same":       {Next: "B"},
		"not asked for":       {Entries: []listed{{Path: "x"}}},
		"too many":            {Entries: []listed{{Path: "b"}, {Path: "bc"}, {Path: "bd"}, {Path: "be"}}},
	} {
		prefix := "b"
		if page.Entries != nil && !strings.HasPrefix(page.Entries[0].Path, prefix) && what != "not asked for" {
			prefix = "" // it shall be wrong for its own reason
		}
		l := lister{handle: func(context.Context, p2p.ID, []byte) ([]byte, error) { return wire.Marshal(page) }}
		if got, _, err := FetchEntries(t.Context(), l, p2p.ID{8}, "x", prefix, "B", 3); err == nil {
			t.Errorf("%s: accepted %v", what, got)
		}
	}
}

func FuzzListResponse(f *testing.F) {
	seed, err := wire.Marshal(listResponse{Entries: []listed{{Path: "a", Size: 1, Hash: make([]byte, 32)}}, Next: "a"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := lister{handle: func(context.Context, p2p.ID, []byte) ([]byte, error) { return b, nil }}
		entries, _, err := FetchEntries(t.Context(), l, p2p.ID{8}, "x", "", "", 10)
		if err == nil && len(entries) > 10 {
			t.Errorf("%d entries", len(entries))
		}
	})
}
