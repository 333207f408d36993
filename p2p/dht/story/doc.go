// Package story plays stories of the distributed table: text files in which named nodes put,
// get, come, go, quarrel and cheat, with a narration. The nodes are real tables that talk over
// real links of a network in one process; only time is made up, so that nobody waits and a
// story ends the same way each time. A story is a test too: it says what is expected.
//
// See [ParseStory] for how one is written, and the directory stories for examples.
package story
