// Package search finds documents by their words, on this node and on all
// members at once.
//
// A [Document] is a shared file or something published without a file. An
// [Index] holds the documents of one node: an inverted index in memory over a
// [Store] that keeps them. A query's words must all occur; each may be mistyped
// (package fastss), and what was typed exactly always ranks above what was not.
// A [Mesh] asks every member at the same time, hands out each answer as it
// comes, and merges them; each member expands and scores the query for itself,
// so one round trip is enough.
//
// What members ask is held to bounds: of the queries that run at once, of the
// words in which typos are looked for, and of the work for one query; an answer
// that a bound made shorter says so. Queries and changes of an index take turns,
// so neither waits for a long one of the other.
//
// Package extract turns a file into a document's text.
package search
