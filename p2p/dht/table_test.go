package dht_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

var lan = sim.CallOptions{Latency: 5 * time.Millisecond, Jitter: 5 * time.Millisecond}

// TestPutGet: what one node puts, every other one gets, from those that are nearest to it.
func TestPutGet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 10, lan, dht.Options{})
		defer w.end()
		a := at("greeting")
		r := w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
		if r.Status != dht.StatusOK || r.Copies != 3 || w.copies(a, "hello") != 3 {
			t.Fatalf("%v with %d copies, and %d are there", r.Status, r.Copies, w.copies(a, "hello"))
		}
		for i, m := range w.nodes[0].table.Responsible(a.Location) {
			if r.Replicas[i].ID != m.ID {
				t.Errorf("replica %d is %s, want %s", i, r.Replicas[i].Name, m.Name)
			}
		}
		for _, n := range w.nodes {
			if got := n.get(dht.Query{Location: a.Location}); !slices.Equal(got, []string{"hello"}) {
				t.Errorf("%s gets %q", n.member.Name, got)
			}
		}
		if got := w.nodes[0].get(dht.Query{Location: dht.KeyOf("nothing")}); got != nil {
			t.Errorf("got %q where nothing is", got)
		}
	})
}

// TestOverwrite: the last writer wins, also one whose clock is behind.
func TestOverwrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 10, lan, dht.Options{})
		defer w.end()
		slow := w.nodes[1]
		w.options.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		slow.crash()
		slow.start()
		a := at("greeting")
		w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
		if r := slow.put(dht.Put{Address: a, Value: []byte("world")}); r.Status != dht.StatusOK || r.Copies != 3 {
			t.Fatalf("%v, %d copies", r.Status, r.Copies)
		}
		if got := w.nodes[5].get(dht.Query{Location: a.Location}); !slices.Equal(got, []string{"world"}) {
			t.Errorf("got %q", got)
		}
		if r := w.nodes[2].put(dht.Put{Address: a, Value: []byte("third"), Absent: true}); r.Status != dht.StatusNotAbsent {
			t.Errorf("put if absent: %v", r.Status)
		}
	})
}

// TestBatch: ten thousand records of a hundred nodes cost a message to each of them.
func TestBatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 100, lan, dht.Options{})
		defer w.end()
		puts := make([]dht.Put, 10_000)
		queries := make([]dht.Query, len(puts))
		for i := range puts {
			puts[i] = dht.Put{Address: at(fmt.Sprint("key ", i)), Value: fmt.Appendf(nil, "value %d", i)}
			queries[i] = dht.Query{Location: puts[i].Location}
		}
		results, trace, err := w.nodes[0].table.MultiPut(t.Context(), puts)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Status != dht.StatusOK || r.Copies != 3 {
				t.Fatalf("put %d: %v, %d copies", i, r.Status, r.Copies)
			}
		}
		t.Logf("put: %d messages, %d rounds, %d bytes", trace.Messages, trace.Rounds, trace.Bytes)
		if trace.Messages > 100 || trace.Rounds != 1 {
			t.Errorf("%d messages in %d rounds", trace.Messages, trace.Rounds)
		}
		found, trace, err := w.nodes[1].table.MultiGet(t.Context(), queries, dht.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range found {
			if len(f.Records) != 1 || string(f.Records[0].Value) != fmt.Sprintf("value %d", i) || len(f.Records[0].Have) != 3 {
				t.Fatalf("get %d: %v", i, f)
			}
		}
		t.Logf("get: %d messages, %d rounds, %d bytes", trace.Messages, trace.Rounds, trace.Bytes)
		if trace.Messages > 100 || trace.Rounds != 1 {
			t.Errorf("%d messages in %d rounds", trace.Messages, trace.Rounds)
		}
	})
}

// TestReplicaFails: a put and a get go on when a node fails that is still thought to be there,
// and when copies are lost others are made.
func TestReplicaFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 10, lan, dht.Options{})
		defer w.end()
		a := at("greeting")
		near := w.nodes[0].table.Responsible(a.Location)
		asker := w.other(near)
		w.calls.Cut(asker.member.ID, near[0].ID, true)
		r := asker.put(dht.Put{Address: a, Value: []byte("hello")})
		if r.Status != dht.StatusOK || r.Copies != 3 || len(r.Replicas) != 4 || r.Replicas[0].Status != dht.StatusFailed {
			t.Fatalf("%+v", r)
		}
		w.calls.Cut(asker.member.ID, near[0].ID, false)
		w.node(near[1].ID).crash()
		time.Sleep(10 * time.Second)
		if n := w.copies(a, "hello"); n != 3 {
			t.Errorf("%d copies after one was lost", n)
		}
		if got := asker.get(dht.Query{Location: a.Location}); !slices.Equal(got, []string{"hello"}) {
			t.Errorf("got %q", got)
		}
	})
}

// other returns a node that is none of these.
func (w *world) other(than []dht.Member) *testNode {
	for _, n := range w.nodes {
		if !slices.ContainsFunc(than, func(m dht.Member) bool { return m.ID == n.member.ID }) {
			return n
		}
	}
	w.t.Fatal("there is no other node")
	return nil
}

