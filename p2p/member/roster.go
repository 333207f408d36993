package member

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// Roster is the grow-only set of a network's signed statements, and what it
// means. Of the contacts of one node, and of the offers of one folder by one
// signer, it keeps the newest. It is not safe for concurrent use.
type Roster struct {
	network Network
	genesis *act
	arrived uint64             // numbers records in the order of arrival
	records map[Hash]*record   // all that is held
	byKey   map[p2p.ID][]*act  // admissions by whom they admit
	bySelf  map[p2p.ID][]*act  // admissions and revocations by signer
	contact map[p2p.ID]*record // newest
	offers  map[offerKey]*record
	offered map[p2p.ID]int         // offers by signer
	revoked map[Hash][]*act        // revocations by the admission that they name
	waiting map[waitsFor][]*record // by the hash or the ID of what they wait for
	queue   []*record              // the same, oldest first

	verdict verdict
	stale   bool               // verdict is older than the acts
	members map[p2p.ID]*Member // see described; what is not there has to be made
	trusted bool               // what is added was held before: bounds were checked then
}

// offerKey is the slot of an offer. Signers do not overwrite each other's, so that
// it does not matter which of them lost its power, and when.
type offerKey struct {
	folder          string
	creator, signer p2p.ID
}

// waitsFor is the error of a statement that rests on an act, named by its hash, or
// on an admission of somebody, named by ID, that is not known.
type waitsFor [32]byte

func (w waitsFor) Error() string { return fmt.Sprintf("waits for %x", w[:6]) }

// NewRoster returns the roster that holds only the genesis.
func NewRoster(genesis Statement) (*Roster, error) {
	r, err := check(genesis)
	if err != nil {
		return nil, err
	}
	if r.Kind != KindGenesis {
		return nil, fmt.Errorf("member: roster begins with a statement of kind %d: %w", r.Kind, ErrMalformed)
	}
	ro := &Roster{
		network: r.act.network, genesis: r.act,
		records: map[Hash]*record{}, byKey: map[p2p.ID][]*act{}, bySelf: map[p2p.ID][]*act{},
		contact: map[p2p.ID]*record{}, offers: map[offerKey]*record{}, offered: map[p2p.ID]int{},
		revoked: map[Hash][]*act{}, waiting: map[waitsFor][]*record{}, members: map[p2p.ID]*Member{},
	}
	ro.insert(r)
	return ro, nil
}

// Network returns the network whose roster it is.
func (ro *Roster) Network() Network { return ro.network }

// Len is the number of statements held.
func (ro *Roster) Len() int { return len(ro.records) }

// Has reports whether the statement named h is held.
func (ro *Roster) Has(h Hash) bool { return ro.records[h] != nil }

// Statements returns what is held in the order of arrival: whatever a statement
// rests on stands before it.
func (ro *Roster) Statements() []Statement {
	out := make([]Statement, 0, len(ro.records))
	for _, r := range ro.sorted() {
		out = append(out, r.Statement)
	}
	return out
}

func (ro *Roster) sorted() []*record {
	rs := make([]*record, 0, len(ro.records))
	for _, r := range ro.records {
		rs = append(rs, r)
	}
	slices.SortFunc(rs, byArrival)
	return rs
}

func byArrival(a, b *record) int { return cmp.Compare(a.at, b.at) }

// Added is what Add did.
type Added struct {
	New     []Statement // held now, in an order in which they can be added again
	Dropped []Hash      // gave way to newer ones of the same node or folder
	Refused error       // why the first statement that has no place here has none

	added, dropped []*record
}

// Add takes in statements. It leaves out, and this is no error, what is held
// already, what is older than what is held, what its signer had no power to say,
// and what a bound forbids (see Added.Refused); a statement that rests on unknown
// ones waits for these, within a bound too. The error, ErrMalformed, is about the
// first statement that nobody can have meant: those before it are added, those
// after it are not.
func (ro *Roster) Add(statements ...Statement) (Added, error) {
	return ro.take(statements, nil)
}

