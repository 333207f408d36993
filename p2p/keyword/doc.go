// Package keyword finds documents by their words in a distributed table, without asking
// those who have them: for networks in which not everybody can be asked, and to show how it
// is done.
//
// Whoever has a document puts it at each of its words. The documents of a word are an index
// in the order of a hash of the documents (package ranges), so that those of a frequent word
// are spread over many members, and equal parts of two words' documents can be compared where
// they are.
//
// A query for several words can be answered in several ways, which a [Plan] names: by
// fetching all lists; by Bloom filters, one after the other (Reynolds, Vahdat: Efficient
// Peer-to-Peer Keyword Searching, 2003) or all at once; or, for pairs of words that have been
// put together, at the XOR of their keys. All answers are exact: what a filter lets pass is
// compared with what the others let pass.
//
// Words that are only similar are found in two steps (P2PFastSS: Bocek, Hunt, Hausheer,
// Stiller: Fast Similarity Search in Peer-to-Peer Networks, 2008): what is left of a word
// when letters are deleted leads to the word, once for the network; and the word to its
// documents. So a document is put at its own words only, and not at what is left of them.
//
// Documents have numbers too, such as their size: for each field there are two trees (packages
// pht and dst), in which they are in the order of these, and in small networks buckets to compare
// them with.
package keyword
