package member

import (
	"crypto/sha256"
	_ "embed"
	"strings"
)

// wordList holds 1024 words of 4 to 7 letters, sorted, one a line. No word begins
// another, so that words that are read out cannot run into each other.
//
//go:embed words.txt
var wordList string

// words is the list as a slice, never changed.
var words = strings.Fields(wordList)

// Words turns the binding of a link into four words, the same at both ends, for
// people to compare: 40 bits of its SHA-256. Somebody in between has one try, while
// the people wait, and succeeds with it once in 10^12 times.
func Words(binding [32]byte) [4]string {
	sum := sha256.Sum256(append([]byte("shoal words 1\x00"), binding[:]...))
	bits := uint64(sum[0])<<32 | uint64(sum[1])<<24 | uint64(sum[2])<<16 | uint64(sum[3])<<8 | uint64(sum[4])
	var out [4]string
	for i := range out {
		out[i] = words[bits>>(30-10*i)&1023]
	}
	return out
}
