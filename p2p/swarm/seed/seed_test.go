package seed

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// noise returns n bytes without a pattern.
func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

func mustMake(t testing.TB, p []byte, name string) Seed {
	t.Helper()
	s, err := Make(t.Context(), bytes.NewReader(p), int64(len(p)), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustParse(t testing.TB, text string) Seed {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v, in\n%s", err, text)
	}
	return s
}

// TestByHand: texts as people write them. The hashes are those that b3sum and md5sum
// print, not what this package says.
func TestByHand(t *testing.T) {
	const abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85" // b3sum: abc
	const empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
	node := p2p.ID{1, 2, 3}
	for name, c := range map[string]struct {
		text string
		want func(s Seed) bool
		data string // the only piece
	}{
		"as short as can be": {
			"shoal-seed: 1\nfile_name: abc.txt\nfile_len: 3\nbig_seed: " + abc + "\nchunk_len: 16384\nchunk_count: 1\n",
			func(s Seed) bool { return s.ID().String() == abc && s.Name == "abc.txt" }, "abc",
		},
		"an empty file": {
			"shoal-seed: 1\nfile_name: nothing\nfile_len: 0\nbig_seed: " + empty + "\nchunk_len: 16384\nchunk_count: 1\nchunk1_hash: " + empty + "\n",
			func(s Seed) bool { return s.Size == 0 && s.Count() == 1 }, "",
		},
		"with all that there is, in another order, from Windows": {
			strings.ReplaceAll("\ufeff# lesson 3\n\nshoal-seed: 1\nchunk1_hash: "+abc+"\nx-note: anything: at all\nbase: "+empty+" "+abc+" 17\nweb: https://example.org/a%20b?c\ntracker: "+node.String()+
				"\nchunk_count: 1\nchunk_len: 16384\nbig_seed: "+abc+"\nfile_len: 3\nfile_name:  Übung: 1.txt ", "\n", "\r\n"),
			func(s Seed) bool {
				return s.Name == " Übung: 1.txt " && reflect.DeepEqual(s.Trackers, []p2p.ID{node}) && reflect.DeepEqual(s.Web, []string{"https://example.org/a%20b?c"}) &&
					len(s.Bases) == 1 && s.Bases[0].Root.String() == empty && s.Bases[0].Delta.String() == abc && s.Bases[0].DeltaSize == 17
			}, "abc",
		},
		"the old form": {
			"file_name: abc.txt\nfile_len: 3\nbig_seed: 900150983CD24FB0D6963F7D28E17F72\n",
			func(s Seed) bool { return s.Legacy != nil && s.Root == chunk.Hash{} }, "abc",
		},
		"the old form, empty": {
			"file_name: nothing\nfile_len: 0\nbig_seed: d41d8cd98f00b204e9800998ecf8427e\n",
			func(s Seed) bool { return s.Legacy != nil && s.Count() == 1 }, "",
		},
		"the old form, in chunks": { // echo -n ab | md5sum; echo -n c | md5sum
			"file_name: abc.txt\nfile_len: 3\nbig_seed: 900150983cd24fb0d6963f7d28e17f72\nchunk_len: 2\nchunk1_hash: 187ef4436122d1cc2f40dc2b92f0eba0\nchunk2_hash: 4a8a08f09d37b73795649038408b5f33\n",
			func(s Seed) bool { return s.Count() == 2 && s.PieceLen == 2 && s.Verify(1, []byte("c")) }, "ab",
		},
	} {
		s := mustParse(t, c.text)
		if !c.want(s) {
			t.Errorf("%s: %+v", name, s)
		}
		if !s.Verify(0, []byte(c.data)) || s.Verify(0, []byte(c.data+"x")) || s.Verify(0, []byte("xyz")) || s.Verify(1, []byte(c.data)) || s.Verify(-1, nil) {
			t.Errorf("%s: does not verify its bytes, or others", name)
		}
		if again := mustParse(t, string(s.Text())); !reflect.DeepEqual(again, s) {
			t.Errorf("%s: %+v became %+v", name, s, again)
		}
	}
}

// TestText: the canonical text does not change.
func TestText(t *testing.T) {
	s := mustMake(t, noise(1, 40000), "three.bin")
	s.Trackers, s.Web = []p2p.ID{{1}}, []string{"http://a.example/three.bin"}
	s.Bases = []Base{{Root: chunk.Hash{1}, Delta: chunk.Hash{2}, DeltaSize: 3}}
	want := fmt.Sprintf(`shoal-seed: 1
file_name: three.bin
file_len: 40000
big_seed: %x
chunk_len: 16384
chunk_count: 3
chunks_root: %x
chunk1_hash: %v
chunk2_hash: %v
chunk3_hash: %v
tracker: aeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
web: http://a.example/three.bin
base: 0100000000000000000000000000000000000000000000000000000000000000 0200000000000000000000000000000000000000000000000000000000000000 3
`, blake3.Sum256(noise(1, 40000)), blake3.Sum256(slices.Concat(s.Pieces[0][:], s.Pieces[1][:], s.Pieces[2][:])), s.Pieces[0], s.Pieces[1], s.Pieces[2])
	if got := string(s.Text()); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// anySeed is some seed, and the file that it is of if that is not larger than a few
// pieces.
func anySeed(t *rapid.T) (s Seed, data []byte) {
	size := rapid.OneOf(
		rapid.IntRange(0, 100000),
		rapid.SampledFrom([]int{0, 1, 1024, 1025, 16384, 16385, 32768, 1<<20 - 1, 1 << 20, 1<<20 + 1}),
	).Draw(t, "size")
	data = noise(rapid.Byte().Draw(t, "content"), size)
	name := PortableName(rapid.String().Draw(t, "name"))
	s, err := Make(t.Context(), bytes.NewReader(data), int64(size), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	hash := rapid.Custom(func(t *rapid.T) chunk.Hash { return blake3.Sum256([]byte{rapid.Byte().Draw(t, "byte")}) })
	for _, h := range rapid.SliceOfNDistinct(hash, 0, MaxTrackers, rapid.ID).Draw(t, "trackers") {
		s.Trackers = append(s.Trackers, p2p.ID(h))
		s.Web = append(s.Web, "https://example.org/"+h.String())
		s.Bases = append(s.Bases, Base{Root: h, Delta: chunk.Hash{}, DeltaSize: int64(h[0])})
	}
	return s, data
}

// TestTextRoundTrip: a seed is what its text says, and its link says where it is.
func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, data := anySeed(t)
		text := s.Text()
		got, err := Parse(text)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%v: %+v became %+v", err, s, got)
		}
		l, err := ParseLink(s.Link().String())
		if err != nil || !reflect.DeepEqual(l, s.Link()) {
			t.Fatalf("%v: %+v became %+v", err, s.Link(), l)
		}
		if p, err := ParseLink(l.Page("http://localhost:8080/")); err != nil || !reflect.DeepEqual(p, l) {
			t.Fatalf("%v: %+v became %+v", err, l, p)
		}
		meta, err := l.Seed()
		if err == nil {
			meta, err = meta.WithPieces(s.Pieces)
		}
		if meta.Bases = s.Bases; err != nil || !reflect.DeepEqual(meta, s) {
			t.Fatalf("%v: out of the link comes %+v", err, meta)
		}
		if err := s.VerifyFile(t.Context(), bytes.NewReader(data), nil); err != nil {
			t.Fatal(err)
		}
		scanned, m, err := MakeScanned(t.Context(), bytes.NewReader(data), s.Size, s.Name, nil)
		if err != nil || m.Root() != s.Root || !slices.Equal(scanned.Pieces, s.Pieces) || scanned.List != s.List || scanned.Root != s.Root {
			t.Fatalf("%v: scanned, it is %+v", err, scanned)
		}
	})
}

