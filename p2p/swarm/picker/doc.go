// Package picker decides whom a downloader asks for which piece of a file, so that all of it is
// there as early as possible, and so that a swarm of such downloaders is finished as early as
// possible.
//
// A Picker belongs to one download. Its owner tells it what happens (Join, Has, Received,
// Arrived, Refused, Bad, Leave) and calls Decide after that, or at the time that the last Plan
// named; a Plan says what to ask for and what to cancel. The package is pure: no goroutine, no
// clock, no lock; the same calls with the same Options lead to the same plans.
//
// # How it decides
//
// Every source has a window, as much as it sends in a little more than a round trip at the rate
// that was measured of it (goodput, over 1 s and over 10 s of the time in which it was asked for
// something), and is asked for more with every piece that arrives. So the fast are asked for
// much and the slow for little, and nothing waits long that another one could send.
//
// A source is asked for the rarest piece that it has, among equally rare ones for a random one.
// Pieces that nobody but the origin has are divided: a downloader begins with its own slice
// (Slice, or Share if some are faster), so that the origin sends every piece once, and all
// exchange what they have got. Others' slices it leaves alone while there is something else to
// ask for. What others have the origin is asked for only if that helps much: if it alone sends
// half as much as all of them. Relayed sources come last of all.
//
// When a source has nothing left that nobody is asked for, a piece is moved to it from one that
// needs more than twice as long, and longer than all that is asked for takes together; at the very
// end a piece is asked of both (of two besides the first at most, and for no more than half a per
// cent of the file), and who is first wins.
//
// A source that sends nothing for long is snubbed: what it was asked for is given to others but
// for one piece, by which it can show that it is back. One that refuses is left alone for a
// while; one whose piece does not verify is never asked again.
//
// The bounds of what is asked for at once, and of what counts as slow, are in time and follow
// from what was measured, never from how many pieces a source has been asked for. Windows alone
// divide a swarm's uplinks fairly; a bound on the sum of a downloader's windows does not, unless
// it is wide (see enough).
//
// # What it costs
//
// An event costs a few steps for each class of availability and a look at each source at most, and
// nothing for each piece: pieces that nobody is asked for lie in bitmaps by how many have them,
// with summaries, in which 4096 at a time are known to be out of the question. Memory is about
// six bytes a piece, and a bit for each piece of each source.
//
// # How it is tested
//
// sim_test.go plays whole swarms of this code and of package upload in virtual time; swarm_test.go
// says how near to the lower bound max(F/us, F/dmin, N·F/(us+Σui)) they have to come (F the file's
// size, us and ui the uplinks of the origin and of the N downloaders, dmin the slowest downlink).
// -picker.seeds, -picker.first, -picker.large and -picker.compare play more.
package picker
