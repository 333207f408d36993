package paxos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// MaxAcceptors is how many acceptors a register can have: more make it slower and
// hardly any safer.
const MaxAcceptors = 7

// Config says who the acceptors of a register are in an epoch. It is never changed in
// place.
type Config struct {
	Epoch     uint64   `cbor:"1,keyasint"` // from 1
	Acceptors []p2p.ID `cbor:"2,keyasint"` // 1 to MaxAcceptors, in order, each once
	// Joint are the acceptors of the epoch before, which have the state until a majority of
	// Acceptors has it. There are none in epoch 1, which begins with nothing.
	Joint []p2p.ID `cbor:"3,keyasint,omitempty"`
	// Lives and JointLives say in which of its lives (Age) each of Acceptors and Joint is meant, in
	// their order; empty: each in its first.
	Lives      []byte `cbor:"4,keyasint,omitempty"`
	JointLives []byte `cbor:"5,keyasint,omitempty"`
}

// NewConfig returns the configuration with which a register begins. Any number of
// acceptors is allowed: an even one tolerates no more failures than the odd one below.
// Errors: ErrMalformed.
func NewConfig(acceptors []p2p.ID) (Config, error) { return newConfig(acceptors, nil) }

func newConfig(acceptors []p2p.ID, lives func(p2p.ID) byte) (Config, error) {
	c := Config{Epoch: 1, Acceptors: sorted(acceptors)}
	c.Lives = livesOf(c.Acceptors, lives)
	return c, c.check()
}

// next returns the configuration of the epoch after c. lives says in which life each
// acceptor is; nil: in that in which it is one now.
func (c Config) next(acceptors []p2p.ID, lives func(p2p.ID) byte) (Config, error) {
	if lives == nil {
		lives = c.Life
	}
	n := Config{Epoch: c.Epoch + 1, Acceptors: sorted(acceptors), Joint: c.Acceptors, JointLives: c.Lives}
	n.Lives = livesOf(n.Acceptors, lives)
	return n, n.check()
}

func livesOf(set []p2p.ID, lives func(p2p.ID) byte) []byte {
	out, later := make([]byte, len(set)), false
	for i, id := range set {
		if lives != nil {
			out[i] = lives(id)
		}
		later = later || out[i] > 0
	}
	if !later {
		return nil
	}
	return out
}

// Life returns in which of its lives somebody is an acceptor, or is one of Joint if it is no
// acceptor. Of anybody else it is 0.
func (c Config) Life(id p2p.ID) byte {
	if i := slices.Index(c.Acceptors, id); i >= 0 {
		return lifeAt(c.Lives, i)
	}
	return c.jointLife(id)
}

func (c Config) jointLife(id p2p.ID) byte { return lifeAt(c.JointLives, slices.Index(c.Joint, id)) }

func lifeAt(lives []byte, i int) byte {
	if i < 0 || len(lives) == 0 {
		return 0
	}
	return lives[i]
}

// carriers returns those of Joint that still know what they knew in the epoch before. Who
// is an acceptor in a later life does not.
func (c Config) carriers() []p2p.ID {
	return slices.DeleteFunc(slices.Clone(c.Joint), func(id p2p.ID) bool { return c.Life(id) != c.jointLife(id) })
}

// Equal reports whether both say the same.
func (c Config) Equal(o Config) bool {
	return c.Epoch == o.Epoch && slices.Equal(c.Acceptors, o.Acceptors) && slices.Equal(c.Joint, o.Joint) &&
		slices.Equal(c.Lives, o.Lives) && slices.Equal(c.JointLives, o.JointLives)
}

// check reports what is wrong with a configuration.
func (c Config) check() error {
	if c.Epoch == 0 {
		return fmt.Errorf("%w: a configuration of epoch 0", ErrMalformed)
	}
	if err := checkSet(c.Acceptors); err != nil {
		return err
	}
	if err := errors.Join(checkLives(c.Lives, c.Acceptors), checkLives(c.JointLives, c.Joint)); err != nil {
		return err
	}
	if c.Epoch == 1 {
		if len(c.Joint) != 0 {
			return fmt.Errorf("%w: epoch 1 follows another one", ErrMalformed)
		}
		return nil
	}
	return checkSet(c.Joint)
}

// checkLives: each configuration has one form, so that lives that are all the first are left out.
func checkLives(lives []byte, set []p2p.ID) error {
	later := slices.ContainsFunc(lives, func(l byte) bool { return l > 0 })
	if len(lives) > 0 && (len(lives) != len(set) || !later) {
		return fmt.Errorf("%w: %d lives of %d acceptors", ErrMalformed, len(lives), len(set))
	}
	return nil
}

