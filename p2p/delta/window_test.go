package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// inWindows is diff with short windows. It returns the operations, with their data
// copied.
func inWindows(sig *Signature, target io.Reader, base []byte, workers, window int) ([]Op, error) {
	var ops []Op
	j := &joiner{yield: func(o Op) error {
		if o.Data != nil {
			o.Data = bytes.Clone(o.Data)
		}
		ops = append(ops, o)
		return nil
	}}
	if base != nil {
		j.extend = &extender{base: bytes.NewReader(base), size: int64(len(base))}
	}
	s := newSearch(sig, target, workers, -1)
	s.least = roundUp(max(window, 2*sig.block), sig.block)
	s.shared = s.least
	return ops, errors.Join(s.run(j.join), j.sendCopy())
}

func dataOf(ops []Op) (n int) {
	for _, o := range ops {
		n += len(o.Data)
	}
	return n
}

// TestWindows: where windows end, how many goroutines scan them and how the target
// is read makes no difference for what has to be sent; a base at hand only helps.
func TestWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := file(3000).Draw(t, "base")
		target := rapid.OneOf(edit(base), file(3000)).Draw(t, "target")
		sig, err := Sign(bytes.NewReader(base), SignOptions{Block: rapid.IntRange(1, 200).Draw(t, "block"), Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := inWindows(sig, bytes.NewReader(target), nil, 1, len(target)+1)
		if err != nil {
			t.Fatal(err)
		}
		window := rapid.IntRange(1, 1000).Draw(t, "window")
		for workers := range 4 {
			for _, local := range [][]byte{nil, base} {
				var r io.Reader = bytes.NewReader(target)
				switch workers {
				case 0:
					r = iotest.OneByteReader(r)
				case 1:
					r = iotest.DataErrReader(r)
				case 2:
					r = iotest.HalfReader(r)
				}
				ops, err := inWindows(sig, r, local, workers+1, window)
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				at := 0
				for _, o := range ops {
					if err := o.check(int64(len(target)-at), sig.Size()); err != nil {
						t.Fatal(err)
					}
					at += int(o.Size())
					out.Write(o.Data)
					out.Write(base[o.Offset : o.Offset+o.Length])
				}
				if !bytes.Equal(out.Bytes(), target) {
					t.Fatalf("%d workers: %q was made instead of %q", workers+1, out.Bytes(), target)
				}
				got, want := dataOf(ops), dataOf(whole)
				if local == nil && got != want || got > want {
					t.Fatalf("%d workers, windows of %d (base %v): %d bytes of data, not %d", workers+1, window, local != nil, got, want)
				}
			}
		}
	})
}

// TestManyWindows: the same with files of many windows of the usual length.
func TestManyWindows(t *testing.T) {
	base := noise(1, 5<<20)
	for name, target := range map[string][]byte{
		"identical": base,
		"shifted":   append([]byte("x"), base...),
		"scattered": scatter(base, 50),
		"zeros":     make([]byte, 5<<20),
		"other":     noise(2, 5<<20),
		"moved":     append(bytes.Clone(base[3<<20+77:]), base[:3<<20+77]...),
	} {
		for _, block := range []int{700, 4096, 100_000} {
			sig := mustSign(t, base, block)
			want := int64(-1)
			for workers := 1; workers <= 4; workers++ {
				var stream, out bytes.Buffer
				s, err := EncodeWith(&stream, sig, bytes.NewReader(target), int64(len(target)), EncodeOptions{Diff: DiffOptions{Workers: workers}})
				if err != nil {
					t.Fatal(err)
				}
				if want < 0 {
					want = s.Data
				}
				if s.Data != want {
					t.Errorf("%s, blocks of %d: %d workers send %d bytes of data, one %d", name, block, workers, s.Data, want)
				}
				d, err := NewReader(&stream)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.Patch(bytes.NewReader(base), &out); err != nil || !bytes.Equal(out.Bytes(), target) {
					t.Errorf("%s, blocks of %d, %d workers: another file: %v", name, block, workers, err)
				}
			}
		}
	}
}

