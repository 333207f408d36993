package member

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// Bounds of a roster. They are far above what people do and keep a member that
// means harm, or a program that went wrong, from filling everybody's memory.
//
// Nothing that is held is ever thrown out to make room: what a revocation lets stand
// is found along the chain of its holder's acts, and who was gone would be back if
// some later act could take an earlier one's place. So a bound refuses what comes
// last, and of a signer that exceeds one, members can hold different acts. That
// must not keep seniors from ending it: at no bound do acts of juniors stand in the
// way of a senior (see rank), and what a revocation cut does not count. Once a senior
// has revoked the one who floods, all that differs is cut, everywhere.
const (
	MaxMembers    = 2000  // that the roster of a network names, at once
	MaxStatements = 10000 // of all kinds that have effect

	seniorReserve = 2000              // statements beyond MaxStatements, for each rank above the lowest
	maxHeld       = 3 * MaxStatements // with those that have no effect any more, and without the reserve
	maxKeys       = 2 * MaxMembers    // that were ever admitted; beyond that, only MaxMembers counts
	maxHeldKeys   = 3 * maxKeys
	maxDepth      = 96   // admissions between an act and the genesis: what it rests on fits a message
	maxPending    = 256  // statements that wait for what they rest on
	maxOffers     = 256  // by one signer
	maxSignerActs = 4000 // by one signer, but for those who sign under the genesis
	// maxRepeats bounds revocations of one admission by one signer. One is enough.
	// More come from a signer whose computer was restored from a backup.
	maxRepeats = 32
	// maxSameTarget bounds revocations of one admission by signers of one rank.
	maxSameTarget = 64
	// OpenQuota is how many nodes one member of an open network may admit, of those that the
	// roster names, and again of those that it gives certificates.
	OpenQuota  = 64
	openRoster = 256
)

// ranks is into how many parts signers are divided by bounds: who signs under the
// genesis, whoever was admitted under it, and all others.
const ranks = 3

// rank is 1 for the most senior signers.
func (a *act) rank() int { return min(max(a.depth, 1), ranks) }

// fits reports whether r has a place in this roster: nil, waitsFor, or why not.
// Except for waitsFor and ErrFull the answer is the same at any time, because it
// looks only at what r names by hash, and at no verdict.
func (ro *Roster) fits(r *record) error {
	switch {
	case r.act != nil:
		return ro.fitsAct(r.act)
	case r.certificate != nil:
		return errors.New("certificates are shown by their holders")
	case r.contact != nil:
		if err := ro.admittedOnce(r.contact.ID()); err != nil {
			return err
		}
	default:
		if err := ro.fitsOffer(r); err != nil {
			return err
		}
	}
	if ro.rival(r) != nil {
		return nil
	}
	return ro.room(ranks, func() bool { return ro.judged().standing[r.author()].entry != nil })
}

func (ro *Roster) fitsOffer(r *record) error {
	o := r.offer
	if o.network != ro.network.ID {
		return errors.New("of another network")
	}
	if err := cmp.Or(ro.admittedOnce(o.signer), ro.admittedOnce(o.By)); err != nil {
		return err
	}
	// Who was never admitted as admin has no say about others' folders. It may have
	// been, by an act that is still on its way.
	everAdmin := func(a *act) bool { return a.role == RoleAdmin }
	if o.signer != o.By && !slices.ContainsFunc(ro.byKey[o.signer], everAdmin) {
		return waitsFor(o.signer)
	}
	if !ro.trusted && ro.offered[o.signer] >= maxOffers && ro.rival(r) == nil {
		return fmt.Errorf("offers of %s: %w", o.signer.Short(), ErrFull)
	}
	return nil
}

func (ro *Roster) admittedOnce(id p2p.ID) error {
	if len(ro.byKey[id]) == 0 {
		return waitsFor(id)
	}
	return nil
}

// room reports whether one more statement by a signer of that rank fits. Beyond
// MaxStatements only what has effect counts, and only who is present may add to it;
// the verdict is asked for no earlier, because while a roster is read it would be
// out of date after each act.
func (ro *Roster) room(rank int, present func() bool) error {
	reserve := (ranks - rank) * seniorReserve
	if ro.trusted || len(ro.records) < MaxStatements+reserve {
		return nil
	}
	if len(ro.records) >= maxHeld+reserve || !present() || ro.effective() >= MaxStatements+reserve {
		return fmt.Errorf("%d statements are held: %w", len(ro.records), ErrFull)
	}
	return nil
}