func (w *world) node(id p2p.ID) *testNode {
	for _, n := range w.nodes {
		if n.member.ID == id {
			return n
		}
	}
	w.t.Fatalf("no node %s", id)
	return nil
}

// TestJoinAndLeave: records move to those who are nearest, and one who leaves in order
// hands over what it has.
func TestJoinAndLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 5, lan, dht.Options{})
		defer w.end()
		var puts []dht.Put
		for i := range 200 {
			puts = append(puts, dht.Put{Address: at(fmt.Sprint("key ", i)), Value: []byte("hello")})
		}
		if _, _, err := w.nodes[0].table.MultiPut(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			w.admit().start()
		}
		w.changed()
		time.Sleep(20 * time.Second)
		w.exact(puts, "after five have joined")
		for _, n := range w.nodes[:5] {
			if err := n.table.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			n.crash()
			for _, p := range puts {
				if w.copies(p.Address, "hello") < 3 {
					t.Fatalf("%s left, and a record has %d copies", n.member.Name, w.copies(p.Address, "hello"))
				}
			}
		}
		time.Sleep(20 * time.Second)
		w.exact(puts, "after five have left")
	})
}

// exact checks that each record is at those who should have it and nowhere else.
func (w *world) exact(puts []dht.Put, when string) {
	w.t.Helper()
	for i, p := range puts {
		var up *testNode
		for _, n := range w.nodes {
			if w.calls.Up(n.member.ID) {
				up = n
			}
		}
		for _, n := range w.nodes {
			if !w.calls.Up(n.member.ID) {
				continue
			}
			should := slices.ContainsFunc(up.table.Responsible(p.Location), func(m dht.Member) bool { return m.ID == n.member.ID })
			has := false
			for h, err := range n.store.Read(w.ctx, dht.Query{Location: p.Location}) {
				has = has || err == nil && string(h.Value) == "hello"
			}
			if has != should {
				w.t.Fatalf("%s: record %d: %s has it: %v, should have it: %v", when, i, n.member.Name, has, should)
			}
		}
	}
}

// TestRemoved: what was removed does not come back from a disk that was away.
func TestRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 6, lan, dht.Options{})
		defer w.end()
		a := at("greeting")
		w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
		away := w.node(w.nodes[0].table.Responsible(a.Location)[1].ID)
		away.crash()
		asker := w.other([]dht.Member{away.member})
		removed, results, _, err := asker.table.MultiRemove(t.Context(), []dht.Query{{Location: a.Location}})
		if err != nil || len(removed) != 1 || string(removed[0].Value) != "hello" || !results[0].Stored() {
			t.Fatalf("removed %v: %v, %v", removed, results, err)
		}
		away.start()
		w.changed()
		time.Sleep(20 * time.Second)
		for _, n := range w.nodes {
			if got := n.get(dht.Query{Location: a.Location}); got != nil {
				t.Errorf("%s gets %q", n.member.Name, got)
			}
		}
		if n := w.copies(a, "hello"); n != 0 {
			t.Errorf("%d copies", n)
		}
	})
}

// TestTTL: a record ends when it should, at every replica, also at one that got its copy late.
func TestTTL(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 6, sim.CallOptions{}, dht.Options{})
		defer w.end()
		a := at("greeting")
		w.nodes[0].put(dht.Put{Address: a, Value: []byte("hello"), TTL: 30 * time.Second})
		time.Sleep(10 * time.Second)
		w.node(w.nodes[0].table.Responsible(a.Location)[0].ID).crash()
		time.Sleep(10 * time.Second) // another one has a copy now
		asker := w.nodes[3]
		if !w.calls.Up(asker.member.ID) {
			asker = w.nodes[4]
		}
		f, _, err := asker.table.Get(t.Context(), dht.Query{Location: a.Location}, dht.ReadOptions{})
		if err != nil || len(f.Records) != 1 || f.Records[0].Left != 10*time.Second || len(f.Records[0].Have) != 3 {
			t.Fatalf("%+v, %v", f.Records, err)
		}
		time.Sleep(10*time.Second - time.Millisecond)
		if got := asker.get(dht.Query{Location: a.Location}); got == nil {
			t.Error("gone too early")
		}
		time.Sleep(time.Millisecond)
		if got := asker.get(dht.Query{Location: a.Location}); got != nil {
			t.Errorf("got %q, which has expired", got)
		}
	})
}

// TestRenew: a record gets more time without being sent again.
func TestRenew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 6, lan, dht.Options{})
		defer w.end()
		a := at("greeting")
		w.nodes[0].put(dht.Put{Address: a, Value: make([]byte, 10_000), TTL: 10 * time.Second})
		results, trace, err := w.nodes[0].table.MultiRenew(t.Context(), []dht.Address{a, at("nothing")}, time.Minute)
		if err != nil || results[0].Copies != 3 || results[1].Status != dht.StatusNotFound {
			t.Fatalf("%v, %v", results, err)
		}
		if trace.Bytes > 5000 {
			t.Errorf("%d bytes", trace.Bytes)
		}
		time.Sleep(30 * time.Second)
		if got := w.nodes[1].get(dht.Query{Location: a.Location}); len(got) != 1 || len(got[0]) != 10_000 {
			t.Errorf("got %d records", len(got))
		}
	})
}

