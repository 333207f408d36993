package delta

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// pattern is a file of size bytes in which a piece comes again and again. It is
// read without being in memory.
type pattern struct {
	piece []byte
	at    int64
	size  int64
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	n := 0
	for n < len(b) && p.at < p.size {
		k := copy(b[n:], p.piece[p.at%int64(len(p.piece)):])
		k = int(min(int64(k), p.size-p.at))
		n, p.at = n+k, p.at+int64(k)
	}
	return n, nil
}

// TestLinear: on data that is its own likeness the work stays a small multiple of
// the length, and everything that is there is found.
func TestLinear(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that computes much")
	}
	const size = 8 << 20
	whole := func(piece []byte) []byte {
		b, err := io.ReadAll(&pattern{piece: piece, size: size})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	zeros, text, long := []byte{0}, []byte("Lorem ipsum dolor sit amet, "), noise(1, 5000)
	sparse := whole(append(make([]byte, 90_000), noise(2, 10_000)...))
	for _, tc := range []struct {
		name         string
		base, target []byte
		data         int     // at most
		work         float64 // for each byte, at most
	}{
		{"zeros", whole(zeros), whole(zeros), 0, 2},
		{"zeros, one moved", whole(zeros), append([]byte("x"), whole(zeros)...), 1, 3},
		{"zeros that the old file has not", noise(1, size), whole(zeros), size, 5},
		{"text again and again", whole(text), append([]byte("x"), whole(text)...), 1, 5},
		{"a period longer than a block", whole(long), append([]byte("x"), whole(long)...), 20_000, 5},
		{"another period", whole(long), whole(noise(3, 77)), size, 20},
		{"every period", noise(1, size), whole(noise(4, 64)), size, 20},
		{"holes", sparse, append([]byte("x"), sparse...), 1, 4},
		{"other holes", whole(append(make([]byte, 50_000), noise(2, 10_000)...)), sparse, size / 5, 6},
	} {
		for _, block := range []int{512, 4096} {
			for workers := 1; workers <= 2; workers++ {
				if testing.Short() && workers > 1 {
					continue
				}
				s := newSearch(mustSign(t, tc.base, block), bytes.NewReader(tc.target), workers, -1)
				data := 0
				j := &joiner{yield: func(o Op) error {
					data += len(o.Data)
					return nil
				}}
				if err := errors.Join(s.run(j.join), j.sendCopy()); err != nil {
					t.Fatal(err)
				}
				if data > tc.data {
					t.Errorf("%s, blocks of %d, %d workers: %d bytes of data, more than %d", tc.name, block, workers, data, tc.data)
				}
				if work := float64(s.work) / size; work > tc.work*float64(workers) {
					t.Errorf("%s, blocks of %d, %d workers: the work is %.1f for each byte, more than %.1f", tc.name, block, workers, work, tc.work)
				}
			}
		}
	}
}

// TestMemory: the longest signature and the longest file take no more than 64 MiB
// beyond the signature.
func TestMemory(t *testing.T) {
	if underRace {
		t.Skip("the race detector needs memory too")
	}
	const most = 64 << 20
	sig, err := NewSignature(MaxBlock, MaxBlock*MaxBlocks, 1, noise(5, MaxBlocks*recordSize))
	if err != nil {
		t.Fatal(err)
	}
	long, err := NewSignature(usualBlock, usualBlock*(MaxBlocks/4), 1, noise(5, MaxBlocks/4*recordSize))
	if err != nil {
		t.Fatal(err)
	}
	for name, sig := range map[string]*Signature{"the longest": sig, "128 GiB": long} {
		got := allocated(func() {
			target := io.LimitReader(&pattern{piece: noise(6, 1<<20), size: 1 << 40}, 24<<20)
			for _, err := range DiffWith(sig, target, DiffOptions{Workers: 64}) {
				if err != nil {
					t.Error(err)
				}
			}
		})
		if got > most {
			t.Errorf("%s signature: %d bytes are allocated", name, got)
		}
		t.Logf("%s signature: %.1f MiB", name, float64(got)/(1<<20))
	}
	got := allocated(func() {
		for _, err := range Inverse(long, io.LimitReader(&pattern{piece: noise(6, 1<<20), size: 1 << 40}, 24<<20), InverseOptions{}) {
			if err != nil {
				t.Error(err)
			}
		}
	})
	if got > most {
		t.Errorf("inverse: %d bytes are allocated", got)
	}
	for _, workers := range []int{1, 2, 64} {
		got := allocated(func() {
			r := &pattern{piece: noise(6, 1<<20), size: 64 << 20}
			if _, err := Sign(r, SignOptions{Size: r.size, Workers: workers, Block: 64 << 10}); err != nil {
				t.Error(err)
			}
		})
		if got > most {
			t.Errorf("sign, %d workers: %d bytes are allocated", workers, got)
		}
	}
}
