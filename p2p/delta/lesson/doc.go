// Package lesson shows the rsync algorithm at work on two short texts, step by
// step: the blocks of the old one with both their sums, the window that moves
// over the new one, what its weak sum becomes as a byte leaves and another one
// enters, where that sum is known, whether the strong sum then agrees, what comes
// out, what it costs, and how likely it is that two different blocks look equal.
//
// It uses the sums that people are taught: the weak one of the paper
// ([delta.Classic]) and XXH32. It is made to be looked at. What travels between
// computers is found by package delta, with better sums.
//
// A [Story] is an example with a narration, as a plain text file.
//
// [delta.Classic]: https://pkg.go.dev/github.com/shoal-p2p/shoal/p2p/delta#Classic
package lesson
