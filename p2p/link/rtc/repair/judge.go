package repair

import "time"

// congested decides whether a path loses because a queue on it is full.
//
// A loss is taken for random, which repair may hide from SCTP, when it comes
// without what congestion brings: a round trip time that has grown, because the
// queue in front of the narrowest place is long; or, where that queue is short, a share of
// losses that grows with what is sent. A path that loses at random loses the same
// share at all times, also when little is sent, so both are compared with their
// minima of the last minute.
//
// 20 ms are what busy computers and radio networks add without a queue. 2 % are
// the loss that BBR accepts (draft-ietf-ccwg-bbr, BBR.LossThresh): a flow that is
// repaired takes no more from its neighbours than one of BBR does.
func congested(rtt, leastRTT time.Duration, loss, leastLoss float64) bool {
	return rtt > 2*leastRTT+20*time.Millisecond || loss > 2*leastLoss+0.02
}

// The share of losses is measured over so many records that it is not all chance:
// of 1000, 10 % are 10 ± 1.
const (
	periodLength  = 100 * time.Millisecond
	periodRecords = 1000
	// fewRecords are enough to see that less sending has not helped.
	fewRecords = 200
)

// judge keeps what congested needs. The zero value is ready.
type judge struct {
	smoothed, spread time.Duration // of the round trip time; 0 is unknown
	samples          int

	rtt     least[time.Duration]
	current time.Duration // smallest round trip time of this period; 0 is unknown
	recent  time.Duration // of the last one
	renewed time.Duration // when this period began

	loss    least[float64]
	share   float64 // of the last measurement
	records int     // of this measurement
	lost    int
	since   time.Duration

	heavy      bool    // the share was judged to be too large
	heavyRate  float64 // records per second then
	heavyShare float64
}

// seed takes what was seen before anything was measured: lost records after so
// many that came.
func (j *judge) seed(clean uint64, lost int, now time.Duration) {
	j.since, j.renewed = now, now
	if clean >= fewRecords/2 {
		j.loss.add(float64(lost)/float64(clean+uint64(lost)), now)
	}
}

// sample takes a measured round trip time (RFC 6298).
func (j *judge) sample(rtt, now time.Duration) {
	if j.samples++; j.smoothed == 0 {
		j.smoothed, j.spread = rtt, rtt/2
	} else {
		j.spread += ((j.smoothed - rtt).Abs() - j.spread) / 4
		j.smoothed += (rtt - j.smoothed) / 8
	}
	if j.current == 0 || rtt < j.current {
		j.current = rtt
	}
	j.rtt.add(rtt, now)
}

// count takes how many records were expected, and how many were lost, since the
// last call.
func (j *judge) count(records, lost int, now time.Duration) {
	j.records += records
	j.lost += lost
	if now-j.renewed >= periodLength {
		// A queue is long if the round trip was never short: single ones are long
		// for many reasons.
		j.renewed, j.recent, j.current = now, j.current, 0
	}
	if j.records >= periodRecords || j.heavy && j.records >= fewRecords {
		j.measure(now)
	}
}

// measure takes the share of losses. If a share that was too large has stayed while
// much less was sent, then it does not come from what this flow sends.
func (j *judge) measure(now time.Duration) {
	if now-j.since < periodLength {
		return
	}
	j.share = float64(j.lost) / float64(j.records)
	rate := float64(j.records) / (now - j.since).Seconds()
	if j.heavy && rate < j.heavyRate/8 && j.share > j.heavyShare*3/4 {
		j.loss = least[float64]{}
	}
	j.loss.add(j.share, now)
	heavy := congested(0, 0, j.share, j.loss.value())
	if heavy && (!j.heavy || rate > j.heavyRate) {
		j.heavyRate, j.heavyShare = rate, j.share
	}
	j.heavy = heavy
	j.since, j.records, j.lost = now, 0, 0
}

// congested is the verdict on the path as it is now.
func (j *judge) congested() bool {
	return congested(j.recent, j.rtt.value(), j.share, j.loss.value())
}

// least is the smallest value of the last minute, more or less.
type least[T time.Duration | float64] struct {
	old, young T
	any        bool
	since      time.Duration
}

func (l *least[T]) add(v T, now time.Duration) {
	switch {
	case !l.any:
		l.old, l.young, l.any, l.since = v, v, true, now
	case now-l.since > 30*time.Second:
		l.old, l.young, l.since = l.young, v, now
	default:
		l.young = min(l.young, v)
	}
}

func (l *least[T]) value() T { return min(l.old, l.young) }
