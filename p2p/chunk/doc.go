// Package chunk describes a file by what is in it: chunks that end where the
// content says so, and a hash tree that lets any part of it be verified alone.
//
// One read of a file ([Scan]) yields its [Manifest]: the chunks with their hashes,
// the pieces and the root. Because chunks end by content, bytes inserted into a
// file change the chunks around them and no others, so that two versions of a
// file, or two files, are compared by their manifests alone. Two computers bring a
// manifest up to date with an [Outline] one way and a difference the other way
// ([Manifest.Difference], [Manifest.Apply]), whose length follows the change.
//
// # Format 1
//
// The chunks of a file are the same for everybody and for ever:
//
//   - gear[0..255] are 64-bit numbers, lowest byte first, from the first 2048 bytes
//     of the extended output of BLAKE3 over the text "shoal p2p/chunk gear 1".
//   - The gear hash (Xia et al., "Ddelta", 2014) of 64 bytes b[0..63] is the sum of
//     gear[b[i]] << (63-i) modulo 2^64.
//   - A chunk ends at the first length from [Least] on where the gear hash of its
//     last 64 bytes is below 2^48, at the latest at [Longest], or with the file.
//
// Whether a chunk of 16 KiB or more may end at a place depends on the 64 bytes
// before it and on nothing else. On content without a pattern chunks have 80 KiB on
// average: 64 KiB after the least length.
//
// The hash of a chunk is the BLAKE3-256 of its bytes, and the root of a file the
// BLAKE3-256 of all of its bytes.
//
// # Pieces
//
// BLAKE3 is a tree over 1 KiB leaves. Its aligned subtrees over [PieceSize] bytes
// are the pieces, and their chaining values determine the root ([RootOf]). The
// piece of a file that has only one is the whole tree: its value is the root. Files
// can be cut into shorter pieces, too, which a [Tree] describes: their values join to
// those of the pieces, not the other way round.
// Whoever has the root verifies a piece that came from anybody ([VerifyPiece],
// [VerifySlice]).
//
// # Bounds
//
// Scan holds less than 200 KiB of the file, and 40 bytes for each chunk, of a file
// of any length. What the decoders allocate is bounded by the number of bytes
// that arrived and, for Apply, by the manifest that is there already.
package chunk
