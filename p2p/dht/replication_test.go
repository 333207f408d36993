package dht_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// low returns the key that is small number, as TomP2P's tests have them.
func low(n byte) p2p.Key {
	var k p2p.Key
	k[len(k)-1] = n
	return k
}

// admitAt makes a member at a position.
func (w *world) admitAt(position p2p.Key) *testNode {
	n := w.admit()
	n.member.Position = position
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members[len(w.members)-1] = n.member
	return n
}

// TestStoreReplication has the matrix of TomP2P's test of this name: what changes for node a, of
// a to d at 0xa to 0xd, when b, c and d come, and go in the same order. Of each step 1s stand for
// what TomP2P announces; ours is a function of who is there:
//
//	first digit   a is root, and somebody who had a copy has gone; or a has become root by it
//	second digit  a is root, and who has come is to have a copy
//	third digit   a was root, and is not any more
//
// where root is, with RootNearest (0-root), the nearest one, and with RootEvery (n-root) each of
// the r nearest. TomP2P announces something else in the steps marked with it, where it remembers
// wrongly who is responsible: it tells that another one is root when it was so before, and a node
// that had handed over is never told that it is root again, so that in the end nobody is.
func TestStoreReplication(t *testing.T) {
	const a, b, c, d = 0xa, 0xb, 0xc, 0xd
	for _, row := range []struct {
		root dht.Root
		r    int
		key  byte
		want [6]string
		tom  map[int]string // where TomP2P has something else
	}{
		{dht.RootNearest, 2, a, [6]string{"010", "000", "000", "100", "100", "100"}, nil},
		{dht.RootNearest, 2, b, [6]string{"001", "000", "000", "100", "000", "100"}, nil},
		{dht.RootNearest, 2, c, [6]string{"010", "001", "000", "000", "000", "100"}, map[int]string{4: "001"}},
		{dht.RootNearest, 2, d, [6]string{"001", "000", "000", "000", "000", "100"}, map[int]string{3: "001"}},
		{dht.RootEvery, 2, a, [6]string{"010", "000", "000", "100", "100", "100"}, nil},
		{dht.RootEvery, 2, b, [6]string{"010", "000", "000", "100", "000", "100"}, nil},
		{dht.RootEvery, 2, c, [6]string{"010", "010", "001", "000", "100", "100"}, map[int]string{4: "000", 5: "000"}},
		{dht.RootEvery, 2, d, [6]string{"010", "001", "000", "000", "100", "100"}, map[int]string{4: "000", 5: "000"}},
		{dht.RootEvery, 1, a, [6]string{"000", "000", "000", "000", "000", "000"}, nil},
		{dht.RootEvery, 1, b, [6]string{"001", "000", "000", "100", "000", "000"}, map[int]string{3: "000"}},
		{dht.RootEvery, 1, c, [6]string{"000", "001", "000", "000", "000", "100"}, map[int]string{5: "000"}},
		{dht.RootEvery, 1, d, [6]string{"001", "000", "000", "000", "000", "100"}, map[int]string{5: "000"}},
	} {
		w := &world{t: t, calls: sim.NewCalls(sim.CallOptions{}), options: dht.Options{Replicas: row.r, Root: row.root}, ctx: t.Context()}
		names := map[p2p.ID]byte{}
		up := map[byte]bool{a: true}
		for n := byte(a); n <= d; n++ {
			names[w.admitAt(low(n)).member.ID] = n
		}
		table := dht.New(dht.Options{
			Identity: w.nodes[0].identity, Replicas: row.r, Root: row.root, Members: func() []dht.Member { return w.members },
			Alive: func(id p2p.ID) bool { return up[names[id]] },
		})
		near := func() (out []byte) {
			for _, m := range table.Responsible(low(row.key)) {
				out = append(out, names[m.ID])
			}
			return out
		}
		isRoot := func(near []byte) bool {
			if row.root == dht.RootNearest {
				near = near[:1]
			}
			return slices.Contains(near, a)
		}
		if !isRoot(near()) {
			t.Errorf("%+v: a is alone and not root", row)
		}
		for step, who := range []byte{b, c, d, b, c, d} {
			before := near()
			up[who] = step < 3
			after := near()
			got := "000"
			switch {
			case step < 3 && isRoot(after) && slices.Contains(after, who):
				got = "010"
			case step < 3 && isRoot(before) && !isRoot(after):
				got = "001"
			case step >= 3 && isRoot(after) && (slices.Contains(before, who) || !isRoot(before)):
				got = "100"
			}
			if got != row.want[step] {
				t.Errorf("root %q, r=%d, key %x, step %d: %s, want %s", row.root, row.r, row.key, step, got, row.want[step])
			}
			if row.tom[step] == got {
				t.Errorf("root %q, r=%d, key %x, step %d: TomP2P has the same", row.root, row.r, row.key, step)
			}
		}
	}
}

