package member

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// certify signs a certificate without asking whether anybody may.
func (w *scribe) certify(by string, under Hash, name string, number uint64) Statement {
	return mustSign(person(by), KindCertificate, certificateBody{
		Network: w.network[:], By: w.key(by), Under: under[:], Member: w.key(name), Nonce: nonceOf(name), Issued: 100, Number: number,
	})
}

func (w *scribe) exclude(by string, under Statement, name string) Statement {
	h := under.Hash()
	id := p2p.IDOf(w.key(name))
	return w.put(by, KindExclusion, exclusionBody{actHead: w.head(by, h), Member: id[:]})
}

func proofOf(t *testing.T, certificates ...Statement) []byte {
	t.Helper()
	b, err := wire.Marshal(proof{Certificates: certificates})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serviceOf is the Service of ann, whose network the scribe writes.
func serviceOf(t *testing.T, w *scribe, statements ...Statement) *Service {
	t.Helper()
	contact, err := contactStatement(person("ann"), p2p.Contact{Name: "ann", Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	store := NewMemory()
	if err := store.Install(State{Network: w.network, Statements: append([]Statement{w.genesis, contact}, statements...)}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Identity: person("ann"), Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCertificates: who is a member by what it shows, and who is not.
func TestCertificates(t *testing.T) {
	for _, mode := range []Mode{ModeClosed, ModeOpen} {
		w := newScribe(mode, "ann")
		bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
		cid := w.admit("ann", w.genesis, "cid", RoleMember)
		thief := w.admit("ann", w.genesis, "thief", RoleAdmin)
		gone := w.revoke("ann", w.genesis, thief)
		out := w.exclude("ann", w.genesis, "out")
		s := serviceOf(t, w, bob, cid, thief, gone, out)
		other := newScribe(mode, "zoe")
		open := mode == ModeOpen
		dee := w.certify("cid", cid.Hash(), "dee", 1)
		deep := []Statement{dee}
		for i := range maxChain + 1 {
			name := fmt.Sprint("deep", i)
			by, prev := "dee", deep[len(deep)-1]
			if i > 0 {
				by = fmt.Sprint("deep", i-1)
			}
			deep = append(deep, w.certify(by, prev.Hash(), name, 1))
		}
		forged := w.certify("bob", bob.Hash(), "eve", 0)
		forged.Sig = slices.Clone(forged.Sig)
		forged.Sig[3] ^= 1
		for _, test := range []struct {
			name         string
			certificates []Statement
			ok           bool
		}{
			{"of the founder", []Statement{w.certify("ann", w.genesis.Hash(), "m1", 0)}, true},
			{"of an admin", []Statement{w.certify("bob", bob.Hash(), "m2", 0)}, true},
			{"of a member", []Statement{w.certify("cid", cid.Hash(), "m3", 1)}, open},
			{"of a member beyond its quota", []Statement{w.certify("cid", cid.Hash(), "m4", OpenQuota+1)}, false},
			{"of a member without a number", []Statement{w.certify("cid", cid.Hash(), "m5", 0)}, false},
			{"of a holder", []Statement{dee, w.certify("dee", dee.Hash(), "m6", 1)}, open},
			{"of a holder that is not shown", []Statement{w.certify("dee", dee.Hash(), "m7", 1)}, false},
			{"by as many as are allowed", deep[:maxChain], open},
			{"by one more", deep[:maxChain+1], false},
			{"of a revoked admin", []Statement{w.certify("thief", thief.Hash(), "m8", 0)}, false},
			{"under somebody else's admission", []Statement{w.certify("cid", bob.Hash(), "m9", 0)}, false},
			{"under somebody else's certificate", []Statement{dee, w.certify("cid", dee.Hash(), "m10", 1)}, false},
			{"under an admission that there is not", []Statement{w.certify("bob", Hash{1}, "m11", 0)}, false},
			{"under itself", []Statement{w.certify("m12", Hash{}, "m12", 1)}, false},
			{"of another network", []Statement{other.certify("zoe", other.genesis.Hash(), "m13", 0)}, false},
			{"forged", []Statement{forged}, false},
			{"of who is excluded", []Statement{w.certify("ann", w.genesis.Hash(), "out", 0)}, false},
			{"by way of who is excluded", []Statement{w.certify("cid", cid.Hash(), "out", 2), w.certify("out", w.certify("cid", cid.Hash(), "out", 2).Hash(), "m14", 1)}, false},
			{"an admission in its place", []Statement{cid}, false},
			{"nothing", nil, false},
		} {
			id, err := s.Present(proofOf(t, test.certificates...))
			if (err == nil) != test.ok {
				t.Errorf("%s network, certificate %s: %v", mode, test.name, err)
			}
			if _, member := s.Role(id); member != test.ok {
				t.Errorf("%s network, certificate %s: a member: %v", mode, test.name, member)
			}
			if test.ok && (s.Prove(id) == nil || !s.Wide()) {
				t.Errorf("%s network, certificate %s: it is not shown to others", mode, test.name)
			}
		}
	}
}

// TestShownByOthers: who shows somebody else's proof is none by that.
func TestShownByOthers(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	s := serviceOf(t, w)
	shown := proofOf(t, w.certify("ann", w.genesis.Hash(), "bob", 0))
	knock := p2p.Knock{From: person("eve").PublicKey(), Network: w.network, Proof: shown}
	if err := s.Gate(knock); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("eve gets a link by bob's certificate: %v", err)
	}
	if _, ok := s.Role(person("eve").ID()); ok {
		t.Error("eve is a member by bob's certificate")
	}
	knock.From = person("bob").PublicKey()
	if err := s.Gate(knock); err != nil {
		t.Errorf("bob gets none: %v", err)
	}
	// In another network it is worth nothing.
	elsewhere := newScribe(ModeClosed, "ann")
	elsewhere.network = person("another root").ID()
	elsewhere.genesis = mustSign(person("another root"), KindGenesis, genesisBody{
		Root: person("another root").PublicKey(), Name: "test", Mode: ModeClosed, Founder: elsewhere.key("ann"), Nonce: nonceOf("ann"),
	})
	if err := serviceOf(t, elsewhere).Gate(p2p.Knock{From: knock.From, Network: w.network, Proof: shown}); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("of another network: %v", err)
	}
}

// TestCertificatesEnd: with an exclusion, and with the power of who has signed; and an exclusion
// ends with that of its own signer.
func TestCertificatesEnd(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
	var gone []p2p.ID
	s := serviceOf(t, w, bob)
	s.o.Revoked = func(id p2p.ID) { gone = append(gone, id) }
	byAnn, byBob := w.certify("ann", w.genesis.Hash(), "cid", 0), w.certify("bob", bob.Hash(), "dee", 0)
	cid, dee := person("cid").ID(), person("dee").ID()
	for _, st := range []Statement{byAnn, byBob} {
		if _, err := s.Present(proofOf(t, st)); err != nil {
			t.Fatal(err)
		}
	}
	hears(t, s, "bob", w.exclude("bob", bob, "cid"))
	if _, ok := s.Role(cid); ok || !slices.Equal(gone, []p2p.ID{cid}) {
		t.Errorf("excluded, and a member: %v; told of %v", ok, gone)
	}
	if _, err := s.Present(proofOf(t, byAnn)); err == nil {
		t.Error("shown again it counts again")
	}
	// bob had not been heard of when he was revoked: what he has signed falls.
	hears(t, s, "ann", w.revoke("ann", w.genesis, bob))
	if _, ok := s.Role(dee); ok || !slices.Contains(gone, dee) {
		t.Error("a certificate outlives the power of who has signed it")
	}
	if _, err := s.Present(proofOf(t, byAnn)); err != nil {
		t.Errorf("an exclusion outlives the power of who has signed it: %v", err)
	}
	if _, err := s.Present(proofOf(t, w.certify("bob", bob.Hash(), "fay", 0))); err == nil {
		t.Error("a revoked admin signs on")
	}
	if give := s.revocation(dee); len(give) == 0 {
		t.Error("nothing shows dee that she is none any more")
	}
}

// TestHolderFlood: whoever shows up, memory is bounded, and those who are used stay.
func TestHolderFlood(t *testing.T) {
	w := newScribe(ModeOpen, "ann")
	s := serviceOf(t, w)
	friend := person("friend").ID()
	if _, err := s.Present(proofOf(t, w.certify("ann", w.genesis.Hash(), "friend", 0))); err != nil {
		t.Fatal(err)
	}
	for i := range maxHolders + 300 {
		if _, err := s.Present(proofOf(t, w.certify("ann", w.genesis.Hash(), fmt.Sprint("p", i), 0))); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Role(friend); !ok {
			t.Fatal("who is used was forgotten")
		}
	}
	if n := s.holders.size(); n > maxHolders {
		t.Errorf("%d are remembered, at most %d", n, maxHolders)
	}
	if held := s.roster.Len(); held > 2 {
		t.Errorf("%d statements are held: certificates are not to be in the roster", held)
	}
}

// TestLargeHolders: whoever shows as much as he may, and as often, fills no memory.
func TestLargeHolders(t *testing.T) {
	w := newScribe(ModeOpen, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleMember)
	s := serviceOf(t, w, bob)
	friend := proofOf(t, w.certify("ann", w.genesis.Hash(), "friend", 0))
	if _, err := s.Present(friend); err != nil {
		t.Fatal(err)
	}
	first := w.certify("bob", bob.Hash(), "sybil", 1)
	filler := []Statement{first}
	for range maxOwn*maxChain - 2 { // one and the same fills it as well as others
		filler = append(filler, first)
	}
	shown := 0
	for i := 0; shown < maxShown+maxShown/8; i++ {
		p := proofOf(t, append(slices.Clone(filler), w.certify("sybil", first.Hash(), fmt.Sprint("p", i), 1))...)
		if len(p) < MaxProof/2 {
			t.Fatalf("only %d bytes", len(p))
		}
		if _, err := s.Present(p); err != nil {
			t.Fatal(err)
		}
		shown += len(p)
		if _, ok := s.Role(person("friend").ID()); !ok {
			t.Fatal("who is used was forgotten")
		}
	}
	held := 0
	for _, h := range s.holders.byID {
		held += len(h.encoded)
	}
	if held > maxShown || held != s.holders.shown || held < maxShown/2 {
		t.Errorf("%d bytes of %d are remembered, %d as it counts, at most %d", held, shown, s.holders.shown, maxShown)
	}
}

// TestNewcomersAreBounded: by household, and altogether.
func TestNewcomersAreBounded(t *testing.T) {
	var n newcomers
	now := time.Unix(1_800_000_000, 0)
	took := 0
	for range 100 {
		if n.allow(netip.MustParseAddr("203.0.113.7"), now) {
			took++
		}
	}
	if took != newcomersAtOnce {
		t.Errorf("%d of one household at once", took)
	}
	for i := range 10_000 {
		if n.allow(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), now) {
			took++
		}
	}
	if took > newcomersTogether || len(n.households) > maxHouseholds {
		t.Errorf("%d at once, of whom %d households are remembered", took, len(n.households))
	}
	if now = now.Add(newcomerEvery); !n.allow(netip.MustParseAddr("203.0.113.7"), now) {
		t.Error("the household has waited for nothing")
	}
}

// TestCertified: who joins after the roster has as many as it is to name carries a certificate, is
// known to whom it meets, can be made an admin and removed, and is what it was after a restart.
func TestCertified(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		store := NewMemory()
		ann := start(t, net, "ann", Options{Roster: 2})
		bob := start(t, net, "bob", Options{})
		cid := start(t, net, "cid", Options{Store: store})
		dee := start(t, net, "dee", Options{})
		bob.mustJoin(ann, InviteOptions{})
		joined := cid.mustJoin(ann, InviteOptions{})
		dee.mustJoin(ann, InviteOptions{})
		synctest.Wait()
		if joined.Network.Roster != 2 || joined.Network.ID != ann.Network().ID {
			t.Errorf("joined %+v", joined.Network)
		}
		if m := cid.Self(); !m.Certified || m.Revoked || m.Role != RoleMember || m.Contact.PublicKey == nil {
			t.Errorf("cid is %+v", m)
		}
		if known := took[MemberJoined](ann); len(known) != 3 || len(known[1].Words) != 4 {
			t.Errorf("ann was told of %+v", known)
		}
		if bob.roster.Len() != ann.roster.Len() || bob.Size() != 2 || !bob.Wide() {
			t.Errorf("bob knows %v, by %d statements, ann has %d", bob.whoIsHere(), bob.roster.Len(), ann.roster.Len())
		}
		if _, ok := bob.Role(cid.self); ok {
			t.Error("bob knows cid, whom he has not met")
		}
		cid.meet(bob)
		dee.meet(cid)
		synctest.Wait()
		for _, n := range []*node{ann, bob, dee} {
			m, ok := n.Member(cid.self)
			if !ok || m.Key != cid.Self().Key || m.Name != "cid" || m.By != ann.self {
				t.Errorf("%s knows of cid: %+v", n.Self().Name, m)
			}
		}
		if m, _ := bob.Member(dee.self); m.ID == dee.self {
			t.Error("bob knows dee, whom he has not met")
		}

		// What it says of itself reaches whom it is linked with.
		if _, err := cid.SetContact([]netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:4747")}, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, n := range []*node{ann, bob, dee} {
			if c, ok := n.Contact(cid.self); !ok || len(c.Addrs) != 1 {
				t.Errorf("%s has heard of %+v", n.Self().Name, c)
			}
		}

		// It has no place in the roster, and so no folders, before it has asked for one.
		offer := Offer{Folder: "photos", Label: "Photos", Access: p2p.AccessRead}
		if err := cid.SetOffer(offer); !errors.Is(err, ErrNoSeat) {
			t.Errorf("an offer without a place in the roster: %v", err)
		}
		where := cid.Self().Key
		if err := cid.Vouch(t.Context(), vouching{cid, ann}, true); err != nil {
			t.Fatal(err)
		}
		if err := cid.SetOffer(offer); err != nil {
			t.Errorf("an offer: %v", err)
		}
		synctest.Wait()
		if m, ok := bob.Member(cid.self); !ok || m.Certified || m.Key != where || len(bob.Offers()) != 1 {
			t.Errorf("bob knows of cid %+v, and %d offers", m, len(bob.Offers()))
		}

		// A second admin signs, too; then the first one may go.
		if err := ann.SetRole(bob.self, RoleAdmin); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		dee.meet(bob)
		if !dee.Alone() {
			t.Fatal("dee depends on ann alone, and does not know")
		}
		if err := dee.Vouch(t.Context(), vouching{dee, bob}, false); err != nil {
			t.Fatal(err)
		}
		if dee.Alone() || len(dee.current.Load().own.own()) != 2 {
			t.Error("dee still depends on ann alone")
		}
		synctest.Wait()
		if err := bob.Revoke(ann.self); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, ok := bob.Role(dee.self); !ok || dee.Self().Revoked {
			t.Error("dee went with who had admitted her first")
		}

		// An exclusion is for good, whatever is shown.
		if err := bob.Revoke(dee.self); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, ok := bob.Role(dee.self); ok {
			t.Error("dee is still a member")
		}
		dee.learns(bob)
		// By a new invitation she may, and gets a place in the roster.
		dee.mustJoin(bob, InviteOptions{})
		if m, ok := bob.Member(dee.self); !ok || m.Certified {
			t.Errorf("invited again: %+v", m)
		}
	})
}

