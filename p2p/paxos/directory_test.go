package paxos

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/shoal-p2p/shoal/p2p"
)

// TestDirectoryGrows: hundreds of registers, found by people who see different members and
// come at the same time, are at one place each, also when pages are kept by others since.
func TestDirectoryGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(60)
		root := Root(p2p.ID{1}, config(t, 1, 2, 3))
		const registers = 200
		found := make([]map[string]bool, registers)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range byte(4) {
			client := NewClient(id(100+i), m, nil)
			client.SetSigner(mac(id(100 + i)))
			t.Cleanup(client.Close)
			d := directoryOf(client)
			wg.Go(func() {
				for n := range registers {
					c, err := d.Locate(t.Context(), root, p2p.Key{byte(n), 1}, []p2p.ID{id(10 + 3*i), id(11 + 3*i), id(12 + 3*i)})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if found[n] == nil {
						found[n] = map[string]bool{}
					}
					found[n][fmt.Sprint(c)] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for n, c := range found {
			if len(c) != 1 {
				t.Errorf("register %d has %d configurations", n, len(c))
			}
		}
		client := NewClient(id(99), m, nil)
		client.SetSigner(mac(id(99)))
		t.Cleanup(client.Close)
		d := directoryOf(client)
		// The page of a register below others, and the register, get other acceptors.
		var last p2p.Key
		var at Place
		for n := range registers {
			page, _, err := d.walk(t.Context(), root, p2p.Key{byte(n), 1}, d.read)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.digits) > len(at.digits) {
				last, at = p2p.Key{byte(n), 1}, page
			}
		}
		if len(at.digits) < 2 {
			t.Fatalf("%d registers are at most %d pages below the root", registers, len(at.digits))
		}
		move := func(key p2p.Key, c Config, to ...p2p.ID) Config {
			t.Helper()
			r, err := client.Open(key, c)
			if err != nil {
				t.Fatal(err)
			}
			next, err := r.Replace(t.Context(), func(Config) ([]p2p.ID, error) { return to, nil })
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		pageNow := move(at.Key, at.Config, id(50), id(51), id(52))
		_, c, err := d.walk(t.Context(), root, last, d.read)
		if err != nil {
			t.Fatal(err)
		}
		now := move(last, c, id(53))
		if err := errors.Join(d.NotePage(t.Context(), at, pageNow), d.Note(t.Context(), root, last, now)); err != nil {
			t.Fatal(err)
		}
		fresh := directoryOf(client)
		got, err := fresh.Locate(t.Context(), root, last, []p2p.ID{id(1)})
		if err != nil || !got.Equal(now) {
			t.Errorf("it is at %v, %v, want %v", got, err, now)
		}
		if page, _, err := fresh.walk(t.Context(), root, last, fresh.read); err != nil || !page.Config.Equal(pageNow) {
			t.Errorf("its page is at %+v, %v", page, err)
		}
	})
}

// full returns a page that is as large as can be.
func full() Page {
	largest := Config{Epoch: 1 << 63}
	for i := range byte(MaxAcceptors) {
		largest.Acceptors = append(largest.Acceptors, id(1+i))
		largest.Joint = append(largest.Joint, id(20+i))
		largest.Lives, largest.JointLives = append(largest.Lives, 1+i), append(largest.JointLives, i)
	}
	var p Page
	for i := range byte(pageEntries) {
		p.Entries = append(p.Entries, Entry{p2p.Key{1 + i}, largest})
	}
	for range pageChildren {
		p.Children = append(p.Children, largest)
	}
	return p
}

// TestPageFits: no page is larger than a register may be, whatever its acceptors become.
func TestPageFits(t *testing.T) {
	b, err := full().Encode()
	if err != nil || len(b) > MaxData {
		t.Errorf("%d bytes, at most %d, %v", len(b), MaxData, err)
	}
	var p Page
	if err := p.Decode(b); err != nil || fmt.Sprint(p) != fmt.Sprint(full()) {
		t.Errorf("it comes back as %v, %v", p, err)
	}
}

// FuzzPage: what is no page is refused, and every page has one form.
func FuzzPage(f *testing.F) {
	whole, err := full().Encode()
	if err != nil {
		f.Fatal(err)
	}
	some, err := Page{Entries: full().Entries[:2]}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range [][]byte{nil, {0, 0}, whole, some, whole[:100], {1, 2, 3}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Page
		if err := p.Decode(b); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
			return
		}
		again, err := p.Encode()
		if err != nil || len(b) > 0 && !bytes.Equal(again, b) {
			t.Errorf("%x becomes %x, %v", b, again, err)
		}
	})
}
