package p2p_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// Whatever is granted and taken back, in whatever order, the grants say what a map says.
func TestGrants(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{p2p.AccessWrite, p2p.AccessRead, p2p.AccessNone, ""}
	for range 200 {
		var g p2p.Grants
		want := map[p2p.ID]string{}
		for range 40 {
			id := p2p.ID{31: byte(1 + r.IntN(20))}
			before := slices.Clone(g)
			word := words[r.IntN(len(words))]
			next := g.With(id, word)
			if !slices.Equal(g, before) {
				t.Fatal("With has changed what it was called on")
			}
			if g = next; word == "" {
				delete(want, id)
			} else {
				want[id] = word
			}
		}
		if err := g.Check(); err != nil || len(g) != len(want) {
			t.Fatalf("%v: %v", g, err)
		}
		for i := range byte(22) {
			others := "others"
			if word, ok := want[p2p.ID{31: i}]; ok {
				others = word
			}
			if got := g.Of(p2p.ID{31: i}, "others"); got != others {
				t.Fatalf("the access of %d is %q, want %q", i, got, others)
			}
		}
		back, err := p2p.UnpackGrants(g.Pack())
		if err != nil || !slices.Equal(back, g) {
			t.Fatalf("unpacked %v, %v, want %v", back, err, g)
		}
	}
}

func TestGrantsChecked(t *testing.T) {
	id := func(b byte) p2p.ID { return p2p.ID{31: b} }
	many := make(p2p.Grants, p2p.MaxGrants+1)
	for i := range many {
		many[i] = p2p.Grant{Member: p2p.ID{byte(i), 31: 1}, Access: p2p.AccessRead}
	}
	if err := many[:p2p.MaxGrants].Check(); err != nil {
		t.Errorf("as many as may be: %v", err)
	}
	for what, g := range map[string]p2p.Grants{
		"nobody":         {{Access: p2p.AccessRead}},
		"no access":      {{Member: id(1)}},
		"another word":   {{Member: id(1), Access: "admin"}},
		"twice":          {{id(1), p2p.AccessRead}, {id(1), p2p.AccessRead}},
		"in disorder":    {{id(2), p2p.AccessRead}, {id(1), p2p.AccessRead}},
		"more than many": many,
	} {
		if g.Check() == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func FuzzUnpackGrants(f *testing.F) {
	f.Add(p2p.Grants{{p2p.ID{1}, p2p.AccessRead}, {p2p.ID{2}, p2p.AccessNone}}.Pack())
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := p2p.UnpackGrants(b)
		if err != nil {
			return
		}
		if err := g.Check(); err != nil || !bytes.Equal(g.Pack(), b) {
			t.Errorf("%x is unpacked to %v: %v", b, g, err)
		}
	})
}