// learns knocks again, and is told that it is no member any more.
func (n *node) learns(from *node) {
	n.t.Helper()
	l, err := n.transport.Dial(n.t.Context(), from.Self().Contact, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.Linked(n.t.Context(), l); !errors.Is(err, ErrRevoked) {
		n.t.Errorf("%s comes back, and is told: %v", n.Self().Name, err)
	}
	_ = l.Close()
}

// vouching calls a member as a router does.
type vouching struct{ from, to *node }

// Call implements p2p.Caller.
func (v vouching) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	if to != v.to.self || proto != ProtoVouch {
		return nil, p2p.ErrUnreachable
	}
	return v.to.HandleVouch(ctx, v.from.self, req)
}

// TestCertifiedRestart: a holder is one after a restart, and knows those to whom it had links.
func TestCertifiedRestart(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		store := NewMemory()
		ann := start(t, net, "ann", Options{Roster: 1})
		bob := start(t, net, "bob", Options{})
		cid := start(t, net, "cid", Options{Store: store})
		bob.mustJoin(ann, InviteOptions{})
		cid.mustJoin(ann, InviteOptions{})
		cid.meet(bob)
		synctest.Wait()
		again, err := Open(Options{Identity: person("cid"), Name: "cid", Store: store})
		if err != nil {
			t.Fatal(err)
		}
		was, is := cid.Self(), again.Self()
		if is.Key != was.Key || !is.Certified || is.Revoked || is.Name != "cid" || is.Contact.Seq != was.Contact.Seq {
			t.Errorf("it is %+v, and was %+v", is, was)
		}
		if m, ok := again.Member(bob.self); !ok || m.Name != "bob" {
			t.Errorf("of bob it knows %+v", m)
		}
		if err := ann.Revoke(cid.self); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cid.learns(ann)
		if !cid.Self().Revoked || cid.current.Load().own != nil {
			t.Error("cid does not know that it was removed")
		}
		if len(took[MemberRevoked](bob)) != 1 {
			t.Error("bob was not told")
		}
		// It can join again, and another network as well.
		if err := cid.MayJoin(Invitation{Network: p2p.ID{1}, Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Errorf("it may not join another network: %v", err)
		}
	})
}

