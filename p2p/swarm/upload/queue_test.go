package upload

import (
	"testing"

	"pgregory.net/rapid"
)

// TestTurns: one who asks for much gets no more than one who asks for little.
func TestTurns(t *testing.T) {
	q := New(Options{})
	for i := range 100 {
		q.Ask(1, Piece{0, uint32(i)}, 64<<10)
	}
	for i := range 10 {
		q.Ask(2, Piece{0, uint32(i)}, 64<<10)
	}
	got := map[uint32]int{}
	for range 20 {
		id, _, _, ok := q.Next()
		if !ok {
			t.Fatal("nothing waits")
		}
		got[id]++
	}
	if got[1] != 10 || got[2] != 10 {
		t.Errorf("turns: %v, want 10 each", got)
	}
}

// TestOnceFirst: what this node has sent waits for what it has not.
func TestOnceFirst(t *testing.T) {
	q := New(Options{})
	q.Ask(1, Piece{0, 5}, 10)
	q.Next()
	q.Ask(2, Piece{0, 5}, 10)
	q.Ask(2, Piece{0, 6}, 10)
	if _, piece, _, _ := q.Next(); piece.Index != 6 {
		t.Errorf("sent piece %d again before piece 6", piece.Index)
	}
}

// TestFlight: who has enough on its way waits until that is over, and keeps nobody from anything.
func TestFlight(t *testing.T) {
	q := New(Options{Flight: 1})
	for i := range uint32(3) {
		q.Ask(1, Piece{1, i}, 100)
	}
	q.Ask(2, Piece{1, 7}, 100)
	first, p1, _, _ := q.Next()
	second, p2, _, _ := q.Next()
	if first == second {
		t.Fatalf("both pieces are for %d", first)
	}
	if id, p, _, ok := q.Next(); ok {
		t.Fatalf("%v for %d, to whom one is on its way", p, id)
	}
	q.Ask(2, Piece{1, 8}, 100) // waits too
	q.Sent(second, p2, 100, 100)
	if id, _, _, ok := q.Next(); !ok || id != second {
		t.Fatalf("next is %d, %v; %d is free", id, ok, second)
	}
	q.Leave(first)
	q.Sent(first, p1, 100, 0)
	if id, p, _, ok := q.Next(); ok {
		t.Fatalf("%v for %d, who has left or is busy", p, id)
	}
}

// TestAnyOrder: whatever is asked, taken back and sent in any order, each piece that still waits
// is sent once to who asked, and nobody gets more than a turn ahead of another who waits.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := New(Options{Waiting: 8, Total: 24})
		type key struct {
			id    uint32
			piece Piece
		}
		waits := map[key]int{}
		id := rapid.Uint32Range(1, 5)
		piece := rapid.Custom(func(t *rapid.T) Piece {
			return Piece{rapid.Uint32Range(0, 1).Draw(t, "seed"), rapid.Uint32Range(0, 20).Draw(t, "index")}
		})
		of := func(id uint32) (n int) {
			for k := range waits {
				if k.id == id {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if q.Waiting() != len(waits) {
					t.Fatalf("%d wait, want %d", q.Waiting(), len(waits))
				}
			},
			"ask": func(t *rapid.T) {
				k := key{id.Draw(t, "id"), piece.Draw(t, "piece")}
				size := rapid.IntRange(0, 200000).Draw(t, "size")
				_, there := waits[k]
				want := there || len(waits) < 24 && of(k.id) < 8
				if got := q.Ask(k.id, k.piece, size); got != want {
					t.Fatalf("Ask: %v, want %v", got, want)
				}
				if want && !there {
					waits[k] = size
				}
			},
			"cancel": func(t *rapid.T) {
				k := key{id.Draw(t, "id"), piece.Draw(t, "piece")}
				_, want := waits[k]
				if got := q.Cancel(k.id, k.piece); got != want {
					t.Fatalf("Cancel: %v, want %v", got, want)
				}
				delete(waits, k)
			},
			"leave": func(t *rapid.T) {
				gone := id.Draw(t, "id")
				q.Leave(gone)
				for k := range waits {
					if k.id == gone {
						delete(waits, k)
					}
				}
			},
			"forget": func(*rapid.T) {
				q.Forget(1)
				for k := range waits {
					if k.piece.Seed == 1 {
						delete(waits, k)
					}
				}
			},
			"next": func(t *rapid.T) {
				id, piece, size, ok := q.Next()
				if ok != (len(waits) > 0) {
					t.Fatalf("Next: %v, and %d wait", ok, len(waits))
				}
				if !ok {
					return
				}
				k := key{id, piece}
				if want, there := waits[k]; !there || want != size {
					t.Fatalf("Next: %+v of %d bytes, which does not wait", k, size)
				}
				delete(waits, k)
				for other := range waits {
					if other.id == id && q.Times(other.piece) < q.Times(piece)-1 {
						t.Fatalf("piece %+v was sent before %+v, which was sent less often", piece, other.piece)
					}
				}
				q.Sent(id, piece, size, rapid.IntRange(0, size).Draw(t, "sent"))
			},
		})
	})
}

