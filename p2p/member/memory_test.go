package member_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/member/membertest"
)

func TestMemory(t *testing.T) {
	membertest.Run(t, func(*testing.T) func() member.Store {
		s := member.NewMemory()
		return func() member.Store { return s }
	})
}
