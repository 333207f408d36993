// Package fastss finds the words of a vocabulary that are a few typing errors
// away from a given word.
//
// The distance of two words is the least number of insertions, deletions,
// substitutions and, by default, transpositions of neighbouring letters that
// turn one into the other: the optimal string alignment distance ([OSA]), in
// which no letter is edited twice. In collections of real misspellings 81 % are
// one such edit away, but only 64 % one plain Levenshtein edit, because people
// exchange letters so often; [Levenshtein] is here to be compared with.
//
// A [Pattern] computes the distance to many words at the cost of a few machine
// instructions for each letter (Myers 1999, Hyyrö 2003), and a [Vocabulary]
// skips most words without looking at their letters. Letters are Unicode code
// points everywhere; folding case or accents is the caller's business.
package fastss
