package replica

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var (
	simSeeds = flag.Int("sim.seeds", 500, "how many seeds TestSim plays")
	simFirst = flag.Uint64("sim.first", 1, "the first seed")
)

// simOperations is how many things happen in a game before it comes to rest.
const simOperations = 200

// simShards is how many games are played at a time.
const simShards = 2

// simOnce are the seeds of games in which something went wrong once.
var simOnce = []uint64{
	67,   // after a failed step, a later one put its row in the place of a row that was still true
	92,   // a temporary file that was gone already was made anew, empty
	111,  // the file that proves a run was not written, and a crash made the node another one
	144,  // a content whose sync had failed was installed, and lost in a crash
	170,  // a read-only node would have told of a directory that is there only for what is in it
	237,  // a conflict was resolved while the journal was not settled
	242,  // a row below the target of a moved directory went with what was in the way
	254,  // a new incarnation took nothing for pending
	741,  // something was seen for a moment only, and was as before when a scan looked
	900,  // a mode was not durable
	4379, // a content was rescued from an edit that a person had deleted at the same moment
	// A file went because its content was at another path, from where a person had just renamed it.
	40296,
	// Who kept a file that somebody else had deleted took back, with an older one that was still
	// on his disk, what a third had written.
	45799,
	54684,  // a directory whose sync had failed was moved, and another one in its place was synced
	211284, // a directory that two had become was moved into one of the two
	202192, // a directory that was to be moved away was taken for the new one of the same name
	61382,  // a rescued content was waited for, whose only copy a person had deleted before it had its place
	// What was in a directory that two rows stood for was not known to be deleted with it.
	61764,
	101738, // a rescued content was there twice
	// A file was left in a directory whose place another one had taken while its own was blocked.
	101900,
}

// TestSim plays games of some nodes. A game that goes wrong tells its story; its
// seed plays it again: -sim.seeds=1 -sim.first=SEED.
func TestSim(t *testing.T) {
	for shard := range simShards {
		t.Run(fmt.Sprint("shard", shard), func(t *testing.T) {
			t.Parallel()
			for i := shard; i < *simSeeds; i += simShards {
				seed := *simFirst + uint64(i)
				t.Run(fmt.Sprint(seed), func(t *testing.T) { simGame(t, seed, i%10 < simShards) })
			}
		})
	}
}

// TestSimOnce plays the games that were once lost.
func TestSimOnce(t *testing.T) {
	for _, seed := range simOnce {
		simGame(t, seed, false)
	}
}

// TestSimDoubt plays games in which a disk that fails fails the database too: it is not read, and
// what it says not to have written may be there after a crash. Seed 1463: entries whose turn had come
// when the database could not be read were taken for under way.
func TestSimDoubt(t *testing.T) {
	seeds := []uint64{1463}
	for i := range *simSeeds / 4 {
		seeds = append(seeds, *simFirst+uint64(i))
	}
	for _, seed := range seeds {
		w := newSimWorld(t, seed)
		w.doubts = true
		w.play(simOperations)
	}
}

// simGame plays one game; twice, if it is to be checked that it can be repeated.
func simGame(t *testing.T, seed uint64, twice bool) {
	w := newSimWorld(t, seed)
	w.play(simOperations)
	if !twice {
		return
	}
	again := newSimWorld(t, seed)
	again.play(simOperations)
	if w.trace() != again.trace() {
		a, b := strings.Split(w.story.String(), "\n"), strings.Split(again.story.String(), "\n")
		at := 0
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		t.Fatalf("seed %d: it went another way the second time, from line %d:\n%s\n\n%s", seed, at,
			strings.Join(a[max(at-12, 0):min(at+4, len(a))], "\n"), strings.Join(b[max(at-2, 0):min(at+4, len(b))], "\n"))
	}
}
