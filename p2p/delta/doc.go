// Package delta finds out what two files have in common when they are on two
// computers, and rebuilds the one from the other and the difference: the rsync
// algorithm (Tridgell and Mackerras 1996), made fast and safe against peers that
// want it to be slow.
//
// Who has the old file cuts it into blocks of equal length and sums each of them
// twice ([Sign]). Who has the new file looks for these blocks at every offset of
// it ([Diff]): the weak sum rolls from one offset to the next, the strong sum is
// computed where the weak one is known. What comes out is a sequence of [Op],
// from which the new file is made out of the old one ([Patch]). Where the old file
// is at hand, copies grow byte by byte until they meet the edits. [Inverse] is the
// other direction, of zsync: who has an old file finds the parts of the new one in
// it. A [Signature] and a sequence of operations ([Writer], [Reader]) have encodings
// as streams; [NewSignature] and the options called Bare are for parts of files that
// another message carries and verifies.
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
// The sum of the whole old file, which Sign computes as well unless told not to,
// takes almost half of its time. It is in the encodings so that who applies a delta
// to another file can be told so.
//
// A signature discloses what is in a file to whoever can guess it. Sign only what
// its reader may read.
//
// # What it costs
//
// A transfer with edits in c places of a file of L bytes takes 13·L/b bytes of
// signature, about c·b bytes of blocks that are not whole any more, and the edits;
// the length b of blocks is chosen for the least of it (SignOptions.Edits).
//
// Where the files are equal Diff reads each byte once: a block is compared with the
// one that follows the block before, and nothing else is looked at. Where they are
// not it takes about four clock cycles for each byte: a step of the polynomial and
// one read of a filter that fits in the cache. A file of more than 1 MiB is scanned
// by all processors.
//
// # Bounds
//
// All sizes come from constants or from the number of bytes that arrived, never
// from what a peer announces. Beside the signature (13 bytes for each block)
//
//   - Diff holds an index of at most 64 bytes for each block, but never more than
//     50 MiB, and windows of the new file: one of 960 KiB or two blocks, or for
//     several workers 12 MiB of them;
//   - Inverse holds the same, a bit for each block, and 8 bytes for each block more
//     if some are equal;
//   - Sign holds 960 KiB, or 12 MiB for several workers;
//   - Writer and Reader hold one frame: 64 KiB of operations, two times [MaxData] and
//     what Zstandard takes for so much; Patch holds 64 KiB.
//
// The work of Diff is linear in the length of the new file whatever the two files
// and the signature are: see allowance in scan.go.
//
// [Classic] is the weak sum of the original paper, for lessons.
package delta
