package story

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/keyword"
)

// Limits of what is published.
const (
	maxWords     = 12   // of a document, and of a question
	maxNumbered  = 1000 // documents that are published at once
	maxPublished = 4000 // in a story: of entries
	fewFound     = 6    // are named
)

// words is the index of documents by their words, as the node sees it. It knows what it has
// asked since it came.
func (n *node) words() *keyword.Index {
	if n.keywords == nil {
		n.keywords = keyword.New(keyword.Options{Table: n.table, Name: "story", Now: n.w.time})
	}
	return n.keywords
}

// terms takes a text and returns its different words, in lower case.
func (a *args) terms() (out []string, err error) {
	text, err := a.next("words")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, word := range strings.Fields(strings.ToLower(text)) {
		if !seen[word] {
			seen[word], out = true, append(out, word)
		}
	}
	if len(out) == 0 || len(out) > maxWords {
		return nil, fmt.Errorf("%d words, not 1 to %d", len(out), maxWords)
	}
	return out, nil
}

// doPublish puts a document at its words, or many that are numbers at the same words.
func (w *world) doPublish(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	name, err := a.value()
	if err != nil {
		return err
	}
	names := []string{name}
	if from, to, ok := numbers(name); ok {
		if to < from || to-from >= maxNumbered {
			return fmt.Errorf("%s is not 1 to %d documents", name, maxNumbered)
		}
		names = nil
		for i := from; i <= to; i++ {
			names = append(names, strconv.Itoa(i))
		}
	}
	if !a.is("at") {
		return fmt.Errorf("its words are missing, such as: at \"green tea\"")
	}
	words, err := a.terms()
	if err != nil {
		return err
	}
	padded, similar := 0, 0
	var pairs []string
	for len(a.words) > 0 {
		switch {
		case a.is("pairs"):
			pairs = words
		case a.is("similar"):
			similar, err = a.number("a number of edits", 0, keyword.MaxSimilar)
		case a.is("padded"):
			padded, err = a.number("a number of bytes", 1, maxValue)
		default:
			err = fmt.Errorf("%.40q is no option", a.words[0])
		}
		if err != nil {
			return err
		}
	}
	if w.published += len(names) * len(words); w.published > maxPublished {
		return fmt.Errorf("more than %d entries would be published", maxPublished)
	}
	documents := make([]keyword.Document, len(names))
	for i, name := range names {
		documents[i] = keyword.Document{ID: name, Terms: words, Pairs: pairs, Value: options{padded: padded}.pad(name)}
	}
	p, err := n.words().Publish(ctx, documents, similar, 0)
	w.flush()
	if err != nil {
		return err
	}
	w.last = outcome{status: dht.StatusOK.String(), trace: p.Trace, keys: []int{p.Entries - (len(names)-1)*p.Lists}}
	if p.Failed > 0 {
		w.last.status = "failed"
	}
	text := many(len(words), "word")
	if k := len(pairs); k > 1 {
		text += " and " + many(k*(k-1)/2, "pair")
	}
	if left := w.last.keys[0] - p.Lists; left > 0 {
		text += fmt.Sprintf(", and at %s for similar words", many(left, "key"))
	}
	w.say("%s: %s, %s at %s; %s", n.name, w.last.status, many(len(names), "document"), text, cost(p.Trace))
	return nil
}

// numbers reads the names of documents that are numbers.
func numbers(name string) (from, to int, ok bool) {
	left, right, found := strings.Cut(name, "..")
	from, err := strconv.Atoi(left)
	if !found || err != nil || from < 0 {
		return 0, 0, false
	}
	to, err = strconv.Atoi(right)
	return from, to, err == nil && to < math.MaxInt32
}

// doFind looks for documents by words, and shows the steps of the plan.
func (w *world) doFind(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	q := keyword.Query{Limit: maxNumbered}
	if q.Terms, err = a.terms(); err != nil {
		return err
	}
	for len(a.words) > 0 {
		switch {
		case a.is("any"):
			q.Any = true
		case a.is("by"):
			var plan string
			plan, err = a.next("lists, sequential, parallel or pairs")
			q.Plan = keyword.Plan(plan)
		case a.is("similar"):
			q.Similar, err = a.number("a number of edits", 0, keyword.MaxSimilar)
		default:
			err = fmt.Errorf("%.40q is no option", a.words[0])
		}
		if err != nil {
			return err
		}
	}
	got, err := n.words().Search(ctx, q)
	w.flush()
	if err != nil {
		return err
	}
	w.last = outcome{status: dht.StatusOK.String(), trace: got.Trace}
	for _, h := range got.Hits {
		w.last.values = append(w.last.values, strings.TrimRight(string(h.Value), "."))
	}
	for i, s := range got.Steps {
		w.last.keys = append(w.last.keys, s.Keys)
		who := fmt.Sprintf("step %d", i+1)
		w.add(Line{Kind: KindEvent, From: who, Text: fmt.Sprintf("%s: %s asked, %s came; %s, %s, %d bytes", s.What, many(s.Keys, "key"), entries(s.Got), many(s.Rounds, "round"), many(s.Messages, "message"), s.Bytes)})
		for _, f := range s.Drawn {
			w.add(Line{Kind: KindEvent, From: who, Text: fmt.Sprintf("a filter of %q has %d bytes, %s for each document, and %.0f%% of its bits are set", f.Word, f.Bytes, many(f.K, "bit"), 100*f.Fill)})
		}
		if q.Similar > 0 && i == 0 {
			w.showSimilar(got.Terms)
		}
	}
	found := many(len(got.Hits), "document")
	if len(got.Hits) <= fewFound {
		found = shorts(w.last.values)
	}
	if got.Truncated {
		found += ", and there may be more"
	}
	if got.Partial {
		found += ", and not all could be asked"
	}
	w.say("%s: %s; %s", n.name, found, cost(got.Trace))
	return nil
}

func (w *world) showSimilar(terms []keyword.Term) {
	for _, t := range terms {
		for _, s := range t.Similar {
			w.add(Line{Kind: KindEvent, From: t.Word, Text: fmt.Sprintf("%q is %s away: %q is left of both", s.Word, many(s.Distance, "edit"), s.Left[0])})
		}
	}
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
