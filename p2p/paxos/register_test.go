package paxos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// mesh is acceptors that everybody reaches, but for those that are off.
type mesh struct {
	mu        sync.Mutex
	acceptors map[p2p.ID]Acceptor
	off       map[p2p.ID]bool
	deaf      map[p2p.ID]bool // to what acceptors answer to an accept
	asked     map[Kind]int
}

func newMesh(n byte) *mesh {
	m := &mesh{acceptors: map[p2p.ID]Acceptor{}, off: map[p2p.ID]bool{}, deaf: map[p2p.ID]bool{}, asked: map[Kind]int{}}
	for i := byte(1); i <= n; i++ {
		m.acceptors[id(i)] = Acceptor{Self: id(i), Store: &Memory{}, Signer: mac(id(i))}
	}
	return m
}

func (m *mesh) set(which map[p2p.ID]bool, on bool, ids ...byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range ids {
		which[id(n)] = on
	}
}

// Ask implements Acceptors.
func (m *mesh) Ask(ctx context.Context, to p2p.ID, r Request) (Reply, error) {
	m.mu.Lock()
	a, off, deaf := m.acceptors[to], m.off[to], r.Kind == KindAccept && m.deaf[r.Ballot.Proposer]
	m.asked[r.Kind]++
	m.mu.Unlock()
	if off {
		<-ctx.Done()
		return Reply{}, p2p.ErrUnreachable
	}
	way := 10 * time.Millisecond
	if to == r.Ballot.Proposer {
		way = 0 // it is at hand
	}
	time.Sleep(way)
	replies, err := a.Answer(ctx, r.Ballot.Proposer, []Request{r})
	if err != nil {
		return Reply{}, err
	}
	time.Sleep(way)
	if deaf {
		<-ctx.Done()
		return Reply{}, ctx.Err()
	}
	return replies[0], nil
}

func open(t testing.TB, m *mesh, self byte, c Config) *Register {
	t.Helper()
	client := NewClient(id(self), m, nil)
	client.SetSigner(mac(id(self)))
	t.Cleanup(client.Close)
	r, err := client.Open(p2p.Key{7}, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func appendWord(word string) Transform {
	return func(old []byte, _ bool) ([]byte, error) { return append(old, word...), nil }
}

func update(t testing.TB, r *Register, f Transform) Result {
	t.Helper()
	op := NewOp()
	result, err := r.Update(t.Context(), &op, f)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestOneRoundTrip: a proposer that goes on alone needs one round trip for each change;
// the first one takes two.
func TestOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(3)
		r := open(t, m, 1, config(t, 1, 2, 3))
		for i, want := range []time.Duration{40 * time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond} {
			start := time.Now()
			update(t, r, appendWord("x"))
			if took := time.Since(start); took != want {
				t.Errorf("change %d took %v, want %v", i, took, want)
			}
		}
		got, err := open(t, m, 2, config(t, 1, 2, 3)).Read(t.Context())
		if err != nil || string(got.Data) != "xxx" || got.Version != 3 {
			t.Errorf("another node reads %q, %v", got.Data, err)
		}
	})
}

// TestEvents: what is told of a change and of new acceptors.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[string]int{}
		client := NewClient(id(10), newMesh(4), func(e p2p.Event) {
			mu.Lock()
			defer mu.Unlock()
			told[e.Topic()]++
		})
		client.SetSigner(mac(id(10)))
		t.Cleanup(client.Close)
		r, err := client.Open(p2p.Key{7}, config(t, 1, 2, 3))
		if err != nil {
			t.Fatal(err)
		}
		update(t, r, appendWord("a"))
		if _, err := r.Replace(t.Context(), func(Config) ([]p2p.ID, error) { return []p2p.ID{id(4)}, nil }); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		want := map[string]int{"paxos.prepare": 3 + 4, "paxos.accept": 3 + 3 + 3 + 1, "paxos.chosen": 4, "paxos.epoch": 1}
		for topic, n := range want {
			if told[topic] != n {
				t.Errorf("%s is told %d times, want %d", topic, told[topic], n)
			}
		}
		for topic, least := range map[string]int{"paxos.promise": 2 + 3, "paxos.accepted": 2 + 2 + 1} {
			if told[topic] < least {
				t.Errorf("%s is told %d times, want at least %d", topic, told[topic], least)
			}
		}
	})
}

