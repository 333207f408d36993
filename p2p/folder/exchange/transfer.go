package exchange

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// keptTransfers is how many transfers that have ended are remembered.
const keptTransfers = 200

// rateOver is the time over which a rate is measured.
const rateOver = 3 * time.Second

// transfer counts what comes of a content.
type transfer struct {
	id     string
	folder string
	want   replica.Want
	began  time.Time
	queued atomic.Bool // nobody brings anything of it now
	done   atomic.Int64
	wire   atomic.Int64
	reused atomic.Int64

	mu    sync.Mutex // guards all following fields
	peers map[p2p.ID]int64
	own   int64 // of done, before the last restart: what this transfer itself had brought
	kept  int64 // of done: what was left before the last restart
	marks []mark
	ended time.Time
	err   string
}

// mark is how much was done at a time.
type mark struct {
	at   time.Time
	done int64
}

func (s *Service) begin(folder string, w replica.Want) *transfer {
	t := &transfer{
		id: fmt.Sprintf("%x", s.transferred.Add(1)), folder: folder, want: w, began: time.Now(), peers: map[p2p.ID]int64{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.queued.Store(true)
	s.running[t] = true
	return t
}

// ended notes that a transfer has ended. Small ones are remembered like large ones:
// people look for what came.
func (s *Service) ended(t *transfer, err error) {
	t.mu.Lock()
	t.ended = time.Now()
	if err != nil {
		t.err = err.Error()
	}
	t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, t)
	if err == nil {
		s.finished = append(s.finished, t)
		if extra := len(s.finished) - 2*keptTransfers; extra > 0 {
			s.finished = slices.Delete(s.finished, 0, len(s.finished)-keptTransfers)
		}
	}
}

// dropped forgets a transfer that comes to no end.
func (s *Service) dropped(t *transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, t)
}

// from notes that bytes come from a member.
func (t *transfer) from(peer p2p.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers[peer]++
}

// add counts bytes of the content, and on the network.
func (t *transfer) add(done, wire int64) {
	now := t.done.Add(done)
	t.wire.Add(wire)
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Now()
	if n := len(t.marks); n > 0 && at.Sub(t.marks[n-1].at) < 100*time.Millisecond {
		return
	}
	t.marks = append(t.marks, mark{at, now})
	t.marks = slices.DeleteFunc(t.marks, func(m mark) bool { return at.Sub(m.at) > rateOver })
}

// resumed counts bytes of the content that an attempt before this one has left. How fast
// anything comes they do not tell.
func (t *transfer) resumed(n int64) {
	t.done.Add(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept += n
}

// early is how much of done was here before the transfer began. The caller holds t.mu.
func (t *transfer) early() int64 { return max(0, t.kept-t.own) }

// land notes that all has come. It ends when it is where it belongs.
func (t *transfer) land() {
	t.queued.Store(false)
	t.done.Store(t.want.Size)
}

// restart forgets what has come.
func (t *transfer) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own = max(0, t.done.Load()-t.early())
	t.kept = 0
	t.done.Store(0)
	t.marks = nil
}

// report describes t for people.
func (t *transfer) report() replica.Transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := replica.Transfer{
		ID: t.id, Folder: t.folder, Path: t.want.Path, Total: t.want.Size,
		Done: min(t.done.Load(), t.want.Size), Wire: t.wire.Load(), Reused: t.reused.Load(), Resumed: t.early(),
		State: replica.TransferWaiting, Began: t.began, Ended: t.ended, ETA: -1, Error: t.err,
	}
	for id, n := range t.peers {
		if n > t.peers[r.Peer] || r.Peer.IsZero() {
			r.Peer = id
		}
	}
	switch {
	case t.err != "":
		r.State = replica.TransferFailed
	case !t.ended.IsZero():
		r.State, r.Done, r.ETA = replica.TransferDone, r.Total, 0
		if took := t.ended.Sub(t.began).Seconds(); took > 0 {
			r.Rate = float64(r.Total-r.Resumed) / took
		}
		return r
	case r.Done > 0 && !t.queued.Load():
		r.State = replica.TransferRunning
	}
	if n := len(t.marks); n > 1 && r.State == replica.TransferRunning && time.Since(t.marks[n-1].at) < rateOver {
		if took := t.marks[n-1].at.Sub(t.marks[0].at).Seconds(); took > 0 {
			r.Rate = float64(t.marks[n-1].done-t.marks[0].done) / took
		}
	}
	if r.Rate > 0 {
		r.ETA = time.Duration(float64(r.Total-r.Done) / r.Rate * float64(time.Second)).Round(time.Second)
	}
	return r
}

// rank has first what comes, then what has begun to.
func rank(t replica.Transfer) int {
	switch {
	case t.State == replica.TransferRunning:
		return 0
	case t.Done > 0:
		return 1
	}
	return 2
}

// maxTransfers is how many transfers are listed.
const maxTransfers = 1000

// Transfers returns what is on its way to this node, then what came of late, newest
// first. Those of a paused folder wait, however far they are.
func (s *Service) Transfers() []replica.Transfer {
	s.mu.Lock()
	var running, ended []*transfer
	for t := range s.running {
		running = append(running, t)
	}
	ended = append(ended, s.finished...)
	rests := map[string]bool{}
	for id, r := range s.runners {
		rests[id] = r.rests()
	}
	s.mu.Unlock()
	out := make([]replica.Transfer, 0, len(running)+len(ended))
	for _, t := range running {
		r := t.report()
		if rests[t.folder] {
			r.State, r.Rate, r.ETA = replica.TransferWaiting, 0, -1
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b replica.Transfer) int {
		if x, y := rank(a), rank(b); x != y {
			return x - y
		}
		return a.Began.Compare(b.Began)
	})
	out = out[:min(len(out), maxTransfers)]
	slices.Reverse(ended)
	for _, t := range ended[:min(len(ended), keptTransfers)] {
		out = append(out, t.report())
	}
	return out
}