// TestOpenBeyondTheRoster: in an open network holders admit holders, within their quota, and who was
// removed is not admitted by anybody.
func TestOpenBeyondTheRoster(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann := start(t, net, "ann", Options{Mode: ModeOpen, Roster: 1})
		bob, cid := start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		bob.mustJoin(ann, InviteOptions{})
		if _, err := cid.join(bob.invite(InviteOptions{})); err != nil {
			t.Fatal(err)
		}
		if m := cid.Self(); !m.Certified || m.By != bob.self || m.Revoked {
			t.Fatalf("cid is %+v", m)
		}
		for i := range OpenQuota + 3 {
			_, err := start(t, net, fmt.Sprint("p", i), Options{}).join(bob.invite(InviteOptions{}))
			if full := i+1 >= OpenQuota; full != errors.Is(err, ErrFull) || !full && err != nil {
				t.Fatalf("the %d. whom bob admits: %v", i+2, err)
			}
			time.Sleep(time.Second)
		}
		cid.meet(ann)
		synctest.Wait()
		if err := ann.Revoke(cid.self); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cid.learns(ann)
		if !cid.Self().Revoked {
			t.Fatal("cid does not know")
		}
		for _, n := range []*node{ann, bob} {
			if _, err := cid.join(n.invite(InviteOptions{})); !errors.Is(err, ErrRefused) {
				t.Errorf("%s admits who was removed: %v", n.Self().Name, err)
			}
		}
	})
}