// has says of each node how many copies it has.
func (w *world) has(a dht.Address, value string) (out []int) {
	for _, n := range w.nodes {
		count := 0
		for h, err := range n.store.Read(w.ctx, dht.Query{Location: a.Location}) {
			if err == nil && string(h.Value) == value {
				count++
			}
		}
		out = append(out, count)
	}
	return out
}

// TestIndirectReplication is TomP2P's ExampleIndirectReplication: of nodes 1, 2 and 4 the first
// puts at key 4; then it learns of the others. In the opposite order TomP2P's second node is left
// out ("1, 0, 1") until the next check; ours are compared by all who should have it.
func TestIndirectReplication(t *testing.T) {
	for _, root := range []dht.Root{dht.RootEvery, dht.RootNearest} {
		for _, order := range [][]byte{{2, 4}, {4, 2}} {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, 0, lan, dht.Options{Root: root})
				defer w.end()
				w.admitAt(low(1)).start()
				a := dht.Address{Location: low(4)}
				w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
				if got := w.has(a, "hello"); !slices.Equal(got, []int{1}) {
					t.Errorf("alone: %v", got)
				}
				for _, position := range order {
					w.admitAt(low(position)).start()
					w.changed()
				}
				time.Sleep(10 * time.Second)
				if got := w.has(a, "hello"); !slices.Equal(got, []int{1, 1, 1}) {
					t.Errorf("root %q, %v: %v", root, order, got)
				}
			})
		}
	}
}

// TestDataLoss is TestReplication.testDataloss and testDataloss2: those who had it go in order,
// and as many copies are left as there should be, with who came to its very position.
func TestDataLoss(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, 2, lan, dht.Options{Replicas: replicas})
			defer w.end()
			a := at("greeting")
			w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
			w.admitAt(a.Location).start()
			if replicas == 2 {
				w.admit().start()
			}
			w.changed()
			time.Sleep(10 * time.Second)
			for _, n := range w.nodes[:2] {
				if err := n.table.Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
				n.crash()
				time.Sleep(10 * time.Second)
			}
			if n := w.copies(a, "hello"); n != replicas || w.has(a, "hello")[2] != 1 {
				t.Errorf("%d copies, want %d", n, replicas)
			}
		})
	}
}

// TestLeaveAlone: who cannot hand over what nobody else has says so.
func TestLeaveAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 3, lan, dht.Options{Replicas: 1})
		defer w.end()
		a := at("greeting")
		w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
		holder := w.node(w.nodes[0].table.Responsible(a.Location)[0].ID)
		for _, n := range w.nodes {
			w.calls.Cut(n.member.ID, holder.member.ID, true)
		}
		if err := holder.table.Leave(t.Context()); err == nil {
			t.Error("it has left, and the record is nowhere")
		}
		for _, n := range w.nodes {
			w.calls.Cut(n.member.ID, holder.member.ID, false)
		}
		if err := holder.table.Leave(t.Context()); err != nil || w.copies(a, "hello") != 2 {
			t.Errorf("%v, %d copies", err, w.copies(a, "hello"))
		}
	})
}

