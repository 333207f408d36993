package route

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// allocates fails a test where reading input takes much more memory than the input has.
func allocates(t *testing.T, input []byte, read func()) {
	t.Helper()
	const rounds = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		read()
	}
	runtime.ReadMemStats(&after)
	if got, most := (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(16*len(input)+8<<10); got > most {
		t.Errorf("%d bytes for an input of %d", got, len(input))
	}
}

// sealed is an envelope that is in order, and its encoding.
func sealed(tb testing.TB) (*Envelope, []byte) {
	tb.Helper()
	identity, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	e := &Envelope{
		To: p2p.ID{1}, Position: p2p.Key{2}, Incarnation: Nonce{3}, Epoch: Nonce{4}, Seq: 5,
		Proto: "echo/1", Request: []byte("request"), Hops: 6, Patience: 7, Public: make([]byte, publicSize),
	}
	e.sign(identity, testNetwork)
	b, err := e.encode()
	if err != nil {
		tb.Fatal(err)
	}
	return e, b
}

func FuzzDecodeEnvelope(f *testing.F) {
	_, b := sealed(f)
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEnvelope(b)
		if err != nil {
			return
		}
		if len(e.Request) > MaxForwarded+sealSize || len(e.Public) != publicSize || e.Hops > MaxHops || e.Patience > maxPatience || len(e.Sig) != 64 || len(e.Origin) != 32 {
			t.Fatalf("out of bounds: %+v", e)
		}
		again, err := e.encode()
		if err != nil {
			return // longer than a message: it cannot be passed on
		}
		second, err := decodeEnvelope(again)
		if err != nil || second.digest(testNetwork) != e.digest(testNetwork) {
			t.Fatalf("%x became %x: %v", b, again, err)
		}
	})
}

func FuzzOpenAnswer(f *testing.F) {
	target, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{2}, 32))
	if err != nil {
		f.Fatal(err)
	}
	good, err := answer{Outcome: outcomeDone, Sealed: []byte("answer")}.seal(target, testNetwork, digest{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0xa1, 0x01, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := openAnswer(b, target.PublicKey(), testNetwork, digest{1})
		if err == nil && (a.Outcome != outcomeDone || string(a.Sealed) != "answer") {
			t.Fatalf("the target never signed %+v", a)
		}
	})
}

func FuzzOpenResult(f *testing.F) {
	mine, theirs := newSecret(), newSecret()
	e, _ := sealed(f)
	origin, err := share(mine, theirs.PublicKey().Bytes(), theirs.PublicKey().Bytes(), testNetwork, e)
	if err != nil {
		f.Fatal(err)
	}
	target, err := share(theirs, mine.PublicKey().Bytes(), theirs.PublicKey().Bytes(), testNetwork, e)
	if err != nil {
		f.Fatal(err)
	}
	good, err := wire.Marshal(result{Body: []byte("body"), Code: "busy", Text: "later"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, uint64(1))
	f.Add([]byte{0xa1, 0x01, 0x02}, uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seq uint64) {
		if r, err := origin.open(target.answer.Seal(nil, nonceOf(seq), b, nil), seq); err == nil &&
			(len(r.Body) > MaxForwarded || len(r.Code) > wire.MaxProto || len(r.Text) > maxText) {
			t.Fatalf("out of bounds: %+v", r)
		}
		if _, err := origin.open(target.answer.Seal(nil, nonceOf(seq), b, nil), seq+1); err == nil {
			t.Fatal("the answer to another request was taken")
		}
		if _, err := origin.open(b, seq); err == nil {
			t.Fatal("sealed by nobody")
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	var b bytes.Buffer
	if err := writeAnswer(&b, nil, &p2p.CallError{Code: "busy", Message: "later"}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := readAnswer(b); err == nil && len(got) != len(b)-1 {
			t.Fatalf("%d bytes of %d", len(got), len(b))
		}
	})
}

// TestDecoderMemory: what a peer announces costs nothing, only what it sends.
func TestDecoderMemory(t *testing.T) {
	_, envelope := sealed(t)
	for name, input := range map[string][]byte{
		"envelope":   envelope,
		"cut":        envelope[:len(envelope)/2],
		"long bytes": {0xa1, 0x08, 0x5b, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff},
		"long array": {0xa1, 0x08, 0x9a, 0, 0, 0xff, 0xff},
		"deep":       bytes.Repeat([]byte{0x81}, 4096),
	} {
		t.Run(name, func(t *testing.T) {
			allocates(t, input, func() {
				_, _ = decodeEnvelope(input)
				_, _ = openAnswer(input, nil, testNetwork, digest{})
				_, _ = readAnswer(append([]byte{statusFailed}, input...))
				var o opening
				_ = wire.ReadMsg(bytes.NewReader(input), &o)
			})
		})
	}
}

// TestSignedFields: no field can be changed without the signature telling, but the two
// that hops count down.
func TestSignedFields(t *testing.T) {
	e, _ := sealed(t)
	for name, change := range map[string]func(*Envelope){
		"to":          func(e *Envelope) { e.To[31]++ },
		"position":    func(e *Envelope) { e.Position[31]++ },
		"incarnation": func(e *Envelope) { e.Incarnation[15]++ },
		"epoch":       func(e *Envelope) { e.Epoch[15]++ },
		"seq":         func(e *Envelope) { e.Seq++ },
		"border":      func(e *Envelope) { e.Proto, e.Request = e.Proto+"r", e.Request[1:] },
		"request":     func(e *Envelope) { e.Request = append(e.Request, 0) },
	} {
		changed := *e
		changed.Request = bytes.Clone(e.Request)
		change(&changed)
		if changed.verify(testNetwork) || changed.digest(testNetwork) == e.digest(testNetwork) {
			t.Errorf("%s: nobody notices", name)
		}
	}
	later := *e
	later.Hops, later.Patience = 0, 0
	if !later.verify(testNetwork) || later.verify(p2p.ID{0xbb}) {
		t.Error("the signature is for one network, and not for hops and patience")
	}
}
