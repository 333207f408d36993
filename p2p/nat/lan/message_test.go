package lan

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

func someID(b byte) p2p.ID {
	id := p2p.ID{b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7}
	id[31] = b
	return id
}

func addrs(texts ...string) (out []netip.Addr) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

// TestCardRoundTrip: what a node says is what others read.
func TestCardRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := card{
			ID:      p2p.ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id")),
			Tag:     tag(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "tag")),
			Port:    rapid.Uint16Min(1).Draw(t, "port"),
			Version: rapid.StringN(0, 60, 300).Draw(t, "version"),
			TTL:     time.Duration(rapid.IntRange(0, int(lifetime/time.Second)).Draw(t, "ttl")) * time.Second,
		}
		for range rapid.IntRange(0, maxAddrs).Draw(t, "addrs") {
			n := rapid.SampledFrom([]int{4, 16}).Draw(t, "bytes")
			a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "addr"))
			c.Addrs = append(c.Addrs, a)
		}
		b, err := c.pack(rapid.Bool().Draw(t, "list"))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 700 {
			t.Errorf("%d bytes", len(b))
		}
		m, err := parse(b)
		c.Version = ""
		if err != nil || !m.IsAnswer || !reflect.DeepEqual(m.Card, c) {
			t.Errorf("got %+v, %v\nwant %+v", m, err, c)
		}
	})
}

func TestQuestionRoundTrip(t *testing.T) {
	var have []known
	for i := range 40 {
		have = append(have, known{ID: someID(byte(i)), TTL: time.Duration(i) * time.Minute})
	}
	b, err := packQuestion(nil, have)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 1200 {
		t.Errorf("%d bytes do not fit into a packet", len(b))
	}
	m, err := parse(b)
	if err != nil || m.IsAnswer || !slices.Equal(m.Questions, []question{{service, dnsmessage.TypePTR}}) {
		t.Fatalf("got %+v, %v", m, err)
	}
	if len(m.Known) != maxKnown || m.Known[instance(someID(7))] != 7*time.Minute {
		t.Errorf("known: %v", m.Known)
	}
	b, err = packQuestion([]p2p.ID{someID(1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := parse(b); err != nil || !slices.Equal(m.Questions, []question{{instance(someID(1)), dnsmessage.TypeALL}}) {
		t.Errorf("got %+v, %v", m, err)
	}
}

// TestOtherTalk: what others ask and answer in the same packet or group does no harm.
func TestOtherTalk(t *testing.T) {
	build := func(h dnsmessage.Header, fill func(b *dnsmessage.Builder)) []byte {
		b := dnsmessage.NewBuilder(nil, h)
		b.EnableCompression()
		fill(&b)
		msg, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	ask := func(b *dnsmessage.Builder, names ...string) {
		if err := b.StartQuestions(); err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			q := dnsmessage.Question{Name: dnsmessage.MustNewName(n), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET | topBit}
			if err := b.Question(q); err != nil {
				t.Fatal(err)
			}
		}
	}
	mixed := build(dnsmessage.Header{}, func(b *dnsmessage.Builder) { ask(b, "_ipp._tcp.local.", service, listing) })
	if m, err := parse(mixed); err != nil || len(m.Questions) != 2 {
		t.Errorf("got %+v, %v", m, err)
	}
	for name, msg := range map[string][]byte{
		"printers":        build(dnsmessage.Header{}, func(b *dnsmessage.Builder) { ask(b, "_ipp._tcp.local.") }),
		"an empty answer": build(dnsmessage.Header{Response: true}, func(b *dnsmessage.Builder) { ask(b, service) }),
		"an update":       build(dnsmessage.Header{OpCode: 5}, func(b *dnsmessage.Builder) { ask(b, service) }),
		"nothing":         nil,
		"noise":           []byte("shoal"),
	} {
		if m, err := parse(msg); err == nil {
			t.Errorf("%s: got %+v", name, m)
		}
	}
}

// TestAnswersThatContradictThemselves are not believed.
func TestAnswersThatContradictThemselves(t *testing.T) {
	id := someID(1)
	good := []string{"txtvers=1", "ID=" + id.String(), "net=" + strings.Repeat("ab", 16), "port=4747"}
	swap := func(i int, s string) []string {
		out := slices.Clone(good)
		out[i] = s
		return out
	}
	for _, tc := range []struct {
		name     string
		text     []string
		instance string
		port     uint16
		ok       bool
	}{
		{"good", good, instance(id), 4747, true},
		{"a key twice", append(slices.Clone(good), "port=1"), instance(id), 4747, true},
		{"another version", swap(0, "txtvers=2"), instance(id), 4747, false},
		{"no version", swap(0, "x=1"), instance(id), 4747, false},
		{"the instance of another", good, instance(someID(2)), 4747, false},
		{"a short ID", swap(1, "id="+id.Short()), instance(id), 4747, false},
		{"a long tag", swap(2, "net="+strings.Repeat("ab", 17)), instance(id), 4747, false},
		{"a tag of other letters", swap(2, "net="+strings.Repeat("xy", 16)), instance(id), 4747, false},
		{"another port", good, instance(id), 4748, false},
		{"no port", swap(3, "port=0"), instance(id), 0, false},
		{"a large port", swap(3, "port=65536"), instance(id), 4747, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true})
			w := writer{b: &b, ttl: 120}
			w.do(b.StartAnswers())
			w.do(b.TXTResource(w.header(tc.instance, true), dnsmessage.TXTResource{TXT: tc.text}))
			w.do(b.StartAdditionals())
			w.do(b.SRVResource(w.header(tc.instance, true), dnsmessage.SRVResource{Port: tc.port, Target: w.name(host(id))}))
			w.do(b.AResource(w.header(host(someID(3)), true), dnsmessage.AResource{A: [4]byte{10, 0, 0, 9}}))
			w.ttl = 60
			w.do(b.AResource(w.header(host(id), true), dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}))
			msg, err := w.finish()
			if err != nil {
				t.Fatal(err)
			}
			m, err := parse(msg)
			if (err == nil) != tc.ok {
				t.Fatalf("got %+v, %v", m, err)
			}
			if tc.ok && (!slices.Equal(m.Card.Addrs, addrs("10.0.0.1")) || m.Card.TTL != time.Minute || m.Card.Port != 4747) {
				t.Errorf("got %+v", m.Card)
			}
		})
	}
}

