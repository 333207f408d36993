package member

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func TestRosterRefuses(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	other := newScribe(ModeClosed, "zoe")
	bob := w.admit("ann", w.genesis, "bob", RoleMember)
	cid := w.admit("ann", w.genesis, "cid", RoleMember)
	h := bob.Hash()
	otherNonce := w.put("ann", KindAdmission, admissionBody{
		actHead: w.head("ann", w.genesis.Hash()), Member: w.key("bob"), Role: RoleAdmin, Nonce: nonceOf("other"), Base: h[:],
	})
	tests := []struct {
		name string
		st   Statement
	}{
		{"a second genesis", other.genesis},
		{"of another network", other.admit("zoe", other.genesis, "bob", RoleMember)},
		{"under somebody else's admission", w.admit("bob", w.genesis, "eve", RoleMember)},
		{"raises somebody else's admission", w.promote("ann", w.genesis, bob, "cid")},
		{"raises with another nonce", otherNonce},
		{"raises a raised one", w.promote("ann", w.genesis, w.promote("ann", w.genesis, cid, "cid"), "cid")},
		{"offer by a stranger", mustSign(person("eve"), KindOffer, offerBody{
			Network: w.network[:], By: w.key("eve"), Creator: make([]byte, 32), Folder: "f", Access: p2p.AccessRead,
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ro := w.roster(t, bob, cid)
			held := ro.Len()
			if _, err := ro.Add(test.st); err != nil {
				t.Fatal(err)
			}
			if ro.Len() != held {
				t.Error("it is held")
			}
		})
	}
}

func TestRosterIsBounded(t *testing.T) {
	t.Run("depth", func(t *testing.T) {
		w := newScribe(ModeClosed, "p0")
		ro := w.roster(t)
		grant := w.genesis
		for i := range maxDepth + 5 {
			grant = w.admit(fmt.Sprint("p", i), grant, fmt.Sprint("p", i+1), RoleAdmin)
			if _, err := ro.Add(grant); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := len(ro.judged().standing), maxDepth+1; got != want {
			t.Errorf("%d members, want %d", got, want)
		}
		size := 0
		for _, r := range ro.support(ro.judged().standing[person(fmt.Sprint("p", maxDepth)).ID()].entry.hash) {
			size += r.size()
		}
		if size > maxPage {
			t.Errorf("what the last one rests on takes %d bytes, at most %d fit a message", size, maxPage)
		}
	})
	t.Run("quota of an open network", func(t *testing.T) {
		w := newScribe(ModeOpen, "ann")
		bob := w.admit("ann", w.genesis, "bob", RoleMember)
		ro := w.roster(t, bob)
		for i := range OpenQuota + 5 {
			if _, err := ro.Add(w.admit("bob", bob, fmt.Sprint("p", i), RoleMember)); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := len(ro.judged().standing), OpenQuota+2; got != want {
			t.Errorf("%d members, want %d", got, want)
		}
	})
	t.Run("waiting", func(t *testing.T) {
		w := newScribe(ModeClosed, "ann")
		bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
		ro := w.roster(t)
		for i := range maxPending + 10 {
			if _, err := ro.Add(w.admit("bob", bob, fmt.Sprint("p", i), RoleMember)); err != nil {
				t.Fatal(err)
			}
		}
		if len(ro.queue) != maxPending {
			t.Errorf("%d statements wait, want %d", len(ro.queue), maxPending)
		}
		if _, err := ro.Add(bob); err != nil {
			t.Fatal(err)
		}
		if got, want := len(ro.judged().standing), maxPending+2; got != want || len(ro.queue) != 0 || len(ro.waiting) != 0 {
			t.Errorf("%d members, want %d; %d still wait", got, want, len(ro.queue))
		}
	})
}

func TestPromotionKeepsPosition(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleMember)
	before := w.roster(t, bob).view(p2p.ID{}).byID[person("bob").ID()]
	after := w.roster(t, bob, w.promote("ann", w.genesis, bob, "bob")).view(p2p.ID{}).byID[person("bob").ID()]
	if before.Key != after.Key || after.Role != RoleAdmin {
		t.Errorf("promoted: %v at %x, was %v at %x", after.Role, after.Key, before.Role, before.Key)
	}
	if want := position(w.network, [16]byte(nonceOf("bob")), person("bob").PublicKey()); before.Key != want {
		t.Errorf("position %x, want %x", before.Key, want)
	}
}

func TestCheckRefuses(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	good := w.admit("ann", w.genesis, "bob", RoleMember)
	flip := func(b []byte, i int) []byte {
		c := slices.Clone(b)
		c[i] ^= 1
		return c
	}
	for i := range good.Body {
		if _, err := check(Statement{good.Kind, flip(good.Body, i), good.Sig}); err == nil {
			t.Fatalf("accepted with byte %d of the body changed", i)
		}
	}
	for i := range good.Sig {
		if _, err := check(Statement{good.Kind, good.Body, flip(good.Sig, i)}); err == nil {
			t.Fatalf("accepted with byte %d of the signature changed", i)
		}
	}
	for kind := range Kind(8) {
		if _, err := check(Statement{kind, good.Body, good.Sig}); (err == nil) != (kind == good.Kind) {
			t.Errorf("as kind %d: %v", kind, err)
		}
	}
}

// TestUnknownFieldsAreKept: a later version says more; this one passes it on as it
// was signed.
func TestUnknownFieldsAreKept(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	st := mustSign(person("ann"), KindAdmission, struct {
		admissionBody
		More string `cbor:"99,keyasint"`
	}{admissionBody{actHead: w.head("ann", w.genesis.Hash()), Member: w.key("bob"), Role: RoleMember, Nonce: nonceOf("bob")}, "news"})
	ro := w.roster(t, st)
	if diff := cmp.Diff([]Statement{w.genesis, st}, ro.Statements()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzCheck(f *testing.F) {
	w := newScribe(ModeClosed, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
	contact, err := contactStatement(person("ann"), p2p.Contact{Name: "ann", Seq: 1})
	if err != nil {
		f.Fatal(err)
	}
	offer, err := offerStatement(person("ann"), w.network, Offer{Folder: "f", By: person("ann").ID(), Access: p2p.AccessRead})
	if err != nil {
		f.Fatal(err)
	}
	for _, st := range []Statement{w.genesis, bob, w.revoke("ann", w.genesis, bob, bob), contact, offer} {
		f.Add(uint8(st.Kind), st.Body)
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		// Any body can be signed by somebody, so reading is what is tried here.
		st := Statement{Kind: Kind(kind), Body: body, Sig: make([]byte, 64)}
		if _, err := check(st); err == nil {
			t.Error("accepted without a signature")
		}
		for _, read := range []func([]byte) (*act, error){
			func(b []byte) (*act, error) { a, _, err := readGenesis(b); return a, err },
			func(b []byte) (*act, error) { a, _, err := readAdmission(b); return a, err },
			func(b []byte) (*act, error) { a, _, err := readRevocation(b); return a, err },
		} {
			if a, err := read(body); err == nil && len(a.heads) > maxHeads {
				t.Errorf("%d heads", len(a.heads))
			}
		}
		if o, _, err := readOffer(body); err == nil && len(o.Folder) > maxFolder {
			t.Errorf("folder ID of %d bytes", len(o.Folder))
		}
		if c, _, err := readContact(st); err == nil && (len(c.Addrs) > MaxAddrs || len(c.Relays) > MaxRelays) {
			t.Errorf("%d addresses, %d relays", len(c.Addrs), len(c.Relays))
		}
	})
}

func TestDigest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []Hash {
		out := make([]Hash, n)
		for i := range out {
			for j := range out[i] {
				out[i][j] = byte(rng.Uint32())
			}
		}
		return out
	}
	common, onlyA, onlyB := random(3000), random(40), random(7)
	a, b := newDigest(append(slices.Clone(common), onlyA...)), newDigest(append(slices.Clone(common), onlyB...))
	if a.sum == b.sum || a.sum != newDigest(append(slices.Clone(onlyA), common...)).sum {
		t.Error("sums do not tell sets apart")
	}
	sel := a.differing(b.sums())
	var theirs []Hash
	for from := (Hash{}); ; {
		page, next := b.list(sel, from, 17)
		theirs = append(theirs, page...)
		if from = next; next.IsZero() {
			break
		}
	}
	missing, extra := a.compare(sel, theirs)
	slices.SortFunc(onlyA, compareHash)
	slices.SortFunc(onlyB, compareHash)
	if diff := cmp.Diff(onlyB, missing) + cmp.Diff(onlyA, extra); diff != "" {
		t.Errorf("missing and extra differ:\n%s", diff)
	}
	if same := a.differing(a.sums()); !same.isEmpty() {
		t.Error("differs from itself")
	}
}

func TestActTimes(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	r, err := check(w.admit("ann", w.genesis, "bob", RoleMember))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Unix(100, 0).UTC(); !r.act.issued.Equal(want) {
		t.Errorf("issued %v, want %v", r.act.issued, want)
	}
	if _, err := wire.Marshal(r.Statement); err != nil {
		t.Error(err)
	}
}
