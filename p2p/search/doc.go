// Package search finds documents by their words, on this node and on all
// members at once.
//
// A [Document] is a shared file or something published without a file. An
// [Index] holds the documents of one node: an inverted index in memory over a
// [Store] that keeps them, with the places of each word, so that a phrase is found
// without a look at the texts. What a person types is in the language of package
// query. Its words must all occur; each may be mistyped (package fastss), two may be
// written as one and one as two, and what was typed exactly always ranks above what
// was not. Where no document has all words, those with most are found; phrases,
// conditions and groups must be met in any case.
//
// A word in the name tells more than one in the title, that more than one in the
// path, and that more than any number in the text: the fields of BM25F, but in steps
// that frequency cannot cross. Stems play a part in the ranking only: of the words
// that are near to the one that was typed, its forms come first.
//
// A [Mesh] asks every member at the same time, hands out each answer as it comes, and
// merges them, also their [Facets]; each member expands and scores the query for
// itself, so one round trip is enough. A query goes to members as its text, since that
// has bounds by its length; only its conditions on nodes are decided by who asks,
// who knows the names.
//
// What members ask is held to bounds: of the queries that run at once, of the
// words in which typos are looked for, and of the work for one query; an answer
// that a bound made shorter says so. Queries and changes of an index take turns,
// so neither waits for a long one of the other.
//
// Package extract turns a file into a document's text.
package search
