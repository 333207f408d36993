package member

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
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
