package dht_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

var seeds = flag.Int("dht.seeds", 25, "how many seeds TestNemesis runs")

// found are seeds that have shown a mistake once, of the table or of this test. They fix what is
// done, and not how goroutines take turns, so that they may need several runs to show one.
var found = []uint64{1, 61, 110, 143, 189, 245, 307, 308, 400, 566}

// TestNemesis: what was acknowledged is not lost, what was removed does not come back, and what
// has ended is not served, whatever happens to the network and the nodes, as long as one replica
// of each record survives.
func TestNemesis(t *testing.T) {
	all := slices.Clone(found)
	for i := range *seeds {
		all = append(all, uint64(i))
	}
	for _, seed := range all {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { nemesis(t, seed) }) {
			t.Errorf("failed: seed %d", seed)
		}
	}
}

// tormented is a world that is tormented, and what is known of its records.
type tormented struct {
	*world
	random *rand.Rand // for one goroutine
	quiet  sim.CallOptions
	rough  sim.CallOptions
	began  time.Time
	slack  time.Duration // that a record may live longer, since messages take time

	mu      sync.Mutex // guards the following
	history []string
	fates   map[dht.Address]*fate
	serial  int
	gone    map[*testNode]bool
	busy    map[*testNode]int // operations that run at a node
	faults  []string
}

// fate is what was done to an address.
type fate struct {
	name   string
	busy   bool // an operation is under way
	writes []written
}

// written is one write.
type written struct {
	value    string // "": removed
	seq      uint64
	acked    bool
	began    time.Time
	returned time.Time
	ttl      time.Duration // 0: no end
}

// over reports whether a write need not be there any more.
func (w written) over(now time.Time) bool { return w.ttl > 0 && !now.Before(w.began.Add(w.ttl)) }

func nemesis(t *testing.T, seed uint64) {
	inBubble(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 2))
		quiet := sim.CallOptions{Seed: seed, Latency: 5 * time.Millisecond, Jitter: 20 * time.Millisecond}
		rough := quiet
		rough.Jitter = time.Second
		rough.Loss, rough.Duplicate = random.Float64()*0.2, random.Float64()*0.3
		w := &tormented{
			world: newWorld(t, 0, quiet, dht.Options{}), random: random, quiet: quiet, rough: rough, began: time.Now(),
			fates: map[dht.Address]*fate{}, slack: slack, gone: map[*testNode]bool{}, busy: map[*testNode]int{},
		}
		skewed := random.IntN(2) == 0
		for range 5 + random.IntN(8) {
			n := w.admit()
			if skewed {
				n.clock = time.Duration(random.Int64N(int64(6*time.Hour))) - 3*time.Hour
			}
		}
		for _, n := range w.nodes {
			n.start()
		}
		defer w.end()
		defer func() {
			if t.Failed() || len(w.faults) > 0 {
				t.Errorf("seed %d:\n%s\n%s", seed, strings.Join(w.history, "\n"), strings.Join(w.faults, "\n"))
			}
		}()
		w.calls.Change(w.rough)
		var running sync.WaitGroup
		for range 60 + random.IntN(60) {
			if w.random.IntN(3) > 0 {
				w.operate(&running)
			} else {
				w.torment()
			}
			time.Sleep(time.Duration(w.random.Int64N(int64(12 * time.Second))))
		}
		running.Wait()
		w.rest()
		w.judge()
	})
}

