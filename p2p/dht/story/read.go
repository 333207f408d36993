package story

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// doGet is get and digest.
func (w *world) doGet(ctx context.Context, a *args) error {
	n, key, o, err := a.reading()
	if err != nil {
		return err
	}
	read := n.table.MultiGet
	if a.verb == "digest" {
		read = n.table.MultiDigest
	}
	found, trace, err := read(ctx, []dht.Query{o.query(key)}, dht.ReadOptions{Majority: o.majority})
	w.flush()
	if err != nil {
		w.last = outcome{trace: trace, status: "failed"}
		w.say("%s: nobody could be asked; %s", n.name, cost(trace))
		return ctx.Err()
	}
	w.last = outcome{trace: trace, status: "ok", values: values(found[0])}
	if a.verb == "digest" {
		w.say("%s: %s; %s", n.name, many(len(found[0].Records), "record"), cost(trace))
		return nil
	}
	w.say("%s: %s; %s", n.name, shorts(w.last.values), cost(trace))
	return nil
}

func values(f dht.Found) (out []string) {
	for _, r := range f.Records {
		if r.Kind == dht.KindValue {
			out = append(out, string(r.Value))
		}
	}
	return out
}

// doAnd finds what is in two sets: first the names of what is in each, then the values of
// what is in both.
func (w *world) doAnd(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	one, _, err := a.key()
	if err != nil {
		return err
	}
	other, _, err := a.key()
	if err != nil {
		return err
	}
	found, trace, err := n.table.MultiDigest(ctx, []dht.Query{{Location: one}, {Location: other}}, dht.ReadOptions{})
	if err != nil {
		return err
	}
	w.flush()
	in := map[p2p.Key]bool{}
	for _, r := range found[1].Records {
		in[r.Content] = true
	}
	q := dht.Query{Location: one}
	for _, r := range found[0].Records {
		if in[r.Content] {
			q.Contents = append(q.Contents, r.Content)
		}
	}
	w.say("%s: %d and %d are there, %d in both", n.name, len(found[0].Records), len(found[1].Records), len(q.Contents))
	w.last = outcome{trace: trace, status: "ok"}
	if len(q.Contents) > 0 {
		slices.SortFunc(q.Contents, p2p.Key.Compare)
		f, more, err := n.table.Get(ctx, q, dht.ReadOptions{})
		if err != nil {
			return err
		}
		trace.Add(more)
		w.last = outcome{trace: trace, status: "ok", values: values(f)}
	}
	w.flush()
	w.say("%s: %s; %s", n.name, shorts(w.last.values), cost(trace))
	return nil
}

func (w *world) doWho(_ context.Context, a *args) error {
	_, name, near, err := a.keepers()
	if err != nil {
		return err
	}
	w.say("%s is kept by %s", name, strings.Join(near, ", "))
	return nil
}

// keepers reads a key, and returns who is to keep it, nearest first.
func (a *args) keepers() (key p2p.Key, name string, near []string, err error) {
	if key, name, err = a.key(); err != nil {
		return key, name, nil, err
	}
	for _, n := range a.w.nodes {
		if n.up {
			for _, m := range n.table.Responsible(key) {
				near = append(near, m.Name)
			}
			return key, name, near, nil
		}
	}
	return key, name, nil, fmt.Errorf("nobody runs")
}

// counts counts the records that each running node has at a location.
func (w *world) counts(ctx context.Context, key p2p.Key) (map[*node]int, error) {
	out := map[*node]int{}
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		now := w.time().UnixMilli()
		for h, err := range n.store.Read(ctx, dht.Query{Location: key, Domains: true, Versions: true}) {
			if err != nil {
				return nil, err
			}
			if h.Kind == dht.KindValue && (h.Expires == 0 || now < h.Expires) {
				out[n]++
			}
		}
	}
	return out, nil
}

func (w *world) doShow(ctx context.Context, a *args) error {
	index, err := a.one("copies", "index")
	if err != nil {
		return err
	}
	if index {
		return w.showIndex(ctx, a)
	}
	key, name, err := a.key()
	if err != nil {
		return err
	}
	counts, err := w.counts(ctx, key)
	if err != nil {
		return err
	}
	var who []string
	for _, n := range w.nodes {
		if len(w.nodes) <= 4 && n.up || counts[n] > 0 {
			who = append(who, fmt.Sprintf("%s %d", n.name, counts[n]))
		}
	}
	w.say("records of %s: %s", name, list(who))
	return nil
}

func list(words []string) string {
	if len(words) == 0 {
		return "nobody has any"
	}
	return strings.Join(words, ", ")
}
