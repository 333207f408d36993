package sim_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// Two nodes of one network, a link between them, and a call over it.
func Example() {
	ctx := context.Background()
	network := sim.New(sim.Options{Seed: 7})
	start := func(seed byte) (p2p.Transport, p2p.Identity) {
		identity, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{seed}, 32))
		if err != nil {
			panic(err)
		}
		return network.Transport(sim.Local{
			Identity: identity,
			Network:  func() p2p.ID { return p2p.ID{1} },
			Handler: func(string) p2p.Handler {
				return func(_ context.Context, from p2p.Link, req []byte) ([]byte, error) {
					return fmt.Appendf(nil, "hello %s, you said %q", from.Peer().Short(), req), nil
				}
			},
		}), identity
	}
	alice, _ := start(1)
	bob, id := start(2)

	l, err := alice.Dial(ctx, p2p.Contact{PublicKey: id.PublicKey()}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := l.Call(ctx, "greet/1", []byte("hi"))
	fmt.Printf("%s %v\n", reply, err)
	fmt.Println(l.Path().Kind)
	fmt.Println(l.Close(), alice.Close(), bob.Close())
	// Output:
	// hello gr2q7gf5lh6p, you said "hi" <nil>
	// memory
	// <nil> <nil> <nil>
}
