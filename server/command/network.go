package command

import (
	"fmt"

	"github.com/shoal-p2p/shoal/server/api"
)

type networkCmd struct {
	New networkNewCmd `cmd:"" help:"Leave this node's own network, which has no other members, for a new one."`
}

type networkNewCmd struct {
	Open bool   `help:"Anybody can join who knows the address of a member. Without it, only whom an admin invites."`
	Name string `help:"What people call it (default: the node's name's network)."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run makes a network.
func (n networkNewCmd) Run(c *console) error {
	body := api.NetworkNew{Mode: api.NetworkNewModeClosed}
	if n.Open {
		body.Mode = api.NetworkNewModeOpen
	}
	if n.Name != "" {
		body.Name = &n.Name
	}
	var made api.Network
	done, err := c.post("/api/network", body, &made, n.JSON)
	if done || err != nil {
		return err
	}
	if made.Mode == api.NetworkModeOpen {
		fmt.Fprintln(c.Stderr, openNote)
	}
	fmt.Fprintf(c.Stdout, "%s (%s)\n", oneLine(made.Name), modeText(made.Mode))
	return nil
}
