package member

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// person returns the identity of an invented person.
func person(name string) p2p.Identity {
	seed := sha256.Sum256([]byte(name))
	id, err := p2p.IdentityFromSeed(seed[:])
	if err != nil {
		panic(err)
	}
	return id
}

// scribe writes statements without asking whether anybody may sign them.
type scribe struct {
	network p2p.ID
	genesis Statement
	names   map[p2p.ID]string
	number  map[string]uint64 // of the last act of each person
	prev    map[string]Hash
}

func mustSign(by p2p.Identity, kind Kind, body any) Statement {
	st, err := sign(by, kind, body)
	if err != nil {
		panic(err)
	}
	return st
}

func nonceOf(text string) []byte { return fmt.Appendf(nil, "%-16.16s", text) }

func newScribe(mode Mode, founder string) *scribe {
	root := person("root of " + founder)
	w := &scribe{network: root.ID(), names: map[p2p.ID]string{}, number: map[string]uint64{}, prev: map[string]Hash{}}
	w.genesis = mustSign(root, KindGenesis, genesisBody{
		Root: root.PublicKey(), Name: "test", Mode: mode, Created: 1, Founder: w.key(founder), Nonce: nonceOf(founder),
	})
	return w
}

func (w *scribe) key(name string) []byte {
	id := person(name)
	w.names[id.ID()] = name
	return id.PublicKey()
}

func (w *scribe) head(by string, under Hash) actHead {
	return actHead{Network: w.network[:], By: w.key(by), Under: under[:], Number: w.number[by] + 1, Prev: w.prev[by].bytes(), Issued: 100}
}

func (w *scribe) put(by string, kind Kind, body any) Statement {
	st := mustSign(person(by), kind, body)
	w.number[by]++
	w.prev[by] = st.Hash()
	return st
}

func (w *scribe) admit(by string, under Statement, name string, role Role) Statement {
	return w.put(by, KindAdmission, admissionBody{actHead: w.head(by, under.Hash()), Member: w.key(name), Role: role, Nonce: nonceOf(name)})
}

func (w *scribe) promote(by string, under, base Statement, name string) Statement {
	h := base.Hash()
	return w.put(by, KindAdmission, admissionBody{actHead: w.head(by, under.Hash()), Member: w.key(name), Role: RoleAdmin, Nonce: nonceOf(name), Base: h[:]})
}

func (w *scribe) revoke(by string, under, target Statement, heads ...Statement) Statement {
	h := target.Hash()
	b := revocationBody{actHead: w.head(by, under.Hash()), Target: h[:]}
	for _, head := range heads {
		h := head.Hash()
		b.Heads = append(b.Heads, h[:])
	}
	return w.put(by, KindRevocation, b)
}

// rewind makes the next act of somebody follow an older one, as if the newer ones
// had never been.
func (w *scribe) rewind(by string, to Statement) {
	r, err := check(to)
	if err != nil {
		panic(err)
	}
	w.number[by], w.prev[by] = r.act.number, r.hash
}

// roster adds the statements to a roster of the scribe's network.
func (w *scribe) roster(t testing.TB, statements ...Statement) *Roster {
	t.Helper()
	ro, err := rosterOf(append([]Statement{w.genesis}, statements...)...)
	if err != nil {
		t.Fatal(err)
	}
	return ro
}

// meaning is who is here, in which role, by name.
func (w *scribe) meaning(ro *Roster) map[string]Role {
	out := map[string]Role{}
	for id, st := range ro.judged().standing {
		out[w.names[id]] = st.role
	}
	return out
}

type roles = map[string]Role

