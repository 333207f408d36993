// Package seed describes one file so that anybody can be asked for its pieces: a
// seed is a short text with the name and the length of the file, its hash, and
// the values by which each piece is verified alone.
//
// # The text, form 1
//
// A seed is UTF-8, a field in a line, at most [MaxText] bytes:
//
//	shoal-seed: 1
//	file_name: lecture.mp4
//	file_len: 67108864
//	big_seed: 4b1d…            BLAKE3-256 of the file
//	chunk_len: 65536           as the rule of [LayoutOf] says
//	chunk_count: 1024
//	chunks_root: 91ce…         BLAKE3-256 of the values one after the other
//	chunk1_hash: 07aa…         the value of the first piece; all of them, or none
//	tracker: mfrggzdf…         a node that knows who has the file; at most MaxTrackers
//	web: https://mirror.example/lecture.mp4
//	base: 33fe… 80d1… 4711     who has the file 33fe… gets there by the delta 80d1…, 4711 bytes
//
// The first field comes first, the others in any order, the hashes of chunks in
// theirs. Numbers are decimal, hashes lower-case hexadecimal. Lines end with LF or
// CR LF; empty ones, and those that begin with #, say nothing. Keys that begin with
// x- are for others and left out; all other keys are errors, as is a key that comes
// twice. The values are in the text of a file of at most [MaxInline] pieces; of a
// larger one, chunks_root says how to recognise the list of them.
//
// The value of a piece is the chaining value of its subtree in BLAKE3 (p2p/chunk).
// So big_seed alone decides what belongs to the file: a list of values that lies
// does not join to it ([Seed.WithPieces]), whoever sent it.
//
// # The old form
//
// A text that does not begin with shoal-seed is one of the old form: file_name,
// file_len, big_seed as the MD5 of the file, and chunk1_hash and so on as the MD5
// of chunks of equal length, which chunk_len says where it is not file_len divided
// by their number, rounded up. Such seeds are read, and verified as what they are:
// MD5 finds damage, but not somebody who means harm. None are made.
//
// # Identity
//
// Files with the same content are one swarm, whatever they are called: the [ID] of
// a seed is big_seed itself. That of the old form is the BLAKE3-256 of
//
//	shoal legacy seed 1
//
// and the lines of its text, each with LF, without that of the name.
package seed
