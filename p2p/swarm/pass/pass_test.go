package pass

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

func identity(t testing.TB, i byte) p2p.Identity {
	t.Helper()
	id, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{i}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testPass(t testing.TB) (Pass, seed.Link) {
	host, relay := identity(t, 1).PublicKey(), identity(t, 2).PublicKey()
	addrs := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4001"), netip.MustParseAddrPort("[2001:db8::1]:4001")}
	p := Pass{
		ID: ID{1, 2}, Secret: Secret{3, 4}, Network: p2p.ID{5},
		Host:   p2p.Contact{PublicKey: host, Addrs: addrs, Relays: []p2p.ID{p2p.IDOf(relay)}},
		Relays: []p2p.Contact{{PublicKey: relay, Addrs: addrs[:1]}}, Expires: time.Unix(1_800_000_000, 0).UTC(),
	}
	return p, seed.Link{ID: seed.ID{7}, Size: 100, Name: "a b.txt"}
}

// TestText: what a link says is read as it was written, and nothing that has no place in it is.
func TestText(t *testing.T) {
	p, l := testPass(t)
	with, err := p.Into(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{with.String(), with.Page("http://localhost:8080")} {
		read, err := seed.ParseLink(text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := Of(read)
		if err != nil || !ok || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if _, ok, err := Of(l); ok || err != nil {
		t.Errorf("a link without a pass: %v, %v", ok, err)
	}
	named := p
	named.Host.Name, named.Relays = "Ada Lovelace", append(named.Relays, named.Relays...)
	named.Relays = append(named.Relays, named.Relays...)
	named.Relays[0].Name = "Ben"
	with, err = named.Into(l)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(with.Extra[seed.LinkVia])
	if err != nil || bytes.Contains(raw, []byte("Ada")) || bytes.Contains(raw, []byte("Ben")) {
		t.Errorf("a name is in the link: %v", err)
	}
	if got, ok, err := Of(with); err != nil || !ok || len(got.Relays) != MaxRelays {
		t.Errorf("%d relays: %v", len(got.Relays), err)
	}
	if text := fmt.Sprintf("%v %+v %#v", p, p, p.Secret); strings.Contains(text, hex.EncodeToString(p.Secret[:2])) || strings.Contains(text, "[3 4") {
		t.Errorf("a secret is printed: %s", text)
	}
}

// TestMalformed: a part of a pass that is missing or another one is noticed.
func TestMalformed(t *testing.T) {
	p, l := testPass(t)
	with, err := p.Into(l)
	if err != nil {
		t.Fatal(err)
	}
	via := with.Extra[seed.LinkVia]
	other := []byte(via)
	other[20] = other[20]%10 + '0'
	bad := []map[string]string{
		{seed.LinkVia: via},
		{seed.LinkExpires: "1800000000"},
		{seed.LinkVia: via[:len(via)-4], seed.LinkExpires: "1800000000"},
		{seed.LinkVia: string(other), seed.LinkExpires: "1800000000"},
		{seed.LinkVia: via, seed.LinkExpires: "soon"},
		{seed.LinkVia: via, seed.LinkExpires: "-1"},
		{seed.LinkVia: via, seed.LinkExpires: "999999999999999"},
		{seed.LinkVia: strings.Repeat("A", maxText+1), seed.LinkExpires: "1800000000"},
	}
	for _, extra := range bad {
		with.Extra = extra
		if _, _, err := Of(with); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", extra, err)
		}
	}
}

// FuzzOf: whatever a link says, it is refused or written again as it was.
func FuzzOf(f *testing.F) {
	p, l := testPass(f)
	with, err := p.Into(l)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := encoding.DecodeString(with.Extra[seed.LinkVia])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:len(raw)-checksumSize], "1800000000")
	f.Fuzz(func(t *testing.T, text []byte, expires string) {
		sum := sha256.Sum256(text)
		l.Extra = map[string]string{seed.LinkVia: encoding.EncodeToString(append(bytes.Clone(text), sum[:checksumSize]...)), seed.LinkExpires: expires}
		got, ok, err := Of(l)
		if !ok || err != nil {
			return
		}
		again, err := got.Into(l)
		if err != nil {
			t.Fatal(err)
		}
		if back, _, err := Of(again); err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("%+v became %+v: %v", got, back, err)
		}
	})
}

