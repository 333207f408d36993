package member

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
)

// annWith is the Service of ann, who has admitted others as members.
func annWith(t *testing.T, o Options, names ...string) *Service {
	t.Helper()
	o.Identity, o.Name = person("ann"), "ann"
	ann, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	err = ann.do(func() (func(), error) {
		p, err := ann.adminPen()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if _, err := p.admit(person(name).PublicKey(), RoleMember, [16]byte(nonceOf(name)), nil); err != nil {
				return nil, err
			}
		}
		return ann.apply(update{statements: p.statements, own: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	return ann
}

// say is an offer by a person.
func say(t *testing.T, s *Service, name string, o Offer) Statement {
	t.Helper()
	o.Access = p2p.AccessRead
	st, err := offerStatement(person(name), s.Network().ID, o)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// hears lets s take in what a person pushes.
func hears(t *testing.T, s *Service, name string, statements ...Statement) {
	t.Helper()
	for chunk := range slices.Chunk(statements, 100) {
		if err := s.receive(update{statements: chunk, from: person(name).ID(), pushed: true}, s.Network().ID); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNobodyIsIrrevocable: nothing that a member says of itself keeps it in.
func TestNobodyIsIrrevocable(t *testing.T) {
	bob := person("bob").ID()
	revoked := func(t *testing.T, ann *Service) {
		t.Helper()
		if err := ann.Revoke(bob); err != nil {
			t.Error(err)
		}
		if _, ok := ann.Role(bob); ok {
			t.Error("still a member")
		}
	}
	t.Run("offer with the highest number", func(t *testing.T) {
		ann := annWith(t, Options{}, "bob")
		hears(t, ann, "bob", say(t, ann, "bob", Offer{Folder: "x", Label: "x", By: bob, Seq: maxSeq}))
		revoked(t, ann)
		if o := ann.Offers(); len(o) != 1 || o[0].signer != ann.self || o[0].Seq >= maxSeq {
			t.Errorf("not offered on: %+v", o)
		}
	})
	t.Run("more offers than one signer can have", func(t *testing.T) {
		ann := annWith(t, Options{}, "bob")
		var all []Statement
		for i := range maxOffers {
			all = append(all, say(t, ann, "bob", Offer{Folder: fmt.Sprint("x", i), By: bob, Seq: 1}))
		}
		hears(t, ann, "bob", all...)
		if err := ann.SetOffer(Offer{Folder: "mine", Access: p2p.AccessRead}); err != nil {
			t.Fatal(err)
		}
		revoked(t, ann)
		if o := ann.Offers(); len(o) != maxOffers {
			t.Errorf("%d offers", len(o))
		}
	})
	t.Run("the store takes the revocation and no more", func(t *testing.T) {
		store := &broken{Store: NewMemory()}
		ann := annWith(t, Options{Store: store}, "bob")
		hears(t, ann, "bob", say(t, ann, "bob", Offer{Folder: "x", By: bob, Seq: 1}))
		ann.o.Revoked = func(p2p.ID) { store.err = errors.New("disk full") }
		revoked(t, ann)
	})
}

// TestOffersOfOthersAreNotFrozen: who has no say about a folder has none by a high
// number either.
func TestOffersOfOthersAreNotFrozen(t *testing.T) {
	ann := annWith(t, Options{}, "bob")
	if err := ann.SetOffer(Offer{Folder: "photos", Label: "Photos", Access: p2p.AccessRead}); err != nil {
		t.Fatal(err)
	}
	held := ann.roster.Len()
	forged := say(t, ann, "bob", Offer{Folder: "photos", By: ann.self, Seq: maxSeq})
	hears(t, ann, "bob", forged)
	if ann.roster.Len() != held {
		t.Error("an offer is held whose signer never had a say about the folder")
	}
	// As admin bob has one; it ends with the role.
	bob := person("bob").ID()
	if err := ann.SetRole(bob, RoleAdmin); err != nil {
		t.Fatal(err)
	}
	hears(t, ann, "bob", forged)
	if o := ann.Offers(); o[0].signer != bob {
		t.Errorf("an admin's offer: %+v", o)
	}
	if err := ann.SetRole(bob, RoleMember); err != nil {
		t.Fatal(err)
	}
	o := ann.Offers()[0]
	o.Gone = true
	if err := ann.SetOffer(o); err != nil || len(ann.Offers()) != 0 {
		t.Errorf("taken back: %v, %d offers", err, len(ann.Offers()))
	}
}

// TestContactFlood: of what a member pushes only some is taken in, what says nothing
// new is no event, and by comparing everybody gets the newest.
func TestContactFlood(t *testing.T) {
	var events int
	now := time.Unix(1_800_000_000, 0)
	ann := annWith(t, Options{
		Publish: func(p2p.Event) { events++ },
		Now:     func() time.Time { return now },
	}, "bob", "cid")
	contact := func(name string, seq uint64, label string) Statement {
		st, err := contactStatement(person(name), p2p.Contact{Name: label, Seq: seq})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	hears(t, ann, "bob", contact("bob", 1, "bob"))
	events = 0
	for i := range uint64(1000) {
		hears(t, ann, "bob", contact("bob", i+2, "bob"))
	}
	c, _ := ann.Contact(person("bob").ID())
	if c.Seq != 1+hurryBurst || events != 0 {
		t.Errorf("number %d after a flood, %d events", c.Seq, events)
	}
	hears(t, ann, "bob", contact("cid", 1, "cid"), contact("cid", 2, "cid 2"))
	if c, _ := ann.Contact(person("cid").ID()); c.Seq != 2 {
		t.Error("one member's flood silences another one")
	}
	now = now.Add(2 * hurryEvery)
	hears(t, ann, "bob", contact("bob", 2000, "bob"))
	if c, _ := ann.Contact(person("bob").ID()); c.Seq != 2000 {
		t.Errorf("number %d some time later", c.Seq)
	}
	last := contact("bob", 3000, "bob")
	if err := ann.receive(update{statements: []Statement{last}}, ann.Network().ID); err != nil {
		t.Fatal(err)
	}
	if c, _ := ann.Contact(person("bob").ID()); c.Seq != 3000 {
		t.Errorf("number %d after comparing", c.Seq)
	}
	h := last.Hash()
	if got := asked([]Statement{last, contact("cid", 9, "cid")}, h[:]); len(got) != 1 {
		t.Errorf("%d statements that were asked for", len(got))
	}
}

// rogue is a network in which ann, the founder, has made eve an admin, who floods.
type rogue struct {
	*scribe
	eve, bob Statement
}

func newRogue() rogue {
	w := newScribe(ModeClosed, "ann")
	return rogue{w, w.admit("ann", w.genesis, "eve", RoleAdmin), w.admit("ann", w.genesis, "bob", RoleAdmin)}
}

// TestSeniorIsNeverLockedOut: whatever a rogue admin and its puppets sign, the founder's
// revocation of the rogue fits and ends it.
func TestSeniorIsNeverLockedOut(t *testing.T) {
	floods := map[string]func(r rogue, yield func(Statement) bool){
		"one target": func(r rogue, yield func(Statement) bool) {
			for yield(r.revoke("eve", r.eve, r.bob)) {
			}
		},
		"itself by puppets": func(r rogue, yield func(Statement) bool) {
			for i := 0; ; i++ {
				name := fmt.Sprint("puppet", i)
				puppet := r.admit("eve", r.eve, name, RoleAdmin)
				if !yield(puppet) {
					return
				}
				for range 3 {
					if !yield(r.revoke(name, puppet, r.eve)) || !yield(r.revoke(name, puppet, r.genesis)) {
						return
					}
				}
			}
		},
		"admissions": func(r rogue, yield func(Statement) bool) {
			for i := 0; ; i++ {
				name := fmt.Sprint("puppet", i)
				puppet := r.admit("eve", r.eve, name, RoleAdmin)
				if !yield(puppet) || !yield(r.admit(name, puppet, "fay", RoleMember)) || !yield(r.promote(name, puppet, r.bob, "bob")) {
					return
				}
			}
		},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			r := newRogue()
			ro := r.roster(t, r.eve, r.bob)
			// Signatures are not what is tried here, and would take most of the time.
			n, full := 0, false
			ro.pad(MaxStatements - 200)
			flood(r, func(st Statement) bool {
				added, err := ro.Add(st)
				if err != nil {
					t.Fatal(err)
				}
				full = full || errors.Is(added.Refused, ErrFull)
				n++
				return n < 600
			})
			if !full {
				t.Error("no bound was reached: nothing was tried")
			}
			added, err := ro.Add(r.revoke("ann", r.genesis, r.eve))
			if err != nil || added.Refused != nil {
				t.Fatalf("after %d statements: %v, %v", ro.Len(), err, added.Refused)
			}
			if diff := cmp.Diff(roles{"ann": RoleAdmin, "bob": RoleAdmin}, r.meaning(ro)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// What the revocation cut does not stand in anybody's way.
			added, err = ro.Add(r.admit("bob", r.bob, "cid", RoleMember))
			if err != nil || added.Refused != nil || r.meaning(ro)["cid"] != RoleMember {
				t.Errorf("another admin admits afterwards: %v, %v", err, added.Refused)
			}
		})
	}
}

// pad adds acts that rest on eve's admission and that nobody signed, as if they had
// been checked. They have many signers.
func (ro *Roster) pad(to int) {
	grant := ro.byKey[person("eve").ID()][0]
	for i := 0; ro.Len() < to; i++ {
		h := Hash{1, byte(i), byte(i >> 8), byte(i >> 16), 0xee}
		ro.insert(&record{hash: h, act: &act{
			kind: KindAdmission, hash: h, by: p2p.ID{0xee, byte(i % 8)}, under: grant.hash, number: uint64(i + 1), depth: grant.depth + 1,
			member: p2p.ID(h), role: RoleMember, key: person("eve").PublicKey(),
		}})
	}
}

// TestFloodEndsTheSameForAll: members that hold different parts of a flood, because
// bounds refused them others, agree once a senior has ended it.
func TestFloodEndsTheSameForAll(t *testing.T) {
	r := newRogue()
	cid := r.admit("bob", r.bob, "cid", RoleMember)
	dan := r.admit("eve", r.eve, "dan", RoleMember) // before she turned rogue
	var junk []Statement
	for range 2 * maxRepeats {
		junk = append(junk, r.revoke("eve", r.eve, cid), r.revoke("eve", r.eve, r.bob, cid), r.revoke("eve", r.eve, dan))
	}
	end := r.revoke("ann", r.genesis, r.eve, dan)
	rng := rand.New(rand.NewPCG(3, 4))
	sums := map[Hash]bool{}
	for range 20 {
		rng.Shuffle(len(junk), func(i, j int) { junk[i], junk[j] = junk[j], junk[i] })
		all := append([]Statement{r.eve, r.bob, cid, dan}, junk...)
		all = slices.Insert(all, 4+rng.IntN(len(junk)), end)
		ro := r.roster(t, all...)
		sums[ro.digest().sum] = true
		want := roles{"ann": RoleAdmin, "bob": RoleAdmin, "cid": RoleMember, "dan": RoleMember}
		if diff := cmp.Diff(want, r.meaning(ro)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got := len(ro.revoked[cid.Hash()]); got > maxRepeats {
			t.Errorf("%d revocations of one admission by one signer are held", got)
		}
	}
	if len(sums) == 1 {
		t.Error("all rosters are equal: nothing was tried")
	}
}

// TestRestoreKeepsAll: a roster that was held is held after a restart, though bounds
// would refuse it in another order.
func TestRestoreKeepsAll(t *testing.T) {
	r := newRogue()
	statements := []Statement{r.genesis, r.eve, r.bob}
	for range 2 * maxRepeats {
		statements = append(statements, r.revoke("eve", r.eve, r.bob))
	}
	store := NewMemory()
	if err := store.Install(State{Network: r.network, Statements: statements}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Identity: person("ann"), Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if s.roster.Len() < len(statements) || s.roster.trusted {
		t.Errorf("%d of %d statements", s.roster.Len(), len(statements))
	}
}
