package exchange

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

var (
	crowdSize  = flag.Int("exchange.crowd", 8, "how many want the file of TestCrowd")
	crowdBytes = flag.Int("exchange.crowdmib", 12, "MiB of that file")
	crowdRate  = flag.Int64("exchange.crowdrate", 4<<20, "bytes a second that each of them sends at most")
)

// sent is how many bytes a member has sent over all of its links.
func (k *keeper) sent() (n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.links {
		n += int64(l.Stats().BytesOut)
	}
	return n
}

// newCrowd is an origin and others who keep a folder of it, each linked to each, with a limit to what each
// sends.
func newCrowd(t *testing.T, n int, rate int64, times Times) []*keeper {
	t.Helper()
	w := newTown()
	all := []*keeper{w.keep(t, nil, times)}
	for range n {
		all = append(all, w.keep(t, all[0], times))
	}
	for i, k := range all {
		k.limits.Set(link.Rates{Up: rate})
		for _, other := range all[:i] {
			k.meet(other)
		}
	}
	for _, k := range all {
		k.ready()
	}
	all[0].write("hello.txt", "so that it is known to keep the folder")
	for _, k := range all[1:] {
		k.await("a first file", k.has("hello.txt", "so that it is known to keep the folder"))
	}
	return all
}

// One adds a large file, and all others want it at once: it goes about once over the link of who has it,
// and from one to the other besides.
func TestCrowd(t *testing.T) {
	all := newCrowd(t, *crowdSize, *crowdRate, Times{})
	text := noise(51, *crowdBytes<<20)
	least := time.Duration(float64(len(text)) / float64(*crowdRate) * float64(time.Second))
	before := all[0].sent()
	began := time.Now()
	all[0].write("big.bin", text)
	for _, k := range all[1:] {
		k.patience = max(20*time.Second, time.Duration(2**crowdSize)*least)
		k.await("the file", k.has("big.bin", text))
	}
	took := time.Since(began)
	sent := float64(all[0].sent()-before) / float64(len(text))
	t.Logf("%d members: %.2f of the file sent by who had it, in %.2f of the least time, %v", *crowdSize, sent, float64(took)/float64(least), took)
	if sent > 3 { // on a busy machine what comes late is asked for elsewhere; on a quiet one it is 1.1
		t.Errorf("who had the file has sent %.2f of it to %d members", sent, *crowdSize)
	}
	if patience := time.Duration(*crowdSize) * least * 3 / 4; took > patience && *crowdSize > 4 && !underRace {
		t.Errorf("more than %v, three quarters of what it takes if each gets it of who had it", patience)
	}
}

// Of a new version those who have the old one give each other what is new of it.
func TestCrowdUpdates(t *testing.T) {
	t.Parallel()
	all := newCrowd(t, 4, 0, Times{})
	text := noise(59, 4<<20)
	all[0].write("big.bin", text)
	for _, k := range all[1:] {
		k.await("the first version", k.has("big.bin", text))
	}
	for _, k := range all {
		k.limits.Set(link.Rates{Up: 2 << 20})
	}
	before := all[0].sent()
	text = text[:2<<20] + noise(60, 4<<20) + text[2<<20:]
	all[0].write("big.bin", text)
	for _, k := range all[1:] {
		k.await("the next version", k.has("big.bin", text))
		if x := k.came("big.bin"); x.Wire > 5<<20 {
			t.Errorf("%d bytes came for 4 MiB that are new", x.Wire)
		}
	}
	sent := all[0].sent() - before
	t.Logf("%d bytes were sent of 4 MiB", sent)
	most := int64(7 << 20)
	if underRace {
		most = 10 << 20
	}
	if sent > most {
		t.Errorf("%d bytes were sent of 4 MiB that are new to 4 members", sent)
	}
}

// Members of an older version, who have all or are among those who want it, get and give what they did.
func TestCrowdOlder(t *testing.T) {
	t.Parallel()
	for _, older := range []int{0, 1} {
		all := newCrowd(t, 3, 4<<20, Times{})
		all[older].refuses.Store(PartsProtocol)
		text := noise(61, 3<<20)
		all[0].write("big.bin", text)
		for _, k := range all[1:] {
			k.await("the file", k.has("big.bin", text))
		}
	}
}

