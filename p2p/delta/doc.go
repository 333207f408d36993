// Package delta finds out what two files have in common when they are on two
// computers, and rebuilds the one from the other and the difference: the rsync
// algorithm (Tridgell and Mackerras 1996), made fast and safe against peers that
// want it to be slow.
//
// Who has the old file cuts it into blocks of equal length and sums each of them
// twice ([Sign]). Who has the new file looks for these blocks at every offset of
// it ([Diff]): the weak sum rolls from one offset to the next, the strong sum is
// computed where the weak one is known. What comes out is a sequence of [Op],
// from which the new file is made out of the old one ([Patch]). A [Signature] and
// a sequence of operations ([Writer], [Reader]) have encodings as streams.
//
// # What the sums are good for
//
// The weak sum (40 bits of a polynomial) and the strong sum (xxHash64 with a seed
// of the transfer) only suggest that two blocks are equal. Neither resists
// somebody who wants a collision, so neither is ever the identity of anything:
// Patch compares the BLAKE3 sum of the whole result, and what fails that must not
// become visible. Where C = length of the new file × blocks of the old one pairs
// are compared, a wrong match happens by chance with a probability below
// C × 2^-100: 2^-54 for two files of 1 GiB.
//
// A signature discloses what is in a file to whoever can guess it. Sign only what
// its reader may read.
//
// # Bounds
//
// All sizes come from constants or from the number of bytes that arrived, never
// from what a peer announces. Diff holds [MaxData] bytes and four blocks of the
// new file, and at most 80 bytes for each block of the signature; Patch and Reader
// hold 64 KiB. The work of Diff is linear in the length of the new file whatever
// the two files and the signature are: see budget in diff.go.
//
// [Classic] is the weak sum of the original paper, for lessons.
package delta
