package member

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

func TestClassInvitation(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		const pupils = 45
		teacher := start(t, net, "teacher", Options{})
		inv := teacher.invite(InviteOptions{MaxUses: 40})
		var mu sync.Mutex
		var wg sync.WaitGroup
		came, refused := 0, 0
		for i := range pupils {
			n := start(t, net, "pupil "+string(rune('A'+i)), Options{})
			wg.Go(func() {
				_, err := n.join(inv)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					came++
				case errors.Is(err, p2p.ErrRefused):
					refused++
				default:
					t.Errorf("%s: %v", n.Self().Name, err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if came != 40 || refused != pupils-40 || len(teacher.Members()) != 41 {
			t.Errorf("%d came, %d were refused, %d are here", came, refused, len(teacher.Members()))
		}
	})
}

func TestInvitationsThatAreRefused(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, ann *node) Invitation
		want error
	}{
		{"forged secret", func(t *testing.T, ann *node) Invitation {
			inv := ann.invite(InviteOptions{})
			inv.Secret[3] ^= 1
			return inv
		}, p2p.ErrRefused},
		{"made up", func(t *testing.T, ann *node) Invitation {
			inv := ann.invite(InviteOptions{})
			inv.ID[3] ^= 1
			return inv
		}, p2p.ErrRefused},
		{"none", func(t *testing.T, ann *node) Invitation {
			inv := ann.invite(InviteOptions{})
			inv.ID, inv.Secret = [16]byte{}, Secret{}
			return inv
		}, p2p.ErrRefused},
		{"withdrawn", func(t *testing.T, ann *node) Invitation {
			inv := ann.invite(InviteOptions{})
			if err := ann.Withdraw(inv.ID); err != nil {
				t.Fatal(err)
			}
			return inv
		}, p2p.ErrRefused},
		{"used up", func(t *testing.T, ann *node) Invitation {
			inv := ann.invite(InviteOptions{MaxUses: 1})
			other := start(t, ann.net, "other", Options{})
			if _, err := other.join(inv); err != nil {
				t.Fatal(err)
			}
			return inv
		}, p2p.ErrRefused},
		{"of an inviter who is no admin any more", func(t *testing.T, ann *node) Invitation {
			inv := ann.invite(InviteOptions{})
			other := start(t, ann.net, "other", Options{})
			other.mustJoin(ann, InviteOptions{Role: RoleAdmin})
			if err := ann.SetRole(ann.Self().ID, RoleMember); err != nil {
				t.Fatal(err)
			}
			return inv
		}, ErrRefused},
		{"another network", func(t *testing.T, ann *node) Invitation {
			inv := ann.invite(InviteOptions{})
			inv.Network[0] ^= 1
			return inv
		}, p2p.ErrRefused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			world(t, func(t *testing.T, net *sim.Network) {
				ann, bob := start(t, net, "ann", Options{}), start(t, net, "bob", Options{})
				before := bob.Network()
				inv := test.make(t, ann)
				members := len(ann.Members())
				if _, err := bob.join(inv); !errors.Is(err, test.want) {
					t.Errorf("join: %v, want %v", err, test.want)
				}
				synctest.Wait()
				if bob.Network() != before || len(ann.Members()) != members {
					t.Error("a refused join changed something")
				}
			})
		})
	}
}

func TestExpired(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		// The joiner's clock is slow: only the inviter can tell.
		ann := start(t, net, "ann", Options{})
		bob := start(t, net, "bob", Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }})
		inv := ann.invite(InviteOptions{Expires: time.Hour})
		l, err := bob.knock(inv)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := bob.Join(t.Context(), l, inv); !errors.Is(err, ErrExpired) {
			t.Errorf("told by the inviter: %v", err)
		}
		if _, err := bob.knock(inv); !errors.Is(err, p2p.ErrRefused) {
			t.Errorf("the door: %v", err)
		}
		cid := start(t, net, "cid", Options{})
		if _, err := cid.Join(t.Context(), l, inv); !errors.Is(err, ErrExpired) {
			t.Errorf("told by the own clock: %v", err)
		}
	})
}

