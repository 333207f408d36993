package paxos

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// MaxSteps is how many steps from epoch to epoch a message has at most.
const MaxSteps = 12

// maxVotes bounds the votes of one proof: each acceptor and each joint one has one.
const maxVotes = 2 * MaxAcceptors

// maxMark bounds the signature of a vote.
const maxMark = 128

// Signer signs what this node says as an acceptor, and checks what others have signed. It may
// be called by several goroutines at once.
type Signer interface {
	Sign(text []byte) (mark []byte)
	Check(by p2p.ID, text, mark []byte) bool
}

// Check is Signer.Check.
type Check func(by p2p.ID, text, mark []byte) bool

// Vote is what an acceptor has promised and accepted of a register, with its signature. It is
// true for ever as a statement of what was: that everything below Promised was refused from
// then on, and that Accepted was the greatest ballot with which it had accepted anything when
// it promised that.
type Vote struct {
	By       p2p.ID  `cbor:"1,keyasint"`
	Life     byte    `cbor:"2,keyasint,omitempty"` // in which it says so
	Promised Ballot  `cbor:"3,keyasint"`
	Accepted Ballot  `cbor:"4,keyasint"` // zero: nothing
	Value    p2p.Key `cbor:"5,keyasint"` // Head.digest of what was accepted; zero: nothing
	Mark     []byte  `cbor:"6,keyasint"`
	// Sealed: what was accepted closes the epoch, and a majority had accepted just that before. Of the
	// values that an epoch may have had one only is ever sealed.
	Sealed bool `cbor:"7,keyasint,omitempty"`
}

// Head is all of a value that tells whether another one descends from it, but for the names
// of its last changes, of which it has a hash.
type Head struct {
	Exists  bool    `cbor:"1,keyasint,omitempty"`
	Data    p2p.Key `cbor:"2,keyasint"` // SHA-256
	Version uint64  `cbor:"3,keyasint,omitempty"`
	Recent  p2p.Key `cbor:"4,keyasint"` // SHA-256
	Next    *Config `cbor:"5,keyasint,omitempty"`
}

// Proof shows why a value may be accepted with a ballot: the promises of a majority for it,
// and what was found among them.
type Proof struct {
	Votes  []Vote `cbor:"1,keyasint,omitempty"`
	Base   Head   `cbor:"2,keyasint"` // of the greatest ballot among them; zero: there was nothing
	Recent []OpID `cbor:"3,keyasint,omitempty"`
}

// Step shows that an epoch was decided: a majority of the acceptors of the one before has
// accepted, with one ballot, a value that names it and is sealed.
type Step struct {
	Last  Head   `cbor:"1,keyasint"` // of that value
	Votes []Vote `cbor:"2,keyasint"`
}

// Head returns the head of a value.
func (v Value) Head() Head {
	return Head{Exists: v.Exists, Data: sha256.Sum256(v.Data), Version: v.Version, Recent: hashOps(v.Recent), Next: v.Next}
}

func hashOps(ops []OpID) p2p.Key {
	b := make([]byte, 0, len(ops)*len(OpID{}))
	for _, op := range ops {
		b = append(b, op[:]...)
	}
	return sha256.Sum256(b)
}

