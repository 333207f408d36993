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
// FastSS finds similar words by looking up equal ones: two words that are k edits apart
// are the same after at most k letters have been deleted from each. [Neighbourhood] is
// that idea as it was published, to be looked at and for keys of a distributed table;
// [Vocabulary] has it as an index in memory, which a [Finder] reads without allocating.
// What the index finds is compared by a [Pattern] at the cost of a few machine
// instructions for each letter (Myers 1999, Hyyrö 2003). For three edits, in small
// vocabularies, and where thousands of words begin alike, all words are looked through
// instead, most without a look at their letters: the same words are found.
//
// [Rank] says which of the words that were found is the likeliest, by the kinds of slips
// ([Slips]) and by how often a word occurs.
//
// Letters are Unicode code points everywhere; folding case or accents is the caller's
// business.
package fastss
