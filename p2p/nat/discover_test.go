package nat

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// check makes a check of n.
func check(t *testing.T, n *simNode) Report {
	t.Helper()
	r, err := n.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNATTypes: with two members on the Internet every kind of router is told from
// every other.
func TestNATTypes(t *testing.T) {
	type kind struct {
		mapping Mapping
		filter  Filtering
	}
	reach := map[Filtering]Truth{FilteringOpen: Yes, FilteringIndependent: Yes, FilteringAddress: No, FilteringAddressPort: No}
	kinds := []kind{
		{MappingNone, FilteringOpen}, {MappingNone, FilteringAddress}, {MappingNone, FilteringAddressPort},
	}
	for _, m := range []Mapping{MappingIndependent, MappingAddress, MappingAddressPort} {
		for _, f := range []Filtering{FilteringIndependent, FilteringAddress, FilteringAddressPort} {
			kinds = append(kinds, kind{m, f})
		}
	}
	for _, k := range kinds {
		t.Run(fmt.Sprintf("%s/%s", k.mapping, k.filter), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1)
				a, b := w.node(t, "203.0.113.11", nil, nil), w.node(t, "198.51.100.12", nil, nil)
				ip, outside := "10.1.0.2", "192.0.2.1"
				if k.mapping == MappingNone {
					ip = outside
				}
				n := w.node(t, ip, w.newBox(outside, k.mapping, k.filter), nil)
				link(a, b)
				link(n, a)
				link(n, b)
				began := time.Now()
				r := check(t, n)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("took %v", took)
				}
				if r.Mapping != k.mapping || r.Filtering != k.filter {
					t.Errorf("found %s/%s", r.Mapping, r.Filtering)
				}
				if want := reach[k.filter]; r.Reachable != want {
					t.Errorf("reachable: %q, want %q", r.Reachable, want)
				}
				if r.External.Addr() != netip.MustParseAddr(outside) || !r.UDP || !r.TCP || !r.IPv4 || r.IPv6 || r.Scope != ScopePublic {
					t.Errorf("got %+v", r)
				}
				for _, f := range r.Findings {
					if f.Sentence == "" || strings.Contains(f.Sentence, "Not known") && f.About != "double_nat" {
						t.Errorf("%s: %q", f.About, f.Sentence)
					}
				}
				if (len(r.Advice) == 0) != (r.Reachable == Yes) {
					t.Errorf("advice %q", r.Advice)
				}
			})
		})
	}
}
