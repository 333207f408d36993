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
	// excluded holds the exclusions that have effect, by whom they exclude.
	excluded map[p2p.ID][]*act
	// grants holds the admissions in force, by hash.
	grants map[Hash]*act
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
//
//  2. A revocation R of an admission A cuts each act that was signed under A, or
//     under an admission with Base A, and is neither one of R's heads nor before one of
//     them in the chain of Prev, nor R itself. R attacks another revocation if it cuts
//     that one or anything that it rests on. A revocation that cuts what itself rests
//     on has no effect.
//
//  3. A revocation holds unless a senior one that holds attacks it. Senior is the one
//     signed under the admission with fewer admissions between it and the genesis; of
//     equals, the one whose admission has the smaller hash; for one signer, the
//     smaller number, then the smaller hash. So when two admins revoke each other, and
//     neither had seen the other's revocation, or says so, the senior's holds.
//
//  4. An admission is valid if no revocation that holds cuts it and what it rests on
//     is valid. It is in force if it is valid, no revocation that holds names it, and
//     its Base, if any, is in force. Somebody is a member while an admission of its key
//     is in force, and an admin while one as admin is.
//
//  5. An exclusion has effect if what it rests on is valid and no revocation that holds cuts it.
//     While one of a node has effect, no admission of it is in force that somebody has signed who
//     was no admin, which there is in open networks only, or that is a Seat, which admins give to
//     whoever has a certificate and asks: one that has not heard of the exclusion yet must not undo
//     it. What that node has signed stays valid: exclusions decide nothing but who is here, and
//     so come after all the rest.
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
//
// # How it is computed
//
// From the most senior revocation to the most junior one: whether one holds depends
// only on seniors. One that holds kills what it cuts and all that rests on that, and
// an act dies once. So the time is that of sorting the revocations, plus, for each
// one that holds, the number of acts signed under the admission that it revokes,
// and there are few revocations of one admission (see Roster.room).
func judge(acts []*act) verdict {
	j := newJudgement(acts)
	for _, r := range j.bySeniority() {
		if !j.dead[r] && !j.futile(r) {
			j.holds[r] = true
			j.upheld[j.target(r)] = true
			j.kill(r)
		}
	}
	return j.verdict()
}

// judgement is the work in progress of judge. It names acts by their place in a
// list, and -1 is none: maps of ten thousand hashes would take most of the time.
type judgement struct {
	acts  []*act
	place map[Hash]int32

	under, base, prev []int32
	signed, raised    [][]int32 // by admission: what was signed under it, what raises it

	dead   []bool // what revocations that hold cut, and all that rests on it
	holds  []bool // revocations
	upheld []bool // admissions that a revocation that holds names
	barred []bool // admissions that an exclusion ends

	kept, seen  []int32 // who was met in round
	round       int32
	keptBy      int32 // the revocation whose kept acts are marked
	keptInRound int32
}

const nobody int32 = -1

func newJudgement(acts []*act) *judgement {
	n := len(acts)
	j := &judgement{
		acts: acts, place: make(map[Hash]int32, n),
		under: make([]int32, n), base: make([]int32, n), prev: make([]int32, n),
		signed: make([][]int32, n), raised: make([][]int32, n),
		dead: make([]bool, n), holds: make([]bool, n), upheld: make([]bool, n), barred: make([]bool, n),
		kept: make([]int32, n), seen: make([]int32, n), keptBy: nobody,
	}
	for i, a := range acts {
		j.place[a.hash] = int32(i)
	}
	for i, a := range acts {
		j.under[i], j.base[i], j.prev[i] = j.find(a.under), j.find(a.base), j.find(a.prev)
		if u := j.under[i]; u != nobody {
			j.signed[u] = append(j.signed[u], int32(i))
		}
		if b := j.base[i]; b != nobody {
			j.raised[b] = append(j.raised[b], int32(i))
		}
	}
	return j
}

