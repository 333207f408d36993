package picker

import (
	"math"
	"slices"
	"time"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// A source is what a picker knows about one.
type source struct {
	number Source
	info   Info
	full   bool  // it has all; have says nothing then
	have   index // what it has of the pieces that were not here when it said so
	gone   bool

	asks  []ask // in the order of asking
	owed  int   // bytes of asks
	ahead int   // bytes that came of asks which have not arrived

	rate     meter
	metered  time.Duration // up to when rate was measured
	rtt      roundTrip
	answer   deviation // from asking to arrival, of a piece
	heard    time.Duration
	arrivals int

	snubbed  bool
	backoff  time.Duration
	until    time.Duration // when it may be asked again
	refusals []refusal

	listed bool // in ready
	dry    bool // it has nothing that nobody is asked for
	run    int  // of a mirror: the piece behind the last that it was asked for
}

// Standing says what a source is good for.
type Standing uint8

// Standings of a source.
const (
	Barren Standing = iota // it has nothing that is wanted and not here, or is none
	Owing                  // it is asked for something, or was lately and has not sent it
	Spare                  // it has something that is missing, and is not asked for it
)

// Standing returns it.
func (p *Picker) Standing(number Source) Standing {
	s := p.byNumber[number]
	switch {
	case s == nil:
		return Barren
	case len(s.asks) > 0, s.snubbed, len(s.refusals) > 0:
		return Owing
	case s.full && p.missing > 0, !s.full && p.lacks(&s.have):
		return Spare
	}
	return Barren
}

// lacks reports whether a set has a piece that is wanted and not here.
func (p *Picker) lacks(have *index) bool {
	for i, w := range have.words {
		if w&p.wanted.words[i]&^p.here.words[i] != 0 {
			return true
		}
	}
	return false
}

type ask struct {
	piece int32
	at    time.Duration
}

type refusal struct {
	piece int
	until time.Duration
}

// rank orders sources: who is asked first for what several have.
func (s *source) rank() int {
	switch {
	case s.info.Relayed:
		return 2
	case s.info.Origin && s.full:
		return 1
	}
	return 0
}

// counted reports whether what a partial source has makes pieces common.
func (s *source) counted() bool { return !s.full && !s.info.Relayed }

func (s *source) has(piece int) bool { return s.full || s.have.has(piece) }

func (s *source) refused(piece int) bool {
	return slices.ContainsFunc(s.refusals, func(r refusal) bool { return r.piece == piece })
}

func (s *source) find(piece int) int {
	for i := range s.asks {
		if int(s.asks[i].piece) == piece {
			return i
		}
	}
	return -1
}

// A meter measures a rate over about 1 s and about 10 s, weighing what is longer ago less:
// exponentially weighted sums of bytes and of time.
type meter struct {
	bytes, span [2]float64
}

var constants = [2]float64{1, 10} // seconds

func (m *meter) add(bytes int, dt time.Duration) {
	for i, c := range constants {
		if dt > 0 {
			k := math.Exp(-dt.Seconds() / c)
			m.bytes[i] *= k
			m.span[i] = m.span[i]*k + c*(1-k)
		}
		m.bytes[i] += float64(bytes)
	}
}

func (m *meter) known() bool { return m.span[0] > 0 && m.bytes[1] > 0 }

// rates are bytes in a second, over the short and over the long time.
func (m *meter) rates() (short, long float64) {
	if m.span[0] <= 0 {
		return 0, 0
	}
	return m.bytes[0] / m.span[0], m.bytes[1] / m.span[1]
}

// receive measures the rate; only time in which a source is asked for something counts.
func (s *source) receive(now time.Duration, bytes int) {
	if len(s.asks) > 0 && now > s.metered {
		s.rate.add(bytes, now-s.metered)
	} else if bytes > 0 && s.rate.span[0] > 0 {
		s.rate.add(bytes, 0)
	}
	s.metered = max(s.metered, now)
}

// A deviation is a mean and a mean deviation as of RFC 6298.
type deviation struct {
	mean, dev time.Duration
}

func (d *deviation) add(x time.Duration) {
	if d.mean == 0 {
		d.mean, d.dev = x, x/2
		return
	}
	off := x - d.mean
	d.mean += off / 8
	if off < 0 {
		off = -off
	}
	d.dev += (off - d.dev) / 4
}

func (s *source) answered(d time.Duration) { s.answer.add(d) }

// A roundTrip is the least of the last 10 to 20 s, and how much it deviates.
type roundTrip struct {
	deviation
	least, before time.Duration
	since         time.Duration
}

func (r *roundTrip) add(now, d time.Duration) {
	r.deviation.add(d)
	if now-r.since > 10*time.Second {
		r.before, r.least, r.since = r.least, 0, now
	}
	if r.least == 0 || d < r.least {
		r.least = d
	}
}

// min is the least round trip, or a guess.
func (r *roundTrip) min() time.Duration {
	switch {
	case r.least == 0 && r.before == 0:
		return 50 * time.Millisecond
	case r.least == 0:
		return r.before
	case r.before == 0:
		return r.least
	}
	return min(r.least, r.before)
}

// speed is the goodput that is expected of a source, in bytes in a second.
func (p *Picker) speed(s *source) float64 {
	if s.rate.known() {
		short, long := s.rate.rates()
		if long < 2*float64(p.o.PieceLen) { // a second tells little
			return max(long, 1)
		}
		return max((short+long)/2, 1)
	}
	if p.typical > 0 {
		return p.typical
	}
	return 256 << 10
}

// eta is how long it takes until a source has sent what it is asked for and extra bytes more.
func (p *Picker) eta(s *source, extra int) time.Duration {
	if s.snubbed {
		return time.Hour
	}
	bytes := max(s.owed-s.ahead, 0) + extra
	return s.rtt.min() + seconds(float64(bytes)/p.speed(s))
}

func seconds(x float64) time.Duration {
	return time.Duration(min(x, 3600) * float64(time.Second))
}

// room is how many bytes more a source may be asked for.
//
// Its window is 1.5 times what it sends in a round trip and 50 ms: enough that it does not wait
// for the next request, also when it becomes half as fast again, and little enough that what
// it is asked for is not missed if it goes.
func (p *Picker) room(s *source) int {
	if s.snubbed {
		if len(s.asks) > 0 {
			return 0
		}
		return 1
	}
	if s.info.Limit > 0 && len(s.asks) >= s.info.Limit {
		return 0
	}
	if !s.rate.known() || s.arrivals == 0 {
		return cold(p.o.PieceLen) - s.owed
	}
	short, long := s.rate.rates()
	g := max(short, long)
	w := int(1.5 * g * (s.rtt.min() + 50*time.Millisecond).Seconds())
	least := 2
	if float64(p.o.PieceLen) > g {
		least = 1 // a piece takes more than a second
	}
	if s.info.Mirror {
		w = max(w, int(min(g, 8<<20)), least*p.o.PieceLen)
	}
	return max(w, least*p.o.PieceLen) - s.owed
}

// cold is the window of a source of which nothing has come yet: 256 KiB, but two to four pieces.
func cold(pieceLen int) int {
	return min(max(256<<10, 2*pieceLen), 4*pieceLen)
}

// patience is how long a source may send nothing before it is snubbed: 2 s, or four round trips
// and four deviations, or what it usually takes and four deviations, or twice what all that is
// asked for takes: where much waits, nobody is to blame for waiting.
func (p *Picker) patience(s *source) time.Duration {
	d := max(2*time.Second, 4*s.rtt.min()+4*s.rtt.dev)
	if s.answer.mean > 0 {
		d = max(d, min(s.answer.mean+4*s.answer.dev, 30*time.Second))
	}
	if short, _ := p.rate.rates(); short > 0 {
		d = max(d, min(2*p.outstandingTime(), 10*time.Second))
	}
	return d
}