// TestOpenRosterRefusesTheRevoked: an admission that no admin has signed does not outweigh an
// exclusion, whoever signs it.
func TestOpenRosterRefusesTheRevoked(t *testing.T) {
	w := newScribe(ModeOpen, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleMember)
	ro := w.roster(t, bob, w.exclude("ann", w.genesis, "eve"))
	if _, err := ro.Add(w.admit("bob", bob, "eve", RoleMember)); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.meaning(ro)["eve"]; ok {
		t.Error("a member admits whom an admin has excluded")
	}
	if _, err := ro.Add(w.admit("ann", w.genesis, "eve", RoleMember)); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.meaning(ro)["eve"]; !ok {
		t.Error("an admin cannot admit whom an admin has excluded")
	}
}

func FuzzProof(f *testing.F) {
	w := newScribe(ModeOpen, "ann")
	st := w.certify("ann", w.genesis.Hash(), "bob", 0)
	b, err := wire.Marshal(proof{Certificates: []Statement{st}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa1, 1, 0x80})
	v := func() *view {
		ro, err := rosterOf(w.genesis)
		if err != nil {
			f.Fatal(err)
		}
		return ro.view(person("ann").ID())
	}()
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readProof(b)
		if err != nil {
			return
		}
		if _, err := c.verify(); err == nil && len(v.inForce(c)) > 0 && c.holder().member != person("bob").ID() {
			t.Errorf("a member by %x", b)
		}
	})
}

