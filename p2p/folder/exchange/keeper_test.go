package exchange

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// town is a network of members in one process, all of whom may do everything with
// every folder unless it is said otherwise.
type town struct {
	network *sim.Network
	id      p2p.ID

	mu     sync.Mutex // guards all following fields
	keys   map[p2p.ID]ed25519.PublicKey
	access map[p2p.ID]Access
	hidden map[string][]p2p.ID // members who may not read a folder; none: only its creator may
}

func newTown() *town {
	return &town{
		network: sim.New(sim.Options{}), id: p2p.ID{7}, keys: map[p2p.ID]ed25519.PublicKey{}, access: map[p2p.ID]Access{},
		hidden: map[string][]p2p.ID{},
	}
}

func (w *town) key(id p2p.ID) (ed25519.PublicKey, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k, ok := w.keys[id]
	return k, ok
}

func (w *town) may(id string, creator, who p2p.ID) Access {
	w.mu.Lock()
	defer w.mu.Unlock()
	if from, some := w.hidden[id]; some && who != creator && (len(from) == 0 || slices.Contains(from, who)) {
		return Access{}
	}
	if a, ok := w.access[who]; ok && who != creator {
		return a
	}
	_, member := w.keys[who]
	return Access{Read: member, Write: member}
}

func (w *town) let(who p2p.ID, a Access) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.access[who] = a
}

// hide keeps a folder from some members, or from all.
func (w *town) hide(folder string, from ...p2p.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hidden[folder] = from
}

// newcomer makes an identity, of a member or not.
func (w *town) newcomer(t *testing.T, member bool) p2p.Identity {
	t.Helper()
	id, err := p2p.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if member {
		w.mu.Lock()
		w.keys[id.ID()] = id.PublicKey()
		w.mu.Unlock()
	}
	return id
}

func (w *town) transport(t *testing.T, id p2p.Identity, handler func(string) p2p.Handler) p2p.Transport {
	return w.limited(t, id, nil, handler)
}

// limited is transport for one that carries streams no faster than limits say.
func (w *town) limited(t *testing.T, id p2p.Identity, limits *link.Limits, handler func(string) p2p.Handler) p2p.Transport {
	tr := w.network.Transport(sim.Local{Identity: id, Network: func() p2p.ID { return w.id }, Handler: handler, Limits: limits})
	t.Cleanup(func() { _ = tr.Close() }) // a simulation of a crash closes it too
	return tr
}

// keeper is a member with a folder.
type keeper struct {
	t        *testing.T
	town     *town
	identity p2p.Identity
	dir      string
	folder   folder.Folder
	folders  *folder.Service
	store    *replica.Memory
	s        *Service
	tr       p2p.Transport
	limits   link.Limits
	refuses  atomic.Value  // a protocol that it does not know, as an older version; a string
	patience time.Duration // in await; 0: 20 s

	mu     sync.Mutex // guards all following fields
	links  map[p2p.ID]p2p.Link
	events []p2p.Event
	logged bytes.Buffer
	turned chan struct{}
}

// keep starts a member that keeps a folder: that of another, or one of its own.
func (w *town) keep(t *testing.T, of *keeper, times Times) *keeper {
	t.Helper()
	k := &keeper{
		t: t, town: w, identity: w.newcomer(t, true), dir: t.TempDir(), store: replica.NewMemory(),
		links: map[p2p.ID]p2p.Link{}, turned: make(chan struct{}),
	}
	log := slog.New(slog.NewTextHandler(k, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	k.folders, err = folder.Open(folder.Options{
		Publish: k.publish, Logger: log, Quiet: 10 * time.Millisecond,
		Changed: func(id string, d folder.Dirty) { k.s.Changed(id, d) },
	})
	if err != nil {
		t.Fatal(err)
	}
	k.s = New(Options{
		Identity: k.identity, Network: func() p2p.ID { return w.id }, Store: k.store, Folders: k.folders,
		Access: w.may, Key: w.key, Links: k.linked, Publish: k.publish, Logger: log, Times: times,
	})
	o := folder.AddOptions{Path: k.dir, Label: "kept"}
	if of != nil {
		o.ID, o.Creator = of.folder.ID, of.identity.ID()
	}
	if k.folder, err = k.folders.Add(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	k.tr = w.limited(t, k.identity, &k.limits, func(proto string) p2p.Handler {
		if proto == DigestProtocol {
			return k.s.HandleDigest
		}
		return nil
	})
	k.start()
	return k
}

// start runs the parts until the test ends.
func (k *keeper) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = k.folders.Run(ctx) })
	wg.Go(func() { _ = k.s.Run(ctx) })
	wg.Go(func() {
		for {
			l, err := k.tr.Accept(ctx)
			if err != nil {
				return
			}
			wg.Go(func() { k.serve(ctx, l) })
		}
	})
	k.t.Cleanup(func() {
		cancel()
		_ = k.tr.Close()
		wg.Wait()
	})
}

