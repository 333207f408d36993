package rtc

import (
	"context"
	"testing"
	"time"
)

// After both ends have restarted ICE, the same link goes on over another path.
func TestRestart(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	la := a.mustDial(t, b.contact())
	lb := mustAccept(t, b)
	before := la.Stats()
	ctx, cancel := context.WithTimeout(t.Context(), handshakeTimeout)
	defer cancel()
	var told [2]description
	ends := []*session{only(t, a), only(t, b)}
	for i, s := range ends {
		ufrag, pwd, err := s.peer.restart(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ufrag == s.local.Ufrag || pwd == s.local.Pwd {
			t.Error("the agent is known as before")
		}
		told[i] = description{Ufrag: ufrag, Pwd: pwd, Candidates: s.t.candidates()}
	}
	for i, s := range ends {
		if err := s.peer.resume(told[1-i]); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	carries(t, la, lb)
	carries(t, lb, la)
	mustEcho(t, la)
	t.Logf("carried after %s", time.Since(start))
	if after := la.Stats(); after.BytesOut < before.BytesOut+1<<20 || after.BytesIn < before.BytesIn+1<<20 {
		t.Errorf("counted %+v, before %+v", after, before)
	}
	if p := la.Path(); p.Remote != b.port.addr() {
		t.Errorf("path %+v", p)
	}
}
