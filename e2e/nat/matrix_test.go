//go:build linux

package nat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// limit is when all links must be there, and as direct as they can be.
const limit = 60 * time.Second

// TestMatrix: computers behind all kinds of NAT become one network in which everybody
// is linked to everybody, directly wherever a packet can go directly.
func TestMatrix(t *testing.T) {
	settle(t, join(t, build(t, "matrix")), fault)
}

// fault says what is wrong with a pair. Empty: nothing.
func fault(p lab.Pair) string {
	switch relayed := lab.NeedsRelay(p.A.NAT, p.B.NAT); {
	case !p.Linked():
		return "not linked"
	case relayed && !p.Relayed():
		return "linked without a relay, which cannot be"
	case !relayed && p.Relayed():
		return "relayed without need"
	case p.Disagreement() != "":
		return "the ends do not agree: " + p.Disagreement()
	}
	return ""
}

// check fails for pairs that something is wrong with, explains the first of each kind,
// and reports whether there are none.
func check(t *testing.T, pairs []lab.Pair, fault func(lab.Pair) string) bool {
	t.Helper()
	var kinds []string
	found := map[string][]lab.Pair{}
	for _, p := range pairs {
		f := fault(p)
		if f == "" {
			continue
		}
		if found[f] == nil {
			kinds = append(kinds, f)
		}
		found[f] = append(found[f], p)
	}
	for _, k := range kinds {
		var names []string
		for _, p := range found[k] {
			names = append(names, p.A.Name+"×"+p.B.Name)
		}
		more := ""
		if len(names) > 12 {
			more = fmt.Sprintf(" and %d more", len(names)-12)
			names = names[:12]
		}
		t.Errorf("%s: %d of %d pairs: %s%s\nsuch as %s", k, len(found[k]), len(pairs), strings.Join(names, " "), more, found[k][0].Explain())
	}
	return len(kinds) == 0
}
