package dht

import (
	"bytes"
	"slices"
)

// Put decides about one write at this replica and changes the cell. The caller has
// checked the record (Checker.Check) and that it is at the cell's name. The number that
// comes with StatusStale, StatusNotAbsent and StatusDeleted is the sequence number at
// the address, so that the author can write again with a larger one. Unless the status
// says that the record is stored, nothing changes but that what has expired is dropped.
//
// What holds at an address does not depend on the order in which whole records come,
// as long as they come as copies (Repair), nobody claims anything, and no more than
// MaxVersions of a name are written: Newer is a total order, the cell keeps the largest
// of each address, and nothing else decides. The same is true where the owner's claim
// came first and stays: others are refused, whatever they send and when. And at an
// address to which the master writes with a claim on the domain it is true whoever else
// writes there or claims the domain, and when: the master's records outrank theirs.
//
// It cannot hold, and replicas differ until records expire or somebody writes again,
//   - when two who are not master claim first at different replicas: each keeps its
//     own owner, as it does for a stranger whose record came before the claim at one and
//     after it at another;
//   - for records that an earlier owner signed, at a replica that hears of the new
//     owner first: it refuses them, and the new owner has to sign them again;
//   - when those who are not master hand a claim to and fro: copies of old hand-overs
//     act like new ones where nothing at their address says that they are old;
//   - for writes that depend on what is there, Absent, changes of a header, and
//     versions without Repair or Fork: that is what they are for;
//   - while a version is prepared whose author brings a copy of it and no votes.
//
// A record that has expired is forgotten with its sequence number. Whoever kept a copy
// of it can write it once more, with the author's signature, for as long as its TTL.
func (c *Cell) Put(w Write, rules Rules, now int64) (Status, uint64) {
	r := w.Record
	if r.Name() != c.Name {
		return StatusMalformed, 0
	}
	c.drop(now)
	i, found := c.find(r.Version)
	var old Held
	if found {
		old = c.Records[i]
	}
	// The same record again neither lives longer, or a copy could be kept alive for ever,
	// nor shorter, or anybody could end it by a copy that pretends to be old. It is nobody's
	// rival, not even where Absent is asked for: the author has not heard the answer.
	if found && old.same(r.Header) {
		return StatusUnchanged, 0
	}
	rights := c.rights(r.Header, rules)
	outranks := false
	for _, right := range rights {
		if !right.allowed {
			return StatusProtected, 0
		}
		outranks = outranks || found && right.outranks(r.Author, old.Header)
	}
	switch {
	case found && old.Kind == KindValue && w.Absent && !(bytes.Equal(old.Author, r.Author) && r.refreshes(old.Header)):
		return StatusNotAbsent, old.Seq
	case found && old.Kind == KindTombstone && (r.IsHeader() || !outranks && !r.Newer(old.Header)):
		return StatusDeleted, old.Seq
	case found && !outranks && !r.Newer(old.Header):
		return StatusStale, old.Seq
	case r.IsHeader() && (!found || old.Sum != r.Sum || old.Size != r.Size):
		return StatusNotFound, 0
	case !w.Repair && c.forks(w, old, found):
		return StatusFork, 0
	case w.unproved(old, found):
		return StatusNoQuorum, 0
	}
	victim, ok := -1, true
	if !found || old.Kind != r.Kind {
		victim, ok = c.room(r.Header, now)
	}
	if !ok {
		return StatusTooLarge, 0
	}

	before := c.last(ProtectDomain, c.Domain.Owner)
	held := Held{Record: r, Expires: w.expiry(now)}
	if r.IsHeader() {
		held.Value = old.Value
	}
	if found {
		c.Records[i] = held
	} else {
		c.Records = slices.Insert(c.Records, i, held)
		if victim >= i {
			victim++
		}
	}
	if victim >= 0 {
		c.Records = slices.Delete(c.Records, victim, victim+1)
	}
	c.settle(rights[0].after, rights[1].after, before)
	switch {
	case r.Prepared:
		return StatusPrepared, 0
	case found && r.refreshes(old.Header):
		return StatusUnchanged, 0
	}
	return StatusOK, 0
}

// refreshes reports whether h says what old said, only later: of the same value, for
// as long, and of whom it belongs to.
func (h Header) refreshes(old Header) bool {
	return h.Kind == old.Kind && h.Sum == old.Sum && h.TTL == old.TTL && h.Prepared == old.Prepared &&
		h.Protect == old.Protect && (h.Protect == 0 || bytes.Equal(h.OwnerKey(), old.OwnerKey())) &&
		slices.Equal(h.Based, old.Based)
}

// forks reports whether a version is to be refused because another one replaces the
// same. old is what is at its address.
func (c *Cell) forks(w Write, old Held, found bool) bool {
	r := w.Record
	if r.Version.IsZero() || r.Kind == KindTombstone {
		return false
	}
	confirms := false
	if found && old.Kind == KindValue {
		switch {
		case !slices.Equal(old.Based, r.Based):
			return true
		case !old.Prepared: // it has its place already; but nobody hides it again
			return r.Prepared
		case !bytes.Equal(old.Author, r.Author): // two have made the same of the same
			return true
		}
		confirms = true
	}
	if w.Fork && !r.Prepared {
		return false
	}
	for i := range c.Records {
		o := &c.Records[i]
		if !o.rivals(r.Header) {
			continue
		}
		// Where copies have brought several prepared versions, one of them can be confirmed, and
		// it is the same everywhere.
		if confirms && !r.Prepared && o.Prepared && (o.Seq > old.Seq || o.Seq == old.Seq && o.Version.Compare(old.Version) > 0) {
			continue
		}
		return true
	}
	return false
}

// rivals reports whether what is held is another version that replaces the same as o.
func (h *Held) rivals(o Header) bool {
	return h.Version != o.Version && !h.Version.IsZero() && h.Kind != KindTombstone && rivals(h.Based, o.Based)
}

// votes reports whether this replica votes for what a write has prepared: not where something that
// replaces the same is here, beside which only copies are kept.
func (c *Cell) votes(w Write, s Status) bool {
	return w.Record.Prepared && s.Stored() &&
		!slices.ContainsFunc(c.Records, func(o Held) bool { return o.rivals(w.Record.Header) })
}

// rivals reports whether two versions replace the same one, or both are first ones.
func rivals(a, b []Version) bool {
	if len(a) == 0 && len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(v Version) bool {
		_, found := slices.BinarySearchFunc(b, v, Version.Compare)
		return found
	})
}

// room finds a place for one more record of h's kind: victim is the one that has to go
// for it, -1 none. ok is false where there is no place.
func (c *Cell) room(h Header, now int64) (victim int, ok bool) {
	n, oldest := 0, -1
	for i := range c.Records {
		o := &c.Records[i]
		if o.Kind != h.Kind || o.Kind == KindTombstone && o.Version.IsZero() {
			continue
		}
		n++
		if oldest < 0 {
			oldest = i
		}
	}
	switch {
	case n < MaxVersions || h.Kind == KindTombstone && h.Version.IsZero():
		return -1, true
	case h.Kind == KindTombstone:
		return oldest, true
	}
	marks := c.replaced(now)
	if !h.Prepared {
		for _, b := range h.Based {
			if i, found := c.find(b); found {
				marks[i] = true
			}
		}
	}
	for i := range c.Records {
		o := &c.Records[i]
		if !marks[i] || o.Kind != KindValue {
			continue
		}
		// What is older than the oldest has been dropped before, perhaps, with all that tells
		// that it is no head.
		return i, o.Version.Compare(h.Version) < 0
	}
	return -1, false
}