func (j *judgement) find(h Hash) int32 {
	if at, ok := j.place[h]; ok && !h.IsZero() {
		return at
	}
	return nobody
}

func (j *judgement) target(r int32) int32 { return j.place[j.acts[r].target] }

// bySeniority returns the revocations, the most senior one first.
func (j *judgement) bySeniority() []int32 {
	var rs []int32
	for i, a := range j.acts {
		if a.kind == KindRevocation {
			rs = append(rs, int32(i))
		}
	}
	slices.SortFunc(rs, func(a, b int32) int {
		if senior(j.acts[a], j.acts[b]) {
			return -1
		}
		return 1
	})
	return rs
}

// cuts applies rule 2 to one act.
func (j *judgement) cuts(r, a int32) bool {
	u, t := j.under[a], j.target(r)
	return a != r && u != nobody && (u == t || j.base[u] == t) && !j.keeps(r, a)
}

// keeps reports whether a is one of r's heads or before one of them.
func (j *judgement) keeps(r, a int32) bool {
	if j.keptBy != r {
		j.markKept(r)
	}
	return j.kept[a] == j.keptInRound
}

func (j *judgement) markKept(r int32) {
	j.round++
	j.keptBy, j.keptInRound = r, j.round
	signer := j.acts[j.target(r)].member
	for _, h := range j.acts[r].heads {
		for a := j.find(h); a != nobody && j.acts[a].by == signer && j.kept[a] != j.round; {
			j.kept[a] = j.round
			p := j.prev[a]
			if p != nobody && j.acts[p].number != j.acts[a].number-1 {
				break
			}
			a = p
		}
	}
}

// futile reports whether r cuts what itself rests on.
func (j *judgement) futile(r int32) bool {
	j.round++
	round := j.round
	var climb func(int32) bool
	climb = func(a int32) bool {
		if a == nobody || j.seen[a] == round {
			return false
		}
		j.seen[a] = round
		return j.cuts(r, a) || climb(j.under[a]) || climb(j.base[a])
	}
	return climb(j.under[r])
}

// kill marks what r cuts, and all that rests on it.
func (j *judgement) kill(r int32) {
	t := j.target(r)
	var doomed []int32
	for _, grant := range append([]int32{t}, j.raised[t]...) {
		for _, a := range j.signed[grant] {
			if !j.dead[a] && j.cuts(r, a) {
				doomed = append(doomed, a)
			}
		}
	}
	for len(doomed) > 0 {
		a := doomed[len(doomed)-1]
		doomed = doomed[:len(doomed)-1]
		if !j.dead[a] {
			j.dead[a] = true
			doomed = append(append(doomed, j.signed[a]...), j.raised[a]...)
		}
	}
}

// valid applies the first half of rule 4.
func (j *judgement) valid(a int32) bool {
	if j.acts[a].kind == KindRevocation {
		return j.holds[a]
	}
	return !j.dead[a]
}

func (j *judgement) inForce(a int32) bool {
	return !j.dead[a] && !j.upheld[a] && !j.barred[a] && (j.base[a] == nobody || j.inForce(j.base[a]))
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

// verdict applies the second half of rule 4.
func (j *judgement) verdict() verdict {
	v := verdict{standing: map[p2p.ID]standing{}, valid: make(map[Hash]bool, len(j.acts)), excluded: map[p2p.ID][]*act{}, grants: map[Hash]*act{}}
	for i, a := range j.acts {
		v.valid[a.hash] = j.valid(int32(i))
		if a.kind == KindExclusion && !j.dead[i] {
			v.excluded[a.excludes] = append(v.excluded[a.excludes], a)
		}
	}
	for i, a := range j.acts { // rule 5
		if u := j.under[i]; a.admits() && u != nobody && len(v.excluded[a.member]) > 0 {
			j.barred[i] = a.seat || j.acts[u].role != RoleAdmin
		}
	}
	for i, a := range j.acts {
		if !a.admits() || !j.inForce(int32(i)) {
			continue
		}
		v.grants[a.hash] = a
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
