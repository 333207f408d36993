package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// write does a write now, or with the others of a block.
func (w *world) write(ctx context.Context, n *node, do func(context.Context) error) error {
	if w.group == nil {
		return do(ctx)
	}
	if slices.ContainsFunc(*w.group, func(o writing) bool { return o.n == n }) {
		return fmt.Errorf("%s is writing already", n.name)
	}
	*w.group = append(*w.group, writing{n, do})
	return nil
}

func (w *world) doTogether(context.Context, *args) error {
	w.group = &[]writing{}
	return nil
}

func (w *world) doEnd(ctx context.Context, _ *args) error {
	if w.group == nil {
		return errors.New(`there is no "together" before it`)
	}
	all := *w.group
	w.group = nil
	return w.together(ctx, all)
}

// wrote shows what became of a write.
func (w *world) wrote(n *node, r dht.PutResult, trace dht.Trace, more string) {
	w.flush()
	w.last = outcome{status: r.Status.String(), trace: trace}
	w.say("%s: %s, %s%s; %s", n.name, r.Status, copies(r.Copies), more, cost(trace))
}

func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", n)
}

// doPut is put and add.
func (w *world) doPut(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	key, _, err := a.key()
	if err != nil {
		return err
	}
	value, err := a.value()
	if err != nil {
		return err
	}
	o, err := a.options()
	if err != nil {
		return err
	}
	p := dht.Put{Address: o.address(key), Value: o.pad(value), TTL: o.ttl, Absent: o.absent, Protect: o.protect}
	if a.verb == "add" {
		p.Content = dht.SumOf(p.Value)
	}
	return w.write(ctx, n, func(ctx context.Context) error {
		r, trace, err := n.table.Put(ctx, p)
		if err != nil {
			return err
		}
		w.wrote(n, r, trace, "")
		return nil
	})
}

// doAppend reads, and writes what it has read with more: others may write in between.
func (w *world) doAppend(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	key, _, err := a.key()
	if err != nil {
		return err
	}
	text, err := a.value()
	if err != nil {
		return err
	}
	o, err := a.options()
	if err != nil {
		return err
	}
	return w.write(ctx, n, func(ctx context.Context) error {
		found, trace, err := n.table.Get(ctx, o.query(key), dht.ReadOptions{})
		if err != nil {
			return err
		}
		old := ""
		if len(found.Records) > 0 {
			old = string(found.Records[0].Value)
		}
		if len(old)+len(text) > maxValue {
			return fmt.Errorf("the value would have more than %d bytes", maxValue)
		}
		n.pause()
		r, more, err := n.table.Put(ctx, dht.Put{Address: o.address(key), Value: []byte(old + text), TTL: o.ttl})
		if err != nil {
			return err
		}
		trace.Add(more)
		w.wrote(n, r, trace, fmt.Sprintf(", has read %q and written %q", old, old+text))
		return nil
	})
}

// doVPut writes a version.
func (w *world) doVPut(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	key, _, err := a.key()
	if err != nil {
		return err
	}
	how, err := a.next("set, append or merge")
	if err != nil {
		return err
	}
	text := ""
	switch how {
	case "set", "append":
		if text, err = a.value(); err != nil {
			return err
		}
	case "merge":
	default:
		return fmt.Errorf("%.40q is not set, append or merge", how)
	}
	optimistic := a.is("optimistic")
	o, err := a.options()
	if err != nil {
		return err
	}
	v := dht.VPut{Name: o.address(key).Name(), TTL: o.ttl, Optimistic: optimistic}
	written := ""
	v.Update = func(parents []dht.Copy) ([]byte, error) {
		n.pause()
		written = text
		if how != "set" {
			written = merge(parents) + text
		}
		if len(written) > maxValue {
			return nil, fmt.Errorf("the value would have more than %d bytes", maxValue)
		}
		return []byte(written), nil
	}
	return w.write(ctx, n, func(ctx context.Context) error {
		r, trace, err := n.table.VPut(ctx, v)
		if err != nil && !errors.Is(err, dht.ErrFork) {
			return err
		}
		var parents []string
		for _, p := range r.Parents {
			parents = append(parents, p.String()[:len(p.String())-20])
		}
		after := ""
		if len(parents) > 0 {
			after = " after " + strings.Join(parents, " and ")
		}
		tries := ""
		if r.Tries > 1 {
			tries = fmt.Sprintf(", in %d tries", r.Tries)
		}
		version := r.Version.String()
		w.wrote(n, r.PutResult, trace, fmt.Sprintf(", version %s%s is %q%s", version[:len(version)-20], after, written, tries))
		return nil
	})
}

// merge returns the value of one version; of several, all their words, each once.
func merge(heads []dht.Copy) string {
	if len(heads) == 1 {
		return string(heads[0].Value)
	}
	var words []string
	for _, h := range slices.Backward(heads) {
		for _, word := range strings.Fields(string(h.Value)) {
			if !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	return strings.Join(words, " ")
}

// query asks for what a put with the same options writes, or a set.
func (o options) query(key p2p.Key) dht.Query {
	q := dht.Query{Location: key, Domain: o.domain}
	if o.content != (p2p.Key{}) {
		q.Contents = []p2p.Key{o.content}
	}
	return q
}

func (w *world) doRemove(ctx context.Context, a *args) error {
	n, key, o, err := a.reading()
	if err != nil {
		return err
	}
	removed, results, trace, err := n.table.MultiRemove(ctx, []dht.Query{o.query(key)})
	if err != nil {
		return err
	}
	w.flush()
	w.last = outcome{trace: trace, status: dht.StatusNotFound.String()}
	for i, r := range results {
		w.last.status = r.Status.String()
		w.say("%s: %s removed: %s; %s", n.name, short(string(removed[i].Value)), r.Status, cost(trace))
	}
	if len(results) == 0 {
		w.say("%s: nothing is there; %s", n.name, cost(trace))
	}
	return nil
}

func (w *world) doRenew(ctx context.Context, a *args) error {
	n, key, o, err := a.reading()
	if err != nil {
		return err
	}
	results, trace, err := n.table.MultiRenew(ctx, []dht.Address{o.address(key)}, o.ttl)
	if err != nil {
		return err
	}
	w.wrote(n, results[0], trace, "")
	return nil
}

// reading reads a node, a key and options.
func (a *args) reading() (n *node, key p2p.Key, o options, err error) {
	if n, err = a.node(); err != nil {
		return n, key, o, err
	}
	if key, _, err = a.key(); err != nil {
		return n, key, o, err
	}
	o, err = a.options()
	return n, key, o, err
}