// digest returns what a vote says of a value.
func (h Head) digest() p2p.Key {
	b := []byte("shoal paxos value\x00")
	b = append(b, octet(h.Exists), octet(h.Next != nil))
	b = append(append(b, h.Data[:]...), h.Recent[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Version)
	if h.Next != nil {
		b = h.Next.append(b)
	}
	return sha256.Sum256(b)
}

func octet(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// equal reports whether two heads are those of one value.
func (h Head) equal(o Head) bool { return h.digest() == o.digest() }

// text is what an acceptor signs that has a configuration. The name of a register is that of one
// network only.
func (v Vote) text(register p2p.Key, c Config) []byte {
	b := append([]byte("shoal paxos vote\x00"), register[:]...)
	hash := sha256.Sum256(c.append(nil))
	b = append(b, hash[:]...)
	b = append(append(b, v.By[:]...), v.Life, octet(v.Sealed))
	for _, x := range []Ballot{v.Promised, v.Accepted} {
		b = binary.BigEndian.AppendUint64(b, x.Epoch)
		b = binary.BigEndian.AppendUint64(b, x.Counter)
		b = append(b, x.Proposer[:]...)
		b = binary.BigEndian.AppendUint64(b, x.Run)
	}
	return append(b, v.Value[:]...)
}

// vote returns what a state says, to be signed.
func (s State) vote(by p2p.ID, life byte) Vote {
	v := Vote{By: by, Life: life, Promised: s.Promised, Accepted: s.Accepted, Sealed: s.Sealed}
	if !s.Accepted.IsZero() {
		v.Value = s.Value.Head().digest()
	}
	return v
}

func (v Vote) signed(register p2p.Key, c Config, s Signer) Vote {
	if s != nil {
		v.Mark = s.Sign(v.text(register, c))
	}
	return v
}

// ballotBox counts votes that somebody shows, each acceptor's once.
type ballotBox struct {
	register p2p.Key
	config   Config
	check    Check
	yes      map[p2p.ID]bool
}

// put counts a vote, if it is of somebody's life and signed.
func (b *ballotBox) put(v Vote) error {
	life := b.config.Life(v.By)
	switch {
	case b.yes[v.By]:
		return fmt.Errorf("%w: two votes of %s", ErrNoQuorum, v.By.Short())
	case v.Life != life:
		return fmt.Errorf("%w: the vote of %s is of its life %d, not %d", ErrNoQuorum, v.By.Short(), v.Life, life)
	case len(v.Mark) > maxMark || !b.check(v.By, v.text(b.register, b.config), v.Mark):
		return fmt.Errorf("%w: the vote of %s is not signed by it", ErrNoQuorum, v.By.Short())
	}
	if b.yes == nil {
		b.yes = map[p2p.ID]bool{}
	}
	b.yes[v.By] = true
	return nil
}

// proven reports whether a request shows the majority that it needs: an accept has promises of
// one, from what was found among which its value descends; that others have retired has the
// acceptances of one. Errors: ErrNoQuorum.
func (m Request) proven(check Check) error {
	if m.Kind == KindPrepare || check == nil {
		return nil
	}
	if len(m.Proof.Votes) > maxVotes {
		return fmt.Errorf("%w: %d votes", ErrNoQuorum, len(m.Proof.Votes))
	}
	if m.Kind == KindRetire {
		_, err := chosen(m.Register, m.Config, m.Proof.Votes, check)
		return err
	}
	if next := m.Proof.Base.Next; next != nil && next.check() != nil {
		return fmt.Errorf("%w: what was found names no configuration", ErrNoQuorum)
	}
	box := ballotBox{register: m.Register, config: m.Config, check: check}
	var best Ballot // with which any of them has accepted something
	for _, v := range m.Proof.Votes {
		if v.Promised != m.Ballot || !v.Accepted.Less(m.Ballot) {
			return fmt.Errorf("%w: a promise for %v after %v, shown for %v", ErrNoQuorum, v.Promised, v.Accepted, m.Ballot)
		}
		if !slices.Contains(m.Config.everybody(), v.By) {
			return fmt.Errorf("%w: the vote of %s, who is no acceptor", ErrNoQuorum, v.By.Short())
		}
		if err := box.put(v); err != nil {
			return err
		}
		if best.Less(v.Accepted) {
			best = v.Accepted
		}
	}
	if !m.Config.prepared(best, box.yes) {
		return fmt.Errorf("%w: %d promises for %v are none", ErrNoQuorum, len(box.yes), m.Ballot)
	}
	base := m.Proof.Base
	digest := base.digest()
	has := func(v Vote) bool { return v.Accepted == best && v.Value == digest }
	sealed := func(v Vote) bool { return v.Accepted == best && v.Sealed && v.Value != digest }
	switch {
	case best.IsZero():
		base = Value{}.Head()
	case !slices.ContainsFunc(m.Proof.Votes, has):
		return fmt.Errorf("%w: what is shown is not what was accepted with %v", ErrNoQuorum, best)
	case slices.ContainsFunc(m.Proof.Votes, sealed):
		return fmt.Errorf("%w: what is shown is not what is sealed with %v", ErrNoQuorum, best)
	}
	if hashOps(m.Proof.Recent) != base.Recent {
		return fmt.Errorf("%w: other changes than those of what was found", ErrNoQuorum)
	}
	if best.Epoch < m.Config.Epoch && m.Config.Epoch > 1 {
		if base.Next == nil || !base.Next.Equal(m.Config) {
			return fmt.Errorf("%w: what was found does not lead to epoch %d", ErrNoQuorum, m.Config.Epoch)
		}
		base.Next = nil
	}
	if !m.Value.descends(base, m.Proof.Recent) {
		return fmt.Errorf("%w: version %d does not follow from version %d, which was found", ErrNoQuorum, m.Value.Version, base.Version)
	}
	return nil
}

// seals reports whether an accept shows that a majority of the acceptors of its epoch has accepted
// its value before, all with one ballot, which is the last one of the epoch. There is one ballot at most
// with which that is so of a value, and of one value only: each acceptor gives one vote for a
// ballot. Whatever is accepted later is that value, as any majority has somebody who has accepted it
// sealed, or after that.
func (m Request) seals() bool {
	if m.Value.Next == nil {
		return false
	}
	var best Ballot
	for _, v := range m.Proof.Votes {
		if best.Less(v.Accepted) {
			best = v.Accepted
		}
	}
	digest, yes := m.Value.Head().digest(), map[p2p.ID]bool{}
	for _, v := range m.Proof.Votes {
		yes[v.By] = v.Accepted == best && v.Value == digest
	}
	return within(m.Config.Acceptors, yes) >= majority(len(m.Config.Acceptors))
}

// descends reports whether v is what a round may make of a value that it has found: the same,
// that one with the next configuration, or one change more. recent are its last changes.
func (v Value) descends(base Head, recent []OpID) bool {
	head := v.Head()
	if head.equal(base) {
		return true
	}
	if base.Next != nil {
		return false
	}
	if v.Next != nil {
		head.Next = nil
		return head.equal(base)
	}
	return v.Version == base.Version+1 && len(v.Recent) > 0 && slices.Equal(v.Recent[:len(v.Recent)-1], kept(recent))
}

// kept returns those of the last changes that are among them still when there is one more.
func kept(recent []OpID) []OpID { return recent[max(0, len(recent)-Window+1):] }

// chosen returns the vote of a majority of the acceptors of a configuration which have accepted
// one value with one ballot of its epoch. There are no votes of others among them. Errors: ErrNoQuorum.
func chosen(register p2p.Key, c Config, votes []Vote, check Check) (Vote, error) {
	box := ballotBox{register: register, config: c, check: check}
	var first Vote
	for i, v := range votes {
		if !slices.Contains(c.Acceptors, v.By) {
			return first, fmt.Errorf("%w: the vote of %s, who is no acceptor", ErrNoQuorum, v.By.Short())
		}
		if i == 0 {
			first = v
		}
		if v.Accepted != first.Accepted || v.Value != first.Value || v.Accepted.Epoch != c.Epoch {
			return first, fmt.Errorf("%w: votes for several values", ErrNoQuorum)
		}
		if err := box.put(v); err != nil {
			return first, err
		}
	}
	if within(c.Acceptors, box.yes) < majority(len(c.Acceptors)) {
		return first, fmt.Errorf("%w: %d of %d acceptors of epoch %d", ErrNoQuorum, len(box.yes), len(c.Acceptors), c.Epoch)
	}
	return first, nil
}

// check reports what is wrong with a step by itself.
func (s Step) check() error {
	if s.Last.Next == nil || len(s.Votes) > maxVotes {
		return fmt.Errorf("%w: a step that leads nowhere", ErrMalformed)
	}
	return s.Last.Next.check()
}

// from returns the configuration to which a step leads from c. Errors: ErrNoQuorum.
func (s Step) from(register p2p.Key, c Config, check Check) (Config, error) {
	next := *s.Last.Next
	if !next.follows(c) {
		return c, fmt.Errorf("%w: epoch %d does not follow from %d", ErrNoQuorum, next.Epoch, c.Epoch)
	}
	v, err := chosen(register, c, s.Votes, check)
	if err == nil && (v.Value != s.Last.digest() || slices.ContainsFunc(s.Votes, func(v Vote) bool { return !v.Sealed })) {
		err = fmt.Errorf("%w: what was accepted names another epoch %d", ErrNoQuorum, next.Epoch)
	}
	if err != nil {
		return c, err
	}
	return next, nil
}

// Walk goes from a configuration as far as steps lead, of which some may be about epochs
// before it. It returns the steps that it has taken.
func Walk(register p2p.Key, c Config, steps []Step, check Check) (Config, []Step) {
	var taken []Step
	for _, s := range steps {
		if s.check() != nil || s.Last.Next.Epoch <= c.Epoch {
			continue
		}
		next, err := s.from(register, c, check)
		if err != nil {
			break
		}
		c, taken = next, append(taken, s)
	}
	return c, taken
}

// Lacks reports whether a request does not show how its epoch came about to an acceptor that
// knows an older one.
func (s State) Lacks(m Request) bool {
	return m.Config.Epoch > s.Config.Epoch &&
		(len(m.Steps) == 0 || m.Steps[0].check() != nil || m.Steps[0].Last.Next.Epoch > s.Config.Epoch+1)
}

// Missed returns the steps to a request's epoch from that which a state knows, as far as others
// have them. ask asks a member for those after an epoch, and gets none where it does not answer.
// Each epoch is known to most of those who were acceptors in the one before, so that is the way
// to go; its proposer and those of the request's epoch may know it all. What they say is checked.
func Missed(m Request, s State, check Check, ask func(id p2p.ID, after uint64) []Step) (found []Step) {
	for at := s.Config; at.Epoch < m.Config.Epoch && len(found) < KeepSteps; {
		asked, before := map[p2p.ID]bool{}, len(found)
		for _, id := range slices.Concat([]p2p.ID{m.Ballot.Proposer}, m.Config.everybody(), at.Acceptors) {
			if asked[id] {
				continue
			}
			asked[id] = true
			steps := ask(id, at.Epoch)
			to, taken := Walk(m.Register, at, slices.Concat(steps[:min(len(steps), MaxSteps)], m.Steps), check)
			if len(taken) > 0 {
				at, found = to, append(found, taken...)
				break
			}
		}
		if len(found) == before {
			break
		}
	}
	return found
}
