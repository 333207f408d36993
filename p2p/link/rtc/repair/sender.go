package repair

import "time"

// Bounds of what a Sender does for a peer.
const (
	// lease is for how long copies are kept after a Report.
	lease = 10 * time.Second
	// Repeated bytes are at most repeatShare of the new ones, and repeatRate per
	// second besides, for who sends little. maxAllowance may come at once: a round
	// trip's worth of losses is reported together.
	repeatShare  = 0.75
	repeatRate   = 32 << 10
	maxAllowance = 1 << 20
	// maxAsked is how often one record is repeated on demand.
	maxAsked = 10
	// maxTwins is how many copies go out at once.
	maxTwins = 3
	// A Head is due firstHead after the last record, then later and later.
	firstHead = 3 * time.Millisecond
	maxHeads  = 6
	// The first records are copied before anybody has asked: nothing comes after
	// them that would show their loss, and the handshake of SCTP waits for a second
	// for each. If nothing comes back for shyHead, which is longer than SCTP delays
	// an acknowledgement, a Head asks why.
	youngRecords = 32
	youth        = 10 * time.Second
	shyHead      = 300 * time.Millisecond
)

// Sender is the sending end of one direction. It keeps copies for as long as the
// peer wants it to. The zero value is ready.
//
// All times are since the begin of the connection.
type Sender struct {
	end       uint64        // one more than the highest number that was sent
	until     time.Duration // copies are wanted until then
	young     int           // records that are copied though nobody has asked
	copies    []record      // the one of number n is at n modulo the length; nil while none are kept
	from      uint64        // none of below here are kept
	known     uint64        // the peer knows of all numbers below
	allowance float64       // bytes that may be repeated
	credited  time.Duration // when repeatRate was last added
	stamps    stamps

	heads   int           // sent since the last record
	headDue time.Duration // of the next Head; 0 is never
}

// record is a copy of a record.
type record struct {
	n     uint64
	b     []byte
	asked int
}

// Begin keeps copies of the first records. Nothing was sent before.
func (s *Sender) Begin(now time.Duration) {
	s.young, s.copies, s.until = youngRecords, make([]record, youngRecords), now+youth
	s.allowance, s.credited = maxAllowance/16, now
}

// Want keeps copies for some time from now on: the peer asks for it, or else losses
// in the other direction make it likely that it would.
func (s *Sender) Want(now time.Duration) {
	if s.until = now + lease; len(s.copies) == Window {
		return
	}
	old := s.copies
	s.copies, s.young = make([]record, Window), 0
	for _, c := range old {
		if len(c.b) > 0 {
			s.copies[c.n%Window] = c
		}
	}
	if old == nil {
		s.from, s.known = s.end, s.end
		s.allowance, s.credited = maxAllowance/16, now
	}
}

// Keeping reports whether copies are kept.
func (s *Sender) Keeping() bool { return s.copies != nil }

// Answered says that a record has come from the peer.
func (s *Sender) Answered() {
	if s.young > 0 {
		s.headDue = 0
	}
}

// Pass says that the record n goes out. It is enough while no copies are kept.
func (s *Sender) Pass(n uint64) { s.end = max(s.end, n+1) }

// Keep says that the record n goes out, which is b, and copies it.
func (s *Sender) Keep(n uint64, b []byte, now time.Duration) {
	if !s.Keeping() {
		s.Pass(n)
		return
	}
	if now > s.until {
		s.Pass(n)
		s.forget()
		return
	}
	size := uint64(len(s.copies))
	c := &s.copies[n%size]
	c.n, c.asked, c.b = n, 0, append(c.b[:0], b...)
	if s.end == 0 {
		s.from, s.known = n, n
	}
	if s.end = max(s.end, n+1); s.end > size {
		s.from = max(s.from, s.end-size)
	}
	s.allow(repeatShare * float64(len(b)))
	s.heads, s.headDue = 0, now+firstHead
	if s.young > 0 {
		s.headDue = now + shyHead
		if s.young--; s.young == 0 {
			s.forget()
		}
	}
}

func (s *Sender) forget() { s.copies, s.headDue, s.heads, s.young = nil, 0, 0, 0 }

func (s *Sender) allow(n float64) { s.allowance = min(s.allowance+n, maxAllowance) }

// Heard takes a Report. It calls again for each record that is to be sent again,
// and returns an answer if the peer wants one.
func (s *Sender) Heard(m Message, now time.Duration, again func(b []byte)) (Message, bool) {
	if m.Kind != Report || !s.stamps.fresh(m.Stamp) {
		return Message{}, false
	}
	if m.Ask {
		s.Want(now)
	}
	if !s.Keeping() {
		return Message{}, false
	}
	s.allow(repeatRate * (now - s.credited).Seconds())
	s.credited = now
	s.known = max(s.known, min(m.End, s.end))
	if s.known == s.end {
		s.headDue = 0
	}
	for i := range m.Missing {
		for bits, n := m.Missing[i], m.Base+8*uint64(i); bits != 0; bits, n = bits>>1, n+1 {
			if bits&1 != 0 && n >= s.from && n < s.end {
				s.repeat(&s.copies[n%uint64(len(s.copies))], n, m.Once, again)
			}
		}
	}
	if !m.Ask {
		return Message{}, false
	}
	return s.head(m.Stamp, false, now), true
}

// repeat sends one record again. One that is asked for again was lost twice: it
// goes out in several copies, so that three rounds are nearly always enough even
// where every third is lost. That is dear only where much is lost, and is not done
// when the allowance is half spent.
func (s *Sender) repeat(c *record, n uint64, once bool, again func(b []byte)) {
	if c.n != n || len(c.b) == 0 || c.asked >= maxAsked {
		return
	}
	c.asked++
	for i := range min(c.asked, maxTwins) {
		if s.allowance < float64(len(c.b)) || i > 0 && (once || s.allowance < maxAllowance/32) {
			return
		}
		s.allowance -= float64(len(c.b))
		again(c.b)
	}
}

// Due returns the Head that is to be sent now, if one is.
func (s *Sender) Due(now time.Duration) (Message, bool) {
	if s.Keeping() && now > s.until {
		s.forget()
	}
	if s.headDue == 0 || now < s.headDue {
		return Message{}, false
	}
	s.heads++
	s.headDue = 0
	if s.heads < maxHeads {
		wait := firstHead
		if s.young > 0 {
			wait = shyHead / 3
		}
		for range s.heads {
			wait *= 3
		}
		s.headDue = now + wait
	}
	return s.head(0, true, now), true
}

func (s *Sender) head(echo uint64, ask bool, now time.Duration) Message {
	return Message{Kind: Head, Ask: ask, Stamp: s.stamps.next(now), Echo: echo, Base: s.from, End: s.end}
}

// Wake returns when Due is to be called next, or 0 if that is not needed.
func (s *Sender) Wake() time.Duration {
	switch {
	case !s.Keeping():
		return 0
	case s.headDue != 0:
		return min(s.headDue, s.until+1)
	}
	return s.until + 1
}

// stamps are those of the messages of one direction. The zero value is ready.
type stamps struct{ sent, seen uint64 }

// next returns the stamp of a message that is sent now.
func (t *stamps) next(now time.Duration) uint64 {
	t.sent = max(t.sent+1, uint64(now/time.Microsecond))
	return t.sent
}

// fresh takes a stamp if it is above all that were taken.
func (t *stamps) fresh(stamp uint64) bool {
	if stamp <= t.seen {
		return false
	}
	t.seen = stamp
	return true
}
