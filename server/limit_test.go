package server

import (
	"context"
	"errors"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/server/api"
)

// TestLimitsAPI: limits hold once they are kept, and not before.
func TestLimitsAPI(t *testing.T) {
	var kept []link.Rates
	var failing error
	n := startNode(t)
	s := newServer(t, Options{Node: n, KeepLimits: func(_ context.Context, r link.Rates) error {
		kept = append(kept, r)
		return failing
	}})
	want := api.Limits{Up: 2_500_000, PeerDown: 1000}
	var got api.Limits
	call(t, s, put, "/api/limits", `{"up":2500000,"peer_down":1000}`, 200, &got)
	if got != want {
		t.Errorf("%+v", got)
	}
	call(t, s, get, "/api/limits", "", 200, &got)
	if got != want || len(kept) != 1 || kept[0] != n.Limits() {
		t.Errorf("%+v, kept %v", got, kept)
	}
	failing = errors.New("no disk")
	call(t, s, put, "/api/limits", `{}`, 500, nil)
	if n.Limits().Up != want.Up {
		t.Error("it holds without being kept")
	}
	failing = nil
	call(t, s, put, "/api/limits", `{}`, 200, &got)
	if got != (api.Limits{}) {
		t.Errorf("%+v", got)
	}
}
