//go:build unix

package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

const benchSize = 64 << 20

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

// cpuTime returns the time that this process has computed, in user mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// perCore reports MB for each second of user time, which other processes disturb
// less than MB/s.
func perCore(b *testing.B, size int, f func()) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	begin, n := cpuTime(), 0
	for b.Loop() {
		f()
		n++
	}
	if spent := cpuTime() - begin; spent > 0 {
		b.ReportMetric(float64(size)*float64(n)/1e6/spent.Seconds(), "MB/user-s")
	}
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
		target := tc.target(base)
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", tc.name, workers), func(b *testing.B) {
				data := 0
				perCore(b, len(target), func() {
					data = 0
					for op, err := range DiffWith(sig, bytes.NewReader(target), DiffOptions{Workers: workers}) {
						if err != nil {
							b.Fatal(err)
						}
						data += len(op.Data)
					}
				})
				b.ReportMetric(float64(data), "literal-B")
			})
		}
	}
}

// BenchmarkEncode is BenchmarkDiff with the sum of the result and the encoding.
func BenchmarkEncode(b *testing.B) {
	base := noise(1, benchSize)
	sig, err := Sign(bytes.NewReader(base), SignOptions{Size: benchSize, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	for _, tc := range benchCases {
		target := tc.target(base)
		b.Run(tc.name, func(b *testing.B) {
			encoded := int64(0)
			perCore(b, len(target), func() {
				s, err := EncodeWith(io.Discard, sig, bytes.NewReader(target), int64(len(target)), EncodeOptions{Diff: DiffOptions{Workers: 1}})
				if err != nil {
					b.Fatal(err)
				}
				encoded = s.Encoded
			})
			b.ReportMetric(float64(encoded), "wire-B")
		})
	}
}

// BenchmarkWhole is all that both sides compute for a file of 256 MiB but Patch: the
// signature without and the result with its sum. It reports user and system time.
func BenchmarkWhole(b *testing.B) {
	const size, block = 256 << 20, 6 << 10
	dir := b.TempDir()
	base := noise(1, size)
	for name, target := range map[string][]byte{
		"identical": base,
		"inserted":  append([]byte("x"), base...),
		"scattered": scatter(base, 100),
	} {
		file := func(name string, p []byte) *os.File {
			if err := os.WriteFile(filepath.Join(dir, name), p, 0o600); err != nil {
				b.Fatal(err)
			}
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { f.Close() })
			return f
		}
		old, fresh := file("old", base), file("new", target)
		b.Run(name, func(b *testing.B) {
			best := time.Duration(1<<63 - 1)
			var all []time.Duration
			b.SetBytes(size)
			for b.Loop() {
				begin := cpuAll()
				sig, err := Sign(io.NewSectionReader(old, 0, size), SignOptions{Size: size, Block: block, Bare: true, Workers: 1})
				if err != nil {
					b.Fatal(err)
				}
				n := int64(len(target))
				if _, err := EncodeWith(io.Discard, sig, io.NewSectionReader(fresh, 0, n), n, EncodeOptions{Diff: DiffOptions{Workers: 1}}); err != nil {
					b.Fatal(err)
				}
				spent := cpuAll() - begin
				best = min(best, spent)
				all = append(all, spent)
			}
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2].Seconds(), "median-cpu-s")
			b.ReportMetric(best.Seconds(), "least-cpu-s")
		})
	}
}

// cpuAll is cpuTime with what the system computed for this process.
func cpuAll() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
	x, p := newIndex(sig), noise(2, 1<<20)
	out, in := p[:len(p)-sig.Block()], p[sig.Block():]
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		for i, h := 0, polynomial(p[:sig.Block()]); i < len(in); {
			n, g, _ := x.roll(h, out[i:], in[i:])
			i, h = i+n, g
		}
	}
}

