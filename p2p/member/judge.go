package member

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// verdict is what a set of acts means.
type verdict struct {
	// standing has an entry for each member there is now.
	standing map[p2p.ID]standing
	// valid holds the acts that have effect: admissions whose signer had the power
	// to sign them, whether or not they were revoked, and revocations that hold.
	valid map[Hash]bool
}

// standing is why somebody is a member.
type standing struct {
	role    Role
	entry   *act   // the oldest admission in force, which decides the position
	grant   *act   // the admission under which the member acts: of its role, nearest to the genesis
	inForce []*act // all admissions in force, by hash
}

// judge says what a set of acts means. The set contains the genesis, and of each
// act also what it rests on (its Under and its Base) and what it revokes, and
// every act was fit to rest there (see Roster.fits).
//
// # The rules
//
//  1. An act rests on its Under (the signer's admission) and on its Base. Both are
//     named by hash, so every act existed after what it rests on, and "rests on" has
//     no circles.
//  2. A revocation R of an admission A cuts each act that was signed under A, or
//     under an admission with Base A, and is neither one of R's heads nor before one of
//     them in the chain of Prev, nor R itself. R attacks another revocation if it cuts
//     that one or anything that it rests on. A revocation that cuts what itself rests
//     on has no effect.
//  3. A revocation holds unless a senior one that holds attacks it. Senior is the one
//     signed under the admission with fewer admissions between it and the genesis; of
//     equals, the one whose admission has the smaller hash; for one signer, the
//     smaller number, then the smaller hash. So when two admins revoke each other, and
//     neither had seen the other's revocation, or says so, the senior's holds.
//  4. An admission is valid if no revocation that holds cuts it and what it rests on
//     is valid. It is in force if it is valid, no revocation that holds names it, and
//     its Base, if any, is in force. Somebody is a member while an admission of its key
//     is in force, and an admin while one as admin is.
//
// # Why the outcome is one, whatever the order of arrival
//
// What an act rests on, what it cuts, whom it attacks and how senior it is depend
// on the contents of acts only. Seniority is a strict total order of a finite set,
// and whether a revocation holds depends only on whether senior ones hold: rule 3 is
// a recursion that ends and has exactly one solution. Rule 4 recurses along "rests
// on", which has no circles. Hence judge is a function of the set.
//
// # What a revoked admin can still do
//
// Suppose R holds and revokes A, and A's holder signs more under A, with a new number
// or an old one. Chains go by hash, so the new act is no head of R and before none:
// R cuts it, and everything that rests on it.
//
//   - If the admission that R is signed under is senior to A, R is senior to the new act
//     and to all that rests on it, because these are further from the genesis. So no
//     revocation among them holds, and no admission among them is valid: nothing
//     changes.
//   - If it is the junior, admissions change nothing either. A revocation can
//     still take members away, and R's signer among them, which undoes R: nobody
//     can tell a denial that comes late from one that was signed at the same time.
//
// Seniority is fixed when somebody is admitted, and whomever a thief admits comes
// after the thief. An act by which it could be gained later would let a thief take
// over by signing more statements.
func judge(acts []*act) verdict {
	j := newJudgement(acts)
	j.attack()
	for _, r := range j.revocations {
		if j.holds(r) {
			j.upheld[r.target] = true
		}
	}
	return j.verdict()
}

