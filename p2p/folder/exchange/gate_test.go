package exchange

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Who brings many contents at once is not refused at once: a few streams wait for room, of each member
// by itself, and not for ever.
func TestAdmit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, a, b := alone(), p2p.ID{1}, p2p.ID{2}
		var leaves []func()
		for range maxServedStreams {
			leave, err := s.admit(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		results := make(chan error, maxServedStreams)
		for range maxServedStreams {
			go func() {
				_, err := s.admit(t.Context(), a)
				results <- err
			}()
		}
		synctest.Wait()
		began := time.Now()
		if _, err := s.admit(t.Context(), a); err == nil || time.Since(began) > 0 {
			t.Errorf("more than a few wait: %v after %v", err, time.Since(began))
		}
		if leave, err := s.admit(t.Context(), b); err != nil {
			t.Error("another member is refused", err)
		} else {
			leave()
		}
		for _, leave := range leaves[1:] {
			leave()
		}
		for range leaves[1:] {
			if err := <-results; err != nil {
				t.Error("a stream is refused for which there is room", err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("room is found after %v", took)
		}
		if err := <-results; err == nil || time.Since(began) > s.o.Times.Stalled/2 {
			t.Errorf("a stream waits for %v, %v", time.Since(began), err)
		}
	})
}
