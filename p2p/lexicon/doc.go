// Package lexicon lets each member know the words of the others, before anything is asked.
//
// Every member tells each other one the words of the folders that this one may read, and of
// what was published: never a word that is only where the other may not look. [Offers] answers
// for that, out of a [search.Index]; a [Lexicon] is what came of the other members, and
// [Lexicon.Run] keeps it up to date. With it a node completes what somebody types by the words
// of the whole network, knows how rare a word is in it, and knows that a word is somewhere else,
// so that it need not be taken for a mistake.
//
// # Deltas
//
// The words, in the order of the alphabet, are cut into chunks of some hundred where the hash of
// a word says so: the same words make the same chunks on every node, and a word that comes or goes
// changes the one that it is in. The version of a vocabulary is the sum of its chunks. Who has a
// version asks what has changed since; who is asked remembers the last ones, and answers with all
// chunks if it does not know that one, such as after a restart. Then only chunks are fetched that
// did not come before, from whomever: members that have the same folder have most of them in common.
//
// In how many documents a word is is told to a power of two. Or each document would change all
// the chunks that its words are in; so it changes those with words that are new, mostly.
//
// # Bounds
//
// A member tells at most [MaxWords] words, of more the most frequent ones; what it may spend
// on each other one has a rate. What comes is checked: words that are folded as search folds them,
// in order, with counts that can be. All members together have a bound, beyond which words of
// those that came last are left out. What is known may always be a little old. So nothing is
// decided by it that could cost a hit: everybody is still asked, and expands the query by words
// that it has.
package lexicon
