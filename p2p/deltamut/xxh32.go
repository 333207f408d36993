package delta

import (
	"encoding/binary"
	"math/bits"
)

// The constants of xxHash32: five primes of 32 bits.
const (
	prime1 uint32 = 0x9e3779b1
	prime2 uint32 = 0x85ebca77
	prime3 uint32 = 0xc2b2ae3d
	prime4 uint32 = 0x27d4eb2f
	prime5 uint32 = 0x165667b1
)

// XXH32 returns the xxHash32 of p (Collet, "xxHash fast digest algorithm",
// revision 0.1.1, section "XXH32"). Like Classic it is here for lessons: its 32
// bits are too few to tell the blocks of a large file apart.
func XXH32(seed uint32, p []byte) uint32 {
	h := seed + prime5
	n := uint32(len(p))
	if len(p) >= 16 {
		h, p = stripes(seed, p)
	}
	h += n
	for ; len(p) >= 4; p = p[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(p)*prime3, 17) * prime4
	}
	for _, c := range p {
		h = bits.RotateLeft32(h+uint32(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>15) * prime2
	h = (h ^ h>>13) * prime3
	return h ^ h>>16
}

// stripes takes 16 bytes at a time in four lanes, and returns the rest.
func stripes(seed uint32, p []byte) (h uint32, rest []byte) {
	lanes := [4]uint32{seed + prime1 + prime2, seed + prime2, seed, seed - prime1}
	for ; len(p) >= 16; p = p[16:] {
		for i := range lanes {
			lanes[i] = bits.RotateLeft32(lanes[i]+binary.LittleEndian.Uint32(p[4*i:])*prime2, 13) * prime1
		}
	}
	h = bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) +
		bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	return h, p
}
