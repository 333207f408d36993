//go:build unix

package seed

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// BenchmarkMake is to be compared with BLAKE3 of the same file, read in the same way.
// CPU time is what other work on the machine disturbs less than wall time.
func BenchmarkMake(b *testing.B) {
	const size = 256 << 20
	name := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(name, noise(1, size), 0o600); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, step)
	for _, c := range []struct {
		name string
		read func(f *os.File) error
	}{
		{"make", func(f *os.File) error {
			_, err := Make(b.Context(), f, size, "file", nil)
			return err
		}},
		{"make-scanned", func(f *os.File) error {
			_, _, err := MakeScanned(b.Context(), f, size, "file", nil)
			return err
		}},
		{"scan", func(f *os.File) error {
			_, err := chunk.Scan(f, size)
			return err
		}},
		{"blake3", func(f *os.File) error {
			h := blake3.New()
			_, err := io.CopyBuffer(h, struct{ io.Reader }{f}, buf)
			h.Sum(nil)
			return err
		}},
		{"read", func(f *os.File) error {
			_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			before := cpuTime(b)
			for b.Loop() {
				f, err := os.Open(name)
				if err == nil {
					err = c.read(f)
				}
				if err != nil {
					b.Fatal(err)
				}
				_ = f.Close()
			}
			b.ReportMetric(float64(size)*float64(b.N)/1e6/(cpuTime(b)-before), "MB/cpu-s")
		})
	}
}

// cpuTime returns the CPU seconds of this process.
func cpuTime(b *testing.B) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}
