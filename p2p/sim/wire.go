package sim

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// packet is the unit of loss, in bytes.
const packet = 1200

// wire is one connection of two nodes: two ends, each a link.Carrier.
type wire struct {
	network *Network
	key     pairKey
	ends    [2]*end
}

// end is one end of a wire. It receives from in what the other end sends.
type end struct {
	wire   *wire
	self   p2p.ID
	other  *end
	in     [link.Channels]pipe
	road   road // towards this end
	local  netip.AddrPort
	remote netip.AddrPort
	finger [32]byte
	since  time.Time
	sent   atomic.Uint64
	got    atomic.Uint64
	once   sync.Once
}

var _ link.Carrier = (*end)(nil)

func newWire(n *Network, key pairKey, a, b *Transport, r *rand.Rand) *wire {
	w := &wire{network: n, key: key}
	for i, t := range []*Transport{a, b} {
		e := &end{wire: w, self: t.id, local: t.addr, since: time.Now()}
		e.road.options = n.options
		for j := range e.finger {
			e.finger[j] = byte(r.Uint32())
		}
		for ch := range e.in {
			e.in[ch].init(&e.road, ch, rand.New(rand.NewPCG(r.Uint64(), r.Uint64())))
		}
		w.ends[i] = e
	}
	w.ends[0].other, w.ends[1].other = w.ends[1], w.ends[0]
	w.ends[0].remote, w.ends[1].remote = b.addr, a.addr
	return w
}

// hold stops or resumes all traffic.
func (w *wire) hold(on bool) {
	for _, e := range w.ends {
		for ch := range e.in {
			e.in[ch].hold(on)
		}
	}
}

// crash breaks the wire for e; the other end hears nothing more.
func (w *wire) crash(e *end) {
	w.hold(true)
	for ch := range e.in {
		e.in[ch].closeReader()
	}
	for ch := range e.other.in {
		e.other.in[ch].closeWriter()
	}
}

func (e *end) Send(ch int, msg []byte) error {
	if err := e.other.in[ch].send(msg); err != nil {
		return err
	}
	e.sent.Add(uint64(len(msg)))
	return nil
}

func (e *end) Receive(ch int, buf []byte) (int, error) {
	n, err := e.in[ch].receive(buf)
	e.got.Add(uint64(n))
	return n, err
}

func (e *end) Fingerprints() (local, remote [32]byte) { return e.finger, e.other.finger }

func (e *end) Path() p2p.Path {
	return p2p.Path{
		Kind: p2p.PathMemory, Local: e.local, Remote: e.remote,
		Tried: []p2p.Candidate{{Local: e.local, Remote: e.remote, Kind: p2p.PathMemory, Result: "selected"}},
		Why:   "Both nodes live in one process.",
	}
}

func (e *end) Stats() p2p.Stats {
	return p2p.Stats{BytesIn: e.got.Load(), BytesOut: e.sent.Load(), Since: e.since}
}

// Close lets what was sent arrive at the other end, and then its end.
func (e *end) Close() error {
	e.once.Do(func() {
		for ch := range e.in {
			e.in[ch].closeReader()
		}
		for ch := range e.other.in {
			e.other.in[ch].closeWriter()
		}
		e.wire.network.unplug(e.wire)
	})
	return nil
}

// road is what the channels of one direction share: the bandwidth.
type road struct {
	options Options

	mu   sync.Mutex
	busy time.Time // until then the road is full
}

// perfect roads have no delays, so that nobody needs to look at the clock.
func (r *road) perfect() bool {
	o := r.options
	return o.Latency == 0 && o.Jitter == 0 && o.Loss == 0 && o.Bandwidth == 0
}

// arrival decides when a message of n bytes sent now on channel ch arrives.
// Control and calls do not queue behind lanes, as with SCTP's interleaving.
func (r *road) arrival(now time.Time, ch, n int, random *rand.Rand) time.Time {
	o := r.options
	at := now
	if o.Bandwidth > 0 {
		takes := time.Duration(float64(n) / float64(o.Bandwidth) * float64(time.Second))
		r.mu.Lock()
		if r.busy.Before(now) {
			r.busy = now
		}
		r.busy = r.busy.Add(takes)
		if at = r.busy; ch < 2 {
			at = now.Add(takes)
		}
		r.mu.Unlock()
	}
	at = at.Add(o.Latency)
	if o.Jitter > 0 {
		at = at.Add(time.Duration(random.Int64N(int64(o.Jitter))))
	}
	if o.Loss > 0 {
		// A lost packet is missed, asked for and sent again: a round trip and a
		// little more. The bound makes a loss of 1 slow rather than endless.
		packets := float64((n + packet - 1) / packet)
		p := 1 - math.Pow(1-o.Loss, packets)
		for tries := 0; tries < 16 && random.Float64() < p; tries++ {
			at = at.Add(2*(o.Latency+o.Jitter) + 10*time.Millisecond)
			p = o.Loss
		}
	}
	return at
}
