package paxos

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// Limits of a value. They are part of the protocol.
const (
	MaxData = 8 << 10 // bytes: the whole value travels with each change
	Window  = 128     // changes that a value remembers
)

// Value is the state of a register, the value of the paper. It is never changed in
// place.
type Value struct {
	Exists bool   `cbor:"1,keyasint,omitempty"`
	Data   []byte `cbor:"2,keyasint,omitempty"`
	// Version counts the changes of the register, deletions too. Reads change nothing.
	Version uint64 `cbor:"3,keyasint,omitempty"`
	// Recent are the last changes, at most Window, the newest last.
	Recent []OpID `cbor:"4,keyasint,omitempty"`
	// Next closes the epoch: the value is its last one, and goes on in that of Next.
	Next *Config `cbor:"5,keyasint,omitempty"`
}

// OpID names a change, so that one that is tried again is not made twice. It is random;
// no two of Window changes have the same one.
type OpID [8]byte

// Op is a change that may have to be tried again.
type Op struct {
	ID OpID
	// From is the first version that can be this change's: one more than the register had
	// when it was tried first. 0: it has not been tried.
	From uint64
	// Exact: the change is made only as version From, which the caller sets: if the register
	// has had other changes since the version before, Update returns ErrVersion.
	Exact bool
}

// Transform computes the new data of a register from the old, the change function of
// the paper. It may be called several times and must not keep old. A nil result deletes,
// an empty one does not. When it returns an error, the register keeps what it has.
type Transform func(old []byte, exists bool) (data []byte, err error)

// apply makes a change, unless it has been made. The result of f is only used once.
// Errors: ErrForgotten, ErrVersion, p2p.ErrTooLarge, those of f; then the value is as before.
func (v Value) apply(op *Op, f Transform) (changed Value, again bool, err error) {
	if slices.Contains(v.Recent, op.ID) {
		return v, true, nil
	}
	if op.Exact && op.From != v.Version+1 {
		return v, false, fmt.Errorf("%w: it has version %d", ErrVersion, v.Version)
	}
	if op.From == 0 {
		op.From = v.Version + 1
	}
	// Recent holds the changes of the versions Version-Window+1 to Version. If those are all
	// from op.From on, op is not among them and so has not been made.
	if v.Version >= op.From+Window {
		return v, false, fmt.Errorf("%w: %d changes since", ErrForgotten, v.Version-op.From+1)
	}
	data, err := f(bytes.Clone(v.Data), v.Exists)
	if err != nil {
		return v, false, err
	}
	if len(data) > MaxData {
		return v, false, fmt.Errorf("a value of %d bytes, at most %d: %w", len(data), MaxData, p2p.ErrTooLarge)
	}
	changed = Value{Exists: data != nil, Data: bytes.Clone(data), Version: v.Version + 1, Next: v.Next}
	changed.Recent = append(slices.Clone(kept(v.Recent)), op.ID)
	return changed, false, nil
}

// check reports what is wrong with a value from a peer.
func (v Value) check() error {
	switch {
	case len(v.Data) > MaxData:
		return fmt.Errorf("%w: a value of %d bytes, at most %d: %w", ErrMalformed, len(v.Data), MaxData, p2p.ErrTooLarge)
	case !v.Exists && len(v.Data) > 0:
		return fmt.Errorf("%w: data of what does not exist", ErrMalformed)
	case len(v.Recent) != int(min(v.Version, Window)):
		return fmt.Errorf("%w: %d recent changes of %d", ErrMalformed, len(v.Recent), v.Version)
	case v.Next != nil:
		return v.Next.check()
	}
	return nil
}
