package delta

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"math/bits"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

func newSmallReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 16) }

// collect returns the operations in words.
func collect(t testing.TB, ops iter.Seq2[Op, error]) (all []string) {
	t.Helper()
	for op, err := range ops {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, op.String())
	}
	return all
}

func TestDiff(t *testing.T) {
	for _, tc := range []struct {
		name, base, target string
		block              int
		want               string
	}{
		{"both empty", "", "", 4, ""},
		{"new", "", "hello", 4, `data "hello"`},
		{"emptied", "hello", "", 4, ""},
		{"identical", "abcdefghij", "abcdefghij", 4, "copy 10 bytes at 0"},
		{"whole blocks", "abcdefgh", "abcdefgh", 4, "copy 8 bytes at 0"},
		{"shorter than a block", "abc", "abc", 4, "copy 3 bytes at 0"},
		{"short and more", "abc", "abcdefgh", 4, `copy 3 bytes at 0; data "defgh"`},
		{"short at the end", "abc", "xyzwabc", 4, `data "xyzw"; copy 3 bytes at 0`},
		{"appended", "abcdefghij", "abcdefghijXYZ", 4, `copy 10 bytes at 0; data "XYZ"`},
		{"cut off", "abcdefghijkl", "abcdefgh", 4, "copy 8 bytes at 0"},
		{"cut within a block", "abcdefghijkl", "abcdefghi", 4, `copy 8 bytes at 0; data "i"`},
		{"one byte in front", "abcdefgh", "Xabcdefgh", 4, `data "X"; copy 8 bytes at 0`},
		{"one byte changed", "abcdefghijkl", "abcdeXghijkl", 4, `copy 4 bytes at 0; data "eXgh"; copy 4 bytes at 8`},
		{"one byte removed", "abcdefghijkl", "abcdeghijkl", 4, `copy 4 bytes at 0; data "egh"; copy 4 bytes at 8`},
		{"exchanged", "abcdefgh", "efghabcd", 4, "copy 4 bytes at 4; copy 4 bytes at 0"},
		{"repeated", "abcdefgh", "abcdabcdabcd", 4, "copy 4 bytes at 0; copy 4 bytes at 0; copy 4 bytes at 0"},
		{"equal blocks", "aaaaaaaaaaaa", "aaaaaaaaaaaaaa", 4, `copy 12 bytes at 0; data "aa"`},
		{"more equal blocks", "aaaaaaaa", "aaaaaaaaaaaa", 4, `copy 8 bytes at 0; copy 4 bytes at 0`},
		{"tail within", "abcdefXY", "XYabcdef", 6, `data "XY"; copy 6 bytes at 0`},
		{"tail moved to the end", "abcdefXY", "__XY", 6, `data "__"; copy 2 bytes at 6`},
		{"blocks of a byte", "abc", "cab", 1, "copy 1 bytes at 2; copy 2 bytes at 0"},
		{"nothing in common", "abcdefgh", "ABCDEFGH", 4, `data "ABCDEFGH"`},
	} {
		got := collect(t, Diff(mustSign(t, []byte(tc.base), tc.block), strings.NewReader(tc.target)))
		if diff := cmp.Diff(tc.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

func TestDiffEnds(t *testing.T) {
	sig := mustSign(t, []byte("abcdefgh"), 4)
	broken := errors.New("broken")
	var last error
	for _, err := range Diff(sig, io.MultiReader(strings.NewReader("abcdefgh123"), iotest.ErrReader(broken))) {
		if last != nil {
			t.Error("something comes after the error")
		}
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("the last error is %v", last)
	}
	for range Diff(sig, strings.NewReader("abcdXefgh")) {
		break // asks for no more: nothing may be yielded again
	}
}

// file is a generator of what files hold.
func file(most int) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		n := rapid.IntRange(0, most).Draw(t, "length")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return make([]byte, n)
		case 1:
			return bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "pattern"), n/3)[:n/3]
		case 2:
			return rapid.SliceOfN(rapid.ByteRange('a', 'b'), n/8, n/8).Draw(t, "letters")
		case 3:
			return bytes.Repeat([]byte("Lorem ipsum dolor sit amet, "), n/28+1)[:n]
		}
		return noise(rapid.Byte().Draw(t, "seed"), n)
	})
}

// edit is a generator of files that come from base by some edits.
func edit(base []byte) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		p := bytes.Clone(base)
		for range rapid.IntRange(0, 5).Draw(t, "edits") {
			a := rapid.IntRange(0, len(p)).Draw(t, "from")
			b := min(len(p), a+rapid.IntRange(0, 200).Draw(t, "length"))
			part := bytes.Clone(p[a:b])
			switch rapid.IntRange(0, 5).Draw(t, "edit") {
			case 0:
				p = splice(p, a, a, noise(rapid.Byte().Draw(t, "seed"), len(part)))
			case 1:
				p = splice(p, a, b, nil)
			case 2:
				p = splice(p, a, b, noise(rapid.Byte().Draw(t, "seed"), len(part)))
			case 3:
				p = splice(p, a, b, nil)
				to := rapid.IntRange(0, len(p)).Draw(t, "to")
				p = splice(p, to, to, part)
			case 4:
				p = p[:a]
			case 5:
				p = splice(p, a, a, part)
			}
		}
		return p
	})
}

