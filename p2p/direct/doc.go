// Package direct brings data from one member to another, or to the one who is responsible
// for a key of the distributed table: a message with an answer, or a stream. It is what
// TomP2P calls direct data.
//
// Who receives is named by a port, a word of the receiving program. A message that nobody
// handles stays in an inbox for as long as its sender waits, so that a person or a
// script can answer it.
package direct
