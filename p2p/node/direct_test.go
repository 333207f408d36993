package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/direct"
)

// TestDirect: a message is answered by a program, by a person, or not at all, and streams go
// over the link that is there.
func TestDirect(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nodes := class(t, "Ada", "Ben")
	here, there := nodes[0], nodes[1]
	since := here.Peers()[0].Since

	there.Direct().Handle("greet", func(_ context.Context, from p2p.ID, data []byte) ([]byte, error) {
		if from != here.ID() {
			return nil, errors.New("somebody else")
		}
		return append(data, " world!"...), nil
	})
	for range 2 {
		a, err := here.Direct().Send(ctx, there.ID(), "greet", []byte("Hello"), 0)
		if err != nil || !a.Answered || string(a.Data) != "Hello world!" {
			t.Fatalf("%+v, %v", a, err)
		}
	}

	events := there.Events().Subscribe(ctx, there.Events().Position())
	answered := make(chan error, 1)
	go func() {
		for e := range events {
			if r, is := e.Data.(direct.Received); is && !r.Handled {
				answered <- there.Direct().Reply(r.Number, fmt.Appendf(nil, "%s yourself", r.Data))
				return
			}
		}
	}()
	a, err := here.Direct().Send(ctx, there.ID(), "", []byte("hello"), 20*time.Second)
	if err != nil || string(a.Data) != "hello yourself" {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if a, err := here.Direct().Send(ctx, there.ID(), "", []byte("anybody?"), time.Millisecond); err != nil || a.Answered {
		t.Errorf("%+v, %v", a, err)
	}
	if in := there.Direct().Inbox(); len(in) != 0 {
		t.Errorf("%d messages wait", len(in))
	}

	if _, err := here.Direct().Open(ctx, there.ID(), "echo"); !errors.Is(err, direct.ErrNobody) {
		t.Errorf("open a port where nobody listens: %v", err)
	}
	l, err := there.Direct().Listen("echo")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		s, err := l.Accept(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = io.Copy(s.Conn, s.Conn)
		if err := errors.Join(err, s.Conn.Close()); err != nil {
			t.Error(err)
		}
	}()
	conn, err := here.Direct().Open(ctx, there.ID(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("to and fro")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); err != nil || string(b) != "to and fro" {
		t.Errorf("%q, %v", b, err)
	}
	if !here.Peers()[0].Since.Equal(since) {
		t.Error("another link was made")
	}
}
