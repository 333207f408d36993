package repair

import "time"

const (
	never = time.Duration(1<<63 - 1)
	// unknownRTT is assumed until one was measured.
	unknownRTT = 50 * time.Millisecond
	// A record is lost if it has not come for as long as others are overtaken on
	// this path: an eighth of a round trip, and more where that was too short.
	leastReorder   = time.Millisecond
	mostReorder    = 50 * time.Millisecond
	unknownReorder = 5 * time.Millisecond
	// enoughSamples of the round trip time are needed to know its minimum.
	enoughSamples = 16
	// What is behind a gap is held for six rounds of repair, within these limits;
	// where two rounds take longer, for two. SCTP's own timer is a second.
	leastHold = 100 * time.Millisecond
	mostHold  = 400 * time.Millisecond
	limitHold = 600 * time.Millisecond
	// maxTries is how often one record is asked for.
	maxTries = 8
	// renewal is how often the peer is told to keep copies.
	renewal = lease / 3
	// Repair ends when no record was lost for a long time, or less than one in
	// rare for a shorter one, if there were many. It begins at losses that are not
	// rare.
	longQuiet = 30 * time.Second
	someQuiet = 10 * time.Second
	rare      = 1000
	// settled is how long records that were only overtaken are looked after.
	settled = time.Second
	// resync is how many records in order, far from what is expected, are believed.
	resync = 8
)

// Receiver is the receiving end of one direction. The zero value is ready.
//
// All times are since the begin of the connection, and above 0.
type Receiver struct {
	next   uint64 // all below were handed on, or are not waited for; 0 is before the first record
	first  uint64 // where the numbers began, as far as is known
	clean  uint64 // records since the last loss, while nothing is repaired
	far    uint64 // the last record far from next
	fars   int
	stamps stamps
	w      *window // nil while nothing is lost
}

// window is what a Receiver knows while it repairs.
type window struct {
	slots    [Window]slot
	handed   uint64        // all below were released
	end      uint64        // one more than the highest number that came, or that the peer told
	came     uint64        // one more than the highest number that came
	copies   uint64        // the peer has copies from here on
	known    bool          // it has told copies
	patience time.Duration // for records that are overtaken, besides what the round trip time gives
	judge    judge
	opened   time.Duration
	asking   bool          // a loss was seen: the peer is to keep copies
	asked    time.Duration // when the last Report went out
	renew    time.Duration // when the next one is due at the latest
	signal   time.Duration // when a loss was last left to SCTP
	lastLoss time.Duration
	since    time.Duration // of the counts that follow
	records  int
	lost     int
	answer   uint64        // Stamp of a Head that wants an answer; 0: none
	due      time.Duration // Due has nothing to do before
}

type state uint8

const (
	missing state = iota
	here
	gone // not waited for
)

type slot struct {
	state   state
	tries   uint8
	noticed time.Duration
	asked   time.Duration
}

// Asking reports whether records were lost lately, so that the peer is to keep
// copies.
func (r *Receiver) Asking() bool { return r.w != nil && r.w.asking }

// Pass takes the record n if it is the next one and nothing is being repaired. It
// is all that happens on a path that loses nothing.
func (r *Receiver) Pass(n uint64) bool {
	if r.w != nil || n != r.next || n == 0 {
		return false
	}
	r.next++
	r.clean++
	return true
}

// Repairing reports whether records may be held back.
func (r *Receiver) Repairing() bool { return r.w != nil }

// Arrive takes the record n, which Pass has not taken. If hold is true, the caller
// keeps it until Release names its number; if it has another of this number
// already, it drops the new one if that is the same, and else hands it on.
// Without hold the record is handed on at once, in front of what Release names.
func (r *Receiver) Arrive(n uint64, now time.Duration) (hold bool) {
	if r.next == 0 && n > 1 && n <= youngRecords {
		r.first, r.next = 1, 1 // the handshake has used 0
	}
	switch {
	case r.next == 0:
		r.first, r.next = n, n+1
		return false
	case n+Window < r.next || n >= r.next+Window && !r.slide(n):
		r.jump(n)
		return false
	case n < r.next:
		return false
	case r.w == nil:
		lost := n - r.next
		if lost*rare < r.clean {
			r.next, r.clean = n+1, 0
			return false
		}
		r.open(now)
		r.w.judge.seed(r.clean, int(lost), now)
	}
	w := r.w
	s := w.slot(n)
	switch {
	case n >= w.end:
		w.extend(n, now)
		w.end = n + 1
		*s = slot{state: here}
		w.judge.count(1, 0, now)
		w.records++
	case s.state == here:
		return true
	case s.state == gone:
		return false
	default:
		w.overtaken(s, now)
		s.state = here
	}
	w.came = max(w.came, n+1)
	if n == r.next {
		r.next++
		return false
	}
	w.due = min(w.due, now+w.reorder())
	return true
}

