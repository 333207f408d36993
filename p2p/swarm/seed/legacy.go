package seed

import (
	"crypto/md5" // the old form has nothing else
	"encoding/hex"
)

// MaxLegacyPiece is the greatest length of a chunk in a seed of the old form, in
// bytes: a chunk is verified when it is whole, and so long is it in memory.
const MaxLegacyPiece = 16 << 20

// legacyContext begins what the ID of a seed of the old form is the hash of.
const legacyContext = "shoal legacy seed 1\n"

// Legacy is what a seed of the old form verifies by. It takes no care of those who
// mean harm: two files with the same MD5 are made in seconds.
type Legacy struct {
	Sum    [md5.Size]byte   // MD5 of the file
	Pieces [][md5.Size]byte // of each piece; that of the only one is Sum
}

// legacyPieceLen returns the length of n chunks of equal length.
func legacyPieceLen(size int64, n int) int64 {
	return max(1, size/int64(n)+min(1, size%int64(n)))
}

// appendLegacy appends the lines of the old form but the name. What follows from
// the others is left out, so that there is one form.
func (s Seed) appendLegacy(b []byte) []byte {
	b = appendNumber(b, "file_len", s.Size)
	b = appendField(b, "big_seed", hex.EncodeToString(s.Legacy.Sum[:]))
	n := len(s.Legacy.Pieces)
	if n == 1 {
		return b
	}
	if int64(s.PieceLen) != legacyPieceLen(s.Size, n) {
		b = appendNumber(b, "chunk_len", int64(s.PieceLen))
	}
	for i, sum := range s.Legacy.Pieces {
		b = appendField(b, hashKey(i), hex.EncodeToString(sum[:]))
	}
	return b
}
