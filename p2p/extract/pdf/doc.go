// Package pdf finds the text of PDF files, for search: in the order in which it
// is drawn, with spaces, lines and paragraphs where the distances say so.
//
// It reads what other programs write, and what is left of it: of a file whose
// table of objects is damaged it looks for the objects themselves. Nothing in a
// file can make it recurse without end, and what it decompresses is bounded
// (ISO 32000-1:2008; sections are named where they matter). It is still only to
// be run where an accident does no harm, such as the child of package extract.
package pdf
