package route

import "github.com/shoal-p2p/shoal/p2p"

// Hop: this node has handed a forwarded request to the next member.
type Hop struct {
	From  p2p.ID `json:"from"` // the origin
	To    p2p.ID `json:"to"`   // the target
	Via   p2p.ID `json:"via"`  // the next member; To itself at the end
	Proto string `json:"proto"`
	Hops  int    `json:"hops"` // which hop this is, from 1
}

// Topic implements p2p.Event.
func (Hop) Topic() string { return "route.hop" }