func (k *keeper) serve(ctx context.Context, l p2p.Link) {
	k.mu.Lock()
	k.links[l.Peer()] = l
	k.mu.Unlock()
	k.s.Kick()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		proto, conn, err := l.Accept(ctx)
		if err != nil {
			return
		}
		if k.refuses.Load() == proto {
			reset(conn)
			continue
		}
		wg.Go(func() { k.s.Serve(ctx, l, proto, conn) })
	}
}

// linked are the links to members, as a node has them.
func (k *keeper) linked() []p2p.Link {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []p2p.Link
	for id, l := range k.links {
		if _, member := k.town.key(id); member && l.Err() == nil {
			all = append(all, l)
		}
	}
	return all
}

// meet links k to another keeper.
func (k *keeper) meet(other *keeper) {
	k.t.Helper()
	l, err := k.tr.Dial(k.t.Context(), p2p.Contact{PublicKey: other.identity.PublicKey()}, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.serve(ctx, l)
	}()
	k.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (k *keeper) turn() {
	close(k.turned)
	k.turned = make(chan struct{})
}

func (k *keeper) publish(e p2p.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, e)
	k.turn()
}

// Write takes what is logged.
func (k *keeper) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn()
	return k.logged.Write(b)
}

func (k *keeper) log() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.logged.String()
}

// await looks, at each event and from time to time, whether ok is true by now.
func (k *keeper) await(what string, ok func() bool) {
	k.t.Helper()
	patience := cmp.Or(k.patience, 20*time.Second)
	if underRace {
		patience *= 3
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		k.mu.Lock()
		turned := k.turned
		k.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-turned:
		case <-tick.C:
		case <-late.C:
			k.t.Fatalf("%s did not happen\n%s", what, last(k.log(), 4000))
		}
	}
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// has reports whether the file at path has text.
// has says whether the file at path has text. A large file that it has read it reads
// only again when it is another file or was changed.
func (k *keeper) has(path, text string) func() bool {
	var read fs.FileInfo
	return func() bool {
		full := filepath.Join(k.dir, path)
		info, err := os.Stat(full)
		if err != nil || info.Size() != int64(len(text)) {
			return false
		}
		if len(text) > 1<<20 && read != nil && os.SameFile(read, info) && read.ModTime().Equal(info.ModTime()) {
			return false
		}
		read = info
		b, err := os.ReadFile(full)
		return err == nil && string(b) == text
	}
}

func (k *keeper) lacks(path string) bool {
	_, err := os.Lstat(filepath.Join(k.dir, path))
	return errors.Is(err, fs.ErrNotExist)
}

func (k *keeper) write(path, text string) {
	k.t.Helper()
	full := filepath.Join(k.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		k.t.Fatal(err)
	}
}

// ready waits until what others have done is taken over.
func (k *keeper) ready() {
	k.t.Helper()
	k.await("the first scan", func() bool {
		r, err := k.s.runner(k.folder.ID)
		return err == nil && r.ready.Load()
	})
}

// refused returns what was refused of a member, by path.
func (k *keeper) refused(of p2p.ID) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]string{}
	for _, e := range k.events {
		if r, ok := e.(Refused); ok && r.Member == of {
			out[r.Path] = r.Why
		}
	}
	return out
}

// awaitRefusal waits until something at path was refused because of why.
func (k *keeper) awaitRefusal(of p2p.ID, path, why string) {
	k.t.Helper()
	k.await("the refusal of "+path, func() bool { _, ok := k.refused(of)[path]; return ok })
	if got := k.refused(of)[path]; !strings.Contains(got, why) {
		k.t.Errorf("%q was refused because %q, not because %q", path, got, why)
	}
}