func splice(p []byte, a, b int, with []byte) []byte {
	return append(append(bytes.Clone(p[:a]), with...), p[b:]...)
}

// roundTrip makes the delta from base to target, by way of both encodings, and
// the target from it.
func roundTrip(base, target []byte, o SignOptions) ([]byte, Summary, error) {
	var sigStream, stream, out bytes.Buffer
	sig, err := Sign(iotest.HalfReader(bytes.NewReader(base)), o)
	if err != nil {
		return nil, Summary{}, err
	}
	if _, err := sig.WriteTo(&sigStream); err != nil {
		return nil, Summary{}, err
	}
	if sig, err = ReadSignature(&sigStream); err != nil {
		return nil, Summary{}, err
	}
	sum, err := Encode(&stream, sig, iotest.HalfReader(bytes.NewReader(target)), int64(len(target)))
	if err != nil {
		return nil, sum, err
	}
	d, err := NewReader(&stream)
	if err != nil {
		return nil, sum, err
	}
	_, err = d.Patch(bytes.NewReader(base), &out)
	return out.Bytes(), sum, err
}

// TestRoundTrip is what the package is for: Patch(base, Diff(Sign(base), target))
// is the target.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := file(3000).Draw(t, "base")
		target := rapid.OneOf(edit(base), file(3000)).Draw(t, "target")
		block := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 4000)).Draw(t, "block")
		got, sum, err := roundTrip(base, target, SignOptions{Block: block, Size: int64(len(base))})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, target) {
			t.Fatalf("%q was made instead of %q", got, target)
		}
		if sum.Copied+sum.Data != int64(len(target)) || sum.Sum != Sum(blake3.Sum256(target)) {
			t.Fatalf("the summary of %d bytes is %+v", len(target), sum)
		}
	})
}

// TestLongFiles: what is found does not depend on where the window's buffer ends,
// and edits cost no more than the blocks that they touch.
func TestLongFiles(t *testing.T) {
	for i := range 24 {
		base := noise(byte(i), 700_000+i*4099)
		block := 1 << (i % 13)
		k := 1 + i%5*3
		target := scatter(base, k)
		got, sum, err := roundTrip(base, target, SignOptions{Block: max(64, block*7)})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, target) {
			t.Fatalf("%d: another file was made", i)
		}
		if most := int64(k+1) * int64(max(64, block*7)+3); sum.Data > most {
			t.Errorf("%d: %d insertions cost %d bytes of data, more than %d", i, k, sum.Data, most)
		}
	}
}

// thueMorse returns two different files with the same polynomial for every odd m.
func thueMorse(n int) (a, b []byte) {
	for i := range n {
		bit := byte(bits.OnesCount(uint(i)) & 1)
		a, b = append(a, bit), append(b, 1-bit)
	}
	return a, b
}

// TestWeakCollision: the strong sum tells apart what the weak one does not.
func TestWeakCollision(t *testing.T) {
	a, b := thueMorse(4096)
	if polynomial(a) != polynomial(b) {
		t.Fatal("the two do not collide")
	}
	base, target := bytes.Repeat(a, 5), bytes.Repeat(b, 5)
	got, sum, err := roundTrip(base, target, SignOptions{Block: 4096})
	if err != nil || !bytes.Equal(got, target) {
		t.Fatalf("made %d of %d bytes: %v", len(got), len(target), err)
	}
	if sum.Data < 4096 {
		t.Errorf("only %d bytes are data", sum.Data)
	}
}

// TestStrongCollision: where the strong sum fails, too, the result is refused. The
// signature is given few bits of the strong sum's truth: a block has the sums of
// another one with the probability that sums of one bit would give.
func TestStrongCollision(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		base := noise(rapid.Byte().Draw(t, "seed"), 1000)
		target := noise(rapid.Byte().Draw(t, "other seed"), 1000)
		const block = 50
		sig, alien := mustSign(t, base, block), mustSign(t, target, block)
		for i := range sig.Blocks() {
			if rapid.Bool().Draw(t, "collides") {
				copy(sig.table[i*recordSize:][:recordSize], alien.table[i*recordSize:])
			}
		}
		var out bytes.Buffer
		want := Sum(blake3.Sum256(target))
		sum, err := Patch(bytes.NewReader(base), Diff(sig, bytes.NewReader(target)), &out, PatchOptions{Size: 1000, Sum: want})
		switch {
		case err == nil && !bytes.Equal(out.Bytes(), target):
			t.Fatal("another file was taken for the target")
		case errors.Is(err, ErrMismatch):
			refused++
			if sum == want || bytes.Equal(out.Bytes(), target) {
				t.Fatal("the target was refused")
			}
		case err != nil:
			t.Fatal(err)
		}
	})
	if refused == 0 {
		t.Error("no collision came about")
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("charla"), []byte("chargola"), uint16(2))
	f.Add([]byte(""), []byte("x"), uint16(1))
	f.Add(bytes.Repeat([]byte("abc"), 100), bytes.Repeat([]byte("abcd"), 100), uint16(7))
	f.Fuzz(func(t *testing.T, base, target []byte, block uint16) {
		got, _, err := roundTrip(base, target, SignOptions{Block: int(block), Seed: 1})
		if err != nil || !bytes.Equal(got, target) {
			t.Fatalf("%q was made instead of %q: %v", got, target, err)
		}
	})
}
