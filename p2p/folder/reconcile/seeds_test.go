package reconcile

import "flag"

var (
	games     = flag.Int("games", 150, "how many games TestSeeds plays")
	firstGame = flag.Uint64("first", 1, "the seed of the first game")
)

// lostOnce are the seeds of games in which something went wrong once.
var lostOnce = []uint64{
	794,   // a file that was in its place went along with its directory, and was left aside
	3484,  // the losing version with which an entry began had the entry's ID
	4154,  // a replaced file's row was lost and a copy of it renamed to its path
	5127,  // the same ID twice, as in 3484
	5603,  // directories kept for what is in them, deeper than the passes of pin
	5863,  // a change while something waited for its directory
	10720, // a step whose row was lost, seen after the state had moved on; so all below
	12693,
	12740,
	13325,
	14828,
	20986,
	100210, // an edit that somebody else had made too did not supersede what it replaced
	106831, // more conflict copies at one name than passes of pin
}
