package search

import (
	"context"
	"errors"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func FuzzRequest(f *testing.F) {
	for _, q := range []request{
		{Text: "network", Limit: 20, Fuzz: Auto},
		{Text: "netwrk peers", Limit: 200, Fuzz: 3, After: &after{Distance: 1, Score: 2.5, ID: "a", Again: true}, Explain: true},
	} {
		b, err := wire.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	x := indexOf(f, Document{ID: "a", Title: "A", Text: "network of peers"}, Document{ID: "b", Text: "netwrok"})
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, err := x.Handler(context.Background(), p2p.ID{}, b)
		var refused *p2p.CallError
		if err != nil {
			if !errors.As(err, &refused) {
				t.Errorf("%v", err)
			}
			return
		}
		q, err := decodeRequest(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeResponse(answer, q); err != nil {
			t.Errorf("own answer to %+v: %v", q, err)
		}
	})
}

func FuzzResponse(f *testing.F) {
	x := indexOf(f, Document{ID: "a", Title: "A", Text: "network of peers"}, Document{ID: "b", Text: "netwrok"})
	q := request{Text: "network", Limit: 20, Fuzz: Auto, Explain: true}
	r, err := x.evaluate(context.Background(), q)
	if err != nil {
		f.Fatal(err)
	}
	b, err := r.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeResponse(b, q)
		if err != nil {
			return
		}
		p := reply{response: r}.finish()
		merge(Query{Text: q.Text, Limit: q.Limit}, []reply{p})
		for i := range p.part.Hits {
			s := p.part.Hits[i].Snippet
			runes := []rune(s.Text)
			for _, m := range s.Marks {
				_ = runes[m[0]:m[1]]
			}
		}
	})
}