// slide makes room for the record n, which comes soon after the last one, but too
// long after the first that is waited for.
func (r *Receiver) slide(n uint64) bool {
	w := r.w
	if w == nil || n >= w.end+Window/2 {
		return false
	}
	for ; r.next+Window <= n; r.next++ {
		if r.next >= w.end {
			*w.slot(r.next) = slot{}
			w.end = r.next + 1
		}
		w.slot(r.next).state = gone
	}
	return true
}

// jump takes a record that is far from what is expected. After an outage all are.
func (r *Receiver) jump(n uint64) {
	if n != r.far+1 {
		r.fars = 0
	}
	r.far = n
	if r.fars++; r.fars < resync {
		return
	}
	r.fars, r.first, r.next, r.clean = 0, 0, n+1, 0
	if w := r.w; w != nil {
		w.end, w.came = r.next, r.next
	}
}

func (r *Receiver) open(now time.Duration) {
	w := &window{
		handed: r.next, end: r.next, came: r.next, opened: now, since: now, due: never,
		// Of the first ones the peer has copies without being asked.
		known: r.next < r.first+youngRecords, copies: r.first,
	}
	r.w = w
}

func (w *window) slot(n uint64) *slot { return &w.slots[n%Window] }

// extend notices that all from end to n, exclusive, have not come.
func (w *window) extend(n uint64, now time.Duration) {
	for ; w.end < n; w.end++ {
		*w.slot(w.end) = slot{noticed: now}
		w.judge.count(1, 0, now)
		w.records++
		w.due = min(w.due, now+w.reorder())
	}
}

// overtaken learns from a record that came late. One that comes sooner after it was
// asked for than an answer can was not lost.
func (w *window) overtaken(s *slot, now time.Duration) {
	if s.tries == 1 && w.judge.samples >= enoughSamples && now-s.asked < w.judge.rtt.value()*3/4 {
		w.patience = min(2*w.reorder(), mostReorder)
	}
}

// reorder is how late a record may be before it is taken for lost.
func (w *window) reorder() time.Duration {
	if w.judge.smoothed == 0 {
		return unknownReorder
	}
	return min(max(w.judge.smoothed/8, leastReorder)+w.patience, mostReorder)
}

// Release returns the numbers from first to last, exclusive, which are not waited
// for any more: those of them that are held are handed on, in this order.
func (r *Receiver) Release(now time.Duration) (first, last uint64) {
	w := r.w
	if w == nil {
		return r.next, r.next
	}
	for r.next < w.end {
		s := w.slot(r.next)
		if s.state == missing {
			if !w.hopeless(r.next, s, now) {
				break
			}
			if s.tries == 0 {
				w.loss(now)
			}
			s.state = gone
		}
		r.next++
	}
	first, last = w.handed, min(r.next, w.handed+Window)
	w.handed = r.next
	return first, max(first, last)
}

// hopeless reports whether the record n, which is missing, is not waited for.
func (w *window) hopeless(n uint64, s *slot, now time.Duration) bool {
	waited := now - s.noticed
	switch {
	case waited < w.reorder():
		return false
	case !w.known || n < w.copies:
		return true
	case s.tries >= maxTries && now-s.asked > w.round():
		return true
	}
	return waited > w.hold()
}

// round is how long an answer to a Report takes at most, nearly always.
func (w *window) round() time.Duration {
	if w.judge.smoothed == 0 {
		return unknownRTT
	}
	return w.judge.smoothed + max(2*w.judge.spread, w.judge.smoothed/8) + time.Millisecond
}

func (w *window) hold() time.Duration {
	d := min(max(6*w.round()+w.reorder(), leastHold), mostHold)
	return min(max(d, 2*w.round()+w.reorder()), limitHold)
}

// loss counts a record as lost.
func (w *window) loss(now time.Duration) {
	w.lastLoss, w.asking = now, true
	w.lost++
	w.judge.count(0, 1, now)
}

