// Package bloom has Bloom filters of keys that are hashes already: sets that are small, and
// sometimes say yes where it is no (B. H. Bloom, Space/Time Trade-offs in Hash Coding with
// Allowable Errors, 1970).
//
// A filter has a power of two of bits, so that one can be folded to half of its size and
// still be right: filters of different sizes can be joined.
package bloom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Limits of a filter.
const (
	MinBytes = 8
	MaxBytes = 32 << 10
	MaxK     = 16
)

// ErrInvalid: bytes that are no filter.
var ErrInvalid = errors.New("not a Bloom filter")

// Key is what filters are of. Its last 24 bytes are a hash.
type Key = [32]byte

// Filter is a set of keys. The zero value has no room for any, and contains none.
type Filter struct {
	K    int    `cbor:"1,keyasint"` // bits of a key
	Bits []byte `cbor:"2,keyasint"`
}

// New returns a filter with room for n keys at perKey bits each, or the next power of two
// below that where MaxBytes does not allow for more. K is the best for what it has:
// ln 2 times the bits of a key.
func New(n int, perKey float64) Filter {
	n = max(n, 1)
	want := float64(n) * min(max(perKey, 1), 64) / 8
	size := MinBytes
	for float64(size) < want && size < MaxBytes {
		size *= 2
	}
	k := int(math.Round(math.Ln2 * float64(8*size) / float64(n)))
	return Filter{K: min(max(k, 1), MaxK), Bits: make([]byte, size)}
}

// Check reports what is wrong with a filter that somebody sent.
func (f Filter) Check() error {
	if n := len(f.Bits); n < MinBytes || n > MaxBytes || bits.OnesCount(uint(n)) != 1 || f.K < 1 || f.K > MaxK {
		return fmt.Errorf("%w: %d bytes, %d bits a key", ErrInvalid, n, f.K)
	}
	return nil
}

// each calls visit with the places of a key's bits until it returns false. They are made of
// two numbers (Kirsch, Mitzenmacher: Less Hashing, Same Performance, 2006).
func (f Filter) each(key Key, visit func(at uint64) bool) {
	a, b := binary.LittleEndian.Uint64(key[8:]), binary.LittleEndian.Uint64(key[16:])|1
	mask := uint64(8*len(f.Bits)) - 1
	for range f.K {
		if !visit(a & mask) {
			return
		}
		a += b
	}
}

// Add adds a key.
func (f Filter) Add(key Key) {
	f.each(key, func(at uint64) bool {
		f.Bits[at/8] |= 1 << (at % 8)
		return true
	})
}

// Places returns the bits that a key has, of which two can be the same.
func (f Filter) Places(key Key) []int {
	var out []int
	if len(f.Bits) > 0 {
		f.each(key, func(at uint64) bool {
			out = append(out, int(at))
			return true
		})
	}
	return out
}

// Has reports whether a key may have been added; if not, it has not.
func (f Filter) Has(key Key) bool {
	if len(f.Bits) == 0 {
		return false
	}
	has := true
	f.each(key, func(at uint64) bool {
		has = f.Bits[at/8]&(1<<(at%8)) != 0
		return has
	})
	return has
}

// Join returns a filter that has what either has. It is as small as the smaller one.
func Join(a, b Filter) Filter {
	if len(a.Bits) == 0 {
		return b
	}
	if len(b.Bits) == 0 {
		return a
	}
	out := Filter{K: min(a.K, b.K), Bits: make([]byte, min(len(a.Bits), len(b.Bits)))}
	for _, f := range []Filter{a, b} {
		for i, v := range f.Bits {
			out.Bits[i%len(out.Bits)] |= v
		}
	}
	return out
}

// Fill returns the share of bits that are set.
func (f Filter) Fill() float64 {
	n := 0
	for _, b := range f.Bits {
		n += bits.OnesCount8(b)
	}
	return float64(n) / float64(max(8*len(f.Bits), 1))
}

// False returns the share of keys that are not in it and for which it says yes.
func (f Filter) False() float64 { return math.Pow(f.Fill(), float64(f.K)) }

// Best returns how many bits a key should have so that the filter of one set and what is
// sent in vain for it weigh least together, where the other set is so many times as large,
// and what is sent for a key has so many bits. It is 0 where no filter is better.
//
// With m bits for each key of a set of x and the best number of them for a key, the share
// of false keys is c^m, where c = 0.6185. What is to be least is x·m + u·x·c^m·r; so
// 1 = u·r·ln(1/c)·c^m, that is m = ln(0.4805·u·r) / 0.4805 (0.4805 = (ln 2)²).
func Best(u, r float64) float64 {
	ln22 := math.Ln2 * math.Ln2
	if ln22*u*r <= 1 {
		return 0
	}
	return math.Log(ln22*u*r) / ln22
}