// TestManyWindowsEnd: who wants no more, or gets an error, waits for nobody.
func TestManyWindowsEnd(t *testing.T) {
	sig := mustSign(t, noise(1, 1<<20), 4096)
	n := 0
	for range DiffWith(sig, bytes.NewReader(noise(2, 20<<20)), DiffOptions{Workers: 3}) {
		if n++; n == 3 {
			break
		}
	}
	broken := errors.New("broken")
	var last error
	size := 0
	target := io.MultiReader(bytes.NewReader(noise(2, 9<<20)), iotest.ErrReader(broken))
	for op, err := range DiffWith(sig, target, DiffOptions{Workers: 3}) {
		if last != nil {
			t.Error("something comes after the error")
		}
		last = err
		size += len(op.Data)
	}
	if !errors.Is(last, broken) || size < 7<<20 {
		t.Errorf("after %d bytes the last error is %v", size, last)
	}
}

// TestExtended: with the old file at hand data are the edits and nothing else.
func TestExtended(t *testing.T) {
	base := noise(1, 100_000)
	for name, tc := range map[string]struct {
		target []byte
		data   int
	}{
		"inserted": {splice(base, 50_000, 50_000, []byte("hello")), 5},
		"replaced": {splice(base, 50_000, 50_005, []byte{^base[50_000], 1, 2, 3, ^base[50_004]}), 5},
		"removed":  {splice(base, 50_000, 50_100, nil), 0},
		"cut off":  {base[:77_777], 0},
		"appended": {append(bytes.Clone(base), "and more"...), 8},
		"moved":    {append(bytes.Clone(base[50_123:]), base[:50_123]...), 0},
	} {
		sig := mustSign(t, base, 1000)
		data := 0
		for op, err := range DiffWith(sig, bytes.NewReader(tc.target), DiffOptions{Base: bytes.NewReader(base)}) {
			if err != nil {
				t.Fatal(err)
			}
			data += len(op.Data)
		}
		if data != tc.data {
			t.Errorf("%s: %d bytes of data, want %d", name, data, tc.data)
		}
	}
	broken := errors.New("broken")
	var last error
	for _, err := range DiffWith(mustSign(t, base, 1000), bytes.NewReader(base[1:]), DiffOptions{Base: failReader{broken}}) {
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("the old file cannot be read: %v", last)
	}
}

func TestInOrder(t *testing.T) {
	items := make([]*int, 5)
	for i := range items {
		items[i] = new(int)
	}
	broken := errors.New("broken")
	for _, tc := range []struct {
		fill, drain int // where they fail
		want        error
		drained     int
	}{{-1, -1, nil, 100}, {50, -1, broken, 50}, {-1, 30, broken, 30}, {0, -1, broken, 0}} {
		n, drained := 0, 0
		err := inOrder(items, 3, func(p *int) (bool, error) {
			if n == tc.fill {
				return true, broken
			}
			*p = n
			n++
			return n < 100, nil
		}, func(_ int, p *int) { *p *= 2 }, func(p *int) error {
			if *p != 2*drained {
				return fmt.Errorf("%d comes as number %d", *p, drained)
			}
			if drained == tc.drain {
				return broken
			}
			drained++
			return nil
		})
		if !errors.Is(err, tc.want) || drained != tc.drained {
			t.Errorf("%+v: %d drained, %v", tc, drained, err)
		}
	}
}

// TestStopKeepsData: whoever wants no more operations may still look at the last one,
// whatever is compared next.
func TestStopKeepsData(t *testing.T) {
	sig, err := Sign(bytes.NewReader(noise(1, 1000)), SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first := func(seed byte, all bool) (data []byte) {
		for op, err := range DiffWith(sig, bytes.NewReader(noise(seed, 6<<20)), DiffOptions{Workers: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			if data = op.Data; !all {
				break
			}
		}
		return data
	}
	for range 5 {
		data := first(2, false)
		first(3, true)
		if !bytes.Equal(data, noise(2, 6<<20)[:len(data)]) {
			t.Fatal("the bytes of the operation are others now")
		}
	}
}

// TestFirstWindow: what is read before the workers begin comes first, whoever of them
// is the first.
func TestFirstWindow(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	base := noise(1, 64)
	sig, target := mustSign(t, base, 16), noise(2, 2000)
	for range 3000 {
		ops, err := inWindows(sig, bytes.NewReader(target), nil, 6, 32)
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		for _, o := range ops {
			out = append(out, o.Data...)
		}
		if !bytes.Equal(out, target) {
			t.Fatal("the bytes are in another order")
		}
	}
}
