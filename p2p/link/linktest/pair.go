// Package linktest is the conformance suite of p2p.Link. Every transport passes
// it: what holds in a simulation then holds over WebRTC.
package linktest

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// Pair is two nodes of one process and the link between them.
type Pair struct {
	A, B p2p.Link // the two ends; A dialled B
	// Crash makes B's node fall silent without a goodbye, as a pulled plug does;
	// A has to notice by itself, within 10 seconds. Nil if the transport cannot
	// do that: the test is then skipped with that reason.
	Crash func()
}

// Open makes two new nodes and links them. handler is the link.Local.Handler of
// both. Everything that Open starts must be gone when the cleanups it registers
// with t have run. The links may have been closed by then.
type Open func(t *testing.T, handler func(proto string) p2p.Handler) Pair