// TestLateCopy: what comes to a stray while it hands over is not deleted with what it has
// handed over.
func TestLateCopy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 0, lan, dht.Options{Replicas: 2})
		defer w.end()
		a := at("greeting")
		w.admitAt(a.Location)
		w.admitAt(a.Location)
		w.admitAt(low(1))
		w.admitAt(low(2))
		w.members[1].Position[31]++
		stray := w.nodes[2]
		late := a
		late.Content = p2p.Key{1}
		writes := []dht.Record{value(a, "hello", now()), value(late, "late", now())}
		dht.Sign(w.nodes[3].identity, p2p.ID{1}, writes)
		keep := func(i int) {
			if _, err := stray.table.Handlers()[dht.ProtoPut](t.Context(), w.nodes[3].member.ID, message(t, dht.Write{Record: writes[i]})); err != nil {
				t.Error(err)
			}
		}
		var handed atomic.Int32
		w.options.Publish = func(e p2p.Event) {
			if s, is := e.(dht.Step); is && s.Operation == "hand_over" && s.From == stray.member.ID {
				if handed.Add(1) == 4 { // both were asked, and have got it
					keep(1)
				}
			}
		}
		for _, n := range w.nodes {
			n.start()
		}
		keep(0)
		time.Sleep(1500 * time.Millisecond)
		if n := w.copies(late, "late"); n == 0 {
			t.Errorf("what came late is lost; %d steps", handed.Load())
		}
		time.Sleep(time.Second)
		w.repair()
		w.repair()
		if got := []int{w.copies(a, "hello"), w.copies(late, "late")}; !slices.Equal(got, []int{2, 2}) {
			t.Errorf("%v copies", got)
		}
	})
}

// TestConsistency is TomP2P's: of 11 nodes 6 have it, 5 of these fail at once, and 4 seconds
// later the 6 that are left have it.
func TestConsistency(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 11, lan, dht.Options{Replicas: 6})
		defer w.end()
		a := at("greeting")
		w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
		near := w.nodes[0].table.Responsible(a.Location)
		if len(near) != 6 || w.copies(a, "hello") != 6 {
			t.Fatalf("%d of %d copies", w.copies(a, "hello"), len(near))
		}
		for _, m := range near[1:] {
			w.node(m.ID).crash()
		}
		time.Sleep(4 * time.Second)
		if n := w.copies(a, "hello"); n != 6 {
			t.Errorf("%d copies", n)
		}
	})
}

// TestRefresh is ExampleDirectReplication: the author puts it again every second; a replica that
// is lost is made good by the next time, and when the author stops the record ends.
func TestRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 8, lan, dht.Options{})
		defer w.end()
		a := at("greeting")
		near := w.nodes[0].table.Responsible(a.Location)
		author := w.other(near)
		text := fmt.Sprintf("%02000d", 1)
		number, err := author.table.Refresh(dht.Put{Address: a, Value: []byte(text), TTL: 5 * time.Second}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Second + 500*time.Millisecond)
		before := w.calls.Stats()
		time.Sleep(4 * time.Second)
		if n := w.copies(a, text); n != 3 {
			t.Fatalf("%d copies", n)
		}
		if sent := w.calls.Stats().Bytes - before.Bytes; sent > 4*3*1000 {
			t.Errorf("%d bytes to refresh it four times", sent)
		}
		// Nobody is told, so that it is not repair that makes it good.
		lost := w.node(near[0].ID)
		w.calls.Crash(lost.member.ID)
		lost.stop()
		time.Sleep(time.Second)
		if n := w.copies(a, text); n != 3 {
			t.Errorf("%d copies after one was lost and a tick", n)
		}
		all := author.table.Refreshes()
		if len(all) != 1 || all[0].Number != number || all[0].Times < 7 || !all[0].Last.Stored() || all[0].Err != nil {
			t.Errorf("%+v", all)
		}
		if !author.table.StopRefresh(number) || author.table.StopRefresh(number) || len(author.table.Refreshes()) != 0 {
			t.Error("not stopped")
		}
		time.Sleep(4 * time.Second)
		if author.get(dht.Query{Location: a.Location}) == nil {
			t.Error("gone too early")
		}
		time.Sleep(2 * time.Second)
		if got := author.get(dht.Query{Location: a.Location}); got != nil {
			t.Error("it has outlived its author")
		}
		for _, p := range []dht.Put{{TTL: time.Second}, {Absent: true}, {Prepared: true}} {
			if _, err := author.table.Refresh(p, time.Second); err == nil {
				t.Errorf("%+v is refreshed", p)
			}
		}
	})
}

