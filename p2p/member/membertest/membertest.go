// Package membertest holds the conformance suite of member.Store.
package membertest

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// Run tests a Store. fresh returns a function that opens one and the same, at first
// empty, Store again at each call, as after a restart.
func Run(t *testing.T, fresh func(t *testing.T) (open func() member.Store)) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, func() member.Store)
	}{
		{"empty", testEmpty},
		{"install", testInstall},
		{"save", testSave},
		{"drop", testDrop},
		{"invites", testInvites},
		{"switch", testSwitch},
		{"service", testService},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

// statement makes up a statement; stores do not look into them.
func statement(n int) member.Statement {
	sig := make([]byte, 64)
	sig[0] = byte(n)
	return member.Statement{Kind: member.KindContact, Body: fmt.Appendf(nil, "statement %d", n), Sig: sig}
}

func invite(n byte) member.Invite {
	return member.Invite{
		ID: [16]byte{n}, Secret: member.Secret{1, n}, Role: member.RoleMember, MaxUses: 2,
		Created: time.Unix(1000+int64(n), 0).UTC(), Expires: time.Unix(2000, 0).UTC(),
	}
}

func expect(t *testing.T, s member.Store, want member.State) {
	t.Helper()
	got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("state differs (-want +got):\n%s", diff)
	}
}

func save(t *testing.T, s member.Store, c member.Change) {
	t.Helper()
	if err := s.Save(c); err != nil {
		t.Fatal(err)
	}
}

func install(t *testing.T, s member.Store, state member.State) member.State {
	t.Helper()
	if err := s.Install(state); err != nil {
		t.Fatal(err)
	}
	return state
}

func testEmpty(t *testing.T, open func() member.Store) { expect(t, open(), member.State{}) }

func testInstall(t *testing.T, open func() member.Store) {
	s := open()
	state := install(t, s, member.State{
		Network: p2p.ID{1}, Statements: []member.Statement{statement(2), statement(1)},
		Invites:     []member.Invite{invite(1)},
		Redemptions: []member.Redemption{{Invite: [16]byte{1}, Member: p2p.ID{9}, Admission: member.Hash{8}}},
	})
	expect(t, s, state)
	expect(t, open(), state)
}

func testSave(t *testing.T, open func() member.Store) {
	s := open()
	state := install(t, s, member.State{Network: p2p.ID{1}, Statements: []member.Statement{statement(5)}})
	save(t, s, member.Change{Add: []member.Statement{statement(3), statement(5), statement(4)}})
	state.Statements = append(state.Statements, statement(3), statement(4))
	expect(t, open(), state)
}

func testDrop(t *testing.T, open func() member.Store) {
	s := open()
	state := install(t, s, member.State{Network: p2p.ID{1}, Statements: []member.Statement{statement(1), statement(2), statement(3)}})
	save(t, s, member.Change{Drop: []member.Hash{statement(3).Hash(), {7}}, Add: []member.Statement{statement(4)}})
	save(t, s, member.Change{Drop: []member.Hash{statement(2).Hash()}, Add: []member.Statement{statement(2)}})
	state.Statements = []member.Statement{statement(1), statement(4), statement(2)}
	expect(t, open(), state)
}

func testInvites(t *testing.T, open func() member.Store) {
	s := open()
	state := install(t, s, member.State{Network: p2p.ID{1}, Statements: []member.Statement{statement(1)}})
	save(t, s, member.Change{Invites: []member.Invite{invite(1), invite(2)}})
	first := member.Redemption{Invite: [16]byte{1}, Member: p2p.ID{1}, Admission: member.Hash{1}}
	second := member.Redemption{Invite: [16]byte{2}, Member: p2p.ID{1}, Admission: member.Hash{2}}
	save(t, s, member.Change{Add: []member.Statement{statement(2)}, Redemptions: []member.Redemption{first}})
	save(t, s, member.Change{Redemptions: []member.Redemption{second, {Invite: first.Invite, Member: first.Member}}})
	ended := invite(1)
	ended.Ended = true
	save(t, s, member.Change{Invites: []member.Invite{ended}})
	state.Statements = append(state.Statements, statement(2))
	state.Invites = []member.Invite{ended, invite(2)}
	state.Redemptions = []member.Redemption{first, second}
	s = open()
	got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	sorted := cmpopts.SortSlices(func(a, b member.Invite) bool { return a.ID[0] < b.ID[0] })
	if diff := cmp.Diff(state, got, sorted, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("state differs (-want +got):\n%s", diff)
	}
	save(t, s, member.Change{DropInvites: [][16]byte{{1}, {7}}})
	state.Invites, state.Redemptions = []member.Invite{invite(2)}, []member.Redemption{second}
	expect(t, open(), state)
}

func testSwitch(t *testing.T, open func() member.Store) {
	s := open()
	install(t, s, member.State{
		Network: p2p.ID{1}, Statements: []member.Statement{statement(1)}, Invites: []member.Invite{invite(1)},
		Redemptions: []member.Redemption{{Invite: [16]byte{1}, Member: p2p.ID{9}, Admission: member.Hash{8}}},
	})
	state := install(t, s, member.State{Network: p2p.ID{2}, Statements: []member.Statement{statement(2)}})
	expect(t, s, state)
	expect(t, open(), state)
}

// testService: what a Service answers survives a restart.
func testService(t *testing.T, open func() member.Store) {
	identity, err := p2p.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *member.Service {
		t.Helper()
		s, err := member.Open(member.Options{Identity: identity, Name: "alpha", Store: open()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := start()
	if err := before.SetOffer(member.Offer{Folder: "f1", Label: "Photos", Access: p2p.AccessWrite}); err != nil {
		t.Fatal(err)
	}
	if _, err := before.Invite(member.InviteOptions{MaxUses: 3}); err != nil {
		t.Fatal(err)
	}
	network, members, offers, invites := before.Network(), before.Members(), before.Offers(), before.Invites()
	after := start()
	ignore := cmpopts.IgnoreUnexported(member.Offer{})
	for _, d := range []string{
		cmp.Diff(network, after.Network()), cmp.Diff(members, after.Members(), cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()),
		cmp.Diff(offers, after.Offers(), ignore), cmp.Diff(invites, after.Invites()),
	} {
		if d != "" {
			t.Errorf("after the restart (-before +after):\n%s", d)
		}
	}
}
