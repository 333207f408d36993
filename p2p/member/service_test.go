package member

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// converged waits until nothing moves any more and asserts that all see the same.
func converged(t *testing.T, want map[string]Role, nodes ...*node) {
	t.Helper()
	synctest.Wait()
	for _, n := range nodes {
		if diff := cmp.Diff(want, n.whoIsHere()); diff != "" {
			t.Errorf("%s sees (-want +got):\n%s", n.Self().Name, diff)
		}
		if n.current.Load().digest().sum != nodes[0].current.Load().digest().sum {
			t.Errorf("the rosters of %s and %s differ", n.Self().Name, nodes[0].Self().Name)
		}
	}
}

func TestFirstStart(t *testing.T) {
	s, err := Open(Options{Identity: person("ann"), Name: "Ann\u202e's  laptop\n"})
	if err != nil {
		t.Fatal(err)
	}
	self := s.Self()
	if self.Role != RoleAdmin || !self.Self || self.Name != "Ann's laptop" || s.Network().Name != "Ann's laptop's network" || s.Network().Mode != ModeClosed {
		t.Errorf("self %+v in %+v", self, s.Network())
	}
	if self.By != s.Network().ID || len(s.Members()) != 1 {
		t.Errorf("admitted by %s, %d members", self.By, len(s.Members()))
	}
	if err := VerifyContact(self.Contact); err != nil {
		t.Error(err)
	}
	if err := s.Revoke(self.ID); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("revoke the last admin: %v", err)
	}
	if err := s.SetRole(self.ID, RoleMember); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("demote the last admin: %v", err)
	}
	if err := s.Revoke(p2p.ID{1}); !errors.Is(err, ErrUnknownMember) {
		t.Errorf("revoke a stranger: %v", err)
	}
}

func TestJoinOneAfterTheOther(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, cid := start(t, net, "ann", Options{}), start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		joined := bob.mustJoin(ann, InviteOptions{Role: RoleAdmin})
		synctest.Wait()
		events := took[MemberJoined](ann)
		if len(events) != 1 || events[0].ID != bob.Self().ID || events[0].Name != "bob" || [4]string(events[0].Words) != joined.Words {
			t.Errorf("the inviter was told %+v, the joiner %+v", events, joined)
		}
		if got := took[NetworkJoined](bob); len(got) != 1 || got[0].ID != ann.Network().ID || got[0].Members != 2 {
			t.Errorf("the joiner's event %+v", got)
		}
		cid.mustJoin(bob, InviteOptions{})
		synctest.Wait()
		cid.meet(ann)
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleAdmin, "cid": RoleMember}, ann, bob, cid)
		for _, n := range []*node{bob, cid} {
			if diff := cmp.Diff(ann.Network(), n.Network()); diff != "" {
				t.Error(diff)
			}
		}
		if got := took[MemberJoined](ann); len(got) != 2 || got[1].Words != nil {
			t.Errorf("a member that did not invite was told %+v", got)
		}
		if m, _ := ann.Member(cid.Self().ID); m.By != bob.Self().ID || m.Key != cid.Self().Key {
			t.Errorf("cid is %+v", m)
		}
	})
}

