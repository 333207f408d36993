package delta

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
)

const benchSize = 64 << 20

// noise returns n bytes that no compressor and no weak sum finds anything in.
func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// scatter inserts a few bytes at each of k places.
func scatter(p []byte, k int) []byte {
	var out []byte
	step := len(p) / k
	for i := range k {
		out = append(out, p[i*step:(i+1)*step]...)
		out = append(out, byte(i), byte(i>>8), 'x')
	}
	return append(out, p[k*step:]...)
}

// naive is what rsync engines in Go usually do, as a measure: a Go map is asked
// at every byte, where the classic sum has rolled to. It returns the bytes matched.
func naive(base, target []byte, block int) (matched int) {
	blocks := map[uint32][]int{}
	var strong []uint64
	for i := 0; i+block <= len(base); i += block {
		w := NewClassic(base[i : i+block]).Sum()
		blocks[w] = append(blocks[w], len(strong))
		strong = append(strong, xxhash.Sum64(base[i:i+block]))
	}
	fresh := true
	var sum Classic
next:
	for at := 0; at+block <= len(target); {
		if fresh {
			sum, fresh = NewClassic(target[at:at+block]), false
		}
		if found, ok := blocks[sum.Sum()]; ok {
			s := xxhash.Sum64(target[at : at+block])
			for _, i := range found {
				if strong[i] == s {
					matched, at, fresh = matched+block, at+block, true
					continue next
				}
			}
		}
		if at+block < len(target) {
			sum = sum.Roll(target[at], target[at+block])
		}
		at++
	}
	return matched
}

var benchCases = []struct {
	name   string
	target func(base []byte) []byte
}{
	{"identical", func(base []byte) []byte { return base }},
	{"scattered-100", func(base []byte) []byte { return scatter(base, 100) }},
	{"scattered-4000", func(base []byte) []byte { return scatter(base, 4000) }},
	{"different", func(base []byte) []byte { return noise(9, len(base)) }},
}

// BenchmarkDiff reports MB/s of the new file, with the index being built each
// time, and the bytes that would be sent.
func BenchmarkDiff(b *testing.B) {
	base := noise(1, benchSize)
	sig, err := Sign(bytes.NewReader(base), SignOptions{Size: benchSize, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	for _, tc := range benchCases {
		b.Run(tc.name, func(b *testing.B) {
			target := tc.target(base)
			b.SetBytes(int64(len(target)))
			b.ReportAllocs()
			for b.Loop() {
				data := 0
				for op, err := range Diff(sig, bytes.NewReader(target)) {
					if err != nil {
						b.Fatal(err)
					}
					data += len(op.Data)
				}
				b.ReportMetric(float64(data), "literal-B")
			}
		})
	}
}

// BenchmarkNaive is the measure for BenchmarkDiff.
func BenchmarkNaive(b *testing.B) {
	base := noise(1, benchSize)
	for _, tc := range benchCases {
		b.Run(tc.name, func(b *testing.B) {
			target := tc.target(base)
			b.SetBytes(int64(len(target)))
			for b.Loop() {
				b.ReportMetric(float64(len(target)-naive(base, target, chooseBlock(benchSize, 0))), "literal-B")
			}
		})
	}
}

// BenchmarkRoll is the loop alone.
func BenchmarkRoll(b *testing.B) {
	sig, err := Sign(bytes.NewReader(noise(1, benchSize)), SignOptions{Size: benchSize})
	if err != nil {
		b.Fatal(err)
	}
	x, gone, p := newIndex(sig), departures(sig.Block()), noise(2, 1<<20)
	out, in := p[:len(p)-sig.Block()], p[sig.Block():]
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		for i, h := 0, polynomial(p[:sig.Block()]); i < len(in); {
			n, g, _ := x.roll(gone, h, out[i:], in[i:])
			i, h = i+n, g
		}
	}
}

func BenchmarkSign(b *testing.B) {
	base := noise(1, benchSize)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Sign(bytes.NewReader(base), SignOptions{Size: benchSize}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPatch(b *testing.B) {
	base := noise(1, benchSize)
	target := scatter(base, 100)
	sig, err := Sign(bytes.NewReader(base), SignOptions{Size: benchSize})
	if err != nil {
		b.Fatal(err)
	}
	var stream bytes.Buffer
	if _, err := Encode(&stream, sig, bytes.NewReader(target), int64(len(target))); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(target)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := NewReader(bytes.NewReader(stream.Bytes()))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Patch(bytes.NewReader(base), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHostile is what a peer can do at worst with sums of its choice.
func BenchmarkHostile(b *testing.B) {
	for _, tc := range hostileCases() {
		b.Run(tc.name, func(b *testing.B) {
			b.SetBytes(int64(len(tc.target)))
			for b.Loop() {
				for _, err := range Diff(tc.sig, bytes.NewReader(tc.target)) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
