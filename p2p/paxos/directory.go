package paxos

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
)

// Directory finds the configurations of registers, in registers of its own: one for each,
// whose acceptors everybody knows. See "Who begins" in the package's description.
type Directory struct {
	Client  *Client
	Anchors Config // of the directory's own registers: the same for everybody
}

// DirectoryKey returns the register in which the configuration of another one is.
func DirectoryKey(register p2p.Key) p2p.Key {
	return sha256.Sum256(append([]byte("shoal paxos directory\x00"), register[:]...))
}

// Establish returns the transform by which a register gets its first configuration,
// unless it has one.
func Establish(initial Config) Transform {
	return func(old []byte, exists bool) ([]byte, error) {
		if exists {
			return old, nil
		}
		if initial.Epoch != 1 {
			return nil, fmt.Errorf("%w: a register begins in epoch 1, not %d", ErrMalformed, initial.Epoch)
		}
		return initial.Encode()
	}
}

// Advance returns the transform that writes down a newer configuration.
func Advance(c Config) Transform {
	return func(old []byte, exists bool) ([]byte, error) {
		var known Config
		if !exists {
			return nil, fmt.Errorf("%w: epoch %d of a register that nobody has established", ErrConfig, c.Epoch)
		}
		if err := known.Decode(old); err != nil {
			return nil, err
		}
		if known.Epoch >= c.Epoch {
			return old, nil
		}
		return c.Encode()
	}
}

// Locate returns a configuration of a register with which Open can begin. If the register
// has none, its first acceptors are those of initial; of several callers with different
// ones, all get those of the same one.
func (d Directory) Locate(ctx context.Context, register p2p.Key, initial []p2p.ID) (Config, error) {
	c, err := NewConfig(initial)
	if err == nil {
		c, err = d.write(ctx, register, Establish(c))
	}
	if err != nil {
		return Config{}, fmt.Errorf("paxos: locate register %x: %w", register[:6], err)
	}
	return c, nil
}

// Note writes down that a register has other acceptors, so that it is found when those
// before them are gone. Whoever has called Register.Replace does this next. If it fails,
// nothing is wrong as long as somebody of the old acceptors is left.
func (d Directory) Note(ctx context.Context, register p2p.Key, c Config) error {
	if _, err := d.write(ctx, register, Advance(c)); err != nil {
		return fmt.Errorf("paxos: note epoch %d of register %x: %w", c.Epoch, register[:6], err)
	}
	return nil
}

// write makes a change that does no harm when it is made twice.
func (d Directory) write(ctx context.Context, register p2p.Key, f Transform) (Config, error) {
	r, err := d.Client.Open(DirectoryKey(register), d.Anchors)
	if err != nil {
		return Config{}, err
	}
	op := NewOp()
	result, err := r.Update(ctx, &op, f)
	if err != nil {
		return Config{}, err
	}
	var c Config
	if err := c.Decode(result.Data); err != nil {
		return Config{}, err
	}
	return c, nil
}