// TestFair: over many pieces of different sizes all who wait get the same number of bytes.
func TestFair(t *testing.T) {
	q := New(Options{})
	sizes := map[uint32]int{1: 16 << 10, 2: 64 << 10, 3: 1 << 20}
	n := uint32(0)
	got := map[uint32]int{}
	for range 5000 {
		for id, size := range sizes {
			for len(q.requesters) < 3 || len(q.requesters[id].waiting) < 4 {
				n++
				q.Ask(id, Piece{0, n}, size)
				if q.requesters[id] != nil && len(q.requesters[id].waiting) >= 4 {
					break
				}
			}
		}
		id, piece, size, _ := q.Next()
		got[id] += size
		q.Sent(id, piece, size, size)
	}
	for id := range sizes {
		if d := got[id] - got[1]; d > 2<<20 || d < -2<<20 {
			t.Errorf("bytes: %v, want as many for each", got)
		}
	}
}

// TestOneWhoLeavesAndComes: asking for one piece at a time is no disadvantage and no advantage.
func TestOneWhoLeavesAndComes(t *testing.T) {
	q := New(Options{})
	got := map[uint32]int{}
	for i := range uint32(400) {
		q.Ask(1, Piece{0, i}, 1<<16)
		q.Ask(2, Piece{0, 1000 + i}, 1<<16)
		if i%2 == 0 {
			q.Ask(2, Piece{0, 2000 + i}, 1<<16)
		}
		id, _, _, _ := q.Next()
		got[id]++
	}
	if got[1] < 190 || got[1] > 210 {
		t.Errorf("pieces: %v, want about 200 each", got)
	}
}

// TestNotSent: what was not sent does not count as sent, and costs its requester nothing.
func TestNotSent(t *testing.T) {
	q := New(Options{})
	q.Ask(1, Piece{0, 7}, 1<<16)
	q.Ask(1, Piece{0, 8}, 1<<16)
	id, piece, size, _ := q.Next()
	q.Sent(id, piece, size, size/2)
	if n := q.Times(piece); n != 0 {
		t.Errorf("half a piece counts %d times", n)
	}
	id, piece, size, _ = q.Next()
	q.Sent(id, piece, size, size)
	if n := q.Times(piece); n != 1 {
		t.Errorf("a piece that was sent counts %d times", n)
	}
}

// TestTotal: no more wait than there is room for, whoever asks.
func TestTotal(t *testing.T) {
	q := New(Options{Waiting: 5, Total: 12})
	taken := 0
	for id := range uint32(10) {
		for i := range uint32(10) {
			if q.Ask(id, Piece{0, i}, 1) {
				taken++
			}
		}
	}
	if taken != 12 || q.Waiting() != 12 {
		t.Errorf("%d were taken and %d wait, want 12", taken, q.Waiting())
	}
}
