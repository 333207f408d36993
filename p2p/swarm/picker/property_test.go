package picker

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A model is what has to hold of a Picker whatever happens.
type model struct {
	t       *rapid.T
	p       *Picker
	now     time.Duration
	n       int
	sources map[Source]*modelled
	asked   map[Request]bool
	here    map[int]bool
	banned  map[Source]bool
	next    Source
	wanted  func(piece int) bool
}

type modelled struct {
	has   map[int]bool
	limit int
}

func (m *model) list() []Source {
	var list []Source
	for s := range m.sources {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

func (m *model) requests() []Request {
	var list []Request
	for r := range m.asked {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Request) int {
		if a.Source != b.Source {
			return int(a.Source) - int(b.Source)
		}
		return a.Piece - b.Piece
	})
	return list
}

func (m *model) drop(s Source) {
	delete(m.sources, s)
	for r := range m.asked {
		if r.Source == s {
			delete(m.asked, r)
		}
	}
}

func (m *model) join(info Info, full bool, have []int) Source {
	m.next++
	s := m.next
	m.p.Join(m.now, s, info)
	o := &modelled{has: map[int]bool{}, limit: info.Limit}
	m.sources[s] = o
	if full {
		m.p.HasAll(m.now, s, nil)
		for i := range m.n {
			o.has[i] = true
		}
		return s
	}
	b := NewBitmap(m.n)
	for _, i := range have {
		b.Set(i)
		o.has[i] = true
	}
	m.p.HasAll(m.now, s, b)
	return s
}

// decide checks a plan, and does what it says.
func (m *model) decide() Plan {
	t := m.t
	done := m.p.Done()
	plan := m.p.Decide(m.now)
	for _, r := range plan.Cancel {
		if m.sources[r.Source] != nil && !m.asked[r] {
			t.Fatalf("cancels %+v, which was not asked for", r)
		}
		delete(m.asked, r)
	}
	for _, r := range plan.Ask {
		s := m.sources[r.Source]
		switch {
		case done:
			t.Fatalf("asks for %+v when all is there", r)
		case s == nil:
			t.Fatalf("asks for %+v, and that source has left", r)
		case !s.has[r.Piece]:
			t.Fatalf("asks for %+v, which that source does not have", r)
		case m.asked[r]:
			t.Fatalf("asks for %+v twice", r)
		case m.here[r.Piece]:
			t.Fatalf("asks for %+v, which is here", r)
		case !m.wanted(r.Piece):
			t.Fatalf("asks for %+v, which is not wanted", r)
		}
		m.asked[r] = true
	}
	copies, of := map[int]int{}, map[Source]int{}
	for r := range m.asked {
		if copies[r.Piece]++; copies[r.Piece] > 1+Duplicates {
			t.Fatalf("piece %d is asked for %d times", r.Piece, copies[r.Piece])
		}
		of[r.Source]++
		if limit := m.sources[r.Source].limit; limit > 0 && of[r.Source] > limit {
			t.Fatalf("source %d is asked for %d pieces, and wants no more than %d", r.Source, of[r.Source], limit)
		}
		if m.here[r.Piece] {
			t.Fatalf("%+v is still asked for, and is here", r)
		}
	}
	m.consistent()
	return plan
}

// consistent counts again what a picker has counted on the way.
func (m *model) consistent() {
	t, p := m.t, m.p
	missing, apart, outstanding, stuck, risk := 0, 0, 0, 0, 0
	for i := range m.n {
		if p.here.has(i) != m.here[i] {
			t.Fatalf("piece %d: here is %v, want %v", i, p.here.has(i), m.here[i])
		}
		a, asked := p.asked[int32(i)]
		if p.wanted.has(i) && !m.here[i] {
			missing++
		}
		if open := p.wanted.has(i) && !m.here[i] && !asked; p.open.has(i) != open {
			t.Fatalf("piece %d: open is %v, want %v", i, p.open.has(i), open)
		}
		risk += max(int(a.n)-1, 0) * p.size(i)
		common := 0
		for _, s := range p.sources {
			if s.counted() && s.have.has(i) {
				common++
			}
		}
		if !m.here[i] && int(p.common[i]) != common {
			t.Fatalf("piece %d: %d sources have it, want %d", i, p.common[i], common)
		}
		for c := range p.classes {
			in := p.classes[c].words != nil && p.classes[c].has(i)
			if want := p.open.has(i) && classOf(p.common[i]) == c; in != want {
				t.Fatalf("piece %d: in class %d is %v, want %v", i, c, in, want)
			}
		}
	}
	n, full, origin := 0, 0, 0
	for _, s := range p.sources {
		if s.full && s.info.Origin && !s.info.Relayed {
			origin++
		} else if s.full && !s.info.Relayed {
			full++
		}
		owed := 0
		for _, a := range s.asks {
			if !m.asked[Request{s.number, int(a.piece)}] {
				t.Fatalf("source %d is not asked for piece %d", s.number, a.piece)
			}
			n++
			owed += p.size(int(a.piece))
		}
		if s.owed != owed {
			t.Fatalf("source %d owes %d bytes, want %d", s.number, s.owed, owed)
		}
		outstanding += owed
		if s.snubbed {
			stuck += owed
		}
		if s.info.Origin || s.info.Relayed {
			apart += len(s.asks)
		}
	}
	if p.full != full || p.origin != origin {
		t.Fatalf("%d sources and %d origins have all, want %d and %d", p.full, p.origin, full, origin)
	}
	if n != len(m.asked) || p.missing != missing || p.apart != apart || p.outstanding != int64(outstanding) || p.stuck != int64(stuck) || p.risk != int64(risk) {
		t.Fatalf("%d asked, %d missing, %d apart, %d outstanding, %d of them stuck, %d at risk; want %d, %d, %d, %d, %d, %d",
			n, p.missing, p.apart, p.outstanding, p.stuck, p.risk, len(m.asked), missing, apart, outstanding, stuck, risk)
	}
}

// TestWhateverHappens plays any events in any order. No plan is ever wrong, and in the end one
// good source is enough.
func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "pieces")
		pieceLen := rapid.SampledFrom([]int{1, 16 << 10, 1 << 20}).Draw(t, "pieceLen")
		size := int64(n-1)*int64(pieceLen) + int64(rapid.IntRange(0, pieceLen).Draw(t, "last"))
		m := &model{
			t: t, n: n, sources: map[Source]*modelled{}, asked: map[Request]bool{}, here: map[int]bool{}, banned: map[Source]bool{},
			wanted: func(int) bool { return true },
		}
		m.p = New(Options{Pieces: n, PieceLen: pieceLen, Size: size, Seed: rapid.Uint64().Draw(t, "seed")})
		piece := rapid.IntRange(0, n-1)
		info := rapid.Custom(func(t *rapid.T) Info {
			return Info{
				RTT:    time.Duration(rapid.IntRange(0, 300).Draw(t, "rtt")) * ms,
				Origin: rapid.Bool().Draw(t, "origin"), Relayed: rapid.Bool().Draw(t, "relayed"), Mirror: rapid.Bool().Draw(t, "mirror"),
				Limit: rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "limit"),
			}
		})
		some := func(do func(Request)) {
			if list := m.requests(); len(list) > 0 {
				do(list[rapid.IntRange(0, len(list)-1).Draw(t, "request")])
			}
		}
		one := func(do func(Source)) {
			if list := m.list(); len(list) > 0 {
				do(list[rapid.IntRange(0, len(list)-1).Draw(t, "source")])
			}
		}
		arrive := func(r Request) {
			delete(m.asked, r)
			m.here[r.Piece] = true
			m.p.Arrived(m.now, r.Source, r.Piece)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { m.decide() },
			"join": func(t *rapid.T) {
				if len(m.sources) < 12 {
					m.join(info.Draw(t, "info"), rapid.Bool().Draw(t, "full"), rapid.SliceOfN(piece, 0, n).Draw(t, "have"))
				}
			},
			"leave": func(*rapid.T) { one(func(s Source) { m.p.Leave(m.now, s); m.drop(s) }) },
			"has": func(t *rapid.T) {
				one(func(s Source) {
					i := piece.Draw(t, "piece")
					m.sources[s].has[i] = true
					m.p.Has(m.now, s, i, -1, n)
				})
			},
			"all":     func(*rapid.T) { one(func(s Source) { m.p.HasAll(m.now, s, nil); m.fill(s) }) },
			"wait":    func(t *rapid.T) { m.now += time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * ms },
			"arrived": func(*rapid.T) { some(arrive) },
			"many": func(*rapid.T) {
				for range 5 {
					some(arrive)
					m.p.Decide(m.now) // asks are checked by the next invariant only if they are noted
					m.resync()
				}
			},
			"part": func(t *rapid.T) {
				one(func(s Source) { m.p.Received(m.now, s, rapid.IntRange(0, 100000).Draw(t, "bytes")) })
			},
			"refused": func(*rapid.T) { some(func(r Request) { delete(m.asked, r); m.p.Refused(m.now, r.Source, r.Piece) }) },
			"late": func(t *rapid.T) { // what was cancelled comes nevertheless
				one(func(s Source) {
					if i := piece.Draw(t, "piece"); m.sources[s].has[i] {
						arrive(Request{s, i})
					}
				})
			},
			"bad": func(*rapid.T) {
				some(func(r Request) { m.p.Bad(m.now, r.Source, r.Piece); m.drop(r.Source); m.banned[r.Source] = true })
			},
			"again": func(*rapid.T) {
				for s := range m.banned {
					m.p.Join(m.now, s, Info{})
					m.p.HasAll(m.now, s, nil)
				}
			},
			"rtt":   func(t *rapid.T) { one(func(s Source) { m.p.RTT(m.now, s, time.Duration(piece.Draw(t, "ms"))*ms) }) },
			"slice": func(t *rapid.T) { m.p.Slice(rapid.IntRange(0, 3).Draw(t, "i"), 4) },
			"urgent": func(t *rapid.T) {
				m.p.Urgent(m.now, 1, piece.Draw(t, "first"), n, rapid.IntRange(0, 8).Draw(t, "ahead"))
			},
			"want": func(t *rapid.T) {
				a, b := piece.Draw(t, "from"), piece.Draw(t, "to")
				m.p.Want(m.now, Range{a, b})
				m.wanted = func(i int) bool { return m.p.wanted.has(i) }
			},
		})
		m.p.Want(m.now, All)
		m.finish()
	})
}

