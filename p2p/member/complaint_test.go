package member

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// TestRefusedLogsLittle: a guest of an open network, who may call as often as it likes, does not fill the
// log.
func TestRefusedLogsLittle(t *testing.T) {
	world(t, func(t *testing.T, net *sim.Network) {
		var log bytes.Buffer
		ann := start(t, net, "ann", Options{Mode: ModeOpen, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		eve := start(t, net, "eve", Options{})
		l, err := eve.knock(ann.invite(InviteOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		contact, err := contactStatement(eve.o.Identity, eve.mine)
		if err != nil {
			t.Fatal(err)
		}
		join, err := wire.Marshal(joinRequest{Contact: contact, Invite: make([]byte, 16), MAC: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		network := ann.Network().ID
		sync, err := wire.Marshal(syncRequest{Network: network[:], Proof: []byte("nothing")})
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if _, err := l.Call(t.Context(), ProtoJoin, join); err == nil {
				t.Fatal("joined by an invitation that there is not")
			}
			if _, err := l.Call(t.Context(), ProtoMember, sync); err == nil {
				t.Fatal("a guest is answered")
			}
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n == 0 || n > 2*maxComplaints {
			t.Errorf("%d lines in the log", n)
		}
	})
}