// TestTagTellsNothing: two nodes of one network have nothing in common for others, and
// no tag is good for two networks.
func TestTagTellsNothing(t *testing.T) {
	seen := map[tag]bool{}
	for network := range byte(3) {
		for node := range byte(3) {
			seen[tagOf(someID(100+network), someID(node))] = true
		}
	}
	if len(seen) != 9 {
		t.Errorf("%d different tags of 9", len(seen))
	}
}

// FuzzParse: whatever comes, the outcome is small, and what is read can be said again.
func FuzzParse(f *testing.F) {
	c := card{ID: someID(1), Port: 4747, Version: "1", Addrs: addrs("10.0.0.1", "2001:db8::1"), TTL: time.Hour}
	for _, list := range []bool{false, true} {
		b, err := c.pack(list)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	b, err := packQuestion(nil, []known{{someID(2), time.Hour}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if len(m.Questions) > maxRecords || len(m.Known) > maxRecords || len(m.Card.Addrs) > maxAddrs || m.Card.TTL > lifetime || m.Card.TTL < 0 {
			t.Fatalf("got %+v", m)
		}
		if !m.IsAnswer {
			return
		}
		again, err := m.Card.pack(false)
		if err != nil {
			t.Fatal(err)
		}
		if m2, err := parse(again); err != nil || !reflect.DeepEqual(m2.Card, m.Card) {
			t.Fatalf("got %+v, %v\nwant %+v", m2, err, m)
		}
	})
}
