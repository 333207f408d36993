package search

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// Who may not see a folder is answered as if there were nothing of it: neither hits nor
// numbers nor words that are only there.
func TestRestrict(t *testing.T) {
	x := indexOf(t,
		Document{ID: "secret", Folder: "hidden", Path: "lepidolite.txt", Title: "lepidolite.txt", Text: "lepidolite and granite"},
		Document{ID: "known", Folder: "open", Path: "granite.txt", Title: "granite.txt", Text: "granite"},
		Document{ID: "published", Title: "Granite", Text: "granite"},
	)
	outsider, insider := node(2), node(3)
	x.Restrict(func(asker p2p.ID) map[string]bool { return map[string]bool{"open": true, "hidden": asker == insider} })
	self := &Mesh{Index: x}
	ask := func(who p2p.ID, text string) Answer {
		t.Helper()
		m := &Mesh{Index: indexOf(t), Self: Member{ID: who}, Caller: peers{node(1): func(ctx context.Context, proto string, b []byte) ([]byte, error) {
			if proto == FetchProto {
				return x.FetchHandler(ctx, who, b)
			}
			return x.Handler(ctx, who, b)
		}}}
		a, err := m.Ask(t.Context(), Query{Text: text, Fuzz: Auto, Explain: true}, []Member{{ID: node(1)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Fetch(t.Context(), m.Caller, node(1), "secret"); errors.Is(err, ErrNotFound) != (who == outsider) {
			t.Errorf("fetching what is hidden: %v", err)
		}
		return a
	}
	for text, want := range map[string]struct{ outsider, insider, corrections int }{
		"granite":    {2, 3, 0},
		"lepidolite": {0, 1, 0},
		"lepidolte":  {0, 1, 1}, // with a typo
		"lepid":      {0, 1, 0}, // unfinished
		"granit":     {2, 3, 0},
		// Three edits from granite: found for who may know that no document has it.
		"grxnyti": {0, 3, 1},
	} {
		out, in := ask(outsider, text), ask(insider, text)
		if out.Total != want.outsider || in.Total != want.insider || len(out.Corrections) > 0 || len(in.Corrections) != want.corrections {
			t.Errorf("%s: outside %d %v, inside %d %v", text, out.Total, out.Corrections, in.Total, in.Corrections)
		}
		for _, e := range out.Trace {
			if e, ok := e.(Expanded); ok && want.outsider == 0 && len(e.Candidates) > 0 {
				t.Errorf("%s: the trace has %+v", text, e)
			}
		}
		own, err := self.Ask(t.Context(), Query{Text: text, Fuzz: Auto}, nil, nil)
		if err != nil || own.Total != want.insider {
			t.Errorf("%s: the node itself finds %d, %v", text, own.Total, err)
		}
	}
}

// Nor does a condition, a facet or a phrase tell of it.
func TestRestrictedConditions(t *testing.T) {
	x := indexOf(t,
		Document{ID: "secret", Folder: "hidden", Path: "lepidolite.txt", Title: "lepidolite.txt", Type: TypePDF, Text: "some lepidolite and granite, anyway a shared folder"},
		Document{ID: "published", Title: "Granite", Text: "granite"},
	)
	x.Restrict(func(p2p.ID) map[string]bool { return nil })
	x.Name(func(string) string { return "minerals" })
	m := &Mesh{Index: indexOf(t), Caller: peers{node(1): serve(x)}}
	for _, text := range []string{
		"folder:minerals", "type:pdf", "-granite", `"lepidolite and"`, "lepid*", "name:lepidolite", "granite type:pdf", "any way", "sharedfolder", `-"granite granite" -name:granite`,
	} {
		a, err := m.Ask(t.Context(), Query{Text: text, Fuzz: Auto, Facets: true, Explain: true}, []Member{{ID: node(1)}}, nil)
		if err != nil || a.Total != 0 || len(a.Corrections) > 0 || len(a.Facets.Types) > 0 || a.Partial {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
		for _, e := range a.Trace {
			if e, ok := e.(Expanded); ok && e.Node == node(1) && e.Word != "granite" && e.Documents+len(e.Candidates) > 0 {
				t.Errorf("%s: the trace has %+v", text, e)
			}
		}
	}
	a, err := m.Ask(t.Context(), Query{Text: "granite", Fuzz: Auto, Facets: true}, []Member{{ID: node(1)}}, nil)
	if err != nil || a.Total != 1 || len(a.Facets.Folders) > 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestRestrictedWhileWritten: who asks while the first documents of a folder are being put into the index, which he may not
// see, does not see them when they are there.
func TestRestrictedWhileWritten(t *testing.T) {
	for range 20 {
		if askedWhileWritten(t) {
			return
		}
	}
	t.Error("it was written at once, each time: nothing was tried")
}

// askedWhileWritten asks when half of it is done, and reports whether it came in time.
func askedWhileWritten(t *testing.T) bool {
	x := indexOf(t, Document{ID: "open", Text: "word"})
	var secret []Document
	for i := range 64 {
		var text strings.Builder
		for j := range 500 {
			fmt.Fprintf(&text, "word x%dy%d ", i, j)
		}
		secret = append(secret, Document{ID: fmt.Sprint("secret", i), Folder: "secret", Text: text.String()})
	}
	over := make(chan error)
	go func() { over <- x.Put(t.Context(), secret) }()
	var rank ranking
	for rank.reading == nil {
		x.mu.RLock()
		if len(x.docs) > len(x.slots) { // half of it is done
			hidden, _ := x.hidden(request{restricted: true})
			rank = ranking{hidden: hidden, reading: x.read(t.Context()), scratch: new(scratch), average: 1}
		}
		done := len(x.slots) > 1
		x.mu.RUnlock()
		if done && rank.reading == nil {
			if err := <-over; err != nil {
				t.Fatal(err)
			}
			return false
		}
	}
	p, err := newPlan("x0y11", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, all, err := x.attempt(t.Context(), new(scratch), p, request{restricted: true, Fuzz: 2}, nil)
	if err != nil {
		t.Error(err)
	}
	for _, e := range all {
		if len(e.whole.words)+len(e.parts[0].words) > 0 {
			t.Errorf("%v may be meant", e.parts[0].words[:1])
		}
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for m := range rank.documents(rank.everything()) {
		if d := x.docs[m.slot]; d.folder == "secret" {
			t.Fatalf("%s is seen", d.id)
		}
	}
	return true
}