// TestAuto: where many leave there are more replicas, and when they stay as many as before.
func TestAuto(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 24, lan, dht.Options{Auto: dht.Auto{Reliability: 0.99, Window: 3}})
		defer w.end()
		a := at("greeting")
		w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
		time.Sleep(6 * time.Minute)
		if n := w.nodes[0].table.Replicas(); n != dht.DefaultReplicas {
			t.Errorf("%d replicas where nobody leaves", n)
		}
		for round := range 3 {
			for _, n := range w.nodes[1+5*round : 6+5*round] {
				n.crash()
				time.Sleep(30 * time.Second)
			}
			time.Sleep(150 * time.Second)
		}
		n := w.nodes[0].table.Replicas()
		if c := w.nodes[0].table.Churn(); !c.Auto || c.Replicas != n || c.Members != 9 || c.Expected < 5 || len(c.Departures) == 0 || c.Running != 0 || c.Next.Before(time.Now()) {
			t.Errorf("%d replicas because of %+v", n, c)
		}
		if n < 5 || w.copies(a, "hello") < n {
			t.Errorf("%d replicas and %d copies where 15 of 24 have left", n, w.copies(a, "hello"))
		}
		for _, node := range w.nodes[1:16] {
			node.start()
		}
		w.changed()
		time.Sleep(40 * time.Minute)
		for _, node := range w.nodes {
			if n := node.table.Replicas(); n != dht.DefaultReplicas {
				t.Errorf("%s: %d replicas where nobody leaves any more", node.member.Name, n)
			}
		}
		if n := w.copies(a, "hello"); n != 3 {
			t.Errorf("%d copies in the end", n)
		}
	})
}

// TestAutoOn: what was seen of departures counts as soon as somebody wants it to; who names a
// number of copies gets that, and no other one.
func TestAutoOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 12, lan, dht.Options{})
		defer w.end()
		table := w.nodes[0].table
		if c := table.Churn(); c.Auto || c.Replicas != 0 || c.Least != dht.DefaultReplicas {
			t.Errorf("before anything was seen: %+v", c)
		}
		time.Sleep(10 * time.Second)
		for _, n := range w.nodes[1:7] {
			n.crash()
		}
		time.Sleep(5 * time.Minute)
		c := table.Churn()
		if n := table.Replicas(); n != dht.DefaultReplicas || c.Auto || c.Replicas <= n {
			t.Errorf("%d replicas though nobody wants them to change, %+v", n, c)
		}
		table.SetAuto(dht.Auto{Reliability: dht.DefaultReliability})
		if n := table.Replicas(); n != c.Replicas || !table.Churn().Auto {
			t.Errorf("%d replicas, want %d", n, c.Replicas)
		}
		table.SetReplicas(2)
		time.Sleep(11 * time.Minute)
		if n, c := table.Replicas(), table.Churn(); n != 2 || c.Auto {
			t.Errorf("%d replicas where 2 were named, %+v", n, c)
		}
	})
}
