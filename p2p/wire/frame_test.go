package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestVarint(t *testing.T) {
	for _, test := range []struct {
		n    uint64
		want string
	}{
		{0, "\x00"},
		{127, "\x7f"},
		{128, "\x80\x01"},
		{300, "\xac\x02"},
		{math.MaxUint64, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
	} {
		enc := AppendVarint(nil, test.n)
		if string(enc) != test.want {
			t.Errorf("%d: %x, want %x", test.n, enc, test.want)
		}
		n, rest, err := ReadVarint(append(enc, 'x'))
		if n != test.n || string(rest) != "x" || err != nil {
			t.Errorf("%d read back as %d, %q, %v", test.n, n, rest, err)
		}
	}
	for _, bad := range []string{"", "\x80", "\x80\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", strings.Repeat("\x80", 11)} {
		if _, _, err := ReadVarint([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v, want ErrMalformed", bad, err)
		}
	}
}

// TestFrameKnown pins the bytes of every frame: they are the protocol.
func TestFrameKnown(t *testing.T) {
	for _, test := range []struct {
		frame Frame
		want  string
	}{
		{Frame{Type: Open, Stream: 2, Code: 300, Payload: []byte("a/1")}, "\x01\x02\xac\x02\x03a/1"},
		{Frame{Type: Data, Stream: 200, Payload: []byte("xy")}, "\x02\xc8\x01\x02xy"},
		{Frame{Type: Fin, Stream: 3}, "\x03\x03"},
		{Frame{Type: Stop, Stream: 3, Code: 7}, "\x04\x03\x07"},
		{Frame{Type: Reset, Stream: 3, Code: 8}, "\x05\x03\x08"},
		{Frame{Type: Credit, Stream: 3, Code: 128}, "\x06\x03\x80\x01"},
		{Frame{Type: GoAway, Code: 1, Payload: []byte("bye")}, "\x07\x01\x03bye"},
		{Frame{Type: Ping, Code: 9}, "\x08\x09"},
		{Frame{Type: Pong, Code: 9}, "\x09\x09"},
		{Frame{Type: Request, Stream: 4, Payload: AppendRequest(nil, "a/1", []byte("q"))}, "\x0a\x04\x05\x03a/1q"},
		{Frame{Type: Ask, Stream: 4, Payload: []byte("a/1")}, "\x0b\x04\x03a/1"},
		{Frame{Type: Reply, Stream: 4, Payload: []byte("r")}, "\x0c\x04\x01r"},
		{Frame{Type: Failure, Stream: 4, Payload: []byte("f")}, "\x0d\x04\x01f"},
		{Frame{Type: Cancel, Stream: 4}, "\x0e\x04"},
		{Frame{Type: Hello, Payload: []byte("h")}, "\x0f\x01h"},
		{Frame{Type: Auth, Payload: []byte("s")}, "\x10\x01s"},
	} {
		got := AppendFrame([]byte("before"), test.frame)
		if string(got) != "before"+test.want {
			t.Errorf("%v: %q, want %q", test.frame.Type, got, test.want)
		}
		f, rest, err := ParseFrame(append(got[6:], "behind"...))
		if err != nil || string(rest) != "behind" {
			t.Errorf("%v: rest %q, %v", test.frame.Type, rest, err)
		}
		if d := cmp.Diff(test.frame, f); d != "" {
			t.Error(d)
		}
		for i := range len(test.want) {
			if _, _, err := ParseFrame([]byte(test.want[:i])); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v cut to %d bytes: %v", test.frame.Type, i, err)
			}
		}
	}
	for _, bad := range []string{"\x00", "\x11", "\xff", "\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if _, _, err := ParseFrame([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v, want ErrMalformed", bad, err)
		}
	}
}

func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Frame{Type: Type(rapid.IntRange(1, len(shapes)-1).Draw(t, "type"))}
		s := shapes[f.Type]
		if s.stream {
			f.Stream = rapid.Uint64().Draw(t, "stream")
		}
		if s.code {
			f.Code = rapid.Uint64().Draw(t, "code")
		}
		if s.hasPayload {
			f.Payload = rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		}
		enc := AppendFrame(nil, f)
		if len(enc)-len(f.Payload) > MaxHeader {
			t.Fatalf("header of %d bytes", len(enc)-len(f.Payload))
		}
		got, rest, err := ParseFrame(enc)
		if err != nil || len(rest) > 0 {
			t.Fatal(rest, err)
		}
		if d := cmp.Diff(f, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestRequest(t *testing.T) {
	proto, body, err := ParseRequest(AppendRequest(nil, "member/1", []byte("body")))
	if proto != "member/1" || string(body) != "body" || err != nil {
		t.Errorf("%q, %q, %v", proto, body, err)
	}
	for _, bad := range []string{"", "\x00", "\x05a/1", "\x03a b", "\x02\xc3\xbc", "\x41" + strings.Repeat("x", 65)} {
		if proto, _, err := ParseRequest([]byte(bad)); err == nil {
			t.Errorf("%q was accepted as %q", bad, proto)
		}
	}
}

func TestFrameAllocations(t *testing.T) {
	payload, buf := make([]byte, 16<<10), make([]byte, 0, 17<<10)
	n := testing.AllocsPerRun(100, func() {
		buf = AppendFrame(buf[:0], Frame{Type: Data, Stream: 1234, Payload: payload})
		if _, _, err := ParseFrame(buf); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for one frame", n)
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte("\x01\x02\xac\x02\x03a/1\x02\xc8\x01\x02xy"))
	f.Add([]byte("\x0a\x04\x05\x03a/1q"))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, rest, err := ParseFrame(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		// There is one spelling of each frame.
		if again := AppendFrame(nil, frame); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x was read as %+v, which is %x", b, frame, again)
		}
		if frame.Type == Request {
			if proto, body, err := ParseRequest(frame.Payload); err == nil {
				if again := AppendRequest(nil, proto, body); !bytes.Equal(again, frame.Payload) {
					t.Fatalf("request %x was read as %q, %x", frame.Payload, proto, body)
				}
			}
		}
	})
}
