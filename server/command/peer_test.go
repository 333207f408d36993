package command

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

func TestPeer(t *testing.T) {
	bob, carol := strings.Repeat("b", 52), &api.MemberRef{Id: strings.Repeat("c", 52), Name: "carol\x1b"}
	path := func(kind api.PathKind, relay *api.MemberRef) *api.Path {
		return &api.Path{Kind: kind, Proto: "udp", Relay: relay, Tried: []api.Candidate{
			{Kind: kind, Proto: "udp", Relay: relay, Local: "192.0.2.1:1", Remote: "192.0.2.2:2", Result: "selected"},
		}}
	}
	linked := api.PeerPath{
		Id: bob, Name: "bob", Connected: true, Kind: pointer(api.PathKind("punched")), Why: "So it is.",
		Here: api.PathView{Path: path("direct", nil), Trace: &api.Trace{Began: noon, Dropped: 2, Steps: []api.Step{
			{AtMs: 0, Kind: "offer", Text: "Wrote."},
			{AtMs: 1.25, Kind: "failed", Text: "Failed\n."},
			{AtMs: 61000, Kind: "restart", Text: "Again."},
			{AtMs: 61002, Kind: "path", Text: "Chose."},
		}}},
		There: &api.PathView{Path: path("relayed", carol)},
	}
	off := api.PeerPath{Id: bob, Name: "bob", Why: "It is off.", ThereError: ""}
	silent := linked
	silent.There, silent.ThereError = nil, "It did not answer in time."
	for _, c := range []struct {
		answer api.PeerPath
		want   string
	}{
		{linked, `bob  bbbbbbbbbbbb  punched udp
So it is.

SEEN   RESULT    WAY                        LOCAL        REMOTE
here   selected  direct udp                 192.0.2.1:1  192.0.2.2:2
there  selected  relayed udp via carol\x1b  192.0.2.1:1  its place there

What happened here, 2026-11-20 12:00:00
      0.0 ms  Wrote.
      1.2 ms  Failed .

What happened here, 2026-11-20 12:01:01
      0.0 ms  Again.
      2.0 ms  Chose.
2 steps were too many to be kept.
`},
		{off, "bob  bbbbbbbbbbbb  not linked\nIt is off.\n"},
		{silent, "How the other end sees it is not known. It did not answer in time.\n"},
	} {
		f := newFake(t, map[string]any{
			"GET /api/members":                api.MemberList{Items: []api.Member{{Id: bob, Name: "bob"}}},
			"GET /api/peers/" + bob + "/path": c.answer,
		})
		got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "peers", "bob")
		if got.code != ExitOK || !strings.HasSuffix(got.stdout, c.want) {
			t.Errorf("exit code %d, %s (-want +got):\n%s", got.code, got.stderr, cmp.Diff(c.want, got.stdout))
		}
		if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "peers", "bobby"); got.code != ExitNotFound {
			t.Errorf("of nobody: exit code %d", got.code)
		}
		if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "peers", "--json", "bbbb"); got.code != ExitOK || !strings.HasPrefix(got.stdout, "{") {
			t.Errorf("JSON: exit code %d, %q", got.code, got.stdout)
		}
	}
	f := newFake(t, map[string]any{"GET /api/members": http.StatusNoContent})
	if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "peers", "bob"); got.code == ExitOK {
		t.Error("no members, and yet ok")
	}
}
