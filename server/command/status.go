package command

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/shoal-p2p/shoal/server/api"
)

type statusCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run prints what runs here.
func (s statusCmd) Run(c *console) error {
	var n api.Node
	done, err := c.get("/api/node", nil, &n, s.JSON)
	if done || err != nil {
		return err
	}
	role := string(n.Role)
	if n.Revoked {
		role = "none: this node was removed from the network; shoal join takes an invitation"
	}
	return table(c.Stdout, []string{"name", n.Name}, [][]string{
		{"id", n.Id},
		{"network", fmt.Sprintf("%s (%s), %s", n.Network.Name, modeText(n.Network.Mode), count(n.Members, "member"))},
		{"role", role},
		{"linked", fmt.Sprintf("%d of %s", n.Peers, count(max(0, n.Members-1), "other member"))},
		{"shares", fmt.Sprintf("%s, %s", count(n.Folders, "folder"), count(n.Documents, "document"))},
		{"http", n.Http},
		{"p2p", orDash(strings.Join(n.P2p, ", "))},
		{"started", timeText(n.Started)},
		{"version", n.Version},
	})
}

// modeText says who can join.
func modeText(m api.NetworkMode) string {
	if m == api.NetworkModeOpen {
		return "open: anybody can join"
	}
	return string(m)
}

type healthCmd struct{}

// Run asks /healthz, which needs no token.
func (healthCmd) Run(c *console) error {
	var h api.Health
	_, err := c.get("/healthz", nil, &h, false)
	var p *problem
	if errors.As(err, &p) && p.Status != http.StatusServiceUnavailable {
		// Whatever refuses this is not a node in order.
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Stdout, oneLine(string(h.Status)))
	return nil
}