func (m *model) fill(s Source) {
	for i := range m.n {
		m.sources[s].has[i] = true
	}
}

// resync notes what is asked for after a plan that was not looked at.
func (m *model) resync() {
	m.asked = map[Request]bool{}
	for _, s := range m.p.sources {
		for _, a := range s.asks {
			m.asked[Request{s.number, int(a.piece)}] = true
		}
	}
}

// finish adds a good source to those that send nothing; it is busy at first. All is to be there soon.
func (m *model) finish() {
	good := m.join(Info{RTT: 10 * ms, Relayed: true}, true, nil)
	refusals := 5
	end := m.now + 3*time.Minute
	for {
		plan := m.decide()
		if m.p.Done() {
			break
		}
		if m.now > end {
			m.t.Fatalf("after three minutes with a good source %d pieces are missing", m.p.Missing())
		}
		var came []Request
		for _, r := range m.requests() {
			if r.Source == good {
				came = append(came, r)
			}
		}
		if len(came) == 0 {
			if plan.Wake == Never || plan.Wake <= m.now {
				m.t.Fatalf("%d pieces are missing, nothing is asked of the good source, and the next look is at %v; it is %v", m.p.Missing(), plan.Wake, m.now)
			}
			m.now = plan.Wake
			continue
		}
		m.now += 10 * ms
		for _, r := range came {
			delete(m.asked, r)
			if refusals > 0 {
				refusals--
				m.p.Refused(m.now, good, r.Piece)
				continue
			}
			m.here[r.Piece] = true
			m.p.Arrived(m.now, good, r.Piece)
		}
	}
	for i := range m.n {
		if !m.here[i] {
			m.t.Fatalf("done, and piece %d is not here", i)
		}
	}
	if plan := m.decide(); len(plan.Ask) > 0 {
		m.t.Fatalf("done, and asks for %v", plan.Ask)
	}
}