func TestNewsReachEverybodyAtOnce(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, cid := start(t, net, "ann", Options{}), start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		bob.mustJoin(ann, InviteOptions{})
		cid.mustJoin(ann, InviteOptions{}) // bob and cid are not linked: what they say goes through ann
		began := time.Now()
		addr := netip.MustParseAddrPort("192.0.2.7:4747")
		if changed, err := bob.SetContact([]netip.AddrPort{addr, addr, netip.MustParseAddrPort("0.0.0.0:1")}, []p2p.ID{ann.Self().ID}); !changed || err != nil {
			t.Fatal(changed, err)
		}
		if err := cid.SetOffer(Offer{Folder: "f1", Label: "Photos", Access: p2p.AccessRead}); err != nil {
			t.Fatal(err)
		}
		if err := ann.SetRole(bob.Self().ID, RoleAdmin); err != nil {
			t.Fatal(err)
		}
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleAdmin, "cid": RoleMember}, ann, bob, cid)
		if c, ok := cid.Contact(bob.Self().ID); !ok || cmp.Diff([]netip.AddrPort{addr}, c.Addrs, cmpopts.EquateComparable(netip.AddrPort{})) != "" || len(c.Relays) != 1 {
			t.Errorf("cid knows of bob %+v", c)
		}
		want := []Offer{{Folder: "f1", Label: "Photos", By: cid.Self().ID, Access: p2p.AccessRead}}
		if diff := cmp.Diff(want, bob.Offers(), cmpopts.IgnoreUnexported(Offer{}), cmpopts.IgnoreFields(Offer{}, "Seq")); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		if changed, err := bob.SetContact([]netip.AddrPort{addr}, []p2p.ID{ann.Self().ID}); changed || err != nil {
			t.Errorf("the same contact again: %v, %v", changed, err)
		}
		if err := bob.SetOffer(Offer{Folder: "f1", By: cid.Self().ID, Label: "Photos", Access: p2p.AccessWrite}); err != nil {
			t.Errorf("an admin changes an offer: %v", err)
		}
		if err := cid.SetOffer(Offer{Folder: "f2", By: ann.Self().ID, Access: p2p.AccessRead}); !errors.Is(err, ErrNotAdmin) {
			t.Errorf("a member offers for another: %v", err)
		}
		synctest.Wait()
		if o := ann.Offers(); len(o) != 1 || o[0].Access != p2p.AccessWrite {
			t.Errorf("offers %+v", o)
		}
		if err := cid.SetOffer(Offer{Folder: "f1", Label: "Photos", Access: p2p.AccessWrite, Gone: true}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if o := bob.Offers(); len(o) != 0 {
			t.Errorf("offers %+v", o)
		}
	})
}

func TestRevocationReachesEverybody(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, cid, eve := start(t, net, "ann", Options{}), start(t, net, "bob", Options{}), start(t, net, "cid", Options{}), start(t, net, "eve", Options{})
		for _, n := range []*node{bob, cid, eve} {
			n.mustJoin(ann, InviteOptions{MaxUses: 3})
		}
		synctest.Wait()
		eve.meet(bob)
		eve.meet(cid)
		if err := eve.SetOffer(Offer{Folder: "f1", Label: "Photos", Access: p2p.AccessWrite}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if err := ann.Revoke(eve.Self().ID); err != nil {
			t.Fatal(err)
		}
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleMember, "cid": RoleMember}, ann, bob, cid)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if peers := eve.peers(); len(peers) != 0 {
			t.Errorf("the revoked member still has links to %v", peers)
		}
		for _, n := range []*node{ann, bob, cid} {
			if got := took[MemberRevoked](n); len(got) != 1 || got[0].Name != "eve" {
				t.Errorf("%s was told %+v", n.Self().Name, got)
			}
			// She is let in once, to be told, and may do nothing else.
			l, err := eve.transport.Dial(t.Context(), n.Self().Contact, nil)
			if err != nil {
				t.Fatal(err)
			}
			var refused *p2p.CallError
			if _, err := l.Call(t.Context(), "search/1", nil); !errors.As(err, &refused) || refused.Code != "no_protocol" {
				t.Errorf("the revoked member asks %s: %v", n.Self().Name, err)
			}
			_ = l.Close()
			if _, err := eve.transport.Dial(t.Context(), n.Self().Contact, nil); !errors.Is(err, p2p.ErrRefused) {
				t.Errorf("the revoked member dials %s: %v", n.Self().Name, err)
			}
			if o := n.Offers(); len(o) != 1 || o[0].By != eve.Self().ID {
				t.Errorf("%s sees offers %+v: a folder does not end with its creator's membership", n.Self().Name, o)
			}
			if m, ok := n.Member(eve.Self().ID); !ok || !m.Revoked {
				t.Errorf("%s remembers %+v", n.Self().Name, m)
			}
		}
		ended := 0
		for _, in := range ann.Invites() {
			if in.Ended {
				ended++
			}
		}
		if ended != 1 {
			t.Errorf("%d invitations have ended, want the one by which the revoked member came", ended)
		}
	})
}

