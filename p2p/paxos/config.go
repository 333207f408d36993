package paxos

import (
	"encoding/binary"
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
}

// NewConfig returns the configuration with which a register begins. Any number of
// acceptors is allowed: an even one tolerates no more failures than the odd one below.
// Errors: ErrMalformed.
func NewConfig(acceptors []p2p.ID) (Config, error) {
	c := Config{Epoch: 1, Acceptors: sorted(acceptors)}
	return c, c.check()
}

// next returns the configuration of the epoch after c.
func (c Config) next(acceptors []p2p.ID) (Config, error) {
	n := Config{Epoch: c.Epoch + 1, Acceptors: sorted(acceptors), Joint: c.Acceptors}
	return n, n.check()
}

// Equal reports whether both say the same.
func (c Config) Equal(o Config) bool {
	return c.Epoch == o.Epoch && slices.Equal(c.Acceptors, o.Acceptors) && slices.Equal(c.Joint, o.Joint)
}

// check reports what is wrong with a configuration.
func (c Config) check() error {
	if c.Epoch == 0 {
		return fmt.Errorf("%w: a configuration of epoch 0", ErrMalformed)
	}
	if err := checkSet(c.Acceptors); err != nil {
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

// Encode returns the form in which a directory keeps a configuration: the epoch,
// the two numbers of acceptors, then their IDs.
func (c Config) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint64(nil, c.Epoch)
	b = append(b, byte(len(c.Acceptors)), byte(len(c.Joint)))
	for _, set := range [][]p2p.ID{c.Acceptors, c.Joint} {
		for _, id := range set {
			b = append(b, id[:]...)
		}
	}
	return b, nil
}

// configHead is how many bytes stand before the IDs.
const configHead = 8 + 2

// encodedConfig returns how many bytes the configuration has that b begins with.
func encodedConfig(b []byte) (int, error) {
	if len(b) < configHead {
		return 0, fmt.Errorf("%w: a configuration of %d bytes", ErrMalformed, len(b))
	}
	n := configHead + len(p2p.ID{})*(int(b[8])+int(b[9]))
	if n > len(b) {
		return 0, fmt.Errorf("%w: a configuration of %d bytes, of which there are %d", ErrMalformed, n, len(b))
	}
	return n, nil
}

// Decode reads that form. Errors: ErrMalformed.
func (c *Config) Decode(b []byte) error {
	const head = configHead
	if len(b) < head || len(b) != head+len(p2p.ID{})*(int(b[8])+int(b[9])) {
		return fmt.Errorf("%w: a configuration of %d bytes", ErrMalformed, len(b))
	}
	read := Config{Epoch: binary.BigEndian.Uint64(b)}
	ids := b[head:]
	for range b[8] {
		read.Acceptors, ids = append(read.Acceptors, p2p.ID(ids[:32])), ids[32:]
	}
	for range b[9] {
		read.Joint, ids = append(read.Joint, p2p.ID(ids[:32])), ids[32:]
	}
	if err := read.check(); err != nil {
		return err
	}
	*c = read
	return nil
}
