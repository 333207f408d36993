package member

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
)

// view is what readers see of a roster: made once for each change, never changed.
type view struct {
	network Network
	genesis Hash
	self    Member
	members []*Member // of now, by name, then ID
	byID    map[p2p.ID]*Member
	offers  []Offer // by folder, then creator
	// digest is made when somebody first asks for it: many views come and go
	// between two comparisons of rosters.
	digest func() digest
	// verdict is what the acts mean; it never changes.
	verdict verdict
	// wide: there are as many as the roster names, and others have certificates.
	wide bool
	// own is what shows that this node is a member if the roster does not name it; else nil.
	own *credential
}

func (ro *Roster) view(self p2p.ID) *view {
	v := &view{
		network: ro.network, genesis: ro.genesis.hash, byID: maps.Clone(ro.described(self)),
		offers: ro.effectiveOffers(), verdict: ro.judged(),
	}
	v.wide = len(v.byID) >= v.network.Roster
	hashes := slices.AppendSeq(make([]Hash, 0, len(ro.records)), maps.Keys(ro.records))
	v.digest = sync.OnceValue(func() digest { return newDigest(hashes) })
	v.members = make([]*Member, 0, len(v.byID))
	for _, m := range v.byID {
		if !m.Revoked {
			v.members = append(v.members, m)
		}
		if m.Self {
			v.self = *m
		}
	}
	slices.SortFunc(v.members, byName)
	return v
}

func byName(a, b *Member) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), a.ID.Compare(b.ID))
}

// include adds this node, which has a certificate, unless the roster names it: what that says counts,
// as long as it does not say that the node was revoked.
func (v *view) include(c *credential, contact *p2p.Contact) {
	if c == nil {
		return
	}
	m := v.describe(c, contact)
	m.Self = true
	if old := v.byID[m.ID]; old != nil && (!old.Revoked || m.Revoked) {
		return
	}
	if v.self, v.byID[m.ID] = *m, m; m.Revoked {
		return
	}
	v.own = c
	at, _ := slices.BinarySearchFunc(v.members, m, byName)
	v.members = slices.Insert(v.members, at, m)
}

// described describes everybody who is or was a member. What did not change since the
// last time is the same pointer, and what is pointed at never changes.
func (ro *Roster) described(self p2p.ID) map[p2p.ID]*Member {
	verdict := ro.judged()
	for id, admissions := range ro.byKey {
		if ro.members[id] != nil {
			continue
		}
		if m, ok := ro.member(id, admissions, verdict); ok {
			m.Self = id == self
			ro.members[id] = &m
		}
	}
	return ro.members
}

// member describes somebody who is or was a member. It is not ok when all its
// admissions were signed by somebody who had no power to.
func (ro *Roster) member(id p2p.ID, admissions []*act, verdict verdict) (Member, bool) {
	m := Member{ID: id, Contact: p2p.Contact{PublicKey: admissions[0].key}}
	entry := verdict.standing[id].entry
	m.Role = verdict.standing[id].role
	if entry == nil {
		for _, a := range admissions {
			if verdict.valid[a.hash] && (entry == nil || older(a, entry)) {
				entry, m.Role, m.Revoked = a, RoleMember, true
			}
		}
	}
	if entry == nil {
		return Member{}, false
	}
	m.Admitted, m.By = entry.issued, entry.by
	m.Key = position(ro.network.ID, entry.nonce, entry.key)
	if r := ro.contact[id]; r != nil {
		m.Contact = *r.contact
	}
	if m.Name = CleanName(m.Contact.Name); m.Name == "" {
		m.Name = id.Short()
	}
	return m, true
}

// effectiveOffers returns for each folder of each creator the newest offer whose
// signer has the power to make it now: the creator while it is a member, and any
// admin. A folder that is gone is among them.
func (ro *Roster) effectiveOffers() []Offer {
	type of struct {
		folder  string
		creator p2p.ID
	}
	best := map[of]*record{}
	for _, r := range ro.offers {
		o := r.offer
		if !ro.empowered(o) {
			continue
		}
		key := of{o.Folder, o.By}
		if best[key] == nil || newer(r, best[key]) {
			best[key] = r
		}
	}
	out := make([]Offer, 0, len(best))
	for _, r := range best {
		out = append(out, *r.offer)
	}
	slices.SortFunc(out, compareOffers)
	return out
}

// empowered reports whether the signer of o has the power to make it now.
func (ro *Roster) empowered(o *Offer) bool {
	s, present := ro.judged().standing[o.signer]
	return present && (o.signer == o.By || s.role == RoleAdmin)
}

func compareOffers(a, b Offer) int {
	return cmp.Or(strings.Compare(a.Folder, b.Folder), a.By.Compare(b.By))
}

// role returns the role of a member of now.
func (v *view) role(id p2p.ID) (Role, bool) {
	m, ok := v.byID[id]
	if !ok || m.Revoked {
		return "", false
	}
	return m.Role, true
}

// excludedSince lists who was excluded after old: also those of whom this node knows nothing but that they
// have redeemed an invitation.
func (v *view) excludedSince(old *view) []p2p.ID {
	var ids []p2p.ID
	for id, now := range v.verdict.excluded {
		if len(now) > len(old.verdict.excluded[id]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// changes tells what happened between two views of one network. Words are those of
// the members that this node admitted just now.
func changes(from, to *view, words map[p2p.ID][4]string) []p2p.Event {
	var out []p2p.Event
	for _, m := range to.members {
		old, known := from.byID[m.ID]
		switch {
		case old == m:
		case !known || old.Revoked:
			e := MemberJoined{ID: m.ID, Name: m.Name}
			if w, ok := words[m.ID]; ok {
				e.Words = w[:]
			}
			out = append(out, e)
		case old.Name != m.Name || old.Role != m.Role || !sameReach(old.Contact, m.Contact):
			out = append(out, MemberChanged{ID: m.ID, Name: m.Name, Role: m.Role})
		}
	}
	for _, m := range from.members {
		if now, known := to.byID[m.ID]; !known || now.Revoked {
			out = append(out, MemberRevoked{ID: m.ID, Name: m.Name})
		}
	}
	return append(out, offerChanges(from.offers, to.offers)...)
}

// sameReach reports whether two contacts of one node differ in nothing but number
// and signature.
func sameReach(a, b p2p.Contact) bool {
	return slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.Relays, b.Relays)
}

// offerChanges walks both sorted lists at once.
func offerChanges(from, to []Offer) []p2p.Event {
	var out []p2p.Event
	tell := func(o Offer) {
		out = append(out, OfferChanged{Folder: o.Folder, Label: o.Label, By: o.By, Access: o.Access, Grants: o.Grants, Gone: o.Gone})
	}
	for len(from) > 0 || len(to) > 0 {
		switch {
		case len(to) == 0 || len(from) > 0 && compareOffers(from[0], to[0]) < 0:
			gone := from[0]
			gone.Gone = true
			if !from[0].Gone {
				tell(gone)
			}
			from = from[1:]
		case len(from) == 0 || compareOffers(to[0], from[0]) < 0:
			if !to[0].Gone {
				tell(to[0])
			}
			to = to[1:]
		default:
			if !from[0].same(to[0]) {
				tell(to[0])
			}
			from, to = from[1:], to[1:]
		}
	}
	return out
}

// same reports whether two offers of one folder say the same.
func (o Offer) same(other Offer) bool {
	return o.Label == other.Label && o.Access == other.Access && slices.Equal(o.Grants, other.Grants) && o.Gone == other.Gone
}