func checkSet(set []p2p.ID) error {
	if len(set) == 0 || len(set) > MaxAcceptors {
		return fmt.Errorf("%w: %d acceptors, want 1 to %d", ErrMalformed, len(set), MaxAcceptors)
	}
	for i, id := range set {
		if id.IsZero() || i > 0 && set[i-1].Compare(id) >= 0 {
			return fmt.Errorf("%w: acceptors that are not in order", ErrMalformed)
		}
	}
	return nil
}

func sorted(set []p2p.ID) []p2p.ID { return slices.SortedFunc(slices.Values(set), p2p.ID.Compare) }

// everybody returns acceptors and joint ones, each once.
func (c Config) everybody() []p2p.ID {
	return append(slices.Clone(c.Acceptors), c.leaving()...)
}

// leaving returns the joint ones that are no acceptors any more.
func (c Config) leaving() []p2p.ID {
	var out []p2p.ID
	for _, id := range c.Joint {
		if !slices.Contains(c.Acceptors, id) {
			out = append(out, id)
		}
	}
	return out
}

// majority is how many of a set of n are needed so that any two such groups share one.
func majority(n int) int { return n/2 + 1 }

// within counts those of a set that are in a group.
func within(set []p2p.ID, group map[p2p.ID]bool) int {
	n := 0
	for _, id := range set {
		if group[id] {
			n++
		}
	}
	return n
}

// prepared reports whether whatever was chosen before is among what those who have promised
// told, of which best is the greatest ballot. That a majority of the acceptors has promised is
// enough if one of them has a value of this epoch; as long as none has, the value can be with
// those of the epoch before only.
func (c Config) prepared(best Ballot, promised map[p2p.ID]bool) bool {
	return within(c.Acceptors, promised) >= majority(len(c.Acceptors)) && c.joined(best, promised)
}

func (c Config) joined(best Ballot, promised map[p2p.ID]bool) bool {
	return c.Epoch == 1 || best.Epoch == c.Epoch || within(c.carriers(), promised) >= majority(len(c.Joint))
}

// follows reports whether c can be the configuration of the epoch after o.
func (c Config) follows(o Config) bool {
	return c.Epoch == o.Epoch+1 && slices.Equal(c.Joint, o.Acceptors) && slices.Equal(c.JointLives, o.Lives)
}

// Encode returns the form in which a directory keeps a configuration: the epoch,
// the two numbers of acceptors, then their IDs, then their lives.
func (c Config) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.append(nil), nil
}

func (c Config) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.Epoch)
	b = append(b, byte(len(c.Acceptors)), byte(len(c.Joint)))
	for _, set := range [][]p2p.ID{c.Acceptors, c.Joint} {
		for _, id := range set {
			b = append(b, id[:]...)
		}
	}
	for i := range c.Acceptors {
		b = append(b, lifeAt(c.Lives, i))
	}
	for i := range c.Joint {
		b = append(b, lifeAt(c.JointLives, i))
	}
	return b
}

// configHead is how many bytes stand before the IDs.
const configHead = 8 + 2

// encodedConfig returns how many bytes the configuration has that b begins with.
func encodedConfig(b []byte) (int, error) {
	if len(b) < configHead {
		return 0, fmt.Errorf("%w: a configuration of %d bytes", ErrMalformed, len(b))
	}
	n := configHead + (len(p2p.ID{})+1)*(int(b[8])+int(b[9]))
	if n > len(b) {
		return 0, fmt.Errorf("%w: a configuration of %d bytes, of which there are %d", ErrMalformed, n, len(b))
	}
	return n, nil
}

// Decode reads that form. Errors: ErrMalformed.
func (c *Config) Decode(b []byte) error {
	if n, err := encodedConfig(b); err != nil || n != len(b) {
		return fmt.Errorf("%w: a configuration of %d bytes", ErrMalformed, len(b))
	}
	read := Config{Epoch: binary.BigEndian.Uint64(b)}
	ids := b[configHead:]
	for range b[8] {
		read.Acceptors, ids = append(read.Acceptors, p2p.ID(ids[:32])), ids[32:]
	}
	for range b[9] {
		read.Joint, ids = append(read.Joint, p2p.ID(ids[:32])), ids[32:]
	}
	take := func(p2p.ID) (life byte) {
		life, ids = ids[0], ids[1:]
		return life
	}
	read.Lives, read.JointLives = livesOf(read.Acceptors, take), livesOf(read.Joint, take)
	if err := read.check(); err != nil {
		return err
	}
	*c = read
	return nil
}
