package member

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// PublicKey implements p2p.Link for the person of the peer's name.
func (l fakeLink) PublicKey() ed25519.PublicKey { return l.key }

func fuzzed(f *testing.F) (*Service, fakeLink, p2p.Identity) {
	f.Helper()
	s, err := Open(Options{Identity: person("ann"), Name: "ann"})
	if err != nil {
		f.Fatal(err)
	}
	bob := person("bob")
	return s, fakeLink{peer: bob.ID(), key: bob.PublicKey()}, bob
}

func mustMarshal(v any) []byte {
	b, err := wire.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// onlyRefusals: whatever comes in, a handler answers within the limit or refuses
// with a code.
func onlyRefusals(t *testing.T, answer []byte, err error) {
	t.Helper()
	var refused *p2p.CallError
	if err != nil && (!errors.As(err, &refused) || refused.Code == "internal") {
		t.Errorf("failed: %v", err)
	}
	if len(answer) > 64<<10 {
		t.Errorf("answer of %d bytes", len(answer))
	}
}

func FuzzJoinRequest(f *testing.F) {
	s, l, bob := fuzzed(f)
	inv, err := s.Invite(InviteOptions{})
	if err != nil {
		f.Fatal(err)
	}
	contact, err := contactStatement(bob, p2p.Contact{Name: "bob", Seq: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mustMarshal(joinRequest{Contact: contact}))
	f.Add(mustMarshal(joinRequest{Invite: inv.ID[:], MAC: make([]byte, 32), Contact: contact}))
	f.Add(mustMarshal(joinRequest{Invite: []byte{1}, MAC: []byte{1}, Contact: contact}))
	f.Fuzz(func(t *testing.T, req []byte) {
		answer, err := s.serveJoin(t.Context(), l, req)
		onlyRefusals(t, answer, err)
		if err == nil || len(s.Members()) != 1 {
			t.Error("somebody without a proof was admitted")
		}
	})
}

func FuzzSyncRequest(f *testing.F) {
	s, l, bob := fuzzed(f)
	w := newScribe(ModeClosed, "ann")
	st := w.admit("ann", w.genesis, "bob", RoleMember)
	store := NewMemory()
	if err := store.Install(State{Network: w.network, Statements: []Statement{w.genesis, st}}); err != nil {
		f.Fatal(err)
	}
	s, err := Open(Options{Identity: person("ann"), Store: store})
	if err != nil {
		f.Fatal(err)
	}
	contact, err := contactStatement(bob, p2p.Contact{Name: "bob", Seq: 1})
	if err != nil {
		f.Fatal(err)
	}
	all, h := everything(), st.Hash()
	for _, r := range []syncRequest{
		{Sum: make([]byte, 32)},
		{List: all[:], From: make([]byte, 32)},
		{Want: h[:]},
		{Give: []Statement{contact, w.genesis}},
		{Want: make([]byte, 33)},
		{List: []byte{1}},
	} {
		r.Network = w.network[:]
		f.Add(mustMarshal(r))
	}
	f.Fuzz(func(t *testing.T, req []byte) {
		answer, err := s.serveSync(t.Context(), l, req)
		onlyRefusals(t, answer, err)
		if role, _ := s.Role(bob.ID()); role != RoleMember || len(s.Members()) != 2 {
			t.Error("the roster changed its meaning without a signature of an admin")
		}
	})
}

// FuzzWelcome: whatever an inviter answers, a joiner installs nothing that does not
// lead from the genesis that the invitation names to itself.
func FuzzWelcome(f *testing.F) {
	w := newScribe(ModeClosed, "ann")
	st := w.admit("ann", w.genesis, "bob", RoleMember)
	h := st.Hash()
	inv := Invitation{Network: w.network, Inviter: p2p.Contact{PublicKey: person("ann").PublicKey()}}
	good := mustMarshal(joinResponse{Admission: h[:], Statements: []Statement{w.genesis, st}})
	f.Add(good)
	f.Add(mustMarshal(joinResponse{Admission: h[:], Statements: []Statement{w.genesis}}))
	f.Add(mustMarshal(joinResponse{Admission: h[:], Statements: []Statement{st, w.genesis}}))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var resp joinResponse
		if wire.Unmarshal(answer, &resp) != nil {
			return
		}
		ro, _, err := verifyWelcome(inv, person("bob").ID(), resp)
		if err == nil && (ro.network.ID != w.network || !ro.Has(st.Hash())) {
			t.Errorf("accepted %x", answer)
		}
		if err != nil && bytes.Equal(answer, good) {
			t.Errorf("the good answer: %v", err)
		}
	})
}

// TestFalseWelcome: answers of an inviter that lies.
func TestFalseWelcome(t *testing.T) {
	w, other := newScribe(ModeClosed, "ann"), newScribe(ModeClosed, "zoe")
	bob := w.admit("ann", w.genesis, "bob", RoleMember)
	cid := w.admit("ann", w.genesis, "cid", RoleMember)
	gone := w.revoke("ann", w.genesis, bob)
	elsewhere := other.admit("zoe", other.genesis, "bob", RoleMember)
	tests := []struct {
		name       string
		inviter    string
		admission  Statement
		statements []Statement
		ok         bool
	}{
		{"true", "ann", bob, []Statement{w.genesis, bob}, true},
		{"nothing", "ann", bob, nil, false},
		{"no genesis", "ann", bob, []Statement{bob}, false},
		{"another network", "zoe", elsewhere, []Statement{other.genesis, elsewhere}, false},
		{"the inviter is no admin", "cid", bob, []Statement{w.genesis, bob, cid}, false},
		{"the inviter is unknown", "dan", bob, []Statement{w.genesis, bob}, false},
		{"not admitted", "ann", bob, []Statement{w.genesis, cid}, false},
		{"somebody else was admitted", "ann", cid, []Statement{w.genesis, bob, cid}, false},
		{"revoked", "ann", bob, []Statement{w.genesis, bob, gone}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := test.admission.Hash()
			inv := Invitation{Network: w.network, Inviter: p2p.Contact{PublicKey: person(test.inviter).PublicKey()}}
			_, _, err := verifyWelcome(inv, person("bob").ID(), joinResponse{Admission: h[:], Statements: test.statements})
			if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	for _, test := range []struct {
		proto  string
		member bool
		want   bool
	}{
		{ProtoJoin, false, true},
		{ProtoJoin, true, true},
		{ProtoMember, false, true},
		{ProtoMember, true, true},
		{"search/1", false, false},
		{"signal/1", false, false},
		{"", false, false},
		{"search/1", true, true},
	} {
		if got := Allowed(test.proto, test.member); got != test.want {
			t.Errorf("Allowed(%q, %v) = %v", test.proto, test.member, got)
		}
	}
}
