//go:build linux

package nat

import (
	"testing"
	"time"
)

// report is what GET /api/network says of a node's place.
type report struct {
	Mapping   string
	Filtering string
	DoubleNAT *bool `json:"double_nat"`
	External  any
}

// TestTypes: each node finds out behind what kind of NAT it is.
func TestTypes(t *testing.T) {
	t.Parallel()
	n := join(t, build(t, "matrix"))
	for _, h := range n.Hosts {
		mapping, filtering := h.NAT.Behaviour()
		var r report
		var err error
		for end := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			err = h.Call("GET", "/api/network", nil, &r)
			if err != nil || r.Mapping == mapping && r.Filtering == filtering || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			t.Fatal(err) // the others will not do better
		}
		if r.Mapping != mapping || r.Filtering != filtering {
			t.Errorf("%s (%s): mapping %q, filtering %q, want %q, %q; external %v", h.Name, h.NAT, r.Mapping, r.Filtering, mapping, filtering, r.External)
		}
	}
}
