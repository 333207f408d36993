package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestInverse(t *testing.T) {
	for _, tc := range []struct {
		name, fresh, old, want string
		block                  int
	}{
		{"both empty", "", "", "", 4},
		{"nothing in common", "abcdefgh", "ABCDEFGH", "", 4},
		{"equal", "abcdefghij", "abcdefghij", "10 at 0 from 0", 4},
		{"moved", "abcdefgh", "__efgh_abcd_", "4 at 4 from 2; 4 at 0 from 7", 4},
		{"joined", "abcdefgh", "__abcdefgh__", "8 at 0 from 2", 4},
		{"twice in the old file", "abcd", "abcd_abcd", "4 at 0 from 0", 4},
		{"twice in the new file", "abcd____abcd", "..abcd..", "4 at 0 from 2; 4 at 8 from 2", 4},
		{"twice, the second expected", "abcdefghabcdijkl", "efghabcdijkl", "12 at 4 from 0; 4 at 0 from 4", 4},
		{"equal blocks", "aaaaaaaaaaaa", "aaaaaaa", "4 at 0 from 0; 4 at 4 from 0; 4 at 8 from 0", 4},
		{"the short end", "abcdefXY", "__XY", "2 at 6 from 2", 6},
	} {
		var got []string
		for p, err := range Inverse(mustSign(t, []byte(tc.fresh), tc.block), strings.NewReader(tc.old), InverseOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d at %d from %d", p.Length, p.Offset, p.Base))
		}
		if diff := cmp.Diff(tc.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
	broken := errors.New("broken")
	var last error
	for _, err := range Inverse(mustSign(t, []byte("abcd"), 4), io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(broken)), InverseOptions{}) {
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("the last error is %v", last)
	}
}

// TestInverseHolds: every part is in both files, none twice, and what Diff copies
// of whole blocks Inverse finds the other way round.
func TestInverseHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fresh := file(3000).Draw(t, "new")
		old := edit(fresh).Draw(t, "old")
		block := rapid.IntRange(1, 200).Draw(t, "block")
		sig := mustSign(t, fresh, block)
		seen := make([]bool, len(fresh))
		held := 0
		for p, err := range Inverse(sig, iotest.HalfReader(bytes.NewReader(old)), InverseOptions{Workers: rapid.IntRange(0, 3).Draw(t, "workers")}) {
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(fresh[p.Offset:p.Offset+p.Length], old[p.Base:p.Base+p.Length]) {
				t.Fatalf("%+v is not in both files", p)
			}
			for i := range p.Length {
				if seen[p.Offset+i] {
					t.Fatalf("%+v comes for the second time", p)
				}
				seen[p.Offset+i] = true
			}
			held += int(p.Length)
		}
		// Each block that Diff finds is in the old file, so Inverse has it, too.
		found := make([]bool, sig.Blocks()+1)
		copied := 0
		for op, err := range DiffWith(sig, bytes.NewReader(old), DiffOptions{Workers: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			for at := op.Offset; at < op.Offset+op.Length; at += int64(block) {
				if !found[at/int64(block)] {
					found[at/int64(block)] = true
					copied += int(min(int64(block), op.Offset+op.Length-at))
				}
			}
		}
		if held < copied {
			t.Fatalf("%d bytes are held, but %d were found", held, copied)
		}
	})
}
