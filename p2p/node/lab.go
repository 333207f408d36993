package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// MaxLab is how many nodes a lab may have: each is linked to each.
const MaxLab = 64

// LabOptions configure a lab.
type LabOptions struct {
	// Nodes is how many there are, 1 to MaxLab. 0: 8.
	Nodes int
	// Dir is where the nodes keep files that they get, and that are dropped on their pages, each in a directory of
	// its own. Empty: they keep none.
	Dir string
	// Publish keeps the sample documents at their words in the table too.
	Publish bool
	// Roster is that of each of them (Options.Roster).
	Roster  int
	Logger  *slog.Logger
	Version string
	Extract []string // as in Options
}

// Lab is a network of real nodes in one process: they keep everything in memory,
// link over WebRTC on loopback, and share the sample documents out among
// themselves.
type Lab struct{ Nodes []*Node }

// labNames call the nodes of a lab; a larger lab numbers the second round.
var labNames = [...]string{
	"Ada", "Ben", "Chiara", "Dmitri", "Emi", "Farid", "Grace", "Hugo",
	"Ines", "Jun", "Kofi", "Lena", "Marie", "Noor", "Otto", "Priya",
}

// StartLab starts the nodes and returns when all of them are members of the first
// one's network. The links between them come up within moments.
func StartLab(ctx context.Context, o LabOptions) (*Lab, error) {
	if o.Nodes == 0 {
		o.Nodes = 8
	}
	if o.Nodes < 1 || o.Nodes > MaxLab {
		return nil, fmt.Errorf("node: lab of %d nodes: 1 to %d are possible", o.Nodes, MaxLab)
	}
	lab := &Lab{}
	if err := lab.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("node: lab: %w", err), lab.Close())
	}
	return lab, nil
}

func (lab *Lab) start(ctx context.Context, o LabOptions) error {
	for i := range o.Nodes {
		name := labNames[i%len(labNames)]
		if round := i / len(labNames); round > 0 {
			name = fmt.Sprintf("%s %d", name, round+1)
		}
		dir := ""
		if o.Dir != "" {
			dir = filepath.Join(o.Dir, strconv.Itoa(i))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
		}
		n, err := Start(ctx, Options{Name: name, DataDir: dir, NoLAN: true, Roster: o.Roster, Publish: o.Publish, Logger: o.Logger, Version: o.Version, Extract: o.Extract})
		if err != nil {
			return err
		}
		lab.Nodes = append(lab.Nodes, n)
	}
	if err := lab.join(ctx); err != nil {
		return err
	}
	return lab.deal(ctx)
}

// join makes all nodes members of the first one's network, as many at once as it
// takes in as guests, each by an invitation of its own. They link to each other
// after that: in a large lab this takes longer than all joins, which it would delay.
func (lab *Lab) join(ctx context.Context) error {
	for _, n := range lab.Nodes {
		n.links.hold(true)
		defer n.links.hold(false)
	}
	var joining errgroup.Group
	joining.SetLimit(maxGuests)
	for _, n := range lab.Nodes[1:] {
		joining.Go(func() error {
			inv, err := lab.Nodes[0].Invite(ctx, member.InviteOptions{Expires: time.Hour})
			if err != nil {
				return err
			}
			_, err = n.Join(ctx, inv.Link(""))
			return err
		})
	}
	return joining.Wait()
}

// deal shares the samples out, as one deals cards.
func (lab *Lab) deal(ctx context.Context) error {
	docs, err := Samples()
	if err != nil {
		return err
	}
	hands := make([][]search.Document, len(lab.Nodes))
	for i, d := range docs {
		hands[i%len(hands)] = append(hands[i%len(hands)], d)
	}
	for i, n := range lab.Nodes {
		if len(hands[i]) == 0 {
			continue
		}
		if err := n.Publish(ctx, hands[i]); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all nodes.
func (lab *Lab) Close() error {
	errs := make([]error, len(lab.Nodes))
	var wg sync.WaitGroup
	for i, n := range lab.Nodes {
		wg.Go(func() { errs[i] = n.Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
