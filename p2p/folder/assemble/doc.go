// Package assemble decides how a new version of a file is put together from what is on
// this node and what must come from others. It is pure: package exchange acts on it.
//
// A version is known by its manifest (package chunk), an older one, the base, and perhaps
// other files, by theirs. [Make] looks for each chunk of the new version:
//
//  1. what is here, in the base or elsewhere, is copied;
//  2. a gap between such chunks has probably much in common with what is between the same
//     chunks in the base. It is brought as a delta against that ([Bundle]);
//  3. what has no such counterpart is fetched whole.
//
// Everything is checked chunk by chunk against the manifest before it counts, and as a
// whole before anybody sees it, so that a wrong guess costs bytes and nothing else.
//
// # What a gap costs
//
// An edit of a few bytes changes one chunk, or two, of 64 KiB on average. With blocks of b
// bytes a delta against the old chunk of length l takes 13·l/b bytes of signature and about
// b bytes around each edit, which is least for b = √(13·l): 1 KiB for one chunk. So an edit
// takes about 3 kB in all.
//
// Deltas of several gaps share one request, one signature and one stream: the parts of the
// base are joined to one old file, and the gaps to one new file. That takes one round
// trip, and what was moved from one gap to another is found too.
package assemble