// What members have from before a restart they have for each other: who has all is hardly asked.
func TestCrowdResumes(t *testing.T) {
	t.Parallel()
	w := newTown()
	all := []*keeper{w.keep(t, nil, Times{})}
	text := noise(52, 6<<20)
	for half := range 2 {
		k := w.keep(t, all[0], Times{})
		k.ready()
		begun := []byte(text)
		clear(begun[half*3<<20:][:3<<20])
		if err := os.WriteFile(filepath.Join(k.dir, begunName(text)), begun, 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	all[0].ready()
	all[0].limits.Set(link.Rates{Up: 100_000})
	for i, k := range all {
		for _, other := range all[:i] {
			k.meet(other)
		}
	}
	began := time.Now()
	all[0].write("big.bin", text)
	for _, k := range all[1:] {
		k.await("the file", k.has("big.bin", text))
	}
	if sent := all[0].sent(); sent > 2<<20 {
		t.Errorf("who has all has sent %d bytes in %v", sent, time.Since(began))
	}
}

// Who goes away in the middle of it is missed by nobody.
func TestCrowdGoes(t *testing.T) {
	t.Parallel()
	all := newCrowd(t, 3, 2<<20, Times{})
	text := noise(53, 6<<20)
	all[0].write("big.bin", text)
	goes := all[1]
	goes.await("a part of it", func() bool {
		x, _ := goes.transfer("big.bin")
		return x.Done > 1<<20
	})
	goes.town.network.Crash(goes.identity.ID())
	for _, k := range all[2:] {
		k.await("the file", k.has("big.bin", text))
	}
}

// When who has all goes away the others go on with what they have, and when it is back with the rest.
func TestCrowdWithout(t *testing.T) {
	t.Parallel()
	all := newCrowd(t, 3, 2<<20, Times{Retry: 200 * time.Millisecond})
	text := noise(64, 6<<20)
	all[0].write("big.bin", text)
	for _, k := range all[1:] {
		k.await("a part of it", func() bool {
			x, _ := k.transfer("big.bin")
			return x.Done > 1<<20
		})
	}
	for _, k := range all[1:] {
		k.mu.Lock()
		l := k.links[all[0].identity.ID()]
		k.mu.Unlock()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		k.s.Kick()
	}
	time.Sleep(300 * time.Millisecond) // for what one has and another has not
	for _, k := range all[1:] {
		k.meet(all[0])
	}
	for _, k := range all[1:] {
		k.await("the file", k.has("big.bin", text))
	}
}

// Who has brought something else is not asked again because it says then that it has nothing, or all.
func TestLacks(t *testing.T) {
	t.Parallel()
	a, b := p2p.ID{1}, p2p.ID{2}
	x := &fetch{tried: map[p2p.ID]bool{}}
	x.lacks(a, errNotHere)
	x.lacks(b, errOther)
	if !x.tried[a] || !x.partly[a] || !x.tried[b] || x.partly[b] {
		t.Errorf("tried %v, a part may be at %v", x.tried, x.partly)
	}
	x.lacks(a, errOther)
	x.lacks(a, errNotHere)
	x.lacks(b, errNotHere)
	if !x.tried[a] || !x.tried[b] || x.partly[a] || x.partly[b] {
		t.Errorf("tried %v, a part may be at %v", x.tried, x.partly)
	}
	u, _ := taking(noise(63, 1<<20))
	u.f, u.x = idle(0, 0), x
	c := &crowd{u: u, ctx: t.Context(), members: map[p2p.Link]*member{}}
	m := &member{link: linkOf{id: a}}
	c.turn(happening{m: m, what: whole})
	if m.s != nil || !x.tried[a] {
		t.Error("who has brought something else is asked because it says that it has all")
	}
}

// However often members come and go, only the last errors are kept.
func TestCrowdErrors(t *testing.T) {
	t.Parallel()
	c := &crowd{}
	for range 1000 {
		c.note(happening{m: &member{}, what: worked, err: errNotHere})
	}
	c.note(happening{m: &member{}, what: worked, err: errOther})
	if err := errors.Join(c.errs...); len(c.errs) != maxErrs || !errors.Is(err, errOther) {
		t.Errorf("%d errors are kept: %v", len(c.errs), err)
	}
}
