package member_test

import (
	"bytes"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// A node that starts for the first time is the only member and admin of a network of
// its own, and can invite others into it.
func Example() {
	identity, err := p2p.NewIdentity(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := member.Open(member.Options{Identity: identity, Name: "Ann's laptop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Network().Name, s.Network().Mode)
	for _, m := range s.Members() {
		fmt.Println(m.Name, m.Role)
	}
	inv, err := s.Invite(member.InviteOptions{Expires: time.Hour, MaxUses: 40})
	if err != nil {
		fmt.Println(err)
		return
	}
	read, err := member.ParseInvitation(inv.Link("http://localhost:8080"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(read.Network == s.Network().ID, read.Contact().Name, read.Role)
	// Output:
	// Ann's laptop's network closed
	// Ann's laptop admin
	// true Ann's laptop member
}

// Both ends of a link show the same words; people compare them.
func ExampleWords() {
	fmt.Println(member.Words([32]byte{1, 2, 3}))
	// Output:
	// [freckle onion icicle walrus]
}