func (w *tormented) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, fmt.Sprintf("%8s  ", time.Since(w.began).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

func (w *tormented) fault(format string, args ...any) {
	w.log("FAULT: "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// up returns the nodes that run.
func (w *tormented) up() (out []*testNode) {
	for _, n := range w.nodes {
		if w.calls.Up(n.member.ID) {
			out = append(out, n)
		}
	}
	return out
}

func pick[T any](r *rand.Rand, from []T) (one T, ok bool) {
	if len(from) == 0 {
		return one, false
	}
	return from[r.IntN(len(from))], true
}

// claim returns an address at which nothing is under way: one that is known, or a new one.
func (w *tormented) claim(fresh bool) (dht.Address, *fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !fresh {
		free := slices.SortedFunc(maps.Keys(w.fates), dht.Address.Compare)
		free = slices.DeleteFunc(free, func(a dht.Address) bool { return w.fates[a].busy })
		a, ok := pick(w.random, free)
		if !ok {
			return a, nil
		}
		w.fates[a].busy = true
		return a, w.fates[a]
	}
	w.serial++
	name := fmt.Sprint("key ", w.serial%15)
	a := at(name)
	a.Content = dht.KeyOf(fmt.Sprint(w.serial / 15 % 3))
	f := w.fates[a]
	if f == nil {
		f = &fate{name: fmt.Sprintf("%s/%d", name, w.serial/15%3)}
		w.fates[a] = f
	}
	if f.busy {
		return a, nil
	}
	f.busy = true
	return a, f
}

// operate begins an operation of some node.
func (w *tormented) operate(running *sync.WaitGroup) {
	n, ok := pick(w.random, w.up())
	if !ok {
		return
	}
	kind := w.random.IntN(10)
	a, f := w.claim(kind < 3)
	if f == nil {
		return
	}
	w.serial++
	text := fmt.Sprintf("%s #%d by %s", f.name, w.serial, n.member.Name)
	if w.random.IntN(6) == 0 { // large: differences travel
		text += strings.Repeat(" and so on", 1000)
	}
	var ttl time.Duration
	if w.random.IntN(3) == 0 {
		ttl = time.Duration(20+w.random.IntN(200)) * time.Second
	}
	w.busy[n]++
	running.Go(func() {
		defer func() {
			w.mu.Lock()
			f.busy = false
			w.busy[n]--
			w.mu.Unlock()
		}()
		switch {
		case kind < 5:
			w.write(n, a, f, text, ttl)
		case kind < 6:
			w.remove(n, a, f)
		case kind < 7:
			w.renew(n, a, f, ttl)
		default:
			w.read(n, a, f)
		}
	})
}

func (w *tormented) write(n *testNode, a dht.Address, f *fate, text string, ttl time.Duration) {
	began := time.Now()
	r, _, err := n.table.Put(w.ctx, dht.Put{Address: a, Value: []byte(text), TTL: ttl})
	w.log("%s puts %.40q for %v, began %v: %s", n.member.Name, text, ttl, began.Sub(w.began).Round(time.Millisecond), told(r, err))
	w.wrote(f, written{text, r.Header.Seq, err == nil && r.Stored(), began, time.Now(), ttl})
	if err == nil && !r.Stored() && r.Status != dht.StatusFailed {
		w.fault("%.40q: %v, and nobody else writes there", text, r.Status)
	}
}

// told says what became of a put.
func told(r dht.PutResult, err error) string {
	text := fmt.Sprintf("%v, seq %d, %v:", r.Status, r.Header.Seq, err)
	for _, replica := range r.Replicas {
		text += fmt.Sprintf(" %s %v", replica.Name, replica.Status)
	}
	return text
}

// tell names what was found.
func tell(f dht.Found) (out []string) {
	for _, c := range f.Records {
		out = append(out, fmt.Sprintf("%.40q seq %d", c.Value, c.Seq))
	}
	return out
}

func (w *tormented) wrote(f *fate, one written) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.writes = append(f.writes, one)
}

func query(a dht.Address) dht.Query {
	return dht.Query{Location: a.Location, Domain: a.Domain, Contents: []p2p.Key{a.Content}}
}

func (w *tormented) remove(n *testNode, a dht.Address, f *fate) {
	began := time.Now()
	removed, results, _, err := n.table.MultiRemove(w.ctx, []dht.Query{query(a)})
	if len(results) == 0 {
		w.log("%s removes %s: nothing, %v", n.member.Name, f.name, err)
		return
	}
	w.log("%s removes %.40q: %s", n.member.Name, removed[0].Value, told(results[0], err))
	w.wrote(f, written{"", results[0].Header.Seq, err == nil && results[0].Stored(), began, time.Now(), time.Duration(results[0].Header.TTL) * time.Second})
}

func (w *tormented) renew(n *testNode, a dht.Address, f *fate, ttl time.Duration) {
	began := time.Now()
	results, _, err := n.table.MultiRenew(w.ctx, []dht.Address{a}, ttl)
	if err != nil || results[0].Status == dht.StatusNotFound && len(results[0].Replicas) == 0 {
		w.log("%s renews %s: %v, %v", n.member.Name, f.name, results, err)
		return
	}
	// Of which value it was is known by its sum.
	text := ""
	for _, one := range f.writes {
		if dht.SumOf([]byte(one.value)) == results[0].Header.Sum {
			text = one.value
		}
	}
	w.log("%s renews %.40q for %v: %s", n.member.Name, text, ttl, told(results[0], err))
	if text == "" {
		w.fault("%s: something was renewed that nobody has written", f.name)
		return
	}
	w.wrote(f, written{text, results[0].Header.Seq, results[0].Stored(), began, time.Now(), ttl})
}

func (w *tormented) read(n *testNode, a dht.Address, f *fate) {
	got, _, err := n.table.Get(w.ctx, query(a), dht.ReadOptions{})
	if err != nil {
		if !errors.Is(err, dht.ErrNoReplica) && !errors.Is(err, context.Canceled) {
			w.fault("get %s: %v", f.name, err)
		}
		return
	}
	for _, c := range got.Records {
		w.served(f, string(c.Value))
	}
}

// slack is how much longer than its TTL something is served at most: a message may arrive a
// minute late.
const slack = 70 * time.Second

// served checks that a value was written, and has not ended everywhere.
func (w *tormented) served(f *fate, value string) {
	w.mu.Lock()
	var ends time.Time
	known, for_ever := false, false
	for _, one := range f.writes {
		if one.value == value {
			known = true
			for_ever = for_ever || one.ttl == 0
			if end := one.returned.Add(one.ttl); end.After(ends) {
				ends = end
			}
		}
	}
	w.mu.Unlock()
	switch {
	case !known:
		// Somebody may read what is being written.
		if !f.busy {
			w.fault("%.40q was served, and nobody wrote it", value)
		}
	case !for_ever && time.Since(ends) > w.slack:
		w.fault("%.40q was served %v after its end", value, time.Since(ends))
	}
}

// torment does something to the network or to a node.
func (w *tormented) torment() {
	up := w.up()
	n, _ := pick(w.random, w.nodes)
	o, _ := pick(w.random, w.nodes)
	switch w.random.IntN(8) {
	case 0, 1:
		if n != o {
			cut := w.random.IntN(3) > 0
			w.log("cut from %s to %s: %v", n.member.Name, o.member.Name, cut)
			w.calls.Cut(n.member.ID, o.member.ID, cut)
		}
	case 2:
		if w.calls.Up(n.member.ID) && len(up) > 3 {
			w.log("%s crashes", n.member.Name)
			n.crash()
		}
	case 3, 4:
		if !w.calls.Up(n.member.ID) && !w.gone[n] {
			w.log("%s starts", n.member.Name)
			n.start()
			w.changed()
		}
	case 5:
		if len(up) > 3 && w.spare(n) {
			w.log("%s loses its disk", n.member.Name)
			n.crash()
			n.store = dht.NewMemory()
		}
	case 6:
		if len(w.nodes) < 14 {
			j := w.admit()
			w.log("%s joins", j.member.Name)
			j.start()
			w.changed()
		}
	case 7:
		w.mu.Lock()
		busy := w.busy[n]
		w.mu.Unlock()
		if !w.calls.Up(n.member.ID) || len(up) <= 4 || busy > 0 {
			return
		}
		if err := n.table.Leave(w.ctx); err != nil {
			w.log("%s cannot leave: %v", n.member.Name, err)
			return
		}
		n.crash()
		w.log("%s leaves", n.member.Name)
		w.abandoned(n)
		w.gone[n] = true
		n.store = dht.NewMemory()
	}
}

// holds reports whether a node's disk has an address as it was when it was acknowledged
// last, or newer.
func (w *tormented) holds(n *testNode, a dht.Address, seq uint64) bool {
	q := query(a)
	q.Tombstones = true
	for h, err := range n.store.Read(w.ctx, q) {
		if err == nil && h.Seq >= seq {
			return true
		}
	}
	return false
}

// acked returns the largest sequence number of what was acknowledged, or 0 where nothing
// need be there: something that is newer has ended, perhaps everywhere.
func (f *fate) acked() (seq uint64) {
	for _, one := range f.writes {
		if one.acked {
			seq = max(seq, one.seq)
		}
	}
	for _, one := range f.writes {
		if one.seq >= seq && one.over(time.Now()) {
			return 0
		}
	}
	return seq
}

// ending reports whether something may just be ending, at one replica before another.
func (f *fate) ending() bool {
	return slices.ContainsFunc(f.writes, func(one written) bool {
		end := one.returned.Add(one.ttl)
		return one.ttl > 0 && time.Until(end) < 10*time.Second && time.Since(end) < slack
	})
}

// lost names a record that no disk has but that of n.
func (w *tormented) lost(n *testNode) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a, f := range w.fates {
		seq := f.acked()
		if seq == 0 {
			continue
		}
		if w.holds(n, a, seq) && !slices.ContainsFunc(w.nodes, func(o *testNode) bool { return o != n && w.holds(o, a, seq) }) {
			return f.name
		}
	}
	return ""
}

// abandoned checks that others have what a node had that has left in order.
func (w *tormented) abandoned(n *testNode) {
	for a, f := range w.fates {
		q := query(a)
		q.Tombstones = true
		for h, err := range n.store.Read(w.ctx, q) {
			if err != nil || dht.Expired(h.Expires, time.Now().Add(n.clock).UnixMilli()+10_000) {
				continue
			}
			// What has ended already can come once more while it leaves: a message that was late.
			if slices.ContainsFunc(f.writes, func(one written) bool { return one.seq == h.Seq && one.over(time.Now()) }) {
				continue
			}
			if !slices.ContainsFunc(w.up(), func(o *testNode) bool { return w.holds(o, a, h.Seq) }) {
				w.fault("%s has left in order, and nobody else has %s", n.member.Name, f.name)
			}
		}
	}
}

// spare reports whether each record survives the loss of a disk. What is just being written
// may be lost with it.
func (w *tormented) spare(n *testNode) bool {
	w.mu.Lock()
	for _, f := range w.fates {
		if f.busy {
			w.mu.Unlock()
			return false
		}
	}
	w.mu.Unlock()
	return w.lost(n) == ""
}

// rest ends all troubles and waits until all is where it should be.
func (w *tormented) rest() {
	w.log("rest")
	w.calls.Change(w.quiet)
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			w.calls.Cut(a.member.ID, b.member.ID, false)
		}
		if !w.calls.Up(a.member.ID) && !w.gone[a] {
			a.start()
		}
	}
	w.changed()
	time.Sleep(2 * time.Minute) // what was on its way twice arrives
	for range 3 {
		w.repair()
		time.Sleep(time.Minute)
	}
}

