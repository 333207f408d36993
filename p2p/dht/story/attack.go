package story

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// direct10s is how long a message waits for its answer: it never does.
const direct10s = 10 * time.Second

// doGrind makes identities until one is near to a key: in an open network the place
// follows from the identity, in a closed one from the admission, which comes later.
func (w *world) doGrind(ctx context.Context, a *args) error {
	name, err := a.next("a name")
	if err != nil {
		return err
	}
	tries, err := a.number("a number", 1, 5000)
	if err != nil {
		return err
	}
	key, what, err := a.key()
	if err != nil {
		return err
	}
	var best p2p.Identity
	for i := range tries {
		id, err := identity(name, i)
		if err != nil {
			return err
		}
		if i == 0 || p2p.Key(id.ID()).Distance(key).Compare(p2p.Key(best.ID()).Distance(key)) < 0 {
			best = id
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := w.come(name, best, w.place(best)); err != nil {
		return err
	}
	rank := 1 + slices.IndexFunc(w.nodes[0].table.Nearest(key, len(w.nodes)), func(m dht.Member) bool { return m.Name == name })
	w.say("%s has made %s and takes the best; of %d nodes it is number %d from %s", name, identities(tries), len(w.nodes), rank, what)
	return nil
}

func identities(n int) string {
	if n == 1 {
		return "1 identity"
	}
	return fmt.Sprintf("%d identities", n)
}

// doLie makes nodes collude: they say that one of them has written something, take what
// others write as if they kept it, and forget it.
func (w *world) doLie(ctx context.Context, a *args) error {
	var liars []*node
	for len(a.words) > 2 {
		n, err := a.node()
		if err != nil {
			return err
		}
		liars = append(liars, n)
	}
	if len(liars) == 0 {
		return errors.New("nobody is named")
	}
	key, what, err := a.key()
	if err != nil {
		return err
	}
	value, err := a.value()
	if err != nil {
		return err
	}
	record := dht.Record{
		Header: dht.Header{Address: dht.Address{Location: key}, Seq: uint64(w.time().UnixMicro()) + 1}, Value: []byte(value),
	}
	signed := []dht.Record{record}
	dht.Sign(liars[0].identity, networkID(), signed)
	for _, n := range liars {
		store := dht.NewMemory()
		err := store.Change(ctx, []dht.Name{record.Name()}, func(cells []*dht.Cell) error {
			if s, _ := cells[0].Put(dht.Write{Record: signed[0], Repair: true}, dht.Rules{}, w.time().UnixMilli()); !s.Stored() {
				return fmt.Errorf("%s cannot keep it: %s", n.name, s)
			}
			return nil
		})
		if err != nil {
			return err
		}
		n.decoy = n.table
		n.store = store
		n.table = dht.New(n.options(&gated{store, n}))
		w.add(Line{Kind: KindEvent, From: n.name, Text: fmt.Sprintf("says from now on that %s is %q", what, value)})
	}
	return nil
}

// runs is how often the attack is drawn.
const runs = 501

// doAdmissions draws how many admissions it takes until most of those who keep a key are
// the attacker's, in networks with as many honest nodes as there are.
func (w *world) doAdmissions(ctx context.Context, a *args) error {
	_, what, err := a.key()
	if err != nil {
		return err
	}
	honest := 0
	for _, n := range w.nodes {
		if n.decoy == nil {
			honest++
		}
	}
	if honest < w.replicas {
		return fmt.Errorf("%d honest nodes are fewer than replicas", honest)
	}
	var needed []int
	for run := range runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		needed = append(needed, draw(run, honest, w.replicas))
	}
	slices.Sort(needed)
	w.last = outcome{status: "ok", needs: needed[runs/2]}
	w.say("to have %d of the %d who keep %s, beside %d honest nodes, an attacker needs %d admissions in half of %d draws; in a tenth, %d",
		w.replicas/2+1, w.replicas, what, honest, needed[runs/2], runs, needed[runs/10])
	return nil
}

// draw draws distances to a key for honest nodes, and then for those of an attacker until
// he has most of the nearest; it returns how many it took. Distances are uniform, as
// the hashes are that they come from.
func draw(run, honest, replicas int) int {
	n := uint64(0)
	next := func() uint64 {
		n++
		h := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(run)), n))
		return binary.BigEndian.Uint64(h[:8])
	}
	// The attacker has most of the nearest exactly when as many of his as are a majority are
	// nearer than the honest node after which honest ones could not be outvoted.
	var others []uint64
	for range honest {
		others = append(others, next())
	}
	slices.Sort(others)
	majority := replicas/2 + 1
	limit := others[replicas-majority]
	tries := 0
	for near := 0; near < majority; tries++ {
		if next() < limit {
			near++
		}
	}
	return tries
}
