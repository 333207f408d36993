package picker

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// TestOneSource: a file comes from one source, each piece asked for once.
func TestOneSource(t *testing.T) {
	p := New(Options{Pieces: 1000, PieceLen: 64 << 10, Size: 999*64<<10 + 5, Seed: 1})
	p.Join(0, 7, Info{RTT: 20 * ms, Origin: true})
	p.HasAll(0, 7, nil)
	asked := map[int]int{}
	var waiting []int
	now := time.Duration(0)
	for !p.Done() {
		plan := p.Decide(now)
		for _, r := range plan.Ask {
			if r.Source != 7 {
				t.Fatalf("asked source %d", r.Source)
			}
			asked[r.Piece]++
			waiting = append(waiting, r.Piece)
		}
		if len(waiting) == 0 {
			t.Fatalf("at %v nothing is asked for and %d pieces are missing", now, p.Missing())
		}
		now += 5 * ms
		p.Arrived(now, 7, waiting[0])
		waiting = waiting[1:]
	}
	for piece := range 1000 {
		if asked[piece] != 1 {
			t.Errorf("piece %d was asked for %d times", piece, asked[piece])
		}
	}
	if plan := p.Decide(now); len(plan.Ask)+len(plan.Cancel) > 0 || plan.Wake != Never {
		t.Errorf("after the end: %+v", plan)
	}
	if p.Waste() != 0 {
		t.Errorf("waste: %d", p.Waste())
	}
}

// TestOwnSlice: of what only the origin has a downloader asks for its own slice first.
func TestOwnSlice(t *testing.T) {
	p := New(Options{Pieces: 100, PieceLen: 1 << 16, Size: 100 << 16, Seed: 3})
	p.Slice(2, 4)
	p.Join(0, 1, Info{RTT: 20 * ms, Origin: true})
	p.HasAll(0, 1, nil)
	now := time.Duration(0)
	var order []int
	for !p.Done() {
		for _, r := range p.Decide(now).Ask {
			order = append(order, r.Piece)
		}
		now += 10 * ms
		p.Arrived(now, 1, order[100-p.Missing()])
	}
	for i, piece := range order[:25] {
		if piece < 50 || piece >= 75 {
			t.Errorf("request %d is for piece %d, outside of the slice", i, piece)
		}
	}
}

// swarm is a picker with sources that have all.
func swarm(pieces int, infos ...Info) *Picker {
	p := New(Options{Pieces: pieces, PieceLen: 1 << 16, Size: int64(pieces) << 16, Seed: 5})
	for i, info := range infos {
		p.Join(0, Source(i), info)
		p.HasAll(0, Source(i), nil)
	}
	return p
}

// TestMirror: a server is asked for pieces side by side, whatever the others take.
func TestMirror(t *testing.T) {
	p := swarm(1000, Info{RTT: 20 * ms, Mirror: true}, Info{RTT: 20 * ms})
	asked := map[Source][]int{}
	now := time.Duration(0)
	next, runs, last := map[Source]int{}, 0, -2
	for len(asked[0]) < 200 {
		for _, r := range p.Decide(now).Ask {
			asked[r.Source] = append(asked[r.Source], r.Piece)
			if r.Source == 0 {
				if r.Piece != last+1 {
					runs++
				}
				last = r.Piece
			}
		}
		now += 5 * ms
		for s := range Source(2) {
			p.Arrived(now, s, asked[s][next[s]])
			next[s]++
		}
	}
	if runs > 40 {
		t.Errorf("200 pieces of a server came in %d runs", runs)
	}
}

// TestUrgent: what is read comes first, in order, and of the source that is fast.
func TestUrgent(t *testing.T) {
	p := swarm(1000, Info{RTT: 20 * ms}, Info{RTT: 200 * ms})
	p.Urgent(0, 1, 500, 999, 4)
	plan := p.Decide(0)
	for i := range 4 {
		if plan.Ask[i].Piece != 500+i {
			t.Errorf("request %d is for piece %d, want %d", i, plan.Ask[i].Piece, 500+i)
		}
	}
	if plan.Ask[0].Source != 0 {
		t.Errorf("the first piece is asked of the source that is far away")
	}
}

// TestReaderOnly: who only reads gets what is read, and nothing else.
func TestReaderOnly(t *testing.T) {
	p := New(Options{Pieces: 100, PieceLen: 1 << 16, Size: 100 << 16, Idle: true})
	p.Join(0, 1, Info{RTT: 20 * ms})
	p.HasAll(0, 1, nil)
	if plan := p.Decide(0); len(plan.Ask) > 0 || !p.Done() {
		t.Errorf("nobody reads, and %v is asked for", plan.Ask)
	}
	p.Urgent(0, 1, 10, 12, 8)
	for _, r := range p.Decide(0).Ask {
		if r.Piece < 10 || r.Piece > 12 {
			t.Errorf("piece %d is asked for", r.Piece)
		}
	}
	if p.Missing() != 3 {
		t.Errorf("%d are missing, want 3", p.Missing())
	}
	p.Urgent(0, 1, 0, 0, 0)
	if plan := p.Decide(0); len(plan.Cancel) != 3 || !p.Done() {
		t.Errorf("the reader has gone: %+v", plan)
	}
}

