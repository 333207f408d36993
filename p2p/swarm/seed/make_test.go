package seed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// official are test vectors of BLAKE3: byte i of the input is i modulo 251.
var official = map[int]string{
	0:      emptyHash,
	1:      "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
	1023:   "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
	1024:   "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
	1025:   "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
	16384:  "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4",
	31744:  "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
	102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
}

func TestKnownAnswers(t *testing.T) {
	pattern := make([]byte, 3<<20)
	for i := range pattern {
		pattern[i] = byte(i % 251)
	}
	for size, want := range official {
		if got := mustMake(t, pattern[:size], "a").ID().String(); got != want {
			t.Errorf("%d bytes: %s, want %s", size, got, want)
		}
	}
	for _, size := range []int{16383, 16385, 32767, 32768, 32769, 65536, 65537, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2<<20 - 1, 2<<20 + 65536, 3 << 20} {
		s := mustMake(t, pattern[:size], "a")
		if s.Root != blake3.Sum256(pattern[:size]) {
			t.Errorf("%d bytes: %v", size, s.Root)
		}
		if err := s.VerifyFile(t.Context(), iotest.OneByteReader(bytes.NewReader(pattern[:size])), nil); err != nil && size < 40000 {
			t.Error(err)
		}
	}
}

// TestLayout: the rule is for ever.
func TestLayout(t *testing.T) {
	for size, want := range map[int64]struct{ piece, count int }{
		0: {16 << 10, 1}, 1: {16 << 10, 1}, 16384: {16 << 10, 1}, 16385: {16 << 10, 2}, 1<<20 - 1: {16 << 10, 64},
		1 << 20: {64 << 10, 16}, 64 << 20: {64 << 10, 1024}, 256 << 20: {64 << 10, 4096},
		256<<20 + 1: {128 << 10, 2049}, 1 << 30: {128 << 10, 8192},
		1<<30 + 1: {256 << 10, 4097}, 4 << 30: {256 << 10, 16384},
		4<<30 + 1: {512 << 10, 8193}, 16 << 30: {512 << 10, 32768},
		16<<30 + 1: {1 << 20, 16385}, 1 << 40: {1 << 20, 1 << 20}, 1 << 42: {1 << 20, 1 << 22},
	} {
		l, err := LayoutOf(size)
		if err != nil || l.PieceLen != want.piece || l.Count() != want.count || l.Tree().Check() != nil {
			t.Errorf("%d bytes: %+v, %d pieces, %v", size, l, l.Count(), err)
		}
	}
	for _, size := range []int64{-1, 1<<42 + 1, 1 << 62} {
		if _, err := LayoutOf(size); err == nil {
			t.Errorf("%d bytes", size)
		}
	}
	if n := (Layout{}).Count(); n != 0 {
		t.Error(n)
	}
	rapid.Check(t, func(t *rapid.T) {
		l, err := LayoutOf(rapid.Int64Range(0, 1<<30).Draw(t, "size"))
		if err != nil {
			t.Fatal(err)
		}
		end := int64(0)
		for i := range l.Count() {
			offset, n := l.Extent(i)
			if offset != end || n > l.PieceLen || n == 0 && l.Size > 0 || n < l.PieceLen && i != l.Count()-1 {
				t.Fatalf("%+v: piece %d: %d bytes at %d", l, i, n, offset)
			}
			end += int64(n)
		}
		if end != l.Size {
			t.Fatalf("%+v: the pieces have %d bytes", l, end)
		}
	})
}

// TestLargeText: a file of many pieces has a short text, and a list of values.
func TestLargeText(t *testing.T) {
	s := mustMake(t, make([]byte, 63<<20), "zeros")
	if s.Count() <= MaxInline || s.Inline() {
		t.Fatalf("%d pieces", s.Count())
	}
	text := s.Text()
	if len(text) > 400 {
		t.Errorf("a text of %d bytes", len(text))
	}
	got := mustParse(t, string(text))
	if got.Pieces != nil || got.List != s.List {
		t.Fatalf("%+v", got)
	}
	if got, err := got.WithPieces(s.Pieces); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%v", err)
	}
	for name, values := range map[string][]chunk.Hash{
		"none": nil, "too few": s.Pieces[1:], "too many": append(slices.Clone(s.Pieces), s.Root), "in another order": reversed(s.Pieces), "millions": make([]chunk.Hash, 1<<20),
	} {
		for _, list := range []chunk.Hash{s.List, {}} {
			got.List = list
			if _, err := got.WithPieces(values); err == nil {
				t.Errorf("%s are taken", name)
			}
		}
	}
	got.List = chunk.Hash{1}
	if _, err := got.WithPieces(s.Pieces); !errors.Is(err, ErrMismatch) {
		t.Errorf("values that chunks_root does not name: %v", err)
	}
	lie := Seed{Name: "a", Layout: Layout{PieceLen: 16 << 10}, Root: chunk.Hash{1}}
	if _, err := lie.WithPieces([]chunk.Hash{lie.Root}); !errors.Is(err, ErrMismatch) {
		t.Errorf("an empty file with something in it: %v", err)
	}
	most := mustMake(t, make([]byte, 1000<<16), "zeros")
	if text := most.Text(); !most.Inline() || len(text) > MaxText/8 {
		t.Errorf("1000 values in %d bytes", len(text))
	}
}

