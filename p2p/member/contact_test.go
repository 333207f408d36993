package member

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "ann": "ann", "  Ann   B. ": "Ann B.", "a\nb\tc": "a b c", "a\x00b\x1b[31m": "ab[31m",
		"invoice\u202efdp.exe": "invoicefdp.exe", "\u2066x\u2069": "x", "a\u200bb": "ab", "\xff\xfea": "a",
		"Zoë 北京 🐟": "Zoë 北京 🐟", strings.Repeat("ä", 100): strings.Repeat("ä", 64), "\ufffd": "",
		strings.Repeat("a ", 60): strings.TrimSpace(strings.Repeat("a ", 32)),
	} {
		if got := CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		got := CleanName(rapid.String().Draw(t, "name"))
		if utf8.RuneCountInString(got) > 64 || !utf8.ValidString(got) || CleanName(got) != got {
			t.Errorf("%q", got)
		}
	})
}

func TestContacts(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:4747")
	good, err := SignContact(person("ann"), p2p.Contact{Name: "ann", Addrs: []netip.AddrPort{addr}, Relays: []p2p.ID{{1}}, Seq: 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyContact(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*p2p.Contact){
		"name": func(c *p2p.Contact) { c.Name = "eve" }, "seq": func(c *p2p.Contact) { c.Seq++ },
		"addresses": func(c *p2p.Contact) { c.Addrs = nil }, "relays": func(c *p2p.Contact) { c.Relays = []p2p.ID{{2}} },
		"key": func(c *p2p.Contact) { c.PublicKey = person("eve").PublicKey() }, "no key": func(c *p2p.Contact) { c.PublicKey = nil },
		"signature": func(c *p2p.Contact) { c.Sig = make([]byte, 64) }, "no signature": func(c *p2p.Contact) { c.Sig = nil },
	} {
		c := good
		change(&c)
		if VerifyContact(c) == nil {
			t.Errorf("another %s is not noticed", name)
		}
	}
	for name, c := range map[string]p2p.Contact{
		"addresses": {Addrs: make([]netip.AddrPort, MaxAddrs+1)}, "relays": {Relays: make([]p2p.ID, MaxRelays+1)},
		"name": {Name: strings.Repeat("x", maxName+1)}, "seq": {Seq: maxSeq + 1}, "encoding": {Name: "\xff"},
	} {
		if _, err := SignContact(person("ann"), c); err == nil {
			t.Errorf("unusable %s signed", name)
		}
	}
}

// TestNewestWins: of contacts and offers the newest holds, in any order, and of two
// with one number the same one everywhere.
func TestNewestWins(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	ann := person("ann")
	var all []Statement
	for _, c := range []p2p.Contact{{Name: "a", Seq: 1}, {Name: "b", Seq: 2}, {Name: "c", Seq: 2}} {
		st, err := contactStatement(ann, c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, st)
	}
	for _, o := range []Offer{{Seq: 4, Access: p2p.AccessRead}, {Seq: 9, Access: p2p.AccessWrite}, {Seq: 8, Access: p2p.AccessRead, Gone: true}} {
		o.Folder, o.By = "f", ann.ID()
		st, err := offerStatement(ann, w.network, o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, st)
	}
	want := w.roster(t, all...)
	if want.Len() != 3 || want.effectiveOffers()[0].Access != p2p.AccessWrite {
		t.Errorf("%d statements, offers %+v", want.Len(), want.effectiveOffers())
	}
	rapid.Check(t, func(t *rapid.T) {
		got, err := rosterOf(append([]Statement{w.genesis}, rapid.Permutation(all).Draw(t, "order")...)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.digest().hashes, got.digest().hashes); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestContactRelaysAreIDs: the decoder would cut and pad them.
func TestContactRelaysAreIDs(t *testing.T) {
	for length, ok := range map[int]bool{0: false, 31: false, 32: true, 33: false} {
		st := mustSign(person("ann"), KindContact, struct {
			PublicKey []byte   `cbor:"1,keyasint"`
			Name      string   `cbor:"2,keyasint"`
			Relays    [][]byte `cbor:"4,keyasint"`
			Seq       uint64   `cbor:"5,keyasint"`
		}{person("ann").PublicKey(), "ann", [][]byte{make([]byte, length)}, 1})
		if _, err := check(st); (err == nil) != ok {
			t.Errorf("relay of %d bytes: %v", length, err)
		}
	}
}