// TestSnubbed: what a silent source holds comes from another, within little more than two
// seconds, and the silent one is asked for one piece at most.
func TestSnubbed(t *testing.T) {
	p := swarm(100, Info{RTT: 20 * ms})
	silent := len(p.Decide(0).Ask)
	p.Join(0, 9, Info{RTT: 20 * ms})
	p.HasAll(0, 9, nil)
	now := time.Duration(0)
	var waiting []int
	for !p.Done() && now < 3*time.Second {
		plan := p.Decide(now)
		for _, r := range plan.Ask {
			if r.Source == 9 {
				waiting = append(waiting, r.Piece)
			}
		}
		if len(waiting) > 0 {
			now += 10 * ms
			p.Arrived(now, 9, waiting[0])
			waiting = waiting[1:]
			continue
		}
		now = plan.Wake
	}
	if !p.Done() {
		t.Errorf("%d of %d pieces of the silent source are missing after %v", p.Missing(), silent, now)
	}
}

// TestRefused: who refuses is left alone for a while, then asked again.
func TestRefused(t *testing.T) {
	p := swarm(1, Info{RTT: 20 * ms})
	p.Decide(0)
	p.Refused(0, 0, 0)
	plan := p.Decide(0)
	if len(plan.Ask) > 0 {
		t.Errorf("asked again at once")
	}
	for now := plan.Wake; now < 10*time.Second; now = plan.Wake {
		if plan = p.Decide(now); len(plan.Ask) == 1 {
			if now < time.Second {
				t.Errorf("the same piece again after %v", now)
			}
			return
		}
	}
	t.Error("never asked again")
}

// TestRefusedMany: who refuses one piece is asked for no other at once either; it has too much to do.
func TestRefusedMany(t *testing.T) {
	p := swarm(100, Info{RTT: 20 * ms})
	for _, r := range append([]Request(nil), p.Decide(0).Ask...) {
		p.Refused(0, 0, r.Piece)
	}
	plan := p.Decide(0)
	now := time.Duration(0)
	for len(plan.Ask) == 0 && now < time.Minute {
		now = plan.Wake
		plan = p.Decide(now)
	}
	if now < minBackoff || now > time.Minute {
		t.Errorf("asked again after %v", now)
	}
}

// TestBitmap: what is written is read, and nothing else.
func TestBitmap(t *testing.T) {
	b := NewBitmap(77)
	for _, i := range []int{0, 5, 63, 64, 76} {
		b.Set(i)
	}
	c, err := ParseBitmap(b.Bytes(), 77)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 80 {
		if b.Has(i) != c.Has(i) {
			t.Errorf("piece %d: %v, want %v", i, c.Has(i), b.Has(i))
		}
	}
	if c.Count() != 5 {
		t.Errorf("%d pieces, want 5", c.Count())
	}
	data := b.Bytes()
	data[9] |= 1 << 7
	if _, err := ParseBitmap(data, 77); err == nil {
		t.Error("a piece behind the last is read")
	}
	if _, err := ParseBitmap(data[:9], 77); err == nil {
		t.Error("a short bitmap is read")
	}
}

// TestManySilent: however many sources have all and say nothing, one that answers is asked at once.
func TestManySilent(t *testing.T) {
	p := swarm(100, make([]Info, 40)...)
	now := time.Duration(0)
	for ; now < time.Minute; now += 50 * ms {
		p.Decide(now)
	}
	p.Join(now, 99, Info{RTT: 20 * ms})
	p.HasAll(now, 99, nil)
	began := now
	asked := map[int]bool{}
	for !p.Done() {
		plan := p.Decide(now)
		for _, r := range plan.Cancel {
			if r.Source == 99 {
				delete(asked, r.Piece)
			}
		}
		for _, r := range plan.Ask {
			if r.Source == 99 {
				asked[r.Piece] = true
			}
		}
		now += 10 * ms
		for piece := range asked {
			delete(asked, piece)
			p.Arrived(now, 99, piece)
			break
		}
		if now-began > 10*time.Second {
			t.Fatalf("after ten seconds %d of 100 pieces are missing; one needs 10 ms", p.Missing())
		}
	}
}

// TestStanding: a source that has nothing which is missing is told from one that owes and one that is not needed.
func TestStanding(t *testing.T) {
	p := swarm(2, Info{RTT: 20 * ms})
	p.Join(0, 1, Info{RTT: 20 * ms})
	p.Has(0, 1, 0)
	p.Join(0, 2, Info{RTT: 20 * ms})
	p.Has(0, 2, 1)
	for now := time.Duration(0); now < time.Second; now += 50 * ms {
		p.Decide(now)
	}
	p.Arrived(time.Second, 3, 1)
	p.Decide(time.Second)
	got := map[Source]Standing{}
	for s := range Source(4) {
		got[s] = p.Standing(s)
	}
	spare, owing := 0, 0
	for _, s := range []Source{0, 1} {
		switch got[s] {
		case Spare:
			spare++
		case Owing:
			owing++
		}
	}
	if spare+owing != 2 || owing == 0 || got[2] != Barren || got[3] != Barren {
		t.Errorf("%v", got)
	}
	p.Arrived(time.Second, 3, 0)
	if p.Standing(0) != Barren || p.Standing(1) != Barren {
		t.Errorf("with all here: %v and %v", p.Standing(0), p.Standing(1))
	}
}