// Heard takes a Head.
func (r *Receiver) Heard(m Message, now time.Duration) {
	if m.Kind != Head || !r.stamps.fresh(m.Stamp) {
		return
	}
	if r.w == nil && !m.Ask {
		return
	}
	if r.next == 0 {
		r.first, r.next = m.Base, m.Base // the first that the peer has ever sent
	}
	if r.w == nil {
		r.open(now)
	}
	w := r.w
	w.known, w.copies = true, m.Base
	if at := time.Duration(m.Echo) * time.Microsecond; m.Echo != 0 && m.Echo <= r.stamps.sent && at < now {
		w.judge.sample(now-at, now)
		w.renew = at + renewal
		w.patience -= w.patience / 64
	}
	if m.End > w.end {
		w.extend(min(m.End, r.next+Window), now)
	}
	if m.Ask {
		w.answer, w.due = m.Stamp, 0
	}
}

// Due returns the Report that is to be sent now, if one is.
func (r *Receiver) Due(now time.Duration) (Message, bool) {
	w := r.w
	if w == nil || now < w.due {
		return Message{}, false
	}
	if r.quiet(now) {
		r.w, r.clean = nil, 0
		return Message{}, false
	}
	m := Message{Kind: Report, Base: r.next, End: w.came, Echo: w.answer}
	if w.asked != 0 && w.answer == 0 && now < w.asked+w.pace() {
		w.due = w.asked + w.pace()
		return Message{}, false
	}
	w.due = never
	r.want(&m, now)
	if w.asking && now >= w.renew {
		m.Ask = true
	}
	if !m.Ask && w.answer == 0 {
		w.later(now)
		return Message{}, false
	}
	w.answer, w.asked = 0, now
	m.Stamp, m.Once = r.stamps.next(now), w.judge.congested()
	if m.Ask {
		w.renew = now + min(w.round(), renewal) // unless an answer comes
	}
	w.later(now)
	return m, true
}

// pace is the time between two Reports.
func (w *window) pace() time.Duration { return max(time.Millisecond, w.judge.smoothed/8) }

// later sets due to when something is to be done that is not about a single record.
func (w *window) later(now time.Duration) {
	if w.asking {
		w.due = min(w.due, w.renew)
	} else {
		w.due = min(w.due, w.opened+settled)
	}
	w.due = max(w.due, now+1)
}

// want writes into m what is to be asked for now.
func (r *Receiver) want(m *Message, now time.Duration) {
	w := r.w
	for n := r.next; n < w.end; n++ {
		s := w.slot(n)
		if s.state != missing {
			continue
		}
		at := s.noticed + w.reorder()
		if s.tries > 0 {
			at = s.asked + w.round()
		}
		if now < at || s.tries >= maxTries {
			w.due = min(w.due, max(at, now+1))
			continue
		}
		if s.tries == 0 {
			w.loss(now)
			if w.leave(now) {
				s.state, s.tries = gone, 1
				continue
			}
		}
		if !w.known || n < w.copies {
			s.tries = max(s.tries, 1)
			continue
		}
		s.tries, s.asked = s.tries+1, now
		w.due = min(w.due, now+w.round())
		m.Ask = true
		i := n - m.Base
		for uint64(len(m.Missing)) <= i/8 {
			m.Missing = append(m.Missing, 0)
		}
		m.Missing[i/8] |= 1 << (i % 8)
	}
}

// leave reports whether a loss is to be left to SCTP, so that it sends less: one in
// each round trip of a congested path.
func (w *window) leave(now time.Duration) bool {
	if !w.judge.congested() || w.signal != 0 && now-w.signal < max(w.judge.smoothed, 20*time.Millisecond) {
		return false
	}
	w.signal = now
	return true
}

// quiet reports whether there is nothing to repair any more.
func (r *Receiver) quiet(now time.Duration) bool {
	w := r.w
	if r.next != w.end || w.handed != r.next || w.answer != 0 {
		return false
	}
	if !w.asking {
		return now-w.opened >= settled
	}
	if now-w.lastLoss >= longQuiet {
		return true
	}
	if now-w.since < someQuiet {
		return false
	}
	few := w.records >= rare && w.lost*rare < w.records
	w.since, w.records, w.lost = now, 0, 0
	return few
}

// Wake returns when Due and Release are to be called next, or 0 if that is not
// needed.
func (r *Receiver) Wake(now time.Duration) time.Duration {
	w := r.w
	if w == nil {
		return 0
	}
	at := w.due
	if r.next < w.end {
		// The first record that is waited for ends its wait without a Report.
		s := w.slot(r.next)
		until := s.noticed + w.hold()
		if !w.known || r.next < w.copies {
			until = s.noticed + w.reorder()
		}
		at = min(at, until+1)
	}
	return max(at, now+1)
}
