package member

import (
	"bytes"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// oracleJudge is judge, to the letter.
func oracleJudge(acts []*act) verdict {
	o := newOracle(acts)
	o.attack()
	for _, r := range o.revocations {
		if o.holds(r) {
			o.upheld[r.target] = true
		}
	}
	return o.verdict()
}

// oracle applies the rules of judge to the letter: it lists what each revocation
// cuts and who attacks whom, which takes time and memory that judge does not have.
type oracle struct {
	acts        []*act
	byHash      map[Hash]*act
	signed      map[Hash][]*act // acts by what they were signed under
	raised      map[Hash][]*act // admissions by their base
	revocations []*act

	cutBy     map[*act][]*act // revocations that cut an act
	attackers map[*act][]*act // senior revocations that attack a revocation
	futile    map[*act]bool   // revocations that cut what they rest on
	held      map[*act]bool   // memo of holds
	upheld    map[Hash]bool   // admissions that a revocation that holds names
	validity  map[*act]bool   // memo of valid
}

func newOracle(acts []*act) *oracle {
	o := &oracle{
		acts: acts, byHash: make(map[Hash]*act, len(acts)),
		signed: map[Hash][]*act{}, raised: map[Hash][]*act{},
		cutBy: map[*act][]*act{}, attackers: map[*act][]*act{}, futile: map[*act]bool{},
		held: map[*act]bool{}, upheld: map[Hash]bool{}, validity: make(map[*act]bool, len(acts)),
	}
	for _, a := range acts {
		o.byHash[a.hash] = a
		if a.kind == KindGenesis {
			continue
		}
		o.signed[a.under] = append(o.signed[a.under], a)
		if !a.base.IsZero() {
			o.raised[a.base] = append(o.raised[a.base], a)
		}
		if a.kind == KindRevocation {
			o.revocations = append(o.revocations, a)
		}
	}
	return o
}

// attack applies rule 2, and keeps of the attacks those that rule 3 asks for.
func (o *oracle) attack() {
	for _, r := range o.revocations {
		for _, cut := range o.cuts(r) {
			o.cutBy[cut] = append(o.cutBy[cut], r)
		}
	}
	for _, r := range o.revocations {
		for _, by := range o.attacking(r) {
			if by == r {
				o.futile[r] = true
			} else if senior(by, r) {
				o.attackers[r] = append(o.attackers[r], by)
			}
		}
	}
}

// cuts lists the acts that r cuts.
func (o *oracle) cuts(r *act) []*act {
	var cut []*act
	var kept map[Hash]bool
	for _, grant := range append([]*act{o.byHash[r.target]}, o.raised[r.target]...) {
		for _, a := range o.signed[grant.hash] {
			if kept == nil {
				kept = o.chain(r.heads, a.by)
			}
			if a != r && !kept[a.hash] {
				cut = append(cut, a)
			}
		}
	}
	return cut
}

// chain is heads and what the same signer signed before them.
func (o *oracle) chain(heads []Hash, signer p2p.ID) map[Hash]bool {
	kept := map[Hash]bool{}
	for _, h := range heads {
		for a := o.byHash[h]; a != nil && a.by == signer && !kept[a.hash]; {
			kept[a.hash] = true
			prev := o.byHash[a.prev]
			if prev != nil && prev.number != a.number-1 {
				break
			}
			a = prev
		}
	}
	return kept
}

// attacking lists, each once, the revocations that cut r or what it rests on.
func (o *oracle) attacking(r *act) []*act {
	if len(o.cutBy) == 0 {
		return nil
	}
	var by []*act
	seen, met := map[*act]bool{}, map[*act]bool{}
	var climb func(*act)
	climb = func(a *act) {
		if a == nil || seen[a] {
			return
		}
		seen[a] = true
		for _, c := range o.cutBy[a] {
			if !met[c] {
				met[c] = true
				by = append(by, c)
			}
		}
		climb(o.byHash[a.under])
		climb(o.byHash[a.base])
	}
	climb(r)
	return by
}

// holds applies rule 3. It ends because attackers are senior.
func (o *oracle) holds(r *act) bool {
	if held, known := o.held[r]; known {
		return held
	}
	held := !o.futile[r] && !slices.ContainsFunc(o.attackers[r], o.holds)
	o.held[r] = held
	return held
}

// valid applies the first half of rule 4.
func (o *oracle) valid(a *act) bool {
	if a == nil {
		return false
	}
	if v, known := o.validity[a]; known {
		return v
	}
	var v bool
	switch a.kind {
	case KindGenesis:
		v = true
	case KindRevocation:
		v = o.holds(a)
	default:
		v = !slices.ContainsFunc(o.cutBy[a], o.holds) &&
			o.valid(o.byHash[a.under]) && (a.base.IsZero() || o.valid(o.byHash[a.base]))
	}
	o.validity[a] = v
	return v
}

func (o *oracle) inForce(a *act) bool {
	return o.valid(a) && !o.upheld[a.hash] && (a.base.IsZero() || o.inForce(o.byHash[a.base]))
}

// verdict applies the second half of rule 4.
func (o *oracle) verdict() verdict {
	v := verdict{standing: map[p2p.ID]standing{}, valid: make(map[Hash]bool, len(o.acts))}
	for _, a := range o.acts {
		v.valid[a.hash] = o.valid(a)
		if a.kind == KindRevocation || !o.inForce(a) {
			continue
		}
		s := v.standing[a.member]
		s.inForce = append(s.inForce, a)
		if s.entry == nil || older(a, s.entry) {
			s.entry = a
		}
		if s.grant == nil || stronger(a, s.grant) {
			s.grant, s.role = a, a.role
		}
		v.standing[a.member] = s
	}
	for _, s := range v.standing {
		slices.SortFunc(s.inForce, func(a, b *act) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	}
	return v
}
