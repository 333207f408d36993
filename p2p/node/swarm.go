package node

import (
	"context"
	"net/netip"
	"path/filepath"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/swarm"
)

// newSwarm opens the seeds of this node.
func (n *Node) newSwarm(ctx context.Context, o Options, publish p2p.Publish) (*swarm.Service, error) {
	dir, keep := o.Downloads, ""
	if o.DataDir != "" {
		keep = filepath.Join(o.DataDir, "seeds")
		if dir == "" {
			dir = filepath.Join(o.DataDir, "downloads")
		}
	}
	return swarm.New(ctx, swarm.Options{
		ID: n.id, Tracker: n.tracker, Link: n.links.need, Through: n.through, Store: o.Store.Seeds(), Dir: dir, Keep: keep, Local: local{n},
		Rates: func() (up, down int64) {
			r := n.limits.Rates()
			return r.Up, r.Down
		},
		Outside: func() []netip.Addr {
			if a := n.network.Report().External.Addr(); a.IsValid() {
				return []netip.Addr{a}
			}
			return nil
		},
		Publish: publish, Logger: n.log,
	})
}

// Swarm returns the seeds of this node. What it asks others for is used within calls that Enter has let
// in.
func (n *Node) Swarm() *swarm.Service { return n.swarm }

// local finds files of folders that every member may read, those who join later too: what a node does not ask
// others for tells them what it has.
type local struct{ n *Node }

// maxSimilar is how many files of a folder are looked at for pieces of another one.
const maxSimilar = 8

func (l local) folders() []string {
	var all []string
	for _, f := range l.n.folders.List() {
		if l.n.openToAll(f.ID) {
			all = append(all, f.ID)
		}
	}
	return all
}

// Whole implements swarm.Local.
func (l local) Whole(ctx context.Context, root chunk.Hash) swarm.File {
	for _, id := range l.folders() {
		if path, found := l.n.folders.ByHash(ctx, id, folder.Hash(root)); found {
			if f, err := l.n.folders.OpenFile(id, path); err == nil {
				return f
			}
		}
	}
	return nil
}

// Similar implements swarm.Local.
func (l local) Similar(ctx context.Context, sketch []chunk.Hash) []swarm.LocalFile {
	var out []swarm.LocalFile
	for _, id := range l.folders() {
		found, err := l.n.folders.Similar(ctx, id, sketch, maxSimilar)
		if err != nil {
			l.n.log.Error("similar files not found", "folder", id, "error", err)
			continue
		}
		for _, s := range found {
			m, err := l.n.folders.Manifest(ctx, s.Hash)
			if err != nil {
				continue // forgotten meanwhile
			}
			out = append(out, swarm.LocalFile{Manifest: m, Open: func() (swarm.File, error) { return l.n.folders.OpenFile(id, s.Path) }})
		}
	}
	return out
}
