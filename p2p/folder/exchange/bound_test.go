package exchange

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

var boundSize = flag.Int("exchange.mib", 32, "MiB of the file of TestBound")

// circle is one who wants a content, and members who have it, over links in virtual time.
type circle struct {
	t      *testing.T
	net    *sim.Network
	f      *fetcher
	givers []*giver
}

// giver is a member that has a content.
type giver struct {
	*mallory
	link p2p.Link // as who asks sees it
}

// newCircle links who asks to members that send so many bytes a second. folders has no folder.
func newCircle(t *testing.T, folders *folder.Service, latency time.Duration, text string, rates ...int64) *circle {
	t.Helper()
	network := func() p2p.ID { return p2p.ID{7} }
	nobody := func(string) p2p.Handler { return nil }
	c := &circle{t: t, net: sim.New(sim.Options{Latency: latency})}
	self := numbered(t, 0)
	s := New(Options{
		Identity: self, Network: network, Folders: folders,
		Access: func(string, p2p.ID, p2p.ID) Access { return Access{Read: true, Write: true} },
	})
	r := newRunner(s, folder.Folder{ID: "f", Label: "f"})
	c.f = r.fetch
	mine := c.net.Transport(sim.Local{Identity: self, Network: network, Handler: nobody})
	t.Cleanup(func() { _ = mine.Close() })
	ctx, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		end()
		wg.Wait()
	})
	for i, rate := range rates {
		id := numbered(t, i+1)
		limits := new(link.Limits)
		limits.Set(link.Rates{Up: rate})
		theirs := c.net.Transport(sim.Local{Identity: id, Network: network, Handler: nobody, Limits: limits})
		t.Cleanup(func() { _ = theirs.Close() })
		g := &giver{mallory: &mallory{t: t, identity: id, text: map[reconcile.Hash]string{hashText(text): text}}}
		wg.Go(func() {
			l, err := theirs.Accept(ctx)
			if err != nil {
				return
			}
			var streams sync.WaitGroup
			defer streams.Wait()
			for {
				proto, conn, err := l.Accept(ctx)
				if err != nil {
					return
				}
				streams.Go(func() {
					if proto == PartsProtocol {
						g.serveParts(conn)
					} else {
						g.serveFiles(conn)
					}
				})
			}
		})
		l, err := mine.Dial(t.Context(), p2p.Contact{PublicKey: id.PublicKey()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.link = l
		p := &pull{r: r, link: l}
		p.granted.Store(true)
		r.pulls[id.ID()] = p
		c.givers = append(c.givers, g)
	}
	return c
}

func numbered(t *testing.T, i int) p2p.Identity {
	t.Helper()
	id, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// bring brings a text from the members, and returns how long that took and how many bytes came.
func (c *circle) bring(dir, text string) (took time.Duration, wire int64) {
	c.t.Helper()
	began := time.Now()
	x, err := c.try(dir, text)
	if err != nil {
		c.t.Fatal(err)
	}
	took = time.Since(began)
	b, err := os.ReadFile(filepath.Join(dir, replica.ArrivalName(x.want.Hash)))
	if err != nil || string(b) != text {
		c.t.Fatalf("%d bytes came of %d, or others: %v", len(b), len(text), err)
	}
	return took, x.t.wire.Load()
}

// try is bring that may fail.
func (c *circle) try(dir, text string) (*fetch, error) {
	c.t.Helper()
	made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	h := hashText(text)
	x := &fetch{want: replica.Want{Hash: h, Path: "big.bin", Size: int64(len(text))}, tried: map[p2p.ID]bool{}, local: true}
	x.t = c.f.r.s.begin("f", x.want)
	var links []p2p.Link
	for _, g := range c.givers {
		links = append(links, g.link)
	}
	return x, c.f.bringChunks(c.t.Context(), openRoot(c.t, dir), links, x, made, c.f.r.s.self, nil)
}

// TestBound: several members of different speed bring a file together in little more than the least
// time that is possible, whatever one of them does.
func TestBound(t *testing.T) {
	const mb = 1_000_000
	text := noise(31, *boundSize<<20)
	for _, row := range []struct {
		name    string
		latency time.Duration
		rates   []int64
		does    func(g *giver) // the last of them; nil: nothing wrong
		counts  int            // of them, for the bound
		most    float64        // times the bound
		waste   float64        // more than the file, at most
	}{
		{name: "one", latency: time.Millisecond, rates: []int64{8 * mb}, counts: 1, most: 1.05, waste: 0.01},
		{name: "one far away", latency: 100 * time.Millisecond, rates: []int64{8 * mb}, counts: 1, most: 1.5, waste: 0.01},
		{name: "equal", latency: 5 * time.Millisecond, rates: []int64{4 * mb, 4 * mb, 4 * mb, 4 * mb}, counts: 4, most: 1.1, waste: 0.02},
		{name: "unequal", latency: 5 * time.Millisecond, rates: []int64{1 * mb, 2 * mb, 4 * mb, 8 * mb}, counts: 4, most: 1.1, waste: 0.02},
		{name: "far away", latency: 80 * time.Millisecond, rates: []int64{1 * mb, 2 * mb, 4 * mb, 8 * mb}, counts: 4, most: 1.8, waste: 0.02},
		// What the slow one is asked for before it is known to be slow can cost the 2 s after which others are asked.
		{name: "very unequal", latency: 5 * time.Millisecond, rates: []int64{8 * mb, 8 * mb, 20_000}, counts: 3, most: 2.1, waste: 0.02},
		{name: "one stalls", latency: 5 * time.Millisecond, rates: []int64{2 * mb, 4 * mb, 8 * mb, 8 * mb}, does: stalls, counts: 3, most: 1.3, waste: 0.05},
		{name: "one lies", latency: 5 * time.Millisecond, rates: []int64{2 * mb, 4 * mb, 8 * mb, 8 * mb}, does: lies, counts: 3, most: 1.3, waste: 0.2},
		{name: "one goes", latency: 5 * time.Millisecond, rates: []int64{2 * mb, 4 * mb, 8 * mb, 8 * mb}, does: goes, counts: 3, most: 1.3, waste: 0.2},
	} {
		t.Run(row.name, func(t *testing.T) {
			folders, err := folder.Open(folder.Options{})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c := newCircle(t, folders, row.latency, text, row.rates...)
				if row.does != nil {
					row.does(c.givers[len(c.givers)-1])
				}
				took, wire := c.bring(dir, text)
				var all int64
				for _, rate := range row.rates[:row.counts] {
					all += rate
				}
				bound := float64(len(text)) / float64(all)
				ratio, waste := took.Seconds()/bound, float64(wire)/float64(len(text))-1
				t.Logf("bound %.2f s, took %.3f times that; %.2f %% more came than the file", bound, ratio, 100*waste)
				if ratio > row.most {
					t.Errorf("%.3f times the bound, at most %.2f should be", ratio, row.most)
				}
				if waste > row.waste {
					t.Errorf("%.2f %% more came than the file", 100*waste)
				}
			})
		})
	}
}

// stalls sends nothing more after the first second.
func stalls(g *giver) {
	began := time.Now()
	g.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if time.Since(began) > time.Second {
			time.Sleep(time.Minute)
			return io.ErrUnexpectedEOF
		}
		return g.honest(q, in, conn)
	})
}

// lies sends something else after the first half second.
func lies(g *giver) {
	began := time.Now()
	g.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if time.Since(began) < time.Second/2 || q.Manifest != nil {
			return g.honest(q, in, conn)
		}
		for _, it := range q.Items {
			if err := answer(conn, part{Length: it.Length}, strings.Repeat("x", int(it.Length))); err != nil {
				return err
			}
		}
		return nil
	})
}

// goes ends its link after a second.
func goes(g *giver) {
	began := time.Now()
	g.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if time.Since(began) > time.Second {
			return errors.Join(g.link.Close(), io.ErrUnexpectedEOF)
		}
		return g.honest(q, in, conn)
	})
}