// TestCounters: ten nodes count at the same time, one of five acceptors is off.
func TestCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(5)
		m.set(m.off, true, 4)
		c := config(t, 1, 2, 3, 4, 5)
		count := func(old []byte, exists bool) ([]byte, error) {
			n := 0
			if exists {
				var err error
				if n, err = strconv.Atoi(string(old)); err != nil {
					return nil, err
				}
			}
			return strconv.AppendInt(nil, int64(n+1), 10), nil
		}
		var wg sync.WaitGroup
		for i := range byte(10) {
			r := open(t, m, 10+i, c)
			wg.Go(func() {
				for range 10 {
					update(t, r, count)
				}
			})
		}
		wg.Wait()
		if got := update(t, open(t, m, 99, c), count); string(got.Data) != "101" {
			t.Errorf("the counter is at %s, want 101", got.Data)
		}
	})
}

// TestUnknown: who does not hear that his change was made is told so, and one who tries
// again makes it once.
func TestUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(3)
		c := config(t, 1, 2, 3)
		r := open(t, m, 10, c)
		m.set(m.deaf, true, 10)
		op := NewOp()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Update(ctx, &op, appendWord("a")); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("an update that hears nothing: %v", err)
		}
		update(t, open(t, m, 11, c), appendWord("b"))
		m.set(m.deaf, false, 10)
		got, err := r.Update(t.Context(), &op, appendWord("a"))
		if err != nil || !got.Again || string(got.Data) != "ab" {
			t.Errorf("once more: %q, again %v, %v", got.Data, got.Again, err)
		}

		m.set(m.off, true, 1, 2)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		other := NewOp()
		if _, err := open(t, m, 12, c).Update(ctx, &other, appendWord("c")); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("an update that finds no majority: %v, want one that says that nothing was changed", err)
		}
		m.set(m.off, false, 1, 2)

		for range Window {
			update(t, r, appendWord("."))
		}
		if _, err := r.Update(t.Context(), &op, appendWord("a")); !errors.Is(err, ErrForgotten) || !errors.Is(err, ErrUnknown) {
			t.Errorf("after %d other changes: %v, want ErrForgotten", Window, err)
		}
	})
}

// TestRefusals: what a transform refuses, and what is too large, changes nothing; a
// deleted value is gone and can be written again.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(3)
		r := open(t, m, 10, config(t, 1, 2, 3))
		refuse := errors.New("no")
		op := NewOp()
		if _, err := r.Update(t.Context(), &op, func([]byte, bool) ([]byte, error) { return nil, refuse }); !errors.Is(err, refuse) {
			t.Errorf("a refusal: %v", err)
		}
		if _, err := r.Update(t.Context(), &op, func([]byte, bool) ([]byte, error) { return make([]byte, MaxData+1), nil }); !errors.Is(err, p2p.ErrTooLarge) {
			t.Errorf("too much: %v", err)
		}
		update(t, r, func(old []byte, exists bool) ([]byte, error) {
			if exists {
				t.Errorf("there is %q", old)
			}
			return make([]byte, MaxData), nil
		})
		if got := update(t, r, func([]byte, bool) ([]byte, error) { return nil, nil }); got.Exists || got.Version != 2 {
			t.Errorf("deleted: %+v", got)
		}
		if got := update(t, r, func(_ []byte, exists bool) ([]byte, error) { return []byte{}, nil }); !got.Exists || got.Version != 3 {
			t.Errorf("written again: %+v", got)
		}
	})
}

// TestReplaceAll: all acceptors are replaced, one by one and then all at once, and none
// of the old ones is needed afterwards, nor has the value.
func TestReplaceAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(9)
		r := open(t, m, 10, config(t, 1, 2, 3))
		stale := open(t, m, 11, config(t, 1, 2, 3))
		update(t, r, appendWord("a"))
		for i, want := range [][]p2p.ID{{id(2), id(3), id(4)}, {id(3), id(4), id(5)}, {id(4), id(5), id(6)}, {id(7), id(8)}} {
			c, err := r.Replace(t.Context(), func(Config) ([]p2p.ID, error) { return want, nil })
			if err != nil || c.Epoch != uint64(i+2) {
				t.Fatalf("epoch %d: %v, %v", i+2, c, err)
			}
			update(t, r, appendWord("b"))
		}
		if got := update(t, stale, appendWord("c")); string(got.Data) != "abbbbc" || got.Config.Epoch != 5 {
			t.Errorf("who knows the first acceptors only: %q in epoch %d", got.Data, got.Config.Epoch)
		}
		for i := byte(1); i <= 6; i++ {
			if v := m.acceptors[id(i)].Store.(*Memory).states[p2p.Key{7}].Value; v.Exists {
				t.Errorf("acceptor %d has retired and still has %q", i, v.Data)
			}
		}
		m.set(m.off, true, 1, 2, 3, 4, 5, 6)
		if got := update(t, r, appendWord("d")); string(got.Data) != "abbbbcd" {
			t.Errorf("without the old acceptors: %q", got.Data)
		}
	})
}

