package exchange

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

func TestGate(t *testing.T) {
	t.Parallel()
	var g gate
	a, b := p2p.ID{1}, p2p.ID{2}
	var leave []func()
	for range 3 {
		l, ok := g.enter(a, 3)
		if !ok {
			t.Fatal("no room in an empty house")
		}
		leave = append(leave, l)
	}
	if _, ok := g.enter(a, 3); ok {
		t.Error("more than may")
	}
	if l, ok := g.enter(b, 3); !ok {
		t.Error("one keeps the other out")
	} else {
		l()
	}
	leave[0]()
	if l, ok := g.enter(a, 3); !ok {
		t.Error("no room after one has left")
	} else {
		l()
	}
	leave[1]()
	leave[2]()
	if len(g.peers) > 0 {
		t.Errorf("remembered: %v", g.peers)
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	var c tally
	now := time.Unix(1000, 0)
	told := 0
	for range 3 * maxRefusals {
		if tell, last := c.another(now); tell {
			told++
			if last != (told == maxRefusals) {
				t.Errorf("refusal %d is the last: %v", told, last)
			}
		}
	}
	if told != maxRefusals {
		t.Errorf("told %d", told)
	}
	if tell, _ := c.another(now.Add(refusalsIn + 1)); !tell {
		t.Error("never told again")
	}
}

// patience counts waiting only, and rewards what has come, up to a point.
func TestPatience(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		got    int64
		waited time.Duration
		want   time.Duration
	}{
		{0, 0, time.Minute},
		{0, 40 * time.Second, 20 * time.Second},
		{slowest * 10, 40 * time.Second, 30 * time.Second},
		{slowest * 10, 70 * time.Second, 0},
		{1 << 40, time.Hour, time.Minute},
	} {
		r := &timedReader{within: time.Minute, got: row.got, waited: row.waited}
		if got := r.patience(); got != row.want {
			t.Errorf("%d bytes in %v: %v, want %v", row.got, row.waited, got, row.want)
		}
	}
}

func TestTransferReport(t *testing.T) {
	t.Parallel()
	s := alone()
	x := s.begin("f", replica.Want{Path: "p", Size: 1000})
	if r := x.report(); r.State != replica.TransferWaiting || r.Total != 1000 || r.ETA >= 0 || !r.Peer.IsZero() {
		t.Errorf("at the start %+v", r)
	}
	a, b := p2p.ID{1}, p2p.ID{2}
	x.from(a)
	x.from(b)
	x.from(b)
	x.add(400, 300)
	x.reused.Add(100)
	x.queued.Store(false)
	start := time.Now().Add(-2 * time.Second)
	x.mu.Lock()
	x.marks = []mark{{start, 100}, {start.Add(2 * time.Second), 400}}
	x.mu.Unlock()
	if r := x.report(); r.State != replica.TransferRunning || r.Done != 400 || r.Wire != 300 || r.Reused != 100 || r.Rate != 150 || r.ETA != 4*time.Second || r.Peer != b {
		t.Errorf("on its way %+v", r)
	}
	x.queued.Store(true)
	if r := x.report(); r.State != replica.TransferWaiting || r.Done != 400 || r.Rate != 0 || r.ETA >= 0 {
		t.Errorf("when nobody brings anything: %+v", r)
	}
	x.queued.Store(false)
	x.add(5000, 0)
	if r := x.report(); r.Done != 1000 {
		t.Errorf("more than all: %+v", r)
	}
	x.restart()
	if r := x.report(); r.Done != 0 || r.Rate != 0 {
		t.Errorf("from the start again: %+v", r)
	}
	if got := s.Transfers(); len(got) != 1 {
		t.Errorf("listed %+v", got)
	}
	s.ended(x, nil)
	if r := x.report(); r.State != replica.TransferDone || r.Done != r.Total || r.Ended.IsZero() {
		t.Errorf("in the end %+v", r)
	}
	bad := s.begin("f", replica.Want{Path: "q", Size: 10})
	s.ended(bad, errors.New("why"))
	if r := bad.report(); r.State != replica.TransferFailed || r.Error != "why" {
		t.Errorf("failed %+v", r)
	}
	for range 3 * keptTransfers {
		s.ended(s.begin("f", replica.Want{}), nil)
	}
	if got := s.Transfers(); len(got) != keptTransfers {
		t.Errorf("%d are remembered", len(got))
	}
}