func TestJudge(t *testing.T) {
	tests := []struct {
		name string
		mode Mode
		tell func(w *scribe) []Statement
		want roles
	}{
		{"founder", ModeClosed, func(*scribe) []Statement { return nil }, roles{"ann": RoleAdmin}},
		{"admitted", ModeClosed, func(w *scribe) []Statement {
			return []Statement{w.admit("ann", w.genesis, "bob", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"by a member", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.admit("bob", bob, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"by a stranger", ModeClosed, func(w *scribe) []Statement {
			return []Statement{w.admit("eve", w.genesis, "eve", RoleAdmin)}
		}, roles{"ann": RoleAdmin}},
		{"by a member of an open network", ModeOpen, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.admit("bob", bob, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember, "eve": RoleMember}},
		{"admin by a member of an open network", ModeOpen, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.admit("bob", bob, "eve", RoleAdmin), w.promote("bob", bob, bob, "bob")}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"promoted", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			up := w.promote("ann", w.genesis, bob, "bob")
			return []Statement{bob, up, w.admit("bob", up, "cid", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleAdmin, "cid": RoleMember}},
		{"demoted, what was signed stays", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			up := w.promote("ann", w.genesis, bob, "bob")
			cid := w.admit("bob", up, "cid", RoleMember)
			return []Statement{bob, up, cid, w.revoke("ann", w.genesis, up, cid), w.admit("bob", up, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember, "cid": RoleMember}},
		{"revoked with all promotions, known or not", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			dan := w.admit("ann", w.genesis, "dan", RoleAdmin)
			gone := w.revoke("ann", w.genesis, bob)
			return []Statement{bob, dan, gone, w.promote("dan", dan, bob, "bob")}
		}, roles{"ann": RoleAdmin, "dan": RoleAdmin}},
		{"admitted again", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.revoke("ann", w.genesis, bob), w.admit("ann", w.genesis, "bob", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"an old number after the revocation", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			cid := w.admit("bob", bob, "cid", RoleMember)
			dan := w.admit("bob", bob, "dan", RoleMember)
			gone := w.revoke("ann", w.genesis, bob, dan)
			w.rewind("bob", cid)
			return []Statement{bob, cid, dan, gone, w.admit("bob", bob, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "cid": RoleMember, "dan": RoleMember}},
		{"mutual revocation: the senior's holds", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			return []Statement{bob, w.revoke("ann", w.genesis, bob), w.revoke("bob", bob, w.genesis, bob)}
		}, roles{"ann": RoleAdmin}},
		{"a junior revokes the founder", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			gone := w.revoke("bob", bob, w.genesis, bob)
			return []Statement{bob, gone, w.admit("ann", w.genesis, "eve", RoleAdmin)}
		}, roles{"bob": RoleAdmin}},
		{"a revocation that takes away its own ground", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			return []Statement{bob, w.revoke("bob", bob, w.genesis)}
		}, roles{"ann": RoleAdmin, "bob": RoleAdmin}},
		{"an admin leaves", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			return []Statement{bob, w.revoke("ann", w.genesis, w.genesis, bob), w.revoke("ann", w.genesis, bob)}
		}, roles{"bob": RoleAdmin}},
		{"puppets of a revoked admin", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			gone := w.revoke("ann", w.genesis, bob)
			eve := w.admit("bob", bob, "eve", RoleAdmin)
			return []Statement{bob, gone, eve, w.revoke("eve", eve, w.genesis, bob), w.admit("eve", eve, "fay", RoleAdmin)}
		}, roles{"ann": RoleAdmin}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newScribe(test.mode, "ann")
			statements := test.tell(w)
			if diff := cmp.Diff(test.want, w.meaning(w.roster(t, statements...))); diff != "" {
				t.Errorf("in order (-want +got):\n%s", diff)
			}
			slices.Reverse(statements)
			if diff := cmp.Diff(test.want, w.meaning(w.roster(t, statements...))); diff != "" {
				t.Errorf("in reverse (-want +got):\n%s", diff)
			}
		})
	}
}

var people = []string{"ann", "bob", "cid", "dan", "eve"}

// history draws acts of a handful of people, honest and not.
func history(t *rapid.T, w *scribe) []Statement {
	type admitted struct {
		st   Statement
		who  string
		base bool
	}
	admissions := []admitted{{w.genesis, "ann", false}}
	acts := map[string][]Statement{}
	var out []Statement
	for range rapid.IntRange(1, 25).Draw(t, "acts") {
		grant := rapid.SampledFrom(admissions).Draw(t, "under")
		by := grant.who
		if rapid.IntRange(0, 15).Draw(t, "impostor") == 0 {
			by = rapid.SampledFrom(people).Draw(t, "by")
		}
		if mine := acts[by]; len(mine) > 0 && rapid.IntRange(0, 4).Draw(t, "fork") == 0 {
			w.rewind(by, rapid.SampledFrom(mine).Draw(t, "back to"))
		}
		var st Statement
		target := rapid.SampledFrom(admissions).Draw(t, "target")
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			st = w.promote(by, grant.st, target.st, target.who)
			admissions = append(admissions, admitted{st, target.who, true})
		case 1:
			who := rapid.SampledFrom(people).Draw(t, "who")
			st = w.admit(by, grant.st, who, rapid.SampledFrom([]Role{RoleMember, RoleAdmin, RoleAdmin}).Draw(t, "role"))
			admissions = append(admissions, admitted{st, who, false})
		default:
			var heads []Statement
			if theirs := acts[target.who]; len(theirs) > 0 {
				heads = rapid.SliceOfN(rapid.SampledFrom(theirs), 0, 2).Draw(t, "heads")
			}
			st = w.revoke(by, grant.st, target.st, heads...)
		}
		acts[by] = append(acts[by], st)
		out = append(out, st)
	}
	return out
}

func drawMode(t *rapid.T) Mode {
	return rapid.SampledFrom([]Mode{ModeClosed, ModeOpen}).Draw(t, "mode")
}