// judge checks what the records have become.
func (w *tormented) judge() {
	up := w.up()
	for a, f := range w.fates {
		if f.ending() {
			continue
		}
		seq := f.acked()
		var first dht.Found
		for i, n := range up {
			got, _, err := n.table.Get(w.ctx, dht.Query{Location: a.Location, Contents: []p2p.Key{a.Content}, Tombstones: true}, dht.ReadOptions{})
			if err != nil {
				w.fault("get %s at rest: %v", f.name, err)
				return
			}
			if i == 0 {
				first = got
				if seq > 0 && (len(got.Records) == 0 || got.Records[0].Seq < seq) {
					w.fault("%s was acknowledged with sequence number %d: there is %v", f.name, seq, tell(got))
				}
				for _, c := range got.Records {
					if c.Kind == dht.KindValue {
						w.served(f, string(c.Value))
					}
				}
			}
			if !slices.EqualFunc(first.Records, got.Records, func(a, b dht.Copy) bool { return a.Seq == b.Seq && string(a.Value) == string(b.Value) }) {
				w.fault("%s: %s gets %v, %s %v", f.name, up[0].member.Name, tell(first), n.member.Name, tell(got))
			}
		}
		should := up[0].table.Responsible(a.Location)
		for _, n := range up {
			is := slices.ContainsFunc(should, func(m dht.Member) bool { return m.ID == n.member.ID })
			has := ""
			q := query(a)
			q.Tombstones = true
			for h, err := range n.store.Read(w.ctx, q) {
				now := time.Now().Add(n.clock).UnixMilli()
				if err == nil && !dht.Expired(h.Expires, now) {
					has += fmt.Sprintf("%.40q seq %d until %d, ", h.Value, h.Seq, h.Expires)
				}
			}
			if has != "" != (is && len(first.Records) > 0) {
				w.fault("%s: %s has [%s]; should have it: %v; there is %v", f.name, n.member.Name, has, is, tell(first))
			}
		}
	}
}
