// Package ranges keeps entries in the order of their keys in a distributed table, which by
// itself has no order: what is wanted are all entries from one key to another.
//
// Keys are numbers below 2^bits; the bits of a key are a path through a binary tree of
// [Segment]s, of which each is a location of the table. A [Scheme] says at which segments of
// its path an entry is kept, and which of them a query begins with: package dst has the
// segment tree (Zheng, Shen, Li, Shenker: Distributed Segment Tree, IPTPS 2006), package pht
// the prefix hash tree (Ramabhadran, Ratnasamy, Hellerstein, Shenker 2004), and [Buckets] is
// the partition into equal parts that both are to be compared with.
//
// A segment with as many entries as it is to have refuses more, and gets a mark that says so:
// it is full. A mark is a record of the table as entries are, so it is there as soon as an
// entry that needed it is said to be kept. Where a query comes upon a mark it goes on below;
// where there is none, it has everything. So answers are exact, whoever inserts at the same
// time: how many entries a segment is to have is a wish, whether it refused one is a fact.
//
// Marks are also kept at the segments above, so that a query that finds one mark knows what
// is full below it and need not go down level by level: two rounds are enough as a rule.
//
// What replicas hold is in the order of keys (the content keys of records begin with them), so
// that a segment's replicas return only what is in the range, and any number of entries can
// have one key.
package ranges
