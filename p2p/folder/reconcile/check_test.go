package reconcile

import (
	"errors"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

func valid() Entry {
	d := Dot{memberOf("A"), 1, 1}
	v := Vector{d}
	return Entry{
		ID: EntryID(d), Kind: KindFile,
		Places:   []Place{{Dot: d, Vector: v, Spot: Spot{Name: "a"}}},
		Contents: []Content{{Dot: d, Vector: v, Made: d, Hash: hashOf("1"), Size: 1, Mode: 0o644}},
	}
}

func TestCheck(t *testing.T) {
	rules := Rules{Member: func(id p2p.ID) bool { return id == memberOf("A") || id == memberOf("B") }}
	if err := valid().Check(rules); err != nil {
		t.Fatal(err)
	}
	a, stranger := memberOf("A"), memberOf("X")
	for name, spoil := range map[string]func(e *Entry){
		"no kind":                  func(e *Entry) { e.Kind = "" },
		"other":                    func(e *Entry) { e.Kind = KindOther },
		"no ID":                    func(e *Entry) { e.ID = EntryID{} },
		"ID of a stranger":         func(e *Entry) { e.ID.Member = stranger },
		"no place":                 func(e *Entry) { e.Places = nil },
		"no content":               func(e *Entry) { e.Contents = nil },
		"too many siblings":        func(e *Entry) { e.Contents = make([]Content, MaxSiblings+1) },
		"counter 0":                func(e *Entry) { e.Places[0].Vector = Vector{{a, 1, 0}} },
		"counter 2^53+1":           func(e *Entry) { e.Contents[0].Vector = Vector{{a, 1, MaxCounter + 1}} },
		"stranger in a vector":     func(e *Entry) { e.Contents[0].Vector = e.Contents[0].Vector.Bump(Dot{stranger, 1, 1}) },
		"vector not in order":      func(e *Entry) { e.Contents[0].Vector = Vector{{a, 1, 1}, {a, 1, 1}} },
		"not its author's event":   func(e *Entry) { e.Contents[0].Dot.Counter = 2 },
		"no event":                 func(e *Entry) { e.Places[0].Dot = Dot{} },
		"made before it was known": func(e *Entry) { e.Contents[0].Made.Counter = 9 },
		"in itself":                func(e *Entry) { e.Places[0].Parent = e.ID },
		"negative size":            func(e *Entry) { e.Contents[0].Size = -1 },
		"huge size":                func(e *Entry) { e.Contents[0].Size = MaxSize + 1 },
		"setuid":                   func(e *Entry) { e.Contents[0].Mode = 1 << 23 },
		"file without hash":        func(e *Entry) { e.Contents[0].Hash = Hash{} },
		"directory with hash":      func(e *Entry) { e.Kind = KindDir },
		"seen but no tombstone":    func(e *Entry) { e.Contents[0].Seen = e.Places[0].Vector },
		"former name":              func(e *Entry) { e.Places[0].Was.Name = "../x" },
		"superseded": func(e *Entry) {
			e.Places = append(e.Places, Place{Dot: Dot{a, 1, 2}, Vector: Vector{{a, 1, 2}}, Spot: Spot{Name: "b"}})
		},
		"name empty":        func(e *Entry) { e.Places[0].Name = "" },
		"name ..":           func(e *Entry) { e.Places[0].Name = ".." },
		"name with slash":   func(e *Entry) { e.Places[0].Name = "a/b" },
		"name with NUL":     func(e *Entry) { e.Places[0].Name = "a\x00" },
		"name reserved":     func(e *Entry) { e.Places[0].Name = ".SHOAL" },
		"name not UTF-8":    func(e *Entry) { e.Places[0].Name = "\xff" },
		"name of 256 bytes": func(e *Entry) { e.Places[0].Name = strings.Repeat("x", 256) },
	} {
		e := valid()
		spoil(&e)
		if err := e.Check(rules); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckIncarnations(t *testing.T) {
	var v Vector
	for i := range uint64(MaxIncarnations + 1) {
		v = append(v, Dot{memberOf("A"), i, 1})
	}
	if err := v[1:].Check(Rules{}); err != nil {
		t.Error(err)
	}
	if err := v.Check(Rules{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("too many incarnations: %v", err)
	}
	if err := make(Vector, MaxVector+1).Check(Rules{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("too long: %v", err)
	}
}
