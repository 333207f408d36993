// Package pack compresses a stream in frames, where it pays.
//
// A frame holds up to [MaxFrame] bytes. Many small things that are written one after the
// other share frames, so that what they have in common is found. Each frame stands alone: of one
// that is packed the reader has all or nothing, and one that is lost does not spoil another.
//
//	length of the content (4 bytes, lowest first),
//	length of what follows (4 bytes), 0: the content as it is,
//	what follows: a Zstandard frame (RFC 8878), or the content
//
// # Cost
//
// Whether a frame is worth compressing is estimated from samples of it, and then from what
// came of it. What does not get shorter by an eighth goes as it is, and the next frames are
// then only looked at, not tried: media and archives cost next to nothing.
//
// # Bounds
//
// A [Writer] holds one frame and its packed form, a [Reader] the same of frames that are packed. Neither the lengths that
// a peer announces nor what it packs makes a Reader hold more.
package pack