// judgement is the work in progress of judge.
type judgement struct {
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

func newJudgement(acts []*act) *judgement {
	j := &judgement{
		acts: acts, byHash: make(map[Hash]*act, len(acts)),
		signed: map[Hash][]*act{}, raised: map[Hash][]*act{},
		cutBy: map[*act][]*act{}, attackers: map[*act][]*act{}, futile: map[*act]bool{},
		held: map[*act]bool{}, upheld: map[Hash]bool{}, validity: make(map[*act]bool, len(acts)),
	}
	for _, a := range acts {
		j.byHash[a.hash] = a
		if a.kind == KindGenesis {
			continue
		}
		j.signed[a.under] = append(j.signed[a.under], a)
		if !a.base.IsZero() {
			j.raised[a.base] = append(j.raised[a.base], a)
		}
		if a.kind == KindRevocation {
			j.revocations = append(j.revocations, a)
		}
	}
	return j
}

// attack applies rule 2, and keeps of the attacks those that rule 3 asks for.
func (j *judgement) attack() {
	for _, r := range j.revocations {
		for _, cut := range j.cuts(r) {
			j.cutBy[cut] = append(j.cutBy[cut], r)
		}
	}
	for _, r := range j.revocations {
		for _, by := range j.attacking(r) {
			if by == r {
				j.futile[r] = true
			} else if senior(by, r) {
				j.attackers[r] = append(j.attackers[r], by)
			}
		}
	}
}

// cuts lists the acts that r cuts.
func (j *judgement) cuts(r *act) []*act {
	var cut []*act
	var kept map[Hash]bool
	for _, grant := range append([]*act{j.byHash[r.target]}, j.raised[r.target]...) {
		for _, a := range j.signed[grant.hash] {
			if kept == nil {
				kept = j.chain(r.heads, a.by)
			}
			if a != r && !kept[a.hash] {
				cut = append(cut, a)
			}
		}
	}
	return cut
}

// chain is heads and what the same signer signed before them.
func (j *judgement) chain(heads []Hash, signer p2p.ID) map[Hash]bool {
	kept := map[Hash]bool{}
	for _, h := range heads {
		for a := j.byHash[h]; a != nil && a.by == signer && !kept[a.hash]; {
			kept[a.hash] = true
			prev := j.byHash[a.prev]
			if prev != nil && prev.number != a.number-1 {
				break
			}
			a = prev
		}
	}
	return kept
}

// attacking lists, each once, the revocations that cut r or what it rests on.
func (j *judgement) attacking(r *act) []*act {
	if len(j.cutBy) == 0 {
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
		for _, c := range j.cutBy[a] {
			if !met[c] {
				met[c] = true
				by = append(by, c)
			}
		}
		climb(j.byHash[a.under])
		climb(j.byHash[a.base])
	}
	climb(r)
	return by
}

// senior reports whether revocation a is senior to b.
func senior(a, b *act) bool {
	return cmp.Or(
		cmp.Compare(a.depth, b.depth),
		bytes.Compare(a.under[:], b.under[:]),
		cmp.Compare(a.number, b.number),
		bytes.Compare(a.hash[:], b.hash[:]),
	) < 0
}

// holds applies rule 3. It ends because attackers are senior.
func (j *judgement) holds(r *act) bool {
	if held, known := j.held[r]; known {
		return held
	}
	held := !j.futile[r] && !slices.ContainsFunc(j.attackers[r], j.holds)
	j.held[r] = held
	return held
}

// valid applies the first half of rule 4.
func (j *judgement) valid(a *act) bool {
	if a == nil {
		return false
	}
	if v, known := j.validity[a]; known {
		return v
	}
	var v bool
	switch a.kind {
	case KindGenesis:
		v = true
	case KindRevocation:
		v = j.holds(a)
	default:
		v = !slices.ContainsFunc(j.cutBy[a], j.holds) &&
			j.valid(j.byHash[a.under]) && (a.base.IsZero() || j.valid(j.byHash[a.base]))
	}
	j.validity[a] = v
	return v
}

func (j *judgement) inForce(a *act) bool {
	return j.valid(a) && !j.upheld[a.hash] && (a.base.IsZero() || j.inForce(j.byHash[a.base]))
}

// verdict applies the second half of rule 4.
func (j *judgement) verdict() verdict {
	v := verdict{standing: map[p2p.ID]standing{}, valid: make(map[Hash]bool, len(j.acts))}
	for _, a := range j.acts {
		v.valid[a.hash] = j.valid(a)
		if a.kind == KindRevocation || !j.inForce(a) {
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

// older orders admissions of one member for its position: one that raises another
// has the other's nonce and comes after it.
func older(a, b *act) bool {
	return cmp.Or(compareBool(b.base.IsZero(), a.base.IsZero()), a.issued.Compare(b.issued), bytes.Compare(a.hash[:], b.hash[:])) < 0
}

// stronger orders admissions of one member by what can be signed under them.
func stronger(a, b *act) bool {
	return cmp.Or(compareBool(b.role == RoleAdmin, a.role == RoleAdmin), cmp.Compare(a.depth, b.depth), bytes.Compare(a.hash[:], b.hash[:])) < 0
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