// directoryOf returns the directory as a client sees it.
func directoryOf(c *Client) *Directory {
	return &Directory{Page: func(_ context.Context, at Place) (*Register, error) { return c.Open(at.Key, at.Config) }}
}

// TestDirectory: people who see different members, all of them others, get one register.
func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(40)
		root := Root(p2p.ID{1}, config(t, 1, 2, 3))
		var mu sync.Mutex
		found := map[string]bool{}
		var wg sync.WaitGroup
		for i := range byte(8) {
			client := NewClient(id(100+i), m, nil)
			client.SetSigner(mac(id(100 + i)))
			t.Cleanup(client.Close)
			d := directoryOf(client)
			wg.Go(func() {
				c, err := d.Locate(t.Context(), root, p2p.Key{7}, []p2p.ID{id(10 + 3*i), id(11 + 3*i), id(12 + 3*i)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				found[fmt.Sprint(c)] = true
				mu.Unlock()
				r, err := client.Open(p2p.Key{7}, c)
				if err != nil {
					t.Error(err)
					return
				}
				update(t, r, appendWord("x"))
			})
		}
		wg.Wait()
		client := NewClient(id(99), m, nil)
		client.SetSigner(mac(id(99)))
		t.Cleanup(client.Close)
		d := directoryOf(client)
		c, err := d.Locate(t.Context(), root, p2p.Key{7}, []p2p.ID{id(40)})
		if err != nil || len(found) != 1 || !found[fmt.Sprint(c)] {
			t.Fatalf("%d configurations, then %v, %v", len(found), c, err)
		}
		r, err := client.Open(p2p.Key{7}, c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Read(t.Context()); err != nil || string(got.Data) != "xxxxxxxx" {
			t.Errorf("read %q, %v", got.Data, err)
		}
		next, err := r.Replace(t.Context(), func(Config) ([]p2p.ID, error) { return []p2p.ID{id(5)}, nil })
		if err == nil {
			err = d.Note(t.Context(), root, p2p.Key{7}, next)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Note(t.Context(), root, p2p.Key{7}, c); err != nil {
			t.Fatal(err)
		}
		if c, err := d.Locate(t.Context(), root, p2p.Key{7}, []p2p.ID{id(40)}); err != nil || !c.Equal(next) {
			t.Errorf("after the change it is at %v, %v", c, err)
		}
	})
}

// TestTwoBeginnings: without the directory, acceptors that two first configurations have
// in common let one of them through.
func TestTwoBeginnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(5)
		update(t, open(t, m, 10, config(t, 1, 2, 3)), appendWord("a"))
		op := NewOp()
		if _, err := open(t, m, 11, config(t, 3, 4, 5)).Update(t.Context(), &op, appendWord("b")); !errors.Is(err, ErrConfig) {
			t.Errorf("another beginning: %v, want ErrConfig", err)
		}
	})
}

// BenchmarkUpdate is one change after the other, by one proposer and three acceptors in
// the same process.
func BenchmarkUpdate(b *testing.B) {
	acceptors := direct{}
	for i := byte(1); i <= 3; i++ {
		acceptors[id(i)] = Acceptor{Self: id(i), Store: &Memory{}, Signer: mac(id(i))}
	}
	client := NewClient(id(9), acceptors, nil)
	client.SetSigner(mac(id(9)))
	defer client.Close()
	r, err := client.Open(p2p.Key{7}, config(b, 1, 2, 3))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		op := NewOp()
		if _, err := r.Update(b.Context(), &op, func([]byte, bool) ([]byte, error) { return []byte("value"), nil }); err != nil {
			b.Fatal(err)
		}
	}
}

type direct map[p2p.ID]Acceptor

func (d direct) Ask(ctx context.Context, to p2p.ID, m Request) (Reply, error) {
	replies, err := d[to].Answer(ctx, m.Ballot.Proposer, []Request{m})
	if err != nil {
		return Reply{}, err
	}
	return replies[0], nil
}
