package command

import (
	"testing"

	"github.com/shoal-p2p/shoal/server/api"
)

// How a question of a lookup came to a member, or who has answered in its place.
func TestWayText(t *testing.T) {
	id, relay, name := "aaaaaaaaaaaa", "rrrrrrrrrrrr", "Ruth"
	for want, a := range map[string]api.DhtAsked{
		"-":               {Id: id},
		"linked":          {Id: id, Via: &id},
		"by Ruth, 2 hops": {Id: id, Via: &relay, ViaName: &name, Hops: 2},
		"answered by relay Ruth from a snapshot of 12 s ago": {
			Id: id, Via: &relay, ViaName: &name, Hops: 1, StandIn: &api.DhtStandIn{Id: relay, Name: name, AgeMs: 12_900},
		},
		"answered by relay Ruth from a snapshot of 0 s ago, gone for 5 s": {
			Id: id, Via: &relay, ViaName: &name, StandIn: &api.DhtStandIn{Id: relay, Name: name, GoneMs: 5000},
		},
	} {
		if got := wayText(a); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
