//go:build linux

package crash

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	sharing "github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	seeds "github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/store"
)

var (
	downloadKills = flag.Int("download-kills", 0, "how often TestDownload kills who downloads (0: 5, and 50 with -tags fault)")
	downloadSize  = flag.Int("download", 0, "length of its file, in MiB (0: 16, and 64 with -tags fault)")
)

// sharerEnv makes this program a sharer: its value is the orders.
const sharerEnv = "SHOAL_CRASH_SHARER"

// orders say what a sharer does. It is a node in a process of its own, which can be killed.
type orders struct {
	Name, Data, Dir string
	Up              int64  // bytes a second that it sends at most; 0: all it can
	Share           string // a file to make a seed of
	Join, Get       string // an invitation, and the link of a seed; who is to join only ends then
}

// said is a line that a sharer prints.
type said struct {
	Invite, Seed string // links, in the first line
	Done, Sent   int64  // of the seed, in bytes
	State        swarm.State
	Error        string // why it stands still
}

// share is the life of a sharer. It ends with its standard input.
func share(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	kept, err := store.Open(ctx, o.Data, store.Options{Logger: log})
	if err != nil {
		return err
	}
	n, err := sharing.Start(ctx, sharing.Options{
		Name: o.Name, Store: kept, DataDir: o.Data, NoLAN: true, NoPortMap: true, Logger: log, Limits: link.Rates{Up: o.Up},
	})
	if err != nil {
		return errors.Join(err, kept.Close())
	}
	err = act(ctx, n, o)
	return errors.Join(err, n.Close(), kept.Close())
}

// act does what was ordered, and tells how the seed is doing until nobody is there to hear it.
func act(ctx context.Context, n *sharing.Node, o orders) error {
	out := json.NewEncoder(os.Stdout)
	if o.Join != "" {
		if _, err := n.Join(ctx, o.Join); err != nil {
			return err
		}
	}
	if o.Get != "" {
		l, err := seeds.ParseLink(o.Get)
		if err != nil {
			return err
		}
		known, err := l.Seed()
		if err != nil {
			return err
		}
		if _, err := n.Swarm().Download(ctx, swarm.GetOptions{Seed: known, Dir: o.Dir}); err != nil {
			return err
		}
	}
	if o.Share != "" {
		made, err := n.Swarm().Make(ctx, o.Share, swarm.MakeOptions{})
		if err != nil {
			return err
		}
		inv, err := n.Invite(ctx, member.InviteOptions{MaxUses: 9})
		if err != nil {
			return err
		}
		if err := out.Encode(said{Invite: inv.Link(""), Seed: made.Seed.Link().String()}); err != nil {
			return err
		}
	}
	if o.Join != "" && o.Get == "" {
		return nil
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, nobody is there
		end()
	}()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		for _, s := range n.Swarm().List() {
			if err := out.Encode(said{Done: s.Done, Sent: s.Sent, State: s.State, Error: s.Error}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sharer is the process of one.
type sharer struct {
	t    *testing.T
	log  string
	cmd  *exec.Cmd
	in   io.WriteCloser
	over chan struct{} // closed when it has ended

	mu    sync.Mutex // guards all following fields
	first said
	last  said
}

// employ starts a sharer.
func employ(t *testing.T, o orders, log string) *sharer {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	errs, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	s := &sharer{t: t, log: log, cmd: exec.Command(os.Args[0]), over: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), sharerEnv+"="+string(text))
	s.cmd.Stderr = errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	go func() {
		defer close(s.over)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var said said
			if json.Unmarshal(lines.Bytes(), &said) != nil {
				continue // it was killed within a line
			}
			s.mu.Lock()
			if said.Invite != "" {
				s.first = said
			} else {
				s.last = said
			}
			s.mu.Unlock()
		}
		_ = s.cmd.Wait() // how it ended is in its state
	}()
	return s
}

// kill ends it as kill -9 does, and waits for its end.
func (s *sharer) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.over
}

func (s *sharer) tail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

// until waits until what it says is as is wanted, and returns that.
func (s *sharer) until(what string, ok func(first, last said) bool) (first, last said) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		s.mu.Lock()
		first, last = s.first, s.last
		s.mu.Unlock()
		if ok(first, last) {
			return first, last
		}
		select {
		case <-s.over:
			s.t.Fatalf("%s: the process has ended: %s", what, s.tail())
		default:
		}
	}
	s.t.Fatalf("%s: after a minute it says %+v: %s", what, last, s.tail())
	return first, last
}

// TestDownload: who downloads a file is killed again and again, at any moment. In the end the file is
// there and right, little of it came twice, nothing is left beside it, and it is served on.
func TestDownload(t *testing.T) {
	kills, size := 5, 16
	if faulty {
		kills, size = 50, 64
	}
	kills, size = cmp.Or(*downloadKills, kills), cmp.Or(*downloadSize, size)
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	place := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := noise(9, size<<20)
	file := filepath.Join(place("files"), "lecture.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	const rate = 8 << 20
	giver := employ(t, orders{Name: "giver", Data: place("giver"), Share: file, Up: rate}, filepath.Join(dir, "giver.log"))
	told, _ := giver.until("a seed", func(first, _ said) bool { return first.Seed != "" })
	to := place("to")
	o := orders{Name: "taker", Data: place("taker"), Dir: to, Join: told.Invite, Get: told.Seed}
	log := filepath.Join(dir, "taker.log")
	began := time.Now()
	taker := employ(t, o, log)
	taker.until("a first piece", func(_, last said) bool { return last.Done > 0 })
	o.Join, o.Get = "", ""
	for i := range kills {
		// Half of them as soon as it lives, or a moment later, the others when it has brought its share.
		if i%2 == 0 {
			time.Sleep(time.Duration(r.Int64N(int64(400 * time.Millisecond))))
		} else {
			share := int64(len(data)) / int64(kills+2) * int64(i)
			taker.until("its share", func(_, last said) bool { return last.Done >= share })
			time.Sleep(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
		}
		taker.kill()
		taker.mu.Lock()
		last := taker.last
		taker.mu.Unlock()
		if last.State == swarm.StateSeeding {
			t.Fatalf("it was whole before kill %d", i+1)
		}
		taker = employ(t, o, log)
	}
	taker.until("all of it", func(_, last said) bool { return last.State == swarm.StateSeeding })
	took := time.Since(began)

	got, err := os.ReadFile(filepath.Join(to, "lecture.bin"))
	if err != nil || string(got) != string(data) {
		t.Fatalf("%d bytes of %d are there, or others: %v", len(got), len(data), err)
	}
	if left := filesIn(t, to); !slices.Equal(left, []string{"lecture.bin"}) {
		t.Errorf("beside the file is left: %q", left)
	}
	_, says := giver.until("what it has sent", func(_, last said) bool { return last.Sent > 0 })
	t.Logf("%d kills in %v: %d bytes were sent, %.3f times the file", kills, took.Round(time.Millisecond), says.Sent, float64(says.Sent)/float64(len(data)))
	if says.Sent > int64(len(data))*12/10 {
		t.Errorf("%d bytes were sent for a file of %d", says.Sent, len(data))
	}

	// It is served on: a third one gets it, while the first is away.
	o = orders{Name: "third", Data: place("third"), Dir: place("there"), Join: told.Invite}
	<-employ(t, o, filepath.Join(dir, "third.log")).over
	giver.kill()
	o.Join, o.Get = "", told.Seed
	third := employ(t, o, filepath.Join(dir, "third.log"))
	third.until("the file from who was killed", func(_, last said) bool { return last.State == swarm.StateSeeding })
}

// filesIn are the files of a directory, and of all below it.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