// TestChangedByteIsNoticed, in the file and in the values.
func TestChangedByteIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, data := anySeed(t)
		if len(data) == 0 {
			return
		}
		at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
		data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for i := range s.Count() {
			offset, n := s.Extent(i)
			want := int64(at) < offset || int64(at) >= offset+int64(n)
			if s.Verify(i, data[offset:offset+int64(n)]) != want {
				t.Fatalf("byte %d of %d: piece %d", at, len(data), i)
			}
		}
		if err := s.VerifyFile(t.Context(), bytes.NewReader(data), nil); !errors.Is(err, ErrMismatch) {
			t.Fatal(err)
		}
		values := slices.Clone(s.Pieces)
		values[rapid.IntRange(0, len(values)-1).Draw(t, "piece")][7] ^= 1
		if _, err := s.WithPieces(values); !errors.Is(err, ErrMismatch) {
			t.Fatal(err)
		}
		s.List = chunk.Hash{}
		if _, err := s.WithPieces(values); !errors.Is(err, ErrMismatch) {
			t.Fatal(err)
		}
	})
}

func TestListURL(t *testing.T) {
	for file, want := range map[string]string{
		"https://a.example/x.iso": "https://a.example/x.iso.pieces", "http://a/x?k=1&l=?": "http://a/x.pieces?k=1&l=?", "http://a/d/": "http://a/d/.pieces",
	} {
		if got := ListURL(file); got != want {
			t.Errorf("%s: %s", file, got)
		}
	}
}