func TestJoinTwice(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, cid := start(t, net, "ann", Options{}), start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		inv := ann.invite(InviteOptions{MaxUses: 2})
		// The answer is lost: bob asks, and does not hear.
		l, err := bob.knock(inv)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bob.askToJoin(t.Context(), l, inv); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if _, err := bob.join(inv); err != nil {
			t.Fatal(err)
		}
		if uses := ann.Invites()[0].Uses; uses != 1 {
			t.Errorf("%d uses", uses)
		}
		joined, err := bob.Join(t.Context(), nil, inv)
		if err != nil || !joined.Already {
			t.Errorf("the own network again: %+v, %v", joined, err)
		}
		if _, err := cid.join(inv); err != nil {
			t.Error(err)
		}
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleMember, "cid": RoleMember}, ann, bob, cid)
		if got := took[MemberJoined](ann); len(got) != 2 {
			t.Errorf("ann was told %+v", got)
		}
	})
}

func TestNotEmpty(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, cid := start(t, net, "ann", Options{}), start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		bob.mustJoin(ann, InviteOptions{})
		if _, err := ann.join(cid.invite(InviteOptions{})); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("join: %v", err)
		}
		if err := ann.Revoke(bob.Self().ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := ann.join(cid.invite(InviteOptions{})); err != nil {
			t.Errorf("alone again: %v", err)
		}
	})
}

func TestFoldersMoveAlong(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob := start(t, net, "ann", Options{}), start(t, net, "bob", Options{})
		for _, o := range []Offer{{Folder: "f1", Label: "Photos", Access: p2p.AccessWrite}, {Folder: "f2", Access: p2p.AccessRead}, {Folder: "f2", Access: p2p.AccessRead, Gone: true}} {
			if err := bob.SetOffer(o); err != nil {
				t.Fatal(err)
			}
		}
		bob.mustJoin(ann, InviteOptions{})
		synctest.Wait()
		if o := ann.Offers(); len(o) != 1 || o[0].Folder != "f1" || o[0].By != bob.Self().ID {
			t.Errorf("offers %+v", o)
		}
	})
}

// TestStranger: without an invitation there is no link; with a link a guest may
// only join, and learns nothing by trying.
func TestStranger(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, eve := start(t, net, "ann", Options{}), start(t, net, "eve", Options{})
		if _, err := eve.transport.Dial(t.Context(), ann.Self().Contact, nil); !errors.Is(err, p2p.ErrRefused) {
			t.Errorf("dial: %v", err)
		}
		inv := ann.invite(InviteOptions{})
		l, err := eve.knock(inv)
		if err != nil {
			t.Fatal(err)
		}
		for _, req := range [][]byte{nil, {0xa0}, []byte("?")} {
			var refused *p2p.CallError
			if _, err := l.Call(t.Context(), ProtoMember, req); !errors.As(err, &refused) || refused.Code != CodeForbidden {
				t.Errorf("a guest asks for the roster: %v", err)
			}
			if _, err := ann.serveSync(t.Context(), l, req); err == nil {
				t.Error("a guest was answered")
			}
			if _, err := l.Call(t.Context(), ProtoJoin, req); !errors.As(err, &refused) || refused.Code != CodeMalformed {
				t.Errorf("a guest sends rubbish: %v", err)
			}
		}
		// The proof of one link is worth nothing on another, nor in another's name.
		forged := inv
		forged.Secret[0] ^= 1
		if _, err := eve.Join(t.Context(), l, forged); !errors.Is(err, ErrRefused) {
			t.Errorf("a wrong secret: %v", err)
		}
		for range failuresAtOnce + 1 {
			_, _ = eve.Join(t.Context(), l, forged)
		}
		// Others' wrong proofs do not close the invitation to who holds its secret.
		if _, err := eve.Join(t.Context(), l, inv); err != nil {
			t.Errorf("after many wrong proofs: %v", err)
		}
	})
}

func TestOpenNetwork(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann, bob, cid := start(t, net, "ann", Options{Mode: ModeOpen}), start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		bob.mustJoin(ann, InviteOptions{})
		inv := bob.invite(InviteOptions{})
		if inv.Secret != (Secret{}) || len(bob.Invites()) != 0 {
			t.Error("an open network needs no secrets")
		}
		if _, err := cid.join(inv); err != nil {
			t.Fatal(err)
		}
		converged(t, map[string]Role{"ann": RoleAdmin, "bob": RoleMember, "cid": RoleMember}, ann, bob, cid)
		if _, err := bob.Invite(InviteOptions{Role: RoleAdmin}); !errors.Is(err, ErrNotAdmin) {
			t.Errorf("a member invites an admin: %v", err)
		}
	})
}
