package member

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestRevokedLearnsByFarewell: the one who closes the link says why.
func TestRevokedLearnsByFarewell(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, eve, bob := start(t, net, "ann", Options{}), start(t, net, "eve", Options{}), start(t, net, "bob", Options{})
		eve.mustJoin(ann, InviteOptions{})
		bob.mustJoin(ann, InviteOptions{})
		synctest.Wait()
		ann.mu.Lock()
		l, toBob := ann.links[eve.self], ann.links[bob.self]
		delete(ann.links, eve.self) // the link stays open
		ann.mu.Unlock()
		if err := ann.Revoke(eve.self); err != nil {
			t.Fatal(err)
		}
		if err := ann.Farewell(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !eve.Self().Revoked || len(took[MemberRevoked](eve)) != 1 {
			t.Errorf("self %+v, events %+v", eve.Self(), took[MemberRevoked](eve))
		}
		if err := ann.Farewell(t.Context(), toBob); err != nil || bob.Self().Revoked {
			t.Errorf("farewell to a member: %v", err)
		}
	})
}

// TestRevokedLearnsWhenItReturns: who was away when it was revoked is told when it
// knocks, may then join again, and until then gets nothing else.
func TestRevokedLearnsWhenItReturns(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, eve := start(t, net, "ann", Options{}), start(t, net, "bob", Options{}), start(t, net, "eve", Options{})
		bob.mustJoin(ann, InviteOptions{Role: RoleAdmin})
		eve.mustJoin(bob, InviteOptions{})
		synctest.Wait()
		eve.meet(ann)
		synctest.Wait()
		if err := ann.Revoke(eve.self); err != nil { // her links are closed without a word
			t.Fatal(err)
		}
		synctest.Wait()
		if eve.Self().Revoked {
			t.Fatal("eve knows already: nothing is tried")
		}
		inv := bob.invite(InviteOptions{})
		if err := eve.MayJoin(inv); !errors.Is(err, ErrAlready) {
			t.Errorf("may join what it thinks to be in: %v", err)
		}
		l, err := eve.transport.Dial(t.Context(), bob.Self().Contact, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := bob.current.Load()
		if err := eve.Linked(t.Context(), l); !errors.Is(err, ErrRevoked) {
			t.Errorf("linked: %v", err)
		}
		if !eve.Self().Revoked || len(took[MemberRevoked](eve)) != 1 || bob.current.Load() != before {
			t.Errorf("self %+v", eve.Self())
		}
		if _, err := eve.transport.Dial(t.Context(), bob.Self().Contact, nil); !errors.Is(err, p2p.ErrRefused) {
			t.Errorf("knocks again at once: %v", err)
		}
		if err := eve.MayJoin(inv); err != nil {
			t.Errorf("may join again: %v", err)
		}
		if joined, err := eve.join(inv); err != nil || joined.Already {
			t.Fatalf("%+v, %v", joined, err)
		}
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleAdmin, "eve": RoleMember}, ann, bob, eve)
		if eve.Self().Revoked {
			t.Error("still revoked after joining again")
		}
	})
}

// TestJoinOfRevokedWhoDoesNotKnow: a join that would change nothing finds out first
// that it would.
func TestJoinOfRevokedWhoDoesNotKnow(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, eve := start(t, net, "ann", Options{}), start(t, net, "eve", Options{})
		eve.mustJoin(ann, InviteOptions{})
		synctest.Wait()
		if err := ann.Revoke(eve.self); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if joined, err := eve.join(ann.invite(InviteOptions{})); err != nil || joined.Already {
			t.Errorf("%+v, %v", joined, err)
		}
		converged(t, map[string]Role{"ann": RoleAdmin, "eve": RoleMember}, ann, eve)
	})
}

// TestRevokedByRevocationOfItsInviter: who lost its membership because its inviter's
// act was cut is shown that revocation.
func TestRevokedByRevocationOfItsInviter(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
	eve := w.admit("bob", bob, "eve", RoleMember)
	gone := w.revoke("ann", w.genesis, bob)
	ro := w.roster(t, bob, eve, gone)
	hers := w.roster(t, bob, eve)
	if _, err := hers.Add(ro.revocation(person("eve").ID(), nil)...); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.meaning(hers)["eve"]; ok {
		t.Error("she does not know")
	}
}
