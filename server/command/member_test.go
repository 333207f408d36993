package command

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/server/api"
)

// linkUntil is a well-formed invitation that no node made.
func linkUntil(expires time.Time) string {
	return member.Invitation{
		Network: p2p.ID{1}, Inviter: p2p.Contact{PublicKey: make(ed25519.PublicKey, ed25519.PublicKeySize)},
		ID: [16]byte{1}, Secret: member.Secret{2}, Role: member.RoleMember, Expires: expires,
	}.Link("")
}

func TestAlreadyIn(t *testing.T) {
	f := newFake(t, map[string]any{"POST /api/join": api.Joined{Network: api.Network{Name: "alice's network"}, Members: 3}})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "join", "link")
	if got.code != ExitOK || got.stdout != "already in alice's network, 3 members\n" {
		t.Errorf("%+v", got)
	}
}

func TestNotJoined(t *testing.T) {
	expires := time.Date(2026, 11, 20, 23, 20, 0, 0, time.Local)
	link := linkUntil(expires)
	problemOf := func(code string, status int) error {
		return &problem{api.Problem{Status: status, Code: code, Detail: "detail"}}
	}
	for _, tc := range []struct {
		err  error
		link string
		now  time.Time
		want string
	}{
		{problemOf("invite_malformed", 400), "half", expires, notWhole},
		{problemOf("invite_expired", 410), link, expires.Add(time.Minute), "The invitation expired at 23:20. Ask for a new one."},
		{problemOf("invite_expired", 410), link, expires.Add(time.Hour), "The invitation expired at 2026-11-20 23:20. Ask for a new one."},
		{problemOf("invite_expired", 410), link, expires.Add(-time.Minute), "detail"}, // the clocks differ
		{problemOf("invite_expired", 410), "half", expires, "detail"},
		{problemOf("invite_refused", http.StatusForbidden), link, expires, "detail"},
		{outcome{errUnreachable, "nobody"}, link, expires, "nobody"},
	} {
		got := notJoined(tc.err, tc.link, tc.now)
		if got.Error() != tc.want || exitCode(got) != exitCode(tc.err) || !errors.Is(got, tc.err) {
			t.Errorf("%v: %q with exit code %d, want %q", tc.err, got, exitCode(got), tc.want)
		}
	}
}