func TestDemotionAndPromotion(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, cid := start(t, net, "ann", Options{}), start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		bob.mustJoin(ann, InviteOptions{Role: RoleAdmin})
		cid.mustJoin(bob, InviteOptions{})
		synctest.Wait()
		cid.meet(ann)
		key := ann.Self().Key
		if err := ann.SetRole(ann.Self().ID, RoleMember); err != nil {
			t.Fatal(err)
		}
		converged(t, map[string]Role{"ann": RoleMember, "bob": RoleAdmin, "cid": RoleMember}, ann, bob, cid)
		if ann.Self().Key != key {
			t.Error("the position changed with the role")
		}
		for _, err := range []error{ann.Revoke(cid.Self().ID), ann.SetRole(cid.Self().ID, RoleAdmin)} {
			if !errors.Is(err, ErrNotAdmin) {
				t.Errorf("a member acts as admin: %v", err)
			}
		}
		if _, err := ann.Invite(InviteOptions{}); !errors.Is(err, ErrNotAdmin) {
			t.Errorf("a member invites: %v", err)
		}
		if err := bob.SetRole(ann.Self().ID, RoleAdmin); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := ann.SetRole(bob.Self().ID, RoleMember); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := ann.Revoke(bob.Self().ID); err != nil {
			t.Fatal(err)
		}
		converged(t, map[string]Role{"ann": RoleAdmin, "cid": RoleMember}, ann, cid)
	})
}

func TestPartition(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob := start(t, net, "ann", Options{}), start(t, net, "bob", Options{})
		bob.mustJoin(ann, InviteOptions{Role: RoleAdmin})
		synctest.Wait()
		net.Partition(ann.Self().ID, bob.Self().ID)
		cid, dan := start(t, net, "cid", Options{}), start(t, net, "dan", Options{})
		cid.mustJoin(ann, InviteOptions{})
		dan.mustJoin(bob, InviteOptions{})
		net.Heal(ann.Self().ID, bob.Self().ID)
		ann.meet(bob)
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleAdmin, "cid": RoleMember, "dan": RoleMember}, ann, bob, cid, dan)
	})
}

func TestComparisonRepairs(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob := start(t, net, "ann", Options{}), start(t, net, "bob", Options{})
		bob.mustJoin(ann, InviteOptions{})
		synctest.Wait()
		// A push that is lost without a trace.
		ann.mu.Lock()
		links := ann.links
		ann.links = map[p2p.ID]p2p.Link{}
		ann.mu.Unlock()
		if err := ann.SetName("anna"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ann.mu.Lock()
		ann.links = links
		ann.mu.Unlock()
		time.Sleep(repairEvery + time.Second)
		converged(t, map[string]Role{"anna": RoleAdmin, "bob": RoleMember}, ann, bob)
	})
}

func TestRestart(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		store := NewMemory()
		ann, bob := start(t, net, "ann", Options{Store: store}), start(t, net, "bob", Options{})
		bob.mustJoin(ann, InviteOptions{})
		inv := ann.invite(InviteOptions{MaxUses: 1})
		cid := start(t, net, "cid", Options{})
		l, err := cid.knock(inv)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cid.askToJoin(t.Context(), l, inv); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := ann.whoIsHere()
		again := start(t, net, "ann", Options{Store: store})
		if diff := cmp.Diff(want, again.whoIsHere()); diff != "" {
			t.Errorf("after the restart (-before +after):\n%s", diff)
		}
		if _, err := cid.join(inv); err != nil {
			t.Errorf("who was admitted before the restart asks again: %v", err)
		}
		dan := start(t, net, "dan", Options{})
		if _, err := dan.join(inv); !errors.Is(err, p2p.ErrRefused) {
			t.Errorf("a used invitation after the restart: %v", err)
		}
		again.meet(bob)
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleMember, "cid": RoleMember}, again, bob, cid)
	})
}

// TestOldBackup: a node whose store is older than what it has told the others
// learns its own statements from them, and what it says now holds.
func TestOldBackup(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		store := NewMemory()
		ann, bob := start(t, net, "ann", Options{Store: store}), start(t, net, "bob", Options{})
		bob.mustJoin(ann, InviteOptions{})
		synctest.Wait()
		backup, err := store.Load()
		if err != nil {
			t.Fatal(err)
		}
		cid := start(t, net, "cid", Options{})
		cid.mustJoin(ann, InviteOptions{})
		if _, err := ann.SetContact([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		old := NewMemory()
		if err := old.Install(backup); err != nil {
			t.Fatal(err)
		}
		again := start(t, net, "ann", Options{Store: old})
		again.meet(bob)
		again.meet(cid)
		synctest.Wait()
		if c, _ := bob.Contact(again.Self().ID); len(c.Addrs) != 0 {
			t.Errorf("bob would dial %v", c.Addrs)
		}
		dan := start(t, net, "dan", Options{})
		dan.mustJoin(again, InviteOptions{})
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleMember, "cid": RoleMember, "dan": RoleMember}, again, bob, cid, dan)
		if _, number := again.roster.head(again.self); number != 3 {
			t.Errorf("the third admission has number %d", number)
		}
	})
}

