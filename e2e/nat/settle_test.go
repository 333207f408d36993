//go:build linux

package nat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// settle waits until there is no fault in any pair.
func settle(t *testing.T, n *lab.Network, fault func(lab.Pair) string) {
	t.Helper()
	pairs, _ := n.Until(*limit, func(pairs []lab.Pair) bool {
		for _, p := range pairs {
			if fault(p) != "" {
				return false
			}
		}
		return true
	})
	t.Logf("%d pairs of nodes\n%s", len(pairs), lab.Table(pairs))
	if check(t, pairs, fault) {
		return
	}
	t.FailNow()
}

// linked waits until all are linked.
func linked(t *testing.T, n *lab.Network) {
	t.Helper()
	settle(t, n, func(p lab.Pair) string {
		if !p.Linked() {
			return "not linked"
		}
		return ""
	})
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
