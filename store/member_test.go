package store

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/member/membertest"
)

func TestMember(t *testing.T) {
	membertest.Run(t, func(t *testing.T) (open func() member.Store) {
		dir := t.TempDir()
		var s *Store
		return func() member.Store {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if s, err = Open(t.Context(), dir, Options{}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s.Member()
		}
	})
}