// broken is a Store that fails when told to.
type broken struct {
	Store
	err error
}

func (b *broken) Save(c Change) error {
	if b.err != nil {
		return b.err
	}
	return b.Store.Save(c)
}

// TestStoreFails: what is not durable has not happened.
func TestStoreFails(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		store := &broken{Store: NewMemory()}
		ann, bob := start(t, net, "ann", Options{Store: store}), start(t, net, "bob", Options{})
		inv := ann.invite(InviteOptions{})
		l, err := bob.knock(inv)
		if err != nil {
			t.Fatal(err)
		}
		store.err = errors.New("disk full")
		before := ann.current.Load()
		if _, err := bob.Join(t.Context(), l, inv); err == nil || strings.Contains(err.Error(), "disk full") {
			t.Errorf("join: %v: the joiner is told that it failed and no more", err)
		}
		if _, err := ann.SetContact([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}, nil); !errors.Is(err, store.err) {
			t.Errorf("set contact: %v", err)
		}
		if _, err := ann.Invite(InviteOptions{}); !errors.Is(err, store.err) {
			t.Errorf("invite: %v", err)
		}
		if ann.current.Load() != before || ann.roster.Len() != len(before.digest().hashes) || len(ann.Invites()) != 1 || ann.Invites()[0].Uses != 0 {
			t.Error("something happened")
		}
		store.err = nil
		if _, err := bob.Join(t.Context(), l, inv); err != nil {
			t.Error(err)
		}
	})
}

// TestLargeRosters: two members that each know much that the other does not.
func TestLargeRosters(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	bob, cid := w.admit("ann", w.genesis, "bob", RoleAdmin), w.admit("ann", w.genesis, "cid", RoleAdmin)
	services := map[string]*Service{}
	for _, name := range []string{"bob", "cid"} {
		statements := []Statement{w.genesis, bob, cid}
		grant := map[string]Statement{"bob": bob, "cid": cid}[name]
		for i := range 900 {
			statements = append(statements, w.admit(name, grant, fmt.Sprint(name, i), RoleMember))
		}
		store := NewMemory()
		if err := store.Install(State{Network: w.network, Statements: statements}); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Identity: person(name), Store: store})
		if err != nil {
			t.Fatal(err)
		}
		services[name] = s
	}
	calls := 0
	call := func(ctx context.Context, req []byte) ([]byte, error) {
		calls++
		return services["cid"].serveSync(ctx, fakeLink{peer: person("bob").ID()}, req)
	}
	if err := services["bob"].exchange(t.Context(), person("cid").ID(), call); err != nil {
		t.Fatal(err)
	}
	if a, b := services["bob"].current.Load().digest(), services["cid"].current.Load().digest(); a.sum != b.sum || len(a.hashes) != 1803 {
		t.Errorf("%d and %d statements after %d calls", len(a.hashes), len(b.hashes), calls)
	}
	if calls > 20 {
		t.Errorf("%d calls", calls)
	}
	calls = 0
	if err := services["bob"].exchange(t.Context(), person("cid").ID(), call); err != nil || calls != 1 {
		t.Errorf("equal rosters: %d calls, %v", calls, err)
	}
	if err := services["bob"].SetName("Bob"); err != nil {
		t.Fatal(err)
	}
	calls = 0
	if err := services["bob"].exchange(t.Context(), person("cid").ID(), call); err != nil || calls > 3 {
		t.Errorf("one difference in a large roster: %d calls, %v", calls, err)
	}
}

// fakeLink is the side of a link that handlers look at.
type fakeLink struct {
	p2p.Link
	peer p2p.ID
	key  ed25519.PublicKey
}

func (l fakeLink) Peer() p2p.ID      { return l.peer }
func (l fakeLink) Binding() [32]byte { return [32]byte{1} }
