package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

type sample struct {
	Name string         `cbor:"1,keyasint"`
	N    uint64         `cbor:"2,keyasint,omitempty"`
	List []int          `cbor:"3,keyasint,omitempty"`
	Map  map[string]int `cbor:"4,keyasint,omitempty"`
	Raw  []byte         `cbor:"5,keyasint,omitempty"`
}

// TestDeterministic: known answers of RFC 8949, section 4.2.1: shortest integers,
// keys in bytewise order of their encodings, whatever the order they came in.
func TestDeterministic(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{uint64(23), "\x17"},
		{uint64(24), "\x18\x18"},
		{-1, "\x20"},
		{1.5, "\xf9\x3e\x00"},
		{map[string]int{"bb": 1, "a": 2, "c": 3}, "\xa3\x61a\x02\x61c\x03\x62bb\x01"},
		{sample{Name: "x", N: 5}, "\xa2\x01\x61x\x02\x05"},
		{[3]byte{1, 2, 3}, "\x43\x01\x02\x03"},
		{p2p.ID{}, "\x58\x20" + strings.Repeat("\x00", 32)},
	} {
		for range 3 {
			got, err := Marshal(test.value)
			if err != nil || string(got) != test.want {
				t.Errorf("Marshal(%v) = %x, %v, want %x", test.value, got, err, test.want)
			}
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	deep := strings.Repeat("\x81", MaxDepth+1) + "\x00"
	pairs := []byte{0xb9, 0x10, 0x01} // map of 4097
	for i := range MaxPairs + 1 {
		pairs = append(pairs, 0x19, byte(i>>8), byte(i), 0)
	}
	for _, test := range []struct {
		name, data string
		want       error
	}{
		{"nothing", "", ErrMalformed},
		{"trailing", "\x01\x01", ErrMalformed},
		{"duplicate key in map", "\xa2\x01\x01\x01\x02", ErrMalformed},
		{"indefinite array", "\x9f\x01\xff", ErrMalformed},
		{"indefinite string", "\x7f\x61a\xff", ErrMalformed},
		{"cut string", "\x64abc", ErrMalformed},
		{"bad UTF-8", "\x61\xff", ErrMalformed},
		{"deep", deep, ErrMalformed},
		{"huge array", "\x9a\xff\xff\xff\xff", ErrMalformed},
		{"huge bytes", "\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", ErrMalformed},
		{"pairs", string(pairs), ErrMalformed},
		{"too long", strings.Repeat("\x00", MaxMessage+1), p2p.ErrTooLarge},
	} {
		var v any
		if err := Unmarshal([]byte(test.data), &v); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	var s sample
	if err := Unmarshal([]byte("\xa2\x01\x61a\x01\x61b"), &s); !errors.Is(err, ErrMalformed) {
		t.Errorf("duplicate key of a struct: %v", err)
	}
	if err := Unmarshal([]byte("\xa2\x01\x61a\x18\x63\x82\x01\x02"), &s); err != nil || s.Name != "a" {
		t.Errorf("unknown key: %+v, %v", s, err)
	}
	if _, err := Marshal(make([]byte, MaxMessage)); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("Marshal of too much: %v", err)
	}
}

func drawSample(t *rapid.T) sample {
	return sample{
		Name: rapid.String().Draw(t, "name"),
		N:    rapid.Uint64().Draw(t, "n"),
		List: rapid.SliceOfN(rapid.Int(), 1, 8).Draw(t, "list"),
		Map:  rapid.MapOfN(rapid.String(), rapid.Int(), 1, 8).Draw(t, "map"),
		Raw:  rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "raw"),
	}
}

// TestMessages: what WriteMsg wrote comes out of ReadMsg one by one, however the
// bytes are cut, and nothing behind them is touched.
func TestMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := []sample{drawSample(t), drawSample(t), {}}
		var b bytes.Buffer
		for _, s := range want {
			if err := WriteMsg(&b, s); err != nil {
				t.Fatal(err)
			}
		}
		b.WriteString("tail")
		r := iotest.OneByteReader(&b)
		for _, s := range want {
			var got sample
			if err := ReadMsg(r, &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(s, got); d != "" {
				t.Fatal(d)
			}
		}
		if tail, err := io.ReadAll(r); err != nil || string(tail) != "tail" {
			t.Fatalf("behind the messages: %q, %v", tail, err)
		}
	})
}

func TestReadMsgErrors(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       error
	}{
		{"end", "", io.EOF},
		{"cut length", "\x80", io.ErrUnexpectedEOF},
		{"cut value", "\x05\x01", io.ErrUnexpectedEOF},
		{"no value", "\x05", io.ErrUnexpectedEOF},
		{"too long", "\x81\x80\x05", p2p.ErrTooLarge},
		{"not shortest", "\x81\x00\x01", ErrMalformed},
		{"endless length", strings.Repeat("\xff", 20), ErrMalformed},
		{"two values", "\x02\x01\x01", ErrMalformed},
		{"empty", "\x00", ErrMalformed},
	} {
		var v any
		err := ReadMsg(strings.NewReader(test.data), &v)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if errors.Is(err, io.EOF) != (test.want == io.EOF) {
			t.Errorf("%s: io.EOF only between messages: %v", test.name, err)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte("\xa2\x01\x61x\x02\x05"))
	f.Add([]byte("\x9f\x01\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		if Unmarshal(data, &s) != nil {
			return
		}
		// What was accepted has one canonical form, which decodes to the same.
		canonical, err := Marshal(s)
		if err != nil {
			return // invalid for encoding only when longer than MaxMessage
		}
		var again sample
		if err := Unmarshal(canonical, &again); err != nil {
			t.Fatalf("%x became %x: %v", data, canonical, err)
		}
		if second, err := Marshal(again); err != nil || !bytes.Equal(second, canonical) {
			t.Fatalf("%x, then %x: %v", canonical, second, err)
		}
	})
}

func FuzzReadMsg(f *testing.F) {
	f.Add([]byte("\x06\xa2\x01\x61x\x02\x05tail"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		var v any
		if err := ReadMsg(r, &v); err == nil && r.Len() == len(data) {
			t.Fatal("a message without bytes")
		}
	})
}

// TestReadMsgMemory: an announced length alone costs nothing.
func TestReadMsgMemory(t *testing.T) {
	length := AppendVarint(nil, MaxMessage)
	perRun := testing.AllocsPerRun(100, func() {
		var v any
		_ = ReadMsg(bytes.NewReader(length), &v)
	})
	if perRun > 20 {
		t.Errorf("%v allocations for a length", perRun)
	}
}

func BenchmarkMarshal(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	s := sample{Name: "name", N: r.Uint64(), List: r.Perm(10), Raw: make([]byte, 100)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Marshal(s); err != nil {
			b.Fatal(err)
		}
	}
}
