package wire

import (
	"encoding/binary"
	"fmt"
)

// MaxVarintLen is the longest encoding of a varint, in bytes.
const MaxVarintLen = binary.MaxVarintLen64

// AppendVarint appends the unsigned LEB128 form of n, seven bits a byte, lowest
// first.
func AppendVarint(dst []byte, n uint64) []byte { return binary.AppendUvarint(dst, n) }

// ReadVarint reads a varint from the start of b and returns what follows it. Only
// the shortest spelling of a number is accepted, so that a value has one encoding.
func ReadVarint(b []byte) (n uint64, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	switch {
	case used == 0:
		return 0, nil, fmt.Errorf("wire: varint: cut short: %w", ErrMalformed)
	case used < 0:
		return 0, nil, fmt.Errorf("wire: varint: more than 64 bits: %w", ErrMalformed)
	case used > 1 && b[used-1] == 0:
		return 0, nil, fmt.Errorf("wire: varint: not in shortest form: %w", ErrMalformed)
	}
	return n, b[used:], nil
}