// TestOrderDoesNotMatter: any order, repetition and partition of the statements
// means the same and gives the same digest.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newScribe(drawMode(t), "ann")
		statements := history(t, w)
		want, err := rosterOf(append([]Statement{w.genesis}, statements...)...)
		if err != nil {
			t.Fatal(err)
		}
		mixed := rapid.Permutation(append(slices.Clone(statements), statements...)).Draw(t, "order")
		cut := rapid.IntRange(0, len(mixed)).Draw(t, "cut")
		var parts [2]*Roster
		for i, part := range [][]Statement{mixed[:cut], mixed[cut:]} {
			if parts[i], err = rosterOf(append([]Statement{w.genesis}, part...)...); err != nil {
				t.Fatal(err)
			}
			parts[i].judged() // must leave nothing behind
		}
		// What waited in one part is told by the other again, as a digest would.
		for range 2 {
			if _, err := parts[0].Add(append(parts[1].Statements(), mixed...)...); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(w.meaning(want), w.meaning(parts[0])); diff != "" {
			t.Errorf("merged (-in order +merged):\n%s", diff)
		}
		if want.digest().sum != parts[0].digest().sum {
			t.Errorf("digests differ: %d and %d statements", want.Len(), parts[0].Len())
		}
	})
}

// TestPowerless: an act by somebody who is no admin changes nothing, nor does one
// that a senior's revocation cuts, nor any admission that is cut.
func TestPowerless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newScribe(ModeClosed, "ann")
		ro, err := rosterOf(append([]Statement{w.genesis}, history(t, w)...)...)
		if err != nil {
			t.Fatal(err)
		}
		before := w.meaning(ro)
		more := history(t, w)
		for _, st := range more {
			added, err := ro.Add(st)
			if err != nil {
				t.Fatal(err)
			}
			if len(added.added) == 1 && !powerless(ro, added.added[0].act) {
				before = w.meaning(ro)
				continue
			}
			if len(added.added) > 1 {
				before = w.meaning(ro)
				continue
			}
			if diff := cmp.Diff(before, w.meaning(ro)); diff != "" {
				t.Errorf("a powerless act changed something (-before +after):\n%s", diff)
			}
		}
	})
}

// powerless reports whether the set without a already denies it any effect.
func powerless(ro *Roster, a *act) bool {
	var others []*act
	for _, r := range ro.records {
		if r.act != nil && r.act != a {
			others = append(others, r.act)
		}
	}
	before := newJudgement(others)
	before.attack()
	all := newJudgement(append(others, a))
	all.attack()
	return slices.ContainsFunc(all.attacking(a), func(r *act) bool {
		return r != a && before.holds(r) && (a.kind == KindAdmission || senior(r, a))
	})
}

func TestStrangersChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newScribe(ModeClosed, "ann")
		statements := history(t, w)
		ro, err := rosterOf(append([]Statement{w.genesis}, statements...)...)
		if err != nil {
			t.Fatal(err)
		}
		before, held := w.meaning(ro), ro.Len()
		under := rapid.SampledFrom(append(statements, w.genesis)).Draw(t, "under")
		for _, st := range []Statement{
			w.admit("mallory", under, "mallory", RoleAdmin),
			w.revoke("mallory", under, w.genesis),
		} {
			if _, err := ro.Add(st); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(before, w.meaning(ro)); diff != "" || ro.Len() != held {
			t.Errorf("a stranger changed something (-before +after), %d statements were %d:\n%s", ro.Len(), held, diff)
		}
	})
}

// TestMutualRevocationOfEquals: among admins of the same rank it does not matter who
// signed first.
func TestMutualRevocationOfEquals(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
	cid := w.admit("ann", w.genesis, "cid", RoleAdmin)
	byBob, byCid := w.revoke("bob", bob, cid), w.revoke("cid", cid, bob)
	want := roles{"ann": RoleAdmin, "bob": RoleAdmin}
	if a, b := bob.Hash(), cid.Hash(); compareHash(b, a) < 0 {
		want = roles{"ann": RoleAdmin, "cid": RoleAdmin}
	}
	for _, order := range [][]Statement{{bob, cid, byBob, byCid}, {byCid, byBob, cid, bob}} {
		if diff := cmp.Diff(want, w.meaning(w.roster(t, order...))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

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
			Network: w.network[:], By: w.key("eve"), Creator: make([]byte, 32), Folder: "f", Access: AccessRead,
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
	offer, err := offerStatement(person("ann"), w.network, Offer{Folder: "f", By: person("ann").ID(), Access: AccessRead})
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

// TestJudgeAtTheBounds is the worst case that the bounds leave: everybody revokes
// everybody.
func TestJudgeAtTheBounds(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	ro := w.roster(t)
	var grants []Statement
	for i := range maxUnseatings / maxSignerUnseatings {
		st := w.admit("ann", w.genesis, fmt.Sprint("p", i), RoleAdmin)
		grants = append(grants, st)
		if _, err := ro.Add(st); err != nil {
			t.Fatal(err)
		}
	}
	for i, under := range grants {
		for n := range maxSignerUnseatings + 3 {
			if _, err := ro.Add(w.revoke(fmt.Sprint("p", i), under, grants[(i+1+n%(len(grants)-1))%len(grants)])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if ro.unseats != maxUnseatings {
		t.Errorf("%d revocations of admins are held, want %d", ro.unseats, maxUnseatings)
	}
	if len(ro.judged().standing) < 2 {
		t.Error("the senior of those who revoke each other is gone")
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
