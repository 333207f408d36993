package dht

import (
	"bytes"
	"crypto/ed25519"
	"slices"
)

// Claims reports whether h claims p for owner.
func (h Header) Claims(p Protect, owner ed25519.PublicKey) bool {
	return h.Protect&p != 0 && len(owner) > 0 && bytes.Equal(h.OwnerKey(), owner)
}

// right is what an author may do under one claim.
type right struct {
	protect Protect
	allowed bool  // the claim does not forbid the write
	owns    bool  // the author is the owner, or takes over as master: others' records are not in its way
	after   Claim // once the write is made, but for when it ends
}

// rights returns what the claims over the cell have to say about a write.
//
// These are the rules of TomP2P's securityDomainCheck, but that an entry's master is
// whoever has the key of the content, where TomP2P looked at the domain again.
func (c *Cell) rights(h Header, rules Rules) [2]right {
	key := KeyOfOwner(h.Author)
	return [2]right{
		c.Domain.right(h, ProtectDomain, key == h.Domain, rules.DomainNone, rules.DomainNoMaster),
		c.Entry.right(h, ProtectEntry, key == h.Content, rules.EntryNone, rules.EntryNoMaster),
	}
}

// right judges a write under a claim. mine: the author's key is that of the domain or
// entry. none: nobody but such an author may claim. noMaster: not even such an author may
// take over from whoever was first.
func (k Claim) right(h Header, p Protect, mine, none, noMaster bool) right {
	claims, master := h.Protect&p != 0, mine && !noMaster
	r := right{protect: p, allowed: true, after: k}
	switch {
	case k.IsZero():
		if !claims || none && !mine { // stored, and not protected
			return r
		}
		r.after, r.owns = Claim{Owner: h.OwnerKey()}, master
	case bytes.Equal(k.Owner, h.Author):
		r.owns = true
		if claims && (!master || h.Seq > k.Master) {
			r.after.Owner = h.OwnerKey()
		}
	case claims && master && h.Seq > k.Master:
		r.after.Owner, r.owns = h.OwnerKey(), true
	default:
		return right{protect: p}
	}
	if claims && master {
		r.after.Master = max(r.after.Master, h.Seq)
	}
	return r
}

// outranks reports whether an author need not look at the sequence number of old: it
// owns what somebody else has written to. Otherwise whoever comes first could take the
// largest number and keep the owner out for ever. That old claims something for the
// author does not make it the author's.
func (r right) outranks(author ed25519.PublicKey, old Header) bool {
	return r.owns && !bytes.Equal(old.Author, author)
}

// last returns when the last record of the cell ends that claims p for owner.
func (c *Cell) last(p Protect, owner ed25519.PublicKey) Claim {
	k := Claim{Owner: owner}
	k.Recount(p, slices.Values(c.Records))
	return k
}

// settle brings the claims up to date after a write. before is the part that this cell
// had in the claim on the domain.
func (c *Cell) settle(domain, entry, before Claim) {
	c.Entry = entry
	if !entry.IsZero() {
		c.Entry.Recount(ProtectEntry, slices.Values(c.Records))
	}
	if domain.IsZero() {
		*c.Domain = domain
		return
	}
	now := c.last(ProtectDomain, domain.Owner)
	switch {
	case !bytes.Equal(domain.Owner, c.Domain.Owner):
		domain.Expires, domain.Stale = now.Expires, true
	case !now.IsZero() && later(now.Expires, domain.Expires):
		domain.Expires = now.Expires
	case !before.IsZero() && before.Expires == domain.Expires && (now.IsZero() || now.Expires != before.Expires):
		domain.Stale = true
	}
	*c.Domain = domain
}
