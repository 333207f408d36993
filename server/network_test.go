package server

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

// TestNetworkAPI: the report has the same form before a check, after one that could
// ask nobody, and after one that could.
func TestNetworkAPI(t *testing.T) {
	a, b := newServer(t, Options{Node: startNode(t)}), newServer(t, Options{Node: startNode(t)})
	fields := []string{
		"advice", "checked", "double_nat", "external", "filtering", "findings", "ipv4", "ipv6", "mapping",
		"port_mapping", "reachable", "relays", "scope", "since", "tcp", "udp",
	}
	form := func(method, path string) (r api.NetworkReport) {
		t.Helper()
		w := call(t, a, method, path, "", 200, &r)
		var all map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields, slices.Sorted(maps.Keys(all))); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
		}
		if w.Header().Get(positionHeader) == "" {
			t.Errorf("%s %s: no position", method, path)
		}
		return r
	}
	if r := form(get, "/api/network"); r.Checked != nil || r.Mapping != nil || r.Filtering != "unknown" || r.Reachable != nil || r.External != nil {
		t.Errorf("before a check: %+v", r)
	}
	if r := form(post, "/api/network/check"); r.Checked == nil || r.Mapping != nil || r.Udp || len(r.Advice) != 1 || r.Scope != nil {
		t.Errorf("alone: %+v", r)
	}
	c := newServer(t, Options{Node: startNode(t)})
	var inv api.Invite
	call(t, c, post, "/api/invites", `{"max_uses":2}`, 201, &inv)
	body, err := json.Marshal(api.JoinNew{Link: inv.Link})
	if err != nil {
		t.Fatal(err)
	}
	a = c
	since := c.options.Node.Events().Position()
	call(t, b, post, "/api/join", string(body), 200, nil)
	for m := range c.options.Node.Events().Subscribe(t.Context(), since) {
		if m.Topic == "peer.linked" {
			break
		}
	}
	r := form(post, "/api/network/check")
	if r.Mapping == nil || *r.Mapping != "none" || r.Filtering != "open" || r.Reachable == nil || !*r.Reachable || !r.Udp || r.Scope == nil || *r.Scope != "loopback" {
		t.Errorf("linked: %+v", r)
	}
	if again := form(get, "/api/network"); !again.Checked.Equal(*r.Checked) {
		t.Errorf("the last check was at %v, not %v", again.Checked, r.Checked)
	}
}