func TestSegments(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ size, n, last int64 }{{1, 1, 1}, {segment, 1, segment}, {segment + 1, 2, 1}, {10*segment - 1, 10, segment - 1}} {
		dir := t.TempDir()
		fsys := openRoot(t, dir)
		s := resume(fsys, reconcile.Hash{1}, row.size)
		if int64(len(s.have)) != row.n || s.bytes() != row.size || int64(s.missing()) != row.n {
			t.Errorf("%d bytes: %d segments, %d bytes missing", row.size, len(s.have), s.bytes())
		}
		if offset, length := s.span(len(s.have) - 1); offset != (row.n-1)*segment || length != row.last {
			t.Errorf("%d bytes: the last is %d+%d", row.size, offset, length)
		}
		for i := range row.n {
			if got, ok := s.take(); !ok || int64(got) != i {
				t.Errorf("took %d, %v", got, ok)
			}
		}
		if _, ok := s.take(); ok {
			t.Error("took more than there are")
		}
		s.giveBack(0)
		if got, ok := s.take(); !ok || got != 0 {
			t.Error("what was given back is not taken again")
		}
	}
}

func openRoot(t *testing.T, dir string) *apply.Root {
	t.Helper()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	fsys, err := apply.NewRoot(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsys.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := apply.Prepare(fsys); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// What an earlier attempt has brought counts if both files are there, and only as far as
// they go.
func TestResumeTable(t *testing.T) {
	t.Parallel()
	h := reconcile.Hash{1}
	for name, row := range map[string]struct {
		part bool
		m    []byte
		want []bool
	}{
		"nothing":        {false, nil, []bool{false, false, false}},
		"no map":         {true, nil, []bool{false, false, false}},
		"map alone":      {false, []byte{1, 1, 1}, []bool{false, false, false}},
		"some":           {true, []byte{1, 0, 1}, []bool{true, false, true}},
		"a short map":    {true, []byte{1}, []bool{true, false, false}},
		"a long map":     {true, []byte{0, 1, 0, 1, 1}, []bool{false, true, false}},
		"nonsense":       {true, []byte{2, 255, 1}, []bool{false, false, true}},
		"an empty map":   {true, []byte{}, []bool{false, false, false}},
		"all of it here": {true, []byte{1, 1, 1}, []bool{true, true, true}},
	} {
		dir := t.TempDir()
		fsys := openRoot(t, dir)
		for path, b := range map[string][]byte{begun(h): {1}, mapOf(h): row.m} {
			if path == begun(h) && !row.part || b == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, path), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if s := resume(fsys, h, 3*segment); !slices.Equal(s.have, row.want) {
			t.Errorf("%s: %v, want %v", name, s.have, row.want)
		}
	}
}

// alone is a service without anybody to talk to.
func alone() *Service {
	id, err := p2p.IdentityFromSeed(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	return New(Options{Identity: id, Network: func() p2p.ID { return p2p.ID{} }, Access: func(string, p2p.ID, p2p.ID) Access { return Access{} }})
}

// idle is a fetcher that has searched this disk for n contents of a size each.
func idle(n int, size int64) *fetcher {
	f := newFetcher(newRunner(alone(), folder.Folder{ID: "f"}))
	var wants []replica.Want
	for i := range n {
		wants = append(wants, replica.Want{Hash: reconcile.Hash{byte(i), byte(i >> 8), 1}, Size: size})
	}
	f.add(wants)
	for _, x := range f.running {
		x.local = true
	}
	return f
}

func TestBatchFor(t *testing.T) {
	t.Parallel()
	a := p2p.ID{1}
	for _, row := range []struct {
		n       int
		size    int64
		members int
		want    int
	}{
		{5, 10, 1, 5},
		{1000, 10, 1, batchItems},
		{1000, 1 << 20, 1, 2},
		{100, 10, 5, 10},
		{20, 10, 5, 8},
		{3, 10, 5, 3},
		{0, 0, 1, 0},
	} {
		f := idle(row.n, row.size)
		if got := len(f.batchFor(a, row.members)); got != row.want || len(f.small) != row.n-row.want {
			t.Errorf("%+v: %d, and %d stay", row, got, len(f.small))
		}
	}
	f := idle(3, 10)
	f.small[0].tried[a] = true
	f.small[1].local = false
	f.again[f.small[2].want.Hash] = retry{at: time.Now().Add(time.Hour)}
	if got := f.batchFor(a, 1); len(got) > 0 {
		t.Errorf("asked too early: %v", got)
	}
	if got := f.batchFor(p2p.ID{2}, 1); len(got) != 1 {
		t.Errorf("of another member %v", got)
	}
}

// pulled is a member that can be asked.
func pulled(id p2p.ID) *pull { return &pull{link: linkOf{id: id}} }

// linkOf is a link of which only the peer is asked.
type linkOf struct {
	p2p.Link
	id p2p.ID
}

func (l linkOf) Peer() p2p.ID { return l.id }

func (l linkOf) Done() <-chan struct{} { return nil }

func TestGiveUp(t *testing.T) {
	t.Parallel()
	a, b := p2p.ID{1}, p2p.ID{2}
	f := idle(2, 10)
	one := f.small[0]
	one.tried[a] = true
	f.giveUp(nil)
	f.giveUp([]*pull{pulled(a), pulled(b)})
	if f.hasArrived() || len(f.small) != 2 {
		t.Error("given up before all were asked")
	}
	one.tried[b] = true
	f.giveUp([]*pull{pulled(a), pulled(b)})
	if got := f.arrived(); len(got) != 1 || got[0].hash != one.want.Hash || !got[0].failed || len(f.small) != 1 {
		t.Errorf("results %+v", got)
	}
	first := f.again[one.want.Hash]
	if first.failures != 1 || !first.at.After(time.Now()) {
		t.Errorf("to be asked again: %+v", first)
	}
	f.add([]replica.Want{one.want})
	next := f.running[one.want.Hash]
	if !f.waits(next) || f.waits(f.small[0]) {
		t.Error("what has failed does not wait, or something else does")
	}
	f.finish(next, errors.New("again"))
	if second := f.again[one.want.Hash]; second.failures != 2 || second.at.Sub(first.at) < f.r.s.o.Times.Retry {
		t.Errorf("after the second time %+v", second)
	}
	f.add([]replica.Want{one.want})
	f.finish(f.running[one.want.Hash], nil)
	if len(f.again) > 0 {
		t.Error("what has come is remembered as failed")
	}
}

func TestLargeFor(t *testing.T) {
	t.Parallel()
	a := p2p.ID{1}
	f := idle(2, 2<<20)
	if len(f.large) != 2 || len(f.small) > 0 {
		t.Fatalf("%d large, %d small", len(f.large), len(f.small))
	}
	if x := f.largeFor(nil); x != nil {
		t.Error("asked of nobody")
	}
	f.large[0].tried[a] = true
	second := f.large[1]
	if x := f.largeFor([]*pull{pulled(a)}); x != second {
		t.Errorf("took %v", x)
	}
	if x := f.largeFor([]*pull{pulled(a)}); x != nil {
		t.Errorf("took %v", x)
	}
}

// While the folder is not there, as when its disk was taken away, nothing is asked for
// over and over.
func TestFetchAway(t *testing.T) {
	t.Parallel()
	w := newTown()
	a := w.keep(t, nil, Times{})
	b := w.keep(t, a, Times{Retry: 200 * time.Millisecond})
	a.meet(b)
	a.ready()
	b.ready()
	a.write("x", "one")
	b.await("the first file", b.has("x", "one"))
	if err := os.Rename(b.dir, b.dir+"-away"); err != nil {
		t.Fatal(err)
	}
	r, err := b.s.runner(b.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.fetch.add([]replica.Want{{Hash: reconcile.Hash{1}, Size: 10, Path: "y", Far: true}})
	time.Sleep(500 * time.Millisecond) // or the other member is not asked at all by now
	if n := strings.Count(b.log(), "contents not fetched"); n > 4 {
		t.Errorf("tried %d times in half a second", n)
	}
}

// Who comes and goes is asked at once if something has come of it, and else later each time; when
// somebody else comes it is asked again.
func TestPutOff(t *testing.T) {
	t.Parallel()
	f := idle(1, 10)
	x := f.small[0]
	f.small = nil
	wait := func() time.Duration {
		f.mu.Lock()
		defer f.mu.Unlock()
		return max(0, time.Until(f.again[x.want.Hash].at))
	}
	x.t.add(5, 5)
	f.putOff(x)
	if wait() > 0 || len(f.small) != 1 {
		t.Errorf("after half of it has come it waits for %v; queued: %d", wait(), len(f.small))
	}
	last := time.Duration(0)
	for range 3 {
		f.putOff(x)
		if wait() <= last {
			t.Errorf("without progress it waits for %v, after %v", wait(), last)
		}
		last = wait()
	}
	x.t.add(1, 1)
	f.anew()
	f.putOff(x)
	if wait() > 0 {
		t.Errorf("it waits for %v", wait())
	}
	f.again[x.want.Hash] = retry{at: time.Now().Add(time.Hour), disk: errFull}
	if f.anew(); wait() == 0 {
		t.Error("a full disk has room because somebody comes")
	}
}

// A transfer has ended when its content is in its place, and is forgotten if it belongs nowhere.
func TestSettle(t *testing.T) {
	t.Parallel()
	f := idle(4, 10)
	all := f.small
	f.small = nil
	f.mu.Lock()
	for _, x := range all[:3] {
		f.end(x, nil)
	}
	f.mu.Unlock()
	f.arrived()
	f.finish(all[3], nil)
	f.settle(replica.Turn{Installed: []replica.Installed{{Hash: all[0].want.Hash}}}, nil)
	f.settle(replica.Turn{Idle: true}, func(h reconcile.Hash) bool { return h == all[1].want.Hash })
	got := map[reconcile.Hash]replica.TransferState{}
	for _, l := range f.landed {
		got[l.t.want.Hash] = l.t.report().State
	}
	want := map[reconcile.Hash]replica.TransferState{
		all[1].want.Hash: replica.TransferWaiting, // it cannot be installed yet
		all[3].want.Hash: replica.TransferRunning, // the core does not know yet
	}
	if !maps.Equal(got, want) || all[0].t.report().State != replica.TransferDone {
		t.Errorf("%v, want %v; the first is %v", got, want, all[0].t.report().State)
	}
}

// Nobody is blamed for a pause, and who sends what is wrong always is. Who says that nobody may
// have the folder is asked again only if there is nobody else.
func TestBlames(t *testing.T) {
	t.Parallel()
	f := idle(0, 0)
	a, b := pulled(p2p.ID{1}), pulled(p2p.ID{2})
	f.r.pulls[a.link.Peer()], f.r.pulls[b.link.Peer()] = a, b
	broken := errors.New("the stream was reset")
	for _, row := range []struct {
		a, b bool // let this node have the folder
		err  error
		want bool
	}{
		{true, false, broken, true},
		{true, false, errNotHere, true},
		{true, false, errBusy, false},
		{true, false, refused(codePaused), false},
		{true, true, refused(codePaused), true},
		{true, true, refused(codeNotHere), true},
		{false, false, broken, false},
		{false, true, broken, false},
		{false, true, errNotHere, false},
		{false, false, errOther, true},
	} {
		a.granted.Store(row.a)
		b.granted.Store(row.b)
		if got := f.blames(a.link, row.err); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
	delete(f.r.pulls, a.link.Peer())
	if f.blames(a.link, broken) {
		t.Error("who is not linked any more is blamed")
	}
}
