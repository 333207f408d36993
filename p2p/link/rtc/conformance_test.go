package rtc

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/linktest"
)

// crashInside makes TestCrash run, in the process that TestConformance starts.
const crashInside = "SHOAL_TEST_CRASH"

// The suite's own crash has less patience than real nodes, so that nobody waits
// for it. Theirs passes meanwhile, in another process: the suite counts
// goroutines.
func TestConformance(t *testing.T) {
	beside := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$")
	beside.Env = append(os.Environ(), crashInside+"=1")
	var out bytes.Buffer
	beside.Stdout, beside.Stderr = &out, &out
	if err := beside.Start(); err != nil {
		t.Fatal(err)
	}
	linktest.RunIn(t, func(t *testing.T, test func(t *testing.T)) {
		t.Run("link", func(t *testing.T) {
			if raceEnabled && strings.Contains(t.Name(), "/100_MiB/") {
				testLessLarge(t)
				return
			}
			test(t)
		})
	}, func(t *testing.T, handler func(proto string) p2p.Handler) linktest.Pair {
		q := silence
		if strings.Contains(t.Name(), "/crash/") {
			q = quiet{rest: 400 * time.Millisecond, retry: 100 * time.Millisecond, gone: time.Second}
		}
		return openPair(t, q, handler)
	})
	if err := beside.Wait(); err != nil {
		t.Errorf("TestCrash: %v\n%s", err, out.Bytes())
	}
}

// A node that falls silent is noticed with the patience that nodes have.
func TestCrash(t *testing.T) {
	if os.Getenv(crashInside) == "" {
		t.Skip("takes seconds of waiting: TestConformance runs it beside its own tests")
	}
	p := openPair(t, silence, nil)
	p.Crash()
	select {
	case <-p.A.Done():
	case <-time.After(30 * time.Second):
		t.Error("the crash of a node was not noticed")
	}
}

// openPair links two nodes that serve handler.
func openPair(t *testing.T, q quiet, handler func(proto string) p2p.Handler) linktest.Pair {
	t.Helper()
	withHandler := func(o *Options) { o.Local.Handler = handler }
	a, b := newQuietNode(t, 1, q, withHandler), newQuietNode(t, 2, q, withHandler)
	l, err := a.Dial(t.Context(), b.contact(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return linktest.Pair{A: l, B: mustAccept(t, b), Crash: func() { b.sock.mute.Store(true) }}
}

// testLessLarge stands for the 100 MiB of the suite where they take minutes.
func testLessLarge(t *testing.T) {
	t.Log("8 MiB, not 100 MiB: the race detector makes bulk transfers thirty times slower")
	p := openPair(t, silence, nil)
	out, err := p.A.Open(t.Context(), "bulk/1")
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 8<<20)
	for i := range want {
		want[i] = byte(i>>16) ^ byte(i>>8) ^ byte(i)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := out.Write(want)
		if err == nil {
			err = out.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	_, in, err := p.B.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