func BenchmarkSign(b *testing.B) {
	base := noise(1, benchSize)
	for name, o := range map[string]SignOptions{
		"bare":      {Bare: true, Workers: 1},
		"whole":     {Workers: 1},
		"bare, two": {Bare: true, Workers: 2},
	} {
		b.Run(name, func(b *testing.B) {
			o.Size = benchSize
			perCore(b, benchSize, func() {
				if _, err := Sign(bytes.NewReader(base), o); err != nil {
					b.Fatal(err)
				}
			})
		})
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

// BenchmarkManyCopies is a delta that makes 256 MiB of one block of a file on disk.
func BenchmarkManyCopies(b *testing.B) {
	const block, copies = 256, 1 << 20
	name := filepath.Join(b.TempDir(), "old")
	if err := os.WriteFile(name, noise(1, block), 0o600); err != nil {
		b.Fatal(err)
	}
	old, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer old.Close()
	var stream bytes.Buffer
	w, err := NewWriter(&stream, Header{Size: block * copies, BaseSize: block})
	if err != nil {
		b.Fatal(err)
	}
	for range copies {
		if err := w.WriteOp(Op{Length: block}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(Sum{}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(block * copies)
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(stream.Bytes()))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Patch(old, io.Discard); !errors.Is(err, ErrMismatch) {
			b.Fatal(err)
		}
	}
}

// BenchmarkTwoCores compares one diff by two workers with one by one worker, on data
// without a match, and with what the machine has to give: two diffs that have nothing
// to do with each other, at the same time. All three take turns. What other work on the
// machine has held up is left out: n counts what is in.
func BenchmarkTwoCores(b *testing.B) {
	if runtime.GOMAXPROCS(0) < 2 {
		b.Skip("one processor")
	}
	type job struct {
		sig    *Signature
		target []byte
	}
	var jobs [2]job
	for i := range jobs {
		sig, err := Sign(bytes.NewReader(noise(byte(2*i+1), benchSize)), SignOptions{Size: benchSize, Seed: 1})
		if err != nil {
			b.Fatal(err)
		}
		jobs[i] = job{sig, noise(byte(2*i+2), benchSize)}
	}
	diff := func(j job, workers int) {
		for _, err := range DiffWith(j.sig, bytes.NewReader(j.target), DiffOptions{Workers: workers}) {
			if err != nil {
				b.Error(err)
			}
		}
	}
	// Wall time and CPU time of each.
	var wall, busy [3][]float64
	for b.Loop() {
		for i, run := range []func(){
			func() { diff(jobs[0], 1) },
			func() { diff(jobs[0], 2) },
			func() {
				var both sync.WaitGroup
				for _, j := range jobs {
					both.Go(func() { diff(j, 1) })
				}
				both.Wait()
			},
		} {
			began, used, before := time.Now(), cpuAll(), waited()
			run()
			took := time.Since(began)
			if waited()-before < took/100 {
				wall[i] = append(wall[i], took.Seconds())
				busy[i] = append(busy[i], (cpuAll() - used).Seconds())
			}
		}
	}
	for i := range wall {
		if b.ReportMetric(float64(len(wall[i])), []string{"n-one", "n-two", "n-machine"}[i]); len(wall[i]) == 0 {
			return
		}
	}
	median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
	one, two, apart := median(wall[0]), median(wall[1]), median(wall[2])
	b.ReportMetric(one/two, "x-two")
	b.ReportMetric(2*one/apart, "x-machine")
	b.ReportMetric(100*apart/2/two, "%-share")
	b.ReportMetric(median(busy[1])/median(busy[0]), "cpu-two")
	b.ReportMetric(median(busy[2])/median(busy[0])/2, "cpu-machine")
	b.ReportMetric(median(busy[1])/two, "cores-two")
	b.ReportMetric(median(busy[2])/apart, "cores-machine")
}

// waited returns how long the threads of this process could have computed, but had no
// processor because others did. It is 0 where the system does not tell.
func waited() (sum time.Duration) {
	names, err := filepath.Glob("/proc/self/task/*/schedstat")
	if err != nil {
		return 0
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		var ran, delay int64
		if n, _ := fmt.Sscan(string(text), &ran, &delay); n == 2 {
			sum += time.Duration(delay)
		}
	}
	return sum
}
