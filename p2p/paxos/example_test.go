package paxos_test

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
)

// neighbours are acceptors in the same process. Others ask over links.
type neighbours map[p2p.ID]paxos.Acceptor

func (n neighbours) Ask(ctx context.Context, to p2p.ID, m paxos.Request) (paxos.Reply, error) {
	replies, err := n[to].Answer(ctx, m.Ballot.Proposer, []paxos.Request{m})
	if err != nil {
		return paxos.Reply{}, err
	}
	return replies[0], nil
}

// Three acceptors, and a proposer that changes a register.
func Example() {
	ctx, acceptors := context.Background(), neighbours{}
	ids := []p2p.ID{{1}, {2}, {3}}
	for _, id := range ids {
		acceptors[id] = paxos.Acceptor{Self: id, Store: &paxos.Memory{}}
	}
	config, err := paxos.NewConfig(ids)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := paxos.NewClient(p2p.ID{4}, acceptors, nil)
	defer client.Close()
	register, err := client.Open(p2p.Key{}, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"ann ", "bob "} {
		op := paxos.NewOp()
		result, err := register.Update(ctx, &op, func(old []byte, exists bool) ([]byte, error) {
			return append(old, name...), nil
		})
		fmt.Printf("version %d: %q, %v\n", result.Version, result.Data, err)
	}
	// Output:
	// version 1: "ann ", <nil>
	// version 2: "ann bob ", <nil>
}