// take is Add for what welcome, unless it is nil, does not turn away.
func (ro *Roster) take(statements []Statement, welcome func(*record) bool) (Added, error) {
	var out Added
	for _, s := range statements {
		if ro.Has(s.Hash()) {
			continue
		}
		r, err := check(s)
		if err != nil {
			return out, err
		}
		if welcome == nil || welcome(r) {
			ro.add(r, &out)
		}
	}
	return out, nil
}

// add takes in one checked record, and then what has waited for it.
func (ro *Roster) add(r *record, out *Added) {
	if ro.Has(r.hash) {
		return
	}
	var what waitsFor
	if err := ro.fits(r); errors.As(err, &what) {
		ro.wait(r, what)
		return
	} else if err != nil {
		out.Refused = cmp.Or(out.Refused, fmt.Errorf("member: add statement %s: %w", r.hash, err))
		return
	}
	if old := ro.rival(r); old != nil {
		if !newer(r, old) {
			return
		}
		ro.remove(old)
		out.Dropped, out.dropped = append(out.Dropped, old.hash), append(out.dropped, old)
	}
	ro.insert(r)
	out.New, out.added = append(out.New, r.Statement), append(out.added, r)
	if r.act == nil || !r.act.admits() {
		return
	}
	for _, w := range append(ro.woken(waitsFor(r.hash)), ro.woken(waitsFor(r.act.member))...) {
		ro.add(w, out)
	}
}

// wait keeps a record for when what it rests on arrives. The oldest gives way: the
// digests that members exchange bring it back.
func (ro *Roster) wait(r *record, what waitsFor) {
	same := func(w *record) bool { return w.hash == r.hash }
	if slices.ContainsFunc(ro.waiting[what], same) {
		return
	}
	for len(ro.queue) >= maxPending {
		oldest := ro.queue[0]
		ro.queue = ro.queue[1:]
		key := oldest.waits
		if left := slices.DeleteFunc(ro.waiting[key], func(w *record) bool { return w == oldest }); len(left) > 0 {
			ro.waiting[key] = left
		} else {
			delete(ro.waiting, key)
		}
	}
	r.waits = what
	ro.queue = append(ro.queue, r)
	ro.waiting[what] = append(ro.waiting[what], r)
}

// woken takes out the records that wait for what.
func (ro *Roster) woken(what waitsFor) []*record {
	ws := ro.waiting[what]
	if len(ws) > 0 {
		delete(ro.waiting, what)
		ro.queue = slices.DeleteFunc(ro.queue, func(r *record) bool { return slices.Contains(ws, r) })
	}
	return ws
}

// revert undoes an Add. What has waited and was taken in does not wait again.
func (ro *Roster) revert(a Added) {
	for _, r := range slices.Backward(a.added) {
		if ro.Has(r.hash) {
			ro.remove(r)
		}
	}
	for _, r := range a.dropped {
		if ro.rival(r) == nil {
			ro.insert(r)
		}
	}
}

// admission returns the genesis or admission named h.
func (ro *Roster) admission(h Hash) (*act, error) {
	r := ro.records[h]
	switch {
	case r == nil:
		return nil, waitsFor(h)
	case r.act == nil || !r.act.admits():
		return nil, errors.New("rests on what is no admission")
	}
	return r.act, nil
}

// pick returns those of the named records that are held, in the order of arrival.
func (ro *Roster) pick(names []Hash) []*record {
	var out []*record
	for _, h := range names {
		if r := ro.records[h]; r != nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, byArrival)
	return out
}

// rival returns the held record whose place r would take.
func (ro *Roster) rival(r *record) *record {
	switch {
	case r.contact != nil:
		return ro.contact[r.contact.ID()]
	case r.offer != nil:
		return ro.offers[r.offer.key()]
	}
	return nil
}

func (o *Offer) key() offerKey { return offerKey{o.Folder, o.By, o.signer} }

// newer orders contacts of one node and offers of one slot. A signer that uses a
// number twice gets the one with the larger hash, everywhere.
func newer(a, b *record) bool {
	return cmp.Or(cmp.Compare(a.seq(), b.seq()), bytes.Compare(a.hash[:], b.hash[:])) > 0
}

// author is whose statement r is.
func (r *record) author() p2p.ID {
	switch {
	case r.contact != nil:
		return r.contact.ID()
	case r.offer != nil:
		return r.offer.signer
	}
	return r.act.by
}

