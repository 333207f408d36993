package chunk

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/blake3"
)

const benchSize = 64 << 20

// measure reports MB/s of size bytes for each call of f, as wall time and as CPU
// time of this process, which is what other work on the machine disturbs less.
func measure(b *testing.B, size int, f func() error) {
	b.Helper()
	b.SetBytes(int64(size))
	user, sys := cpuTime(b)
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	u, s := cpuTime(b)
	done := float64(size) * float64(b.N) / 1e6
	b.ReportMetric(done/(u-user), "MB/user-s")
	b.ReportMetric(done/(u-user+s-sys), "MB/cpu-s")
}

// BenchmarkScan is to be compared with its parts in the same run.
func BenchmarkScan(b *testing.B) {
	p := noise(1, benchSize)
	scan := func(r io.Reader) error {
		_, err := Scan(r, benchSize)
		return err
	}
	b.Run("memory", func(b *testing.B) {
		measure(b, benchSize, func() error { return scan(bytes.NewReader(p)) })
	})
	b.Run("file", func(b *testing.B) {
		name := filepath.Join(b.TempDir(), "file")
		if err := os.WriteFile(name, p, 0o600); err != nil {
			b.Fatal(err)
		}
		measure(b, benchSize, func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return scan(f)
		})
	})
	b.Run("4KiB", func(b *testing.B) {
		b.ReportAllocs()
		measure(b, 4<<10, func() error {
			_, err := Scan(bytes.NewReader(p[:4<<10]), 4<<10)
			return err
		})
	})
	b.Run("cut", func(b *testing.B) {
		measure(b, benchSize, func() error {
			for rest := p; len(rest) > 0; {
				rest = rest[Cut(rest):]
			}
			return nil
		})
	})
	b.Run("cut-naive", func(b *testing.B) {
		measure(b, benchSize, func() error {
			for rest := p; len(rest) > 0; {
				rest = rest[naiveCut(rest):]
			}
			return nil
		})
	})
	b.Run("blake3", func(b *testing.B) {
		measure(b, benchSize, func() error { blake3.Sum256(p); return nil })
	})
	b.Run("blake3-chunks", func(b *testing.B) {
		measure(b, benchSize, func() error {
			for at := 0; at < len(p); at += 80 << 10 {
				blake3.Sum256(p[at:min(at+80<<10, len(p))])
			}
			return nil
		})
	})
}

// naiveCut is Cut as it is defined, a byte at a time.
func naiveCut(p []byte) int {
	h := uint64(0)
	for i, c := range p {
		if i == Longest {
			return i
		}
		h = h<<1 + gear[c]
		if i+1 >= Least && h < threshold {
			return i + 1
		}
	}
	return len(p)
}

func BenchmarkVerifyPiece(b *testing.B) {
	p := noise(1, 2*PieceSize)
	m := mustScan(b, p)
	b.ReportAllocs()
	measure(b, PieceSize, func() error {
		if !VerifyPiece(m.Size(), m.Pieces(), 1, p[PieceSize:]) {
			b.Fatal("wrong")
		}
		return nil
	})
}