// TestMoreThanTwoThousand: with nothing lowered. The roster names two thousand; of those who come then
// each is a member to whom it meets, nobody's roster grows, and one that is removed is none to
// anybody who has the roster, whether or not they have met.
func TestMoreThanTwoThousand(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		store := NewMemory()
		var names []string
		for i := range MaxMembers - 1 {
			names = append(names, fmt.Sprint("named ", i))
		}
		annWith(t, Options{Store: store}, names...)
		ann := start(t, net, "ann", Options{Store: store})
		if ann.Size() != MaxMembers || !ann.Wide() {
			t.Fatalf("%d members; wide: %v", ann.Size(), ann.Wide())
		}
		held := ann.roster.Len()
		var later []*node
		for i := range 12 {
			n := start(t, net, fmt.Sprint("later ", i), Options{})
			n.mustJoin(ann, InviteOptions{})
			later = append(later, n)
		}
		for i := range 500 { // of whom ann is only shown what they carry
			key := person(fmt.Sprint("shown ", i)).PublicKey()
			err := ann.do(func() (func(), error) {
				st, _, err := ann.sign(key, [nonceSize]byte(nonceOf(fmt.Sprint(i))))
				if err != nil {
					return nil, err
				}
				c, err := credentialOf(st, nil)
				if err == nil {
					_, err = ann.Present(c.encoded)
				}
				return nil, err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := ann.Size(); n != MaxMembers+512 || len(ann.Members()) != n {
			t.Errorf("ann knows %d members, lists %d", n, len(ann.Members()))
		}
		for _, n := range later {
			if !n.Self().Certified || n.roster.Len() != held || n.Size() < MaxMembers+1 {
				t.Fatalf("%+v: a roster of %d statements, ann's has %d; %d members", n.Self(), n.roster.Len(), held, n.Size())
			}
		}
		last := later[11]
		for _, n := range later[:4] {
			last.meet(n)
		}
		shown := last.Prove(last.self)
		if err := ann.Revoke(last.self); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for i, n := range append([]*node{ann}, later[:11]...) {
			if _, err := n.Present(shown); err == nil {
				t.Errorf("%d: what it shows still counts", i)
			}
			if _, ok := n.Role(last.self); ok {
				t.Errorf("%d: it is still a member", i)
			}
		}
	})
}

// TestExcludedByInvitation: who was excluded does not come back by the invitation by which it came,
// whether the inviter has removed it or has only heard of that.
func TestExcludedByInvitation(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann := start(t, net, "ann", Options{Roster: 2})
		bob := start(t, net, "bob", Options{})
		bob.mustJoin(ann, InviteOptions{Role: RoleAdmin})
		synctest.Wait()
		for i, by := range []*node{ann, bob} {
			cid := start(t, net, fmt.Sprint("cid", i), Options{})
			inv := ann.invite(InviteOptions{MaxUses: 5})
			if _, err := cid.join(inv); err != nil {
				t.Fatal(err)
			}
			if !cid.Self().Certified {
				t.Fatal("the roster names more than it is to")
			}
			if by != ann {
				cid.meet(by)
			}
			synctest.Wait()
			if err := by.Revoke(cid.self); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			cid.learns(ann)
			if _, err := cid.join(inv); !errors.Is(err, ErrRefused) && !errors.Is(err, p2p.ErrRefused) {
				t.Errorf("removed by %s, and back by the same invitation: %v", by.Self().Name, err)
			}
			if _, ok := ann.Role(cid.self); ok {
				t.Errorf("removed by %s, and a member again", by.Self().Name)
			}
			if i := slices.IndexFunc(ann.Invites(), func(in InviteInfo) bool { return in.ID == inv.ID }); i < 0 || !ann.Invites()[i].Ended {
				t.Error("the invitation of who was removed goes on")
			}
			// A new one is for whoever is wanted again.
			again := ann.invite(InviteOptions{})
			if _, err := cid.join(again); err != nil {
				t.Errorf("invited again: %v", err)
			}
			synctest.Wait()
			if err := ann.SetName(fmt.Sprint("ann ", i)); err != nil {
				t.Fatal(err)
			}
			if _, ok := ann.Role(cid.self); !ok {
				t.Error("invited again, and no member")
			}
		}
	})
}

