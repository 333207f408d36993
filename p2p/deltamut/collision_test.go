package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// The primes of xxHash64.
const (
	xxPrime1 = 0x9E3779B185EBCA87
	xxPrime2 = 0xC2B2AE3D27D4EB4F
)

// xxRound is what a lane of xxHash64 does with eight bytes. It can be inverted in
// x, so that whatever a lane has become, the next word leads it back.
func xxRound(acc, x uint64) uint64 { return bits.RotateLeft64(acc+x*xxPrime2, 31) * xxPrime1 }

// inverse returns 1/n modulo 2^64.
func inverse(n uint64) uint64 {
	x := n
	for range 6 {
		x *= 2 - n*x
	}
	return x
}

// steer changes the first word of lane 0 in the stripes at at to w, and the word
// 32 bytes behind it so that xxHash64 with the seed does not notice. Before at
// nothing may have been changed. acc is the lane's state at at.
func steer(p []byte, at int, acc, w uint64) {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(p[i:]) }
	right, wrong := xxRound(acc, word(at)), xxRound(acc, w)
	next := word(at+32) + (right-wrong)*inverse(xxPrime2)
	binary.LittleEndian.PutUint64(p[at:], w)
	binary.LittleEndian.PutUint64(p[at+32:], next)
}

// lane returns the state of lane 0 of xxHash64 after the first n bytes.
func lane(seed uint64, p []byte, n int) uint64 {
	p1, p2 := uint64(xxPrime1), uint64(xxPrime2)
	acc := seed + p1 + p2
	for i := 0; i < n; i += 32 {
		acc = xxRound(acc, binary.LittleEndian.Uint64(p[i:]))
	}
	return acc
}

// TestCraftedCollision: a block that has both sums of another is taken for it. Then
// the result is refused, and with another seed it comes out right.
//
// The block is made by varying two words, each corrected by the word behind it so
// that xxHash64 comes to the same. What this changes of the polynomial adds up, so
// that the two cancel each other in the 40 bits of the weak sum is a matter of the
// birthday paradox: it took a second to find these two among 2^21 each.
func TestCraftedCollision(t *testing.T) {
	const block, at, seed = 512, 2 * 512, 0x5eed
	base := noise(3, 8*block)
	target := bytes.Clone(base)
	q, p := target[at:at+block], base[at:at+block]
	for i, word := range []uint64{816176, 207607} {
		steer(q, 64*i, lane(seed, p, 64*i), word)
	}
	d := xxhash.New()
	if bytes.Equal(p, q) || strongSum(d, seed, p) != strongSum(d, seed, q) || weakOf(polynomial(p)) != weakOf(polynomial(q)) {
		t.Fatal("no collision of both sums")
	}
	update := func(seed uint64) ([]byte, error) {
		sig, err := Sign(bytes.NewReader(base), SignOptions{Block: block, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		var stream, out bytes.Buffer
		if _, err := Encode(&stream, sig, bytes.NewReader(target), int64(len(target))); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(&stream)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Patch(bytes.NewReader(base), &out)
		return out.Bytes(), err
	}
	if got, err := update(seed); !errors.Is(err, ErrMismatch) || !bytes.Equal(got, base) {
		t.Errorf("the collision was not taken for the block, or not noticed: %v", err)
	}
	if got, err := update(seed + 1); err != nil || !bytes.Equal(got, target) {
		t.Errorf("with another seed: %v", err)
	}
}