func reversed(values []chunk.Hash) []chunk.Hash {
	values = slices.Clone(values)
	slices.Reverse(values)
	return values
}

// A maker is either way to make a seed.
type maker func(ctx context.Context, r io.Reader, size int64, name string, progress func(int64)) (Seed, error)

func makeScanned(ctx context.Context, r io.Reader, size int64, name string, progress func(int64)) (Seed, error) {
	s, _, err := MakeScanned(ctx, r, size, name, progress)
	return s, err
}

func TestMakeRefuses(t *testing.T) {
	t.Run("Make", func(t *testing.T) { testMakeRefuses(t, Make) })
	t.Run("MakeScanned", func(t *testing.T) { testMakeRefuses(t, makeScanned) })
}

func testMakeRefuses(t *testing.T, maker maker) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("broken")
	data := noise(1, 300000)
	make := func(ctx context.Context, r io.Reader, size int64, name string) error {
		_, err := maker(ctx, r, size, name, nil)
		return err
	}
	for what, c := range map[string]struct{ err, want error }{
		"longer":    {make(t.Context(), bytes.NewReader(data), 299999, "a"), ErrMismatch},
		"shorter":   {make(t.Context(), bytes.NewReader(data), 300001, "a"), ErrMismatch},
		"empty":     {make(t.Context(), bytes.NewReader(nil), 1, "a"), ErrMismatch},
		"not empty": {make(t.Context(), bytes.NewReader(data), 0, "a"), ErrMismatch},
		"cancelled": {make(ctx, bytes.NewReader(data), 300000, "a"), context.Canceled},
		"broken":    {make(t.Context(), io.MultiReader(bytes.NewReader(data[:1000]), iotest.ErrReader(broken)), 300000, "a"), broken},
		"breaks":    {make(t.Context(), io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), 300000, "a"), broken},
		"a path":    {make(t.Context(), bytes.NewReader(data), 300000, "a/b"), ErrName},
		"a device":  {make(t.Context(), bytes.NewReader(data), 300000, "con.txt"), ErrName},
		"a drive":   {make(t.Context(), bytes.NewReader(data), 300000, "a:b"), ErrName},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", what, c.err, c.want)
		}
	}
	if make(t.Context(), bytes.NewReader(data), -1, "a") == nil {
		t.Error("less than nothing")
	}
	last, calls := int64(0), 0
	_, err := maker(t.Context(), bytes.NewReader(data), 300000, "a", func(n int64) {
		if n <= last {
			t.Errorf("%d after %d", n, last)
		}
		last, calls = n, calls+1
	})
	if err != nil || last != 300000 || calls < 2 {
		t.Errorf("%v, progress %d in %d calls", err, last, calls)
	}
}

func TestPortableName(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for name, want := range map[string]string{
		"a.txt": "a.txt", "": "file", ".": "file", "..": "file", " ": "file", ".bashrc": ".bashrc", "a. .": "a", "a/b\\c": "a_b_c",
		"What?: <1>|*.mp4": "What__ _1___.mp4", "CON": "CON_", "con.txt": "con_.txt", "Com1.a.b": "Com1_.a.b", "COM¹": "COM¹_", "nul .txt": "nul _.txt",
		"COM": "COM", "COM10": "COM10", "console": "console", "lpt9": "lpt9_", "CONIN$": "CONIN$_",
		"u\u0308ber": "über", "a\u202eb\x00c\n": "abc", "a\xffb": "a_b",
		long + ".txt":                   strings.Repeat("ä", 125) + ".txt",
		"a." + strings.Repeat("b", 300): "a." + strings.Repeat("b", 253),
	} {
		if got := PortableName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringN(200, 400, -1), rapid.StringMatching(`(con|a|ä|\.| |COM1|\x{301}|:){0,200}`)).Draw(t, "name")
		got := PortableName(name)
		if err := CheckName(got); err != nil {
			t.Fatalf("%q became %q: %v", name, got, err)
		}
		if again := PortableName(got); again != got || !utf8.ValidString(got) {
			t.Fatalf("%q became %q, then %q", name, got, again)
		}
	})
}