// TestSeatEndsWithExclusion: an admin who has not heard yet that another one has removed somebody gives
// him a place in the roster, and so does not undo that; nor does raising what was ended.
func TestSeatEndsWithExclusion(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
	s, err := Open(Options{Identity: person("bob"), Store: func() Store {
		store := NewMemory()
		if err := store.Install(State{Network: w.network, Statements: []Statement{w.genesis, bob}}); err != nil {
			t.Fatal(err)
		}
		return store
	}()})
	if err != nil {
		t.Fatal(err)
	}
	eve := person("eve").ID()
	req, err := wire.Marshal(vouchRequest{Seat: true, Proof: proofOf(t, w.certify("ann", w.genesis.Hash(), "eve", 0))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.HandleVouch(t.Context(), eve, req); err != nil {
		t.Fatal(err)
	}
	if m, ok := s.Member(eve); !ok || m.Certified || m.Revoked {
		t.Fatalf("a place in the roster: %+v", m)
	}
	excluded := w.exclude("ann", w.genesis, "eve")
	if err := s.receive(update{statements: []Statement{excluded}, from: person("ann").ID()}, w.network); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Role(eve); ok {
		t.Error("who was removed is a member by having asked whoever did not know")
	}
	// By an admission that somebody has decided about she is one again.
	if err := s.receive(update{statements: []Statement{w.admit("ann", w.genesis, "eve", RoleMember)}, from: person("ann").ID()}, w.network); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Role(eve); !ok {
		t.Error("an admin cannot admit whom an admin has excluded")
	}

	open := newScribe(ModeOpen, "ann")
	cid := open.admit("ann", open.genesis, "cid", RoleMember)
	dee := open.admit("cid", cid, "dee", RoleMember)
	ro := open.roster(t, cid, dee, open.promote("ann", open.genesis, dee, "dee"))
	if open.meaning(ro)["dee"] != RoleAdmin {
		t.Fatal("dee was not raised")
	}
	if _, err := ro.Add(open.exclude("ann", open.genesis, "dee")); err != nil {
		t.Fatal(err)
	}
	if role, ok := open.meaning(ro)["dee"]; ok {
		t.Errorf("what an exclusion has ended is raised: %s", role)
	}
}

// TestRevokeUnmet: an admin removes a holder whom he has not met, such as one that has been switched off
// since his own computer was started.
func TestRevokeUnmet(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		ann := start(t, net, "ann", Options{Roster: 2})
		bob, cid := start(t, net, "bob", Options{}), start(t, net, "cid", Options{})
		bob.mustJoin(ann, InviteOptions{Role: RoleAdmin})
		cid.mustJoin(ann, InviteOptions{})
		synctest.Wait()
		if _, met := bob.Member(cid.self); met {
			t.Fatal("bob has met cid")
		}
		if err := bob.Revoke(cid.self); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, ok := ann.Role(cid.self); ok {
			t.Error("who was removed is a member")
		}
		if err := bob.Revoke(cid.self); !errors.Is(err, ErrUnknownMember) {
			t.Errorf("removed twice: %v", err)
		}
	})
}