func (r *record) seq() uint64 {
	if r.contact != nil {
		return r.contact.Seq
	}
	return r.offer.Seq
}

func (ro *Roster) insert(r *record) {
	ro.arrived++
	r.at = ro.arrived
	ro.records[r.hash] = r
	switch {
	case r.contact != nil:
		ro.contact[r.contact.ID()] = r
		delete(ro.members, r.contact.ID())
	case r.offer != nil:
		ro.offers[r.offer.key()] = r
		ro.offered[r.offer.signer]++
	default:
		ro.insertAct(r.act)
	}
}

// outdate forgets what followed from the acts.
func (ro *Roster) outdate() {
	ro.stale = true
	clear(ro.members)
}

func (ro *Roster) insertAct(a *act) {
	ro.outdate()
	if a.kind != KindGenesis {
		ro.bySelf[a.by] = append(ro.bySelf[a.by], a)
	}
	switch {
	case a.admits():
		ro.byKey[a.member] = append(ro.byKey[a.member], a)
	case a.kind == KindRevocation:
		ro.revoked[a.target] = append(ro.revoked[a.target], a)
	}
}

func (ro *Roster) remove(r *record) {
	delete(ro.records, r.hash)
	switch {
	case r.contact != nil:
		delete(ro.contact, r.contact.ID())
		delete(ro.members, r.contact.ID())
	case r.offer != nil:
		delete(ro.offers, r.offer.key())
		ro.offered[r.offer.signer]--
	default:
		ro.removeAct(r.act)
	}
}

func (ro *Roster) removeAct(a *act) {
	ro.outdate()
	without(ro.bySelf, a.by, a)
	switch {
	case a.admits():
		without(ro.byKey, a.member, a)
	case a.kind == KindRevocation:
		without(ro.revoked, a.target, a)
	}
}

func without[K comparable](m map[K][]*act, key K, a *act) {
	if m[key] = slices.DeleteFunc(m[key], func(b *act) bool { return b == a }); len(m[key]) == 0 {
		delete(m, key)
	}
}

// judged returns what the acts mean.
func (ro *Roster) judged() verdict {
	if !ro.stale {
		return ro.verdict
	}
	acts := make([]*act, 0, len(ro.records))
	for _, r := range ro.records {
		if r.act != nil {
			acts = append(acts, r.act)
		}
	}
	ro.verdict, ro.stale = judge(acts), false
	return ro.verdict
}

// head returns what the next act of a signer follows: its act with the highest
// number, which is zero before the first one.
func (ro *Roster) head(signer p2p.ID) (Hash, uint64) {
	var h Hash
	var number uint64
	for _, a := range ro.bySelf[signer] {
		if a.number > number || a.number == number && bytes.Compare(a.hash[:], h[:]) < 0 {
			h, number = a.hash, a.number
		}
	}
	return h, number
}

// heads returns the signer's valid acts that no other valid act of it follows: what
// a revocation of the signer lets stand, with all before it. Of more than maxHeads,
// which takes a signer that forked its chain on purpose, the highest numbers count.
func (ro *Roster) heads(signer p2p.ID) []Hash {
	valid := ro.judged().valid
	followed := map[Hash]bool{}
	var heads []*act
	for _, a := range ro.bySelf[signer] {
		if valid[a.hash] {
			followed[a.prev] = true
		}
	}
	for _, a := range ro.bySelf[signer] {
		if valid[a.hash] && !followed[a.hash] {
			heads = append(heads, a)
		}
	}
	slices.SortFunc(heads, func(a, b *act) int {
		return cmp.Or(cmp.Compare(b.number, a.number), bytes.Compare(a.hash[:], b.hash[:]))
	})
	var out []Hash
	for _, a := range first(heads, maxHeads) {
		out = append(out, a.hash)
	}
	return out
}

// support returns an act and all that it rests on, in the order of arrival.
func (ro *Roster) support(h Hash) []*record {
	var out []*record
	seen := map[Hash]bool{}
	var climb func(Hash)
	climb = func(h Hash) {
		r := ro.records[h]
		if r == nil || seen[h] {
			return
		}
		seen[h] = true
		climb(r.act.under)
		climb(r.act.base)
		out = append(out, r)
	}
	climb(h)
	return out
}