// knocking is a Book with a clock, and those who knock at it.
type knocking struct {
	*Book
	t    *testing.T
	now  time.Time
	here Here
	in   bool

	mu         sync.Mutex // guards what follows
	came, over []p2p.ID
}

func newKnocking(t *testing.T, store Store) *knocking {
	t.Helper()
	k := &knocking{t: t, now: time.Unix(1_700_000_000, 5), in: true, here: Here{Network: p2p.ID{5}, Host: p2p.Contact{PublicKey: identity(t, 1).PublicKey()}}}
	b, err := Open(t.Context(), Options{
		Store: store, Now: func() time.Time { return k.now }, Here: func() (Here, bool) { return k.here, k.in },
		Came: func(_ Info, guest p2p.ID) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.came = append(k.came, guest)
		},
		Over: func(guest p2p.ID) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.over = append(k.over, guest)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	k.Book = b
	return k
}

// knock is what the i-th node does with a pass.
func (k *knocking) knock(i byte, p Pass) error {
	pass := p.Knock()
	n := p2p.Knock{From: identity(k.t, i).PublicKey(), Network: pass.Network, Invite: pass.Invite, Message: []byte{i, 1, 2, 3}}
	mac := hmac.New(sha256.New, pass.Key[:])
	mac.Write(n.Message)
	n.MAC = mac.Sum(nil)
	return k.Admit(n)
}

func (k *knocking) make(o MakeOptions) Pass {
	k.t.Helper()
	l, _, err := k.Make(k.t.Context(), seed.Link{ID: seed.ID{7}, Size: 1, Name: "a"}, o)
	if err != nil {
		k.t.Fatal(err)
	}
	p, _, err := Of(l)
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

func (k *knocking) expect(what string, err, want error) {
	k.t.Helper()
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		k.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestBook: who is let in, who is not, and that a restart changes nothing of it.
func TestBook(t *testing.T) {
	store := &Memory{}
	k := newKnocking(t, store)
	p, two := k.make(MakeOptions{Expires: time.Hour}), k.make(MakeOptions{Expires: 2 * time.Hour, Uses: 2})
	wrong := p
	wrong.Secret[0]++
	k.expect("a wrong secret", k.knock(11, wrong), ErrRefused)
	k.expect("the secret of another pass", k.knock(11, Pass{ID: p.ID, Secret: two.Secret, Network: p.Network}), ErrRefused)
	k.expect("another network", k.knock(11, Pass{ID: p.ID, Secret: p.Secret, Network: p2p.ID{6}}), ErrRefused)
	if len(k.List(seed.ID{7})[0].Uses)+len(k.List(seed.ID{7})[1].Uses) != 0 {
		t.Fatal("who was refused has used it")
	}
	k.expect("the first", k.knock(11, p), nil)
	k.expect("the first again", k.knock(11, p), nil)
	k.expect("the second", k.knock(12, p), ErrRefused)
	k = newKnocking(t, store)
	k.expect("the first after a restart", k.knock(11, p), nil)
	k.expect("the second after a restart", k.knock(12, p), ErrRefused)
	for i, want := range []error{nil, nil, ErrRefused} {
		k.expect(fmt.Sprintf("%d of two", i+1), k.knock(byte(20+i), two), want)
	}
	if g := k.Grants(identity(t, 11).ID()); len(g) != 1 || !g[seed.ID{7}].Equal(p.Expires) {
		t.Errorf("grants: %v", g)
	}
	if g := k.Grants(identity(t, 12).ID()); len(g) != 0 {
		t.Errorf("of one who was refused: %v", g)
	}
	k.now = k.now.Add(time.Hour)
	k.expect("an hour later", k.knock(11, p), ErrExpired)
	if g := k.Grants(identity(t, 11).ID()); len(g) != 0 {
		t.Errorf("an hour later: %v", g)
	}
	k.expect("withdraw", k.Withdraw(t.Context(), seed.ID{7}, two.ID), nil)
	k.expect("withdraw again", k.Withdraw(t.Context(), seed.ID{7}, two.ID), nil)
	k.expect("withdraw what is another's", k.Withdraw(t.Context(), seed.ID{8}, two.ID), ErrUnknown)
	k.expect("withdrawn", k.knock(20, two), ErrRefused)
	if len(k.over) != 2 || len(k.came) != 2 {
		t.Errorf("came %v, left %v", k.came, k.over)
	}
	k = newKnocking(t, store)
	k.expect("withdrawn, after a restart", k.knock(20, two), ErrRefused)
	three := k.make(MakeOptions{})
	k.expect("a third", k.knock(20, three), nil)
	k.here.Network = p2p.ID{6}
	k.expect("in another network", k.knock(20, three), ErrRefused)
	if i := k.List(seed.ID{7}); !i[0].Ended {
		t.Error("a pass of another network is shown as good")
	}
	k.here.Network, k.in = p2p.ID{5}, false
	k.expect("when removed", k.knock(20, three), ErrRefused)
	if g := k.Grants(identity(t, 20).ID()); len(g) != 0 {
		t.Errorf("when removed: %v", g)
	}
	k.in = true
	k.expect("forget", k.Forget(t.Context(), seed.ID{7}), nil)
	k.expect("forgotten", k.knock(20, three), ErrRefused)
	if rows, err := store.Passes(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("still kept: %v, %v", rows, err)
	}
}

// TestBookTakesTurns: of many that come at once exactly as many are let in as a pass is for.
func TestBookTakesTurns(t *testing.T) {
	k := newKnocking(t, nil)
	p := k.make(MakeOptions{Uses: 5})
	var mu sync.Mutex
	in := 0
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if k.knock(byte(50+i), p) == nil {
				mu.Lock()
				in++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if in != 5 || len(k.came) != 5 {
		t.Errorf("%d are in, %d have come", in, len(k.came))
	}
}

// broken is a store that fails.
type broken struct{ Memory }

var errDisk = errors.New("disk")

func (*broken) UsePass(context.Context, ID, Use) error { return errDisk }

// TestNotDurableNotIn: nobody is let in of whom it could not be kept.
func TestNotDurableNotIn(t *testing.T) {
	k := newKnocking(t, &broken{})
	p := k.make(MakeOptions{})
	if err := k.knock(11, p); !errors.Is(err, errDisk) || !errors.Is(err, ErrRefused) || len(k.came) != 0 {
		t.Errorf("let in: %v", err)
	}
	if len(k.Grants(identity(t, 11).ID())) != 0 {
		t.Error("and may have the seed")
	}
}

// TestBounds: what cannot be is refused, and what is over makes room.
func TestBounds(t *testing.T) {
	k := newKnocking(t, nil)
	for _, o := range []MakeOptions{{Expires: -1}, {Expires: time.Millisecond}, {Expires: MaxExpiry + 1}, {Uses: -1}, {Uses: MaxUses + 1}} {
		if _, _, err := k.Make(t.Context(), seed.Link{Name: "a"}, o); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, _, err := k.Make(t.Context(), seed.Link{Name: "a", Legacy: true}, MakeOptions{}); !errors.Is(err, seed.ErrLegacy) {
		t.Errorf("the old form: %v", err)
	}
	for range maxPasses {
		k.make(MakeOptions{Expires: time.Hour})
	}
	if _, _, err := k.Make(t.Context(), seed.Link{Name: "a"}, MakeOptions{}); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	k.now = k.now.Add(time.Hour + keepOver + time.Second)
	k.make(MakeOptions{})
	if n := len(k.List(seed.ID{7})); n != 1 {
		t.Errorf("%d are remembered", n)
	}
}