// TestRanges: contents of a location by key, from both ends, and what a digest says.
func TestRanges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 10, lan, dht.Options{})
		defer w.end()
		key := func(i byte) p2p.Key { return p2p.Key{i} }
		location := dht.KeyOf("list")
		for i := byte(1); i <= 9; i++ {
			w.nodes[0].put(dht.Put{Address: dht.Address{Location: location, Content: key(i)}, Value: []byte{'0' + i}})
		}
		three, seven := key(3), key(7)
		for _, c := range []struct {
			query dht.Query
			want  []string
		}{
			{dht.Query{}, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}},
			{dht.Query{From: three, To: &seven}, []string{"3", "4", "5", "6", "7"}},
			{dht.Query{From: three, To: &seven, Limit: 2}, []string{"3", "4"}},
			{dht.Query{From: three, To: &seven, Limit: 2, Descending: true}, []string{"7", "6"}},
			{dht.Query{Contents: []p2p.Key{key(2), key(9), key(100)}}, []string{"2", "9"}},
			{dht.Query{Domain: key(1)}, nil},
		} {
			q := c.query
			q.Location = location
			if diff := cmp.Diff(c.want, w.nodes[4].get(q)); diff != "" {
				t.Errorf("%+v: %s", c.query, diff)
			}
		}
		found, _, err := w.nodes[4].table.MultiDigest(t.Context(), []dht.Query{{Location: location}}, dht.ReadOptions{})
		if err != nil || len(found[0].Records) != 9 || found[0].Records[0].Value != nil || found[0].Records[0].Size != 1 {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

// TestVersionRange: between two versions all are got, newest or not.
func TestVersionRange(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 5, lan, dht.Options{})
		defer w.end()
		name := at("story").Name()
		var versions []dht.Version
		for _, word := range []string{"a", "b", "c"} {
			stored, _, err := w.nodes[0].table.VPut(t.Context(), appending(name, word))
			if err != nil {
				t.Fatal(err)
			}
			versions = append(versions, stored.Header.Version)
		}
		for _, c := range []struct {
			query dht.Query
			want  []string
		}{
			{dht.Query{}, []string{"abc"}},
			{dht.Query{Versions: true}, []string{"a", "ab", "abc"}},
			{dht.Query{VersionFrom: versions[1]}, []string{"ab", "abc"}},
			{dht.Query{VersionTo: versions[1]}, []string{"a", "ab"}},
			{dht.Query{VersionFrom: versions[1], VersionTo: versions[1]}, []string{"ab"}},
		} {
			q := c.query
			q.Location = name.Location
			got := w.nodes[4].get(q)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], " ", "")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%+v: %s", c.query, diff)
			}
		}
	})
}

var repairRecords = flag.Int("dht.repair", 20_000, "records of TestRepairBytes, one of which differs")

// TestRepairBytes: what a comparison costs grows with the differences.
func TestRepairBytes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 3, sim.CallOptions{}, dht.Options{})
		defer w.end()
		puts := make([]dht.Put, max(*repairRecords, 5000))
		for i := range puts {
			puts[i] = dht.Put{Address: at(fmt.Sprint("key ", i)), Value: []byte("hello")}
		}
		if _, _, err := w.nodes[0].table.MultiPut(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
		w.nodes[2].crash()
		w.nodes[0].put(dht.Put{Address: puts[4711].Address, Value: []byte("world")})
		w.nodes[2].start()
		before := w.calls.Stats()
		w.repair()
		after := w.calls.Stats()
		if n := w.copies(puts[4711].Address, "world"); n != 3 {
			t.Errorf("%d copies of what has changed", n)
		}
		t.Logf("%d bytes, %d messages", after.Bytes-before.Bytes, after.Calls-before.Calls)
		if after.Bytes-before.Bytes > 64<<10 {
			t.Errorf("%d bytes", after.Bytes-before.Bytes)
		}
	})
}

// TestManyDifferences: a node that has lost more than one comparison can bring in line has all of
// it soon.
func TestManyDifferences(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2, sim.CallOptions{}, dht.Options{Replicas: 2})
		defer w.end()
		const all = 36_000 // 128 locations in a message, at most 256 messages
		puts := make([]dht.Put, all)
		for i := range puts {
			puts[i] = dht.Put{Address: at(fmt.Sprint("key ", i)), Value: []byte("hello")}
		}
		n := w.nodes[1]
		n.crash()
		if _, _, err := w.nodes[0].table.MultiPut(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
		n.start()
		time.Sleep(time.Minute)
		there := 0
		for sum, err := range n.store.Sums(t.Context(), time.Now().UnixMilli()) {
			if err != nil {
				t.Fatal(err)
			}
			there += sum.Records
		}
		if there != all {
			t.Errorf("%d records after a minute, want %d", there, all)
		}
	})
}
