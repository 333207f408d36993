//go:build linux

package nat

import (
	"fmt"
	"testing"
)

// report is what GET /api/network says of a node's place.
type report struct {
	Mapping   string
	Filtering string
	IPv4      bool
	IPv6      bool
	External  any
	Reachable any                   // nil: not told
	Forwarded struct{ Manual bool } `json:"port_mapping"`
	DoubleNAT *bool                 `json:"double_nat"` // nil: not told
}

func (r report) String() string {
	double := "not told"
	if r.DoubleNAT != nil {
		double = fmt.Sprint(*r.DoubleNAT)
	}
	return fmt.Sprintf("mapping %q, filtering %q, external %v, double NAT %s", r.Mapping, r.Filtering, r.External, double)
}

// TestTypes: each node finds out behind what kind of NAT it is.
func TestTypes(t *testing.T) {
	t.Parallel()
	n := join(t, build(t, "matrix"))
	for _, h := range n.Hosts {
		mapping, filtering := h.NAT.Behaviour()
		r, err := ask(h, func(r report) bool { return r.Mapping == mapping && r.Filtering == filtering })
		if err != nil {
			t.Fatal(err) // the others will not do better
		}
		if r.Mapping != mapping || r.Filtering != filtering {
			t.Errorf("%s (%s): %v; want mapping %q, filtering %q", h.Name, h.NAT, r, mapping, filtering)
		}
	}
}
