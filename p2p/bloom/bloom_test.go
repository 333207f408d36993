package bloom_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/bloom"
)

func key(n int) bloom.Key { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) }

func fill(f bloom.Filter, from, to int) bloom.Filter {
	for i := from; i < to; i++ {
		f.Add(key(i))
	}
	return f
}

// TestFalse: what was added is there, and of the rest about as many as the formula says.
func TestFalse(t *testing.T) {
	for _, c := range []struct {
		n      int
		perKey float64
	}{{1, 8}, {100, 8}, {1000, 10}, {1000, 16}, {20_000, 8}} {
		f := fill(bloom.New(c.n, c.perKey), 0, c.n)
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		for i := range c.n {
			if !f.Has(key(i)) {
				t.Fatalf("%+v: key %d is missing", c, i)
			}
		}
		wrong := 0
		const others = 100_000
		for i := range others {
			if f.Has(key(1<<30 + i)) {
				wrong++
			}
		}
		got, want := float64(wrong)/others, f.False()
		if math.Abs(got-want) > 0.2*want+0.002 {
			t.Errorf("%+v: %.4f are false, the filter says %.4f", c, got, want)
		}
		if most := math.Pow(0.6185, c.perKey) * 1.3; len(f.Bits) < bloom.MaxBytes && got > most+0.001 {
			t.Errorf("%+v: %.4f are false, want at most %.4f", c, got, most)
		}
	}
}

// TestJoin: filters of different sizes can be joined, and nothing is lost.
func TestJoin(t *testing.T) {
	a, b := fill(bloom.New(1000, 16), 0, 1000), fill(bloom.New(100, 10), 1000, 1100)
	for _, f := range []bloom.Filter{bloom.Join(a, b), bloom.Join(b, a), bloom.Join(bloom.Join(a, bloom.Filter{}), b)} {
		for i := range 1100 {
			if !f.Has(key(i)) {
				t.Fatalf("key %d is missing", i)
			}
		}
	}
	if (bloom.Filter{}).Has(key(1)) {
		t.Error("nothing has something")
	}
}

// TestBest: known answers (a set ten times as large, 250 bits for each that is sent: 14.8 bits
// by a published fit, 14.7 by the formula), and that no other size weighs less.
func TestBest(t *testing.T) {
	if m := bloom.Best(10, 250); math.Abs(m-14.76) > 0.05 {
		t.Errorf("%.2f bits", m)
	}
	if m := bloom.Best(0.001, 64); m != 0 {
		t.Errorf("%.2f bits for what is smaller than its filter", m)
	}
	weight := func(m, u, r float64) float64 { return m + u*r*math.Pow(0.6185, m) }
	for _, u := range []float64{0.5, 1, 10, 1000} {
		best := bloom.Best(u, 512)
		for _, other := range []float64{best - 1, best + 1} {
			if weight(other, u, 512) < weight(best, u, 512) {
				t.Errorf("u %g: %g bits weigh less than %g", u, other, best)
			}
		}
	}
}

// FuzzCheck: what Check lets pass can be used.
func FuzzCheck(f *testing.F) {
	f.Add(1, 8)
	f.Add(16, 32<<10)
	f.Add(0, 9)
	f.Fuzz(func(t *testing.T, k, n int) {
		b := bloom.Filter{K: k, Bits: make([]byte, min(max(n, 0), 1<<20))}
		if err := b.Check(); err != nil {
			if !errors.Is(err, bloom.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		b.Add(key(1))
		if !b.Has(key(1)) || !bloom.Join(b, bloom.New(5, 8)).Has(key(1)) {
			t.Error("it is missing")
		}
	})
}
