// Package fault has the places at which a test lets a process die.
//
// In a program built with the tag "fault", SHOAL_FAULT=NAME:N in the environment
// kills it, as kill -9 does, when it passes the point NAME for the Nth time (from
// 1). Without the tag a point is nothing.
package fault

// Names lists all points, sorted.
var Names = []string{
	"apply.checked",
	"apply.dirs-synced",
	"apply.exchanged",
	"apply.kept",
	"apply.made",
	"apply.meta",
	"apply.moved",
	"apply.put-back",
	"apply.renamed",
	"apply.temp-synced",
	"apply.trashed",
	"replica.journal-written",
	"replica.names-synced",
	"replica.rows-committed",
	"replica.steps-done",
	"replica.temps-synced",
}
