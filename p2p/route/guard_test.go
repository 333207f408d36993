package route

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

// Nothing is served twice, whatever is sent again and whoever starts again in between; and
// what is new is served after one challenge at most.
func TestGuard(t *testing.T) {
	type sent struct {
		origin             p2p.ID
		incarnation, epoch Nonce
		seq                uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		run := byte(0)
		g := newGuard([32]byte{run})
		served, recorded := map[sent]bool{}, []sent{}
		var current [3]sent // the last of each origin
		for i := range current {
			current[i] = sent{origin: p2p.ID{byte(i + 1)}, incarnation: Nonce{1}}
		}
		submit := func(s sent) (ok, seen bool, want Nonce) {
			ok, seen, want = g.admit(s.origin, s.incarnation, s.epoch, s.seq)
			if ok && served[s] {
				t.Fatalf("%+v was served twice", s)
			}
			served[s] = served[s] || ok
			recorded = append(recorded, s)
			return ok, seen, want
		}
		restarts := byte(1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			who := &current[rapid.IntRange(0, len(current)-1).Draw(t, "who")]
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0: // the origin starts again
				restarts++
				*who = sent{origin: who.origin, incarnation: Nonce{restarts}}
			case 1: // the target does
				run++
				g = newGuard([32]byte{run})
			case 2: // it forgets a window
				delete(g.windows, who.origin)
				g.last++
				g.floor = g.last
			case 3, 4: // an attacker sends something again
				if len(recorded) > 0 {
					submit(recorded[rapid.IntRange(0, len(recorded)-1).Draw(t, "which")])
				}
			default:
				who.seq += uint64(rapid.SampledFrom([]int{1, 1, 2, 63, 64, 65, 1023, 1024, 1025, 5000}).Draw(t, "gap"))
				ok, _, want := submit(*who)
				if !ok {
					who.seq, who.epoch = who.seq+1, want
					if ok, _, _ = submit(*who); !ok {
						t.Fatalf("%+v was not served with the epoch that was asked for", *who)
					}
				}
			}
		}
	})
}

// Numbers may come in any order within the window.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		seen, top := map[uint64]bool{}, uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			from := top - min(top, windowSize+10)
			seq := rapid.Uint64Range(from, top+windowSize+10).Draw(t, "seq")
			want := seq > 0 && !seen[seq] && (seq > top || top-seq < windowSize)
			if got := w.take(seq); got != want {
				t.Fatalf("take(%d) below %d = %t, want %t", seq, top, got, want)
			}
			seen[seq] = seen[seq] || want
			if want {
				top = max(top, seq)
			}
		}
	})
}

// Memory is bounded by the number of windows, and an old epoch is worth nothing to whoever was
// forgotten.
func TestGuardRoom(t *testing.T) {
	g := newGuard([32]byte{1})
	origin := func(i int) p2p.ID { return p2p.ID{byte(i), byte(i >> 8), byte(i >> 16), 1} }
	var epochs []Nonce
	for i := range maxWindows + 10 {
		_, _, epoch := g.admit(origin(i), Nonce{1}, Nonce{}, 1)
		if ok, _, _ := g.admit(origin(i), Nonce{1}, epoch, 1); !ok {
			t.Fatalf("origin %d is not served", i)
		}
		epochs = append(epochs, epoch)
	}
	if len(g.windows) > maxWindows {
		t.Errorf("%d windows", len(g.windows))
	}
	for i, epoch := range epochs {
		if ok, _, _ := g.admit(origin(i), Nonce{1}, epoch, 1); ok {
			t.Fatalf("origin %d is served twice", i)
		}
	}
}
