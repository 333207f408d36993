package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func TestFetch(t *testing.T) {
	var long strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&long, "%x ", uint64(i)*2654435761)
	}
	want := Document{
		ID: "a", Title: "Title", Text: long.String(), Type: TypeDocument, Size: 5,
		Modified: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Fields: map[string]Value{"year": Number(1998)},
	}
	c := peers{node(2): serve(indexOf(t, want))}
	got, err := Fetch(t.Context(), c, node(2), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%.1000s", diff)
	}
	for _, id := range []string{"b", "", "\n"} {
		if _, err := Fetch(t.Context(), c, node(2), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := Fetch(t.Context(), c, node(3), "a"); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestFetchFromLiars(t *testing.T) {
	for name, lie := range map[string]fetchResponse{
		"no text":       {Length: 5, Piece: []byte("hello")},
		"endless":       {Length: math.MaxInt, Piece: []byte("x")},
		"nothing comes": {Length: 5},
		"too much":      {Length: 1, Piece: []byte("hello")},
		"fields":        {Fields: []byte(`{"a":[]}`)},
		"path":          {Path: "\xff"},
		"size":          {Size: -1},
	} {
		c := peers{node(2): func(context.Context, string, []byte) ([]byte, error) { return wire.Marshal(lie) }}
		if d, err := Fetch(t.Context(), c, node(2), "a"); err == nil {
			t.Errorf("%s: believed: %+v", name, d)
		}
	}
}

func FuzzFetch(f *testing.F) {
	x := indexOf(f, Document{ID: "a", Title: "A", Text: "network of peers"})
	request, err := wire.Marshal(fetchRequest{ID: "a"})
	if err != nil {
		f.Fatal(err)
	}
	response, err := x.FetchHandler(context.Background(), p2p.ID{}, request)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add(response)
	f.Fuzz(func(t *testing.T, b []byte) {
		x.FetchHandler(context.Background(), p2p.ID{}, b)
		if r, err := decodeFetch(b, fetchRequest{ID: "a"}); err == nil {
			r.document("a", r.Piece)
		}
	})
}
