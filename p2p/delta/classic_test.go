package delta

import (
	"testing"

	"pgregory.net/rapid"
)

// TestLesson has the numbers of the lesson: the word "charla" in blocks of two.
func TestLesson(t *testing.T) {
	for _, tc := range []struct {
		block        string
		weak, strong uint32
	}{
		{"ch", 0x012e00cb, 0x5982e9e5},
		{"ar", 0x013400d3, 0x1c2fb9a8},
		{"la", 0x013900cd, 0xab9e1994},
	} {
		if got := NewClassic([]byte(tc.block)).Sum(); got != tc.weak {
			t.Errorf("the weak sum of %q is %08x, want %08x", tc.block, got, tc.weak)
		}
		if got := XXH32(0, []byte(tc.block)); got != tc.strong {
			t.Errorf("the strong sum of %q is %08x, want %08x", tc.block, got, tc.strong)
		}
	}
	if got := NewClassic([]byte("go")).Sum(); got != 0x013d00d6 {
		t.Errorf(`the weak sum of "go" is %08x, want 013d00d6`, got)
	}
}

// TestXXH32 has the values of the reference implementation.
func TestXXH32(t *testing.T) {
	for _, tc := range []struct {
		seed uint32
		text string
		want uint32
	}{
		{0, "", 0x02cc5d05},
		{0, "a", 0x550d7456},
		{0, "abc", 0x32d153ff},
		{0, "abcd", 0xa3643705},
		{0, "Nobody inspects the spammish repetition", 0xe2293b2f},
	} {
		if got := XXH32(tc.seed, []byte(tc.text)); got != tc.want {
			t.Errorf("XXH32(%d, %q) = %08x, want %08x", tc.seed, tc.text, got, tc.want)
		}
	}
}

func TestClassicRolls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 1, 400).Draw(t, "bytes")
		n := rapid.IntRange(0, len(p)).Draw(t, "block")
		c := NewClassic(p[:n])
		for i := range p[n:] {
			c = c.Roll(p[i], p[i+n])
			if want := NewClassic(p[i+1 : i+1+n]); n > 0 && c != want {
				t.Fatalf("rolled to %d: %08x, want %08x", i+1, c.Sum(), want.Sum())
			}
		}
		var a, b uint32 // as the paper writes it
		for i, x := range p[:n] {
			a += uint32(x)
			b += uint32(n-i) * uint32(x)
		}
		if got, want := NewClassic(p[:n]).Sum(), a&0xffff|b<<16; got != want {
			t.Fatalf("sum %08x, want %08x", got, want)
		}
	})
}

func TestPolynomialRolls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 2, 300).Draw(t, "bytes")
		n := rapid.IntRange(1, len(p)-1).Draw(t, "block")
		slow := func(p []byte) (h uint64) {
			for _, c := range p {
				h = h*m + uint64(c)
			}
			return h + start
		}
		h := polynomial(p[:n])
		if h != slow(p[:n]) {
			t.Fatalf("polynomial %x, want %x", h, slow(p[:n]))
		}
		if w := weakOf(h); w>>weakBits != 0 || weakOf(spread(w)) != w {
			t.Fatalf("the weak sum %x of %x comes back as %x", w, h, weakOf(spread(w)))
		}
		// A filter stops at some sums that no block has; one that knows the block at
		// k stops there at the latest. Either way the sum is that of the block there.
		f := newFilter(rapid.SampledFrom([]int{1, 1 << 11, 1 << 13, 1 << 16}).Draw(t, "blocks"), n)
		in := p[n:]
		k := rapid.IntRange(1, len(in)).Draw(t, "k")
		known := rapid.Bool().Draw(t, "known")
		if known {
			f.add(spread(weakOf(slow(p[k : k+n]))))
		}
		for at := 0; at < len(in); {
			steps, sum, hit := f.roll(h, p[at:len(in)], in[at:])
			at, h = at+steps, sum
			if h != slow(p[at:at+n]) || hit != f.has(h) {
				t.Fatalf("after %d steps the sum is %x (hit %v), want %x (%v)", at, h, hit, slow(p[at:at+n]), f.has(h))
			}
			if known && at-steps < k && at > k {
				t.Fatalf("did not stop after %d steps, but after %d", k, at)
			}
		}
	})
}

// TestZerosAreNotKnown: what sparse files are full of does not pass a filter that
// knows nothing.
func TestZerosAreNotKnown(t *testing.T) {
	for _, n := range []int{1, 512, 6144, 1 << 17} {
		if newFilter(1, n).has(polynomial(make([]byte, n))) {
			t.Errorf("%d zeros pass", n)
		}
	}
}
