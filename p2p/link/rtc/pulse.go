package rtc

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"
)

// quiet is how a node deals with peers that are silent.
type quiet struct {
	rest  time.Duration // after a sign of life, before the peer is asked for the next
	retry time.Duration // between two questions
	gone  time.Duration // after a sign of life: then the peer is gone
}

// silence makes a peer that is killed noticed 7 to 7.5 s after its last packet, with
// seven questions, of which one must be answered where packets get lost. A link
// without traffic costs two packets in 3.5 s.
var silence = quiet{rest: 3500 * time.Millisecond, retry: 500 * time.Millisecond, gone: 7 * time.Second}

// pulse knows whether a peer is alive and how far away it is. Any record that the peer
// has encrypted is a sign of life; it is asked for one by a HEARTBEAT of SCTP (RFC 9260,
// section 8.3), which its SCTP answers at once and without an acknowledgement.
type pulse struct {
	heard atomic.Bool   // since the last look
	tag   atomic.Uint32 // that the peer's SCTP wants to see

	mu    sync.Mutex // guards all that follows
	last  time.Time  // the last look that found a sign of life
	asked time.Time  // when a question was last asked
	rtt   time.Duration
	// The least round trip of the last window or two: near that of an idle path.
	least, older time.Duration
	turned       time.Time
}

// leastFor is after how long a round trip is forgotten, at the earliest.
const leastFor = 10 * time.Second

// verdict is what a look at a pulse says.
type verdict int

const (
	alive verdict = iota
	ask
	gone
)

// look is called every now and then. patient leaves the first questions to the peer.
func (p *pulse) look(q quiet, patient bool, now time.Time) verdict {
	heard := p.heard.Swap(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if heard || p.last.IsZero() {
		p.last = now
	}
	silent := now.Sub(p.last)
	rest := q.rest
	if patient {
		rest += 2 * q.retry
	}
	switch {
	case silent >= q.gone:
		return gone
	case silent >= rest && now.Sub(p.asked) >= q.retry/2:
		p.asked = now
		return ask
	}
	return alive
}

// answered takes a round trip. A sample weighs one eighth (RFC 6298, section 2).
func (p *pulse) answered(sample time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rtt == 0 {
		p.rtt = sample
	}
	p.rtt += (sample - p.rtt) / 8
	if now.Sub(p.turned) >= leastFor {
		p.older, p.least, p.turned = p.least, 0, now
	}
	if p.least == 0 || sample < p.least {
		p.least = sample
	}
}

// roundTrip returns the smoothed round trip, and the least of late; both are 0 while
// nothing is known.
func (p *pulse) roundTrip() (smoothed, least time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	least = p.least
	if p.older != 0 && p.older < least {
		least = p.older
	}
	return p.rtt, least
}

// alive reports whether there was a sign of life within d.
func (p *pulse) alive(d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard.Load() || time.Since(p.last) < d
}

// restart forgets the path: there is another one.
func (p *pulse) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rtt, p.least, p.older = 0, 0, 0
}

// watched is the net.Conn of an association of SCTP, with a pulse that sees all packets.
// Its heartbeats are its own: those of pion are empty in the version used here, and
// nobody answers them.
type watched struct {
	*secure
	pulse *pulse
}

// Read implements net.Conn.
func (w watched) Read(b []byte) (int, error) {
	n, err := w.secure.Read(b)
	if err != nil {
		return n, err
	}
	if !w.pulse.heard.Load() {
		w.pulse.heard.Store(true)
	}
	if sent, ok := heartbeatTime(b[:n]); ok {
		now := time.Now()
		if took := now.Sub(sent); took > 0 && took < time.Minute {
			w.pulse.answered(took, now)
		}
	}
	return n, nil
}

// Write implements net.Conn.
func (w watched) Write(b []byte) (int, error) {
	if len(b) >= sctpHeader {
		if tag := binary.BigEndian.Uint32(b[4:]); tag != w.pulse.tag.Load() {
			w.pulse.tag.Store(tag)
		}
	}
	return w.secure.Write(b)
}

// beat sends a HEARTBEAT.
func (w watched) beat(now time.Time) error {
	_, err := w.secure.Write(heartbeat(w.pulse.tag.Load(), now))
	return err
}

// Parts of SCTP packets (RFC 9260, section 3).
const (
	sctpPort          = 5000 // of both ends: RFC 8831, section 5
	sctpHeader        = 12
	chunkHeader       = 4
	parameterHeader   = 4
	chunkHeartbeat    = 4
	chunkHeartbeatAck = 5
	heartbeatInfo     = 1
	heartbeatSize     = sctpHeader + chunkHeader + parameterHeader + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// heartbeat is a HEARTBEAT for the association that the peer knows by tag. The answer
// repeats the time, and pion's SCTP takes the round trip from it as well.
func heartbeat(tag uint32, now time.Time) []byte {
	b := make([]byte, 0, heartbeatSize)
	b = binary.BigEndian.AppendUint16(b, sctpPort)
	b = binary.BigEndian.AppendUint16(b, sctpPort)
	b = binary.BigEndian.AppendUint32(b, tag)
	b = append(b, 0, 0, 0, 0) // the checksum
	b = append(b, chunkHeartbeat, 0)
	b = binary.BigEndian.AppendUint16(b, chunkHeader+parameterHeader+8)
	b = binary.BigEndian.AppendUint16(b, heartbeatInfo)
	b = binary.BigEndian.AppendUint16(b, parameterHeader+8)
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixNano()))
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, castagnoli))
	return b
}

// heartbeatTime reads the time from the answer to a heartbeat.
func heartbeatTime(packet []byte) (sent time.Time, ok bool) {
	if len(packet) < heartbeatSize || packet[sctpHeader] != chunkHeartbeatAck {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(packet[heartbeatSize-8:]))), true
}
