package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
)

// network is the one that all ends claim to be in.
var network = p2p.ID{1}

// listen starts a transport that echoes calls.
func listen(ctx context.Context) (*rtc.Transport, p2p.Contact, error) {
	identity, err := p2p.NewIdentity(rand.Reader)
	if err != nil {
		return nil, p2p.Contact{}, err
	}
	t, err := rtc.Listen(ctx, rtc.Options{Listen: "127.0.0.1:0", Local: link.Local{
		Identity: identity,
		Network:  func() p2p.ID { return network },
		Handler: func(string) p2p.Handler {
			return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) { return req, nil }
		},
	}})
	if err != nil {
		return nil, p2p.Contact{}, err
	}
	return t, p2p.Contact{PublicKey: identity.PublicKey(), Addrs: t.Addrs()}, nil
}

// overShoal is a stream of a link.
type overShoal struct {
	t *rtc.Transport
	l p2p.Link
	c net.Conn
}

// linkTo links to the far end, which says how to reach it.
func linkTo(ctx context.Context, t *talk) (*rtc.Transport, p2p.Link, error) {
	var contact p2p.Contact
	if err := t.in.Decode(&contact); err != nil {
		return nil, nil, err
	}
	tr, _, err := listen(ctx)
	if err != nil {
		return nil, nil, err
	}
	l, err := tr.Dial(ctx, contact, nil)
	return tr, l, err
}

func dialShoal(ctx context.Context, t *talk) (*overShoal, error) {
	tr, l, err := linkTo(ctx, t)
	if err != nil {
		return nil, err
	}
	c, err := l.Open(ctx, "bulk/1")
	return &overShoal{tr, l, c}, err
}

// send implements sender.
func (s *overShoal) send(_ context.Context, n int64) error { return sendOver(s.c, n) }

func (s *overShoal) close() error { return s.t.Close() }

// farShoal serves one node. args[0], if there, is what the names of profiles begin with.
func farShoal(ctx context.Context, t *talk, args []string) error {
	tr, contact, err := listen(ctx)
	if err != nil {
		return err
	}
	go serve(ctx, tr)
	if err := t.out.Encode(contact); err != nil {
		return err
	}
	stop, err := profile(args, "far")
	if err != nil {
		return err
	}
	if err := t.answer(); err != nil {
		return err
	}
	stop()
	return tr.Close()
}

// serve takes links and streams until the transport is closed: "unread/1" is never read,
// "echo/1" comes back, and all others are taken from.
func serve(ctx context.Context, tr *rtc.Transport) {
	for {
		l, err := tr.Accept(ctx)
		if err != nil {
			return
		}
		go func() {
			for {
				proto, c, err := l.Accept(ctx)
				if err != nil {
					return
				}
				switch proto {
				case "unread/1":
				case "echo/1":
					go func() {
						_, _ = io.Copy(c, c) // the near end sees what does not come
						_ = c.Close()
					}()
				default:
					go takeFrom(c)
				}
			}
		}()
	}
}

// callRow is the latency of calls under one condition.
type callRow struct {
	Name     string
	P50, P95 time.Duration
	Calls    int
}

func measureCalls(ctx context.Context, o options, r *report) error {
	all := map[string][]callRow{}
	var names []string
	for i := range o.rounds {
		fmt.Fprintf(logTo, "calls, round %d of %d\n", i+1, o.rounds)
		var rows []callRow
		if err := runNear(ctx, &rows, []string{"GOGC=" + busyGC}, "calls"); err != nil {
			return err
		}
		for _, row := range rows {
			if all[row.Name] == nil {
				names = append(names, row.Name)
			}
			all[row.Name] = append(all[row.Name], row)
		}
	}
	for _, name := range names {
		var p50, p95 []time.Duration
		calls := 0
		for _, row := range all[name] {
			p50, p95, calls = append(p50, row.P50), append(p95, row.P95), calls+row.Calls
		}
		r.Calls = append(r.Calls, callRow{name, quantile(p50, 0.5), quantile(p95, 0.5), calls})
	}
	return nil
}

// callTime is how long calls are made under each condition.
const callTime = 2 * time.Second

func nearCalls(ctx context.Context, _ []string) (any, error) {
	t, end, err := startFar(ctx, "shoal")
	if err != nil {
		return nil, err
	}
	tr, l, err := linkTo(ctx, t)
	if err != nil {
		return nil, err
	}
	if _, err := timeCalls(ctx, l, "warm", callTime/4); err != nil {
		return nil, err
	}
	var rows []callRow
	measure := func(name string) error {
		row, err := timeCalls(ctx, l, name, callTime)
		rows = append(rows, row)
		return err
	}
	if err := measure("idle"); err != nil {
		return nil, err
	}
	if err := besideBulk(ctx, l, func() error { return measure("bulk") }); err != nil {
		return nil, err
	}
	if err := neverRead(ctx, l); err != nil {
		return nil, err
	}
	if err := measure("unread"); err != nil {
		return nil, err
	}
	if err := besideBulk(ctx, l, func() error { return measure("unread and bulk") }); err != nil {
		return nil, err
	}
	if err := tr.Close(); err != nil {
		return nil, err
	}
	return rows, end()
}

// timeCalls makes calls of 64 bytes, one at a time and one every other millisecond.
func timeCalls(ctx context.Context, l p2p.Link, name string, d time.Duration) (callRow, error) {
	var took []time.Duration
	req := make([]byte, 64)
	for begun := time.Now(); time.Since(begun) < d; time.Sleep(2 * time.Millisecond) {
		start := time.Now()
		if _, err := l.Call(ctx, "echo/1", req); err != nil {
			return callRow{}, err
		}
		took = append(took, time.Since(start))
	}
	return callRow{name, quantile(took, 0.5), quantile(took, 0.95), len(took)}, nil
}

// besideBulk runs f while a stream sends all it can.
func besideBulk(ctx context.Context, l p2p.Link, f func() error) error {
	c, err := l.Open(ctx, "bulk/1")
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- sendOver(c, 1<<40) }()
	time.Sleep(200 * time.Millisecond)
	err = f()
	_ = c.Close()
	if ended := <-sent; err == nil && ended == nil { // it fails when it is closed
		err = errors.New("a stream took all that there is to send")
	}
	return err
}

// neverRead opens a stream that nobody reads and writes until it takes no more.
func neverRead(ctx context.Context, l p2p.Link) error {
	c, err := l.Open(ctx, "unread/1")
	if err != nil {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return err
	}
	if n, err := c.Write(make([]byte, 64<<20)); err == nil {
		return fmt.Errorf("%d bytes were taken that nobody reads", n)
	}
	return nil
}