// effective counts the statements that have effect.
func (ro *Roster) effective() int {
	v := ro.judged()
	n := 0
	for h, r := range ro.records {
		_, present := v.standing[r.author()]
		if r.act != nil && v.valid[h] || r.act == nil && present {
			n++
		}
	}
	return n
}

// fitsAct checks what the proof of judge asks for: that an act rests on an
// admission of its signer, with a role that can sign it.
func (ro *Roster) fitsAct(a *act) error {
	if a.kind == KindGenesis || a.network.ID != ro.network.ID {
		return errors.New("of another network")
	}
	grant, err := ro.admission(a.under)
	if err != nil {
		return err
	}
	admitsMember := a.kind == KindAdmission && a.role == RoleMember && a.base.IsZero()
	open := ro.network.Mode == ModeOpen && admitsMember && a.number <= OpenQuota
	switch {
	case grant.member != a.by:
		return errors.New("signed under somebody else's admission")
	case grant.role != RoleAdmin && !open:
		return errors.New("signed under an admission that allows it not")
	case grant.depth >= maxDepth:
		return fmt.Errorf("%d admissions from the genesis: %w", maxDepth, ErrFull)
	}
	a.depth = grant.depth + 1
	switch a.kind {
	case KindRevocation:
		err = ro.fitsRevocation(a)
	case KindExclusion:
		err = ro.fitsExclusion(a)
	default:
		err = ro.fitsAdmission(a, grant)
	}
	if err != nil || ro.trusted {
		return err
	}
	if a.rank() > 1 && len(ro.bySelf[a.by]) >= maxSignerActs {
		return fmt.Errorf("acts of %s: %w", a.by.Short(), ErrFull)
	}
	return ro.room(a.rank(), func() bool { return slices.Contains(ro.judged().standing[a.by].inForce, grant) })
}

// fitsRevocation counts, of the other revocations of the same admission, those by
// the same signer, and those by signers of no lower rank.
func (ro *Roster) fitsRevocation(a *act) error {
	if _, err := ro.admission(a.target); err != nil || ro.trusted {
		return err
	}
	repeats, same := 0, 0
	for _, b := range ro.revoked[a.target] {
		if b.by == a.by && b.under == a.under {
			repeats++
		}
		if b.rank() <= a.rank() {
			same++
		}
	}
	if repeats >= maxRepeats || same >= a.rank()*maxSameTarget {
		return fmt.Errorf("revocations of admission %s: %w", a.target, ErrFull)
	}
	return nil
}

// fitsExclusion counts the exclusions of one node by one signer: one is enough.
func (ro *Roster) fitsExclusion(a *act) error {
	if ro.trusted {
		return nil
	}
	repeats := 0
	for _, b := range ro.bySelf[a.by] {
		if b.kind == KindExclusion && b.excludes == a.excludes && b.under == a.under {
			repeats++
		}
	}
	if repeats >= maxRepeats {
		return fmt.Errorf("exclusions of %s: %w", a.excludes.Short(), ErrFull)
	}
	return nil
}

func (ro *Roster) fitsAdmission(a, grant *act) error {
	if !a.base.IsZero() {
		base, err := ro.admission(a.base)
		if err != nil {
			return err
		}
		if !base.base.IsZero() || base.member != a.member || base.nonce != a.nonce {
			return errors.New("raises an admission that it does not fit")
		}
	}
	if ro.trusted {
		return nil
	}
	if grant.role != RoleAdmin {
		// Numbers bound an honest member; this bounds one that uses a number twice.
		n := 0
		for _, b := range ro.bySelf[a.by] {
			if b.under == a.under {
				n++
			}
		}
		if n >= 2*OpenQuota {
			return fmt.Errorf("admissions by %s: %w", a.by.Short(), ErrFull)
		}
	}
	if len(ro.byKey[a.member]) == 0 && !ro.roomForKey(grant) {
		return fmt.Errorf("%d nodes were admitted: %w", len(ro.byKey), ErrFull)
	}
	return nil
}

// roomForKey reports whether one more node may be admitted under grant. Who was
// admitted by somebody that has since been revoked does not stand in the way.
func (ro *Roster) roomForKey(grant *act) bool {
	if len(ro.byKey) < maxKeys {
		return true
	}
	standing := ro.judged().standing
	return len(ro.byKey) < maxHeldKeys && len(standing) < MaxMembers && slices.Contains(standing[grant.member].inForce, grant)
}
