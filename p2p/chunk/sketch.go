package chunk

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// How many chunks a sketch has: the least of all hashes, and of many chunks one in so
// many.
const (
	sketchLeast = 8
	sketchOneIn = 32
)

// Sketch returns a few chunks of m, about 8 and one in 32, by which similar files are
// found (Broder, "On the resemblance and containment of documents", 1997): whether a
// chunk is taken depends on its hash more than on the rest of the file, so that files
// which share many chunks share chunks of their sketches. Each is there once, sorted.
func (m *Manifest) Sketch() []Hash {
	all := slices.Clone(m.hashes)
	slices.SortFunc(all, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	all = slices.Compact(all)
	rest := all[min(sketchLeast, len(all)):]
	some := slices.Clone(all[:len(all)-len(rest)])
	for _, h := range rest {
		// Not the bytes that all of the least have in common, nor those that cut groups.
		if binary.LittleEndian.Uint32(h[16:])%sketchOneIn == 0 {
			some = append(some, h)
		}
	}
	return some
}
