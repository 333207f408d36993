package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

func testReport() api.NetworkReport {
	return api.NetworkReport{
		Checked: &noon, Since: &noon, Scope: pointer(api.NetworkReportScope("public")), Udp: true, Tcp: true, Ipv4: true,
		External: pointer("192.0.2.1:4747"), Mapping: pointer(api.NetworkReportMapping("address_port_dependent")), Filtering: "unknown",
		Reachable: pointer(false), Relays: []api.Relay{},
		Findings: []api.NetworkFinding{
			{About: "udp", Sentence: "UDP works."},
			{About: "ipv6", Sentence: "No."},
			{About: "external", Sentence: "There."},
			{About: "mapping", Sentence: "Symmetric."},
			{About: "filtering", Sentence: "Not\x1b known."},
			{About: "port_mapping", Sentence: "Nothing."},
			{About: "double_nat", Sentence: "Who knows."},
			{About: "reachable", Sentence: "Alas."},
		},
		Advice: []string{"Do this.", "Or that."},
	}
}

func TestNetcheck(t *testing.T) {
	f := newFake(t, map[string]any{"POST /api/network/check": testReport()})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "netcheck")
	want := `checked       2026-11-20 12:00        Members on the Internet were asked.
udp           yes                     UDP works.
ipv6          no                      No.
external      192.0.2.1:4747          There.
mapping       address_port_dependent  Symmetric.
filtering     unknown                 Not\x1b known.
port mapping  none                    Nothing.
double nat    unknown                 Who knows.
reachable     no                      Alas.

Do this.
Or that.
`
	if diff := cmp.Diff(want, got.stdout); diff != "" || got.code != ExitOK {
		t.Errorf("exit code %d, %s (-want +got):\n%s", got.code, got.stderr, diff)
	}
}

// TestNetcheckRelays: who relays is named, with what it answers by itself.
func TestNetcheckRelays(t *testing.T) {
	r := testReport()
	r.Advice = nil
	r.Relays = []api.Relay{{Id: "r", Name: "Ben\x1b", RttMs: 12.4, InUse: true, Snapshot: &api.RelaySnapshot{At: noon, Members: 34}}, {}}
	f := newFake(t, map[string]any{"POST /api/network/check": r})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "netcheck")
	want := `
relay Ben\x1b, 12 ms, in use; it answers for this node whom it knows: 34 members, as of 2026-11-20 12:00
relay (a TURN server)
`
	if !strings.HasSuffix(got.stdout, want) {
		t.Errorf("exit code %d: %s", got.code, got.stdout)
	}
}

// TestNetcheckWithoutToken: who may only read is told the last result.
func TestNetcheckWithoutToken(t *testing.T) {
	r := testReport()
	r.Checked, r.Scope = nil, nil
	refusal := api.Problem{Status: 401, Code: "token_required", Title: "Token required"}
	f := newFake(t, map[string]any{"POST /api/network/check": refusal, "GET /api/network": r})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "netcheck")
	if got.code != ExitOK || !strings.HasPrefix(got.stdout, "checked       never                   Nobody could be asked.\n") {
		t.Errorf("exit code %d: %q %q", got.code, got.stdout, got.stderr)
	}
	if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "netcheck", "--json"); got.code != ExitOK || strings.Contains(got.stdout, "token_required") || !strings.Contains(got.stdout, `"mapping"`) {
		t.Errorf("exit code %d: %q", got.code, got.stdout)
	}
	f = newFake(t, map[string]any{"POST /api/network/check": refusal, "GET /api/network": refusal})
	if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "netcheck"); got.code != ExitUnauthorized || got.stdout != "" {
		t.Errorf("exit code %d: %q", got.code, got.stdout)
	}
}
