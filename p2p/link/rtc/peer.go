package rtc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/sctp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc/repair"
)

// gatherPatience is more than an agent needs to find what the mux tells it.
const gatherPatience = 2 * time.Second

// lateData is for how long data that the peer has sent over the last path may come.
const lateData = 2 * time.Second

// peer is a WebRTC connection with data channels and nothing else: ICE finds a path,
// DTLS encrypts what goes over it, and SCTP makes messages of that (RFC 8831). On the
// wire it is what a PeerConnection is. Put together here, from pion's parts, it needs
// half of the goroutines and memory, and can know how long the path's packets may be.
//
// Datagrams do not pass through ICE once it knows the path: they go from the mux to
// DTLS, and back. What ICE itself says is all that it sees.
type peer struct {
	config *engine
	mux    *mux
	agent  *ice.Agent
	dtls   *secure
	gone   func(error) // called when the connection has ended
	moved  func()      // called when there is another path; it does not wait
	trace  *trace

	path    atomic.Pointer[route]
	viaICE  atomic.Pointer[ice.Conn] // for paths that are not the mux's
	pumping sync.Once

	deaf        atomic.Bool  // what arrives is for nobody, until start
	controlling bool         // it has offered; set by start
	size        atomic.Int64 // of SCTP's packets; 0 before they are sent
	probes      *prober
	verifying   atomic.Bool
	hushed      atomic.Bool // nothing more is sent
	pulse       pulse
	pace        pace
	busy        atomic.Bool             // much bulk data was on its way since the last look
	silent      atomic.Bool             // nothing was heard of the peer between the last looks
	tail        tail                    // what was sent while it is silent
	mending     atomic.Pointer[mending] // nil if the peer does not repair losses
	lossless    atomic.Bool             // the path is a TCP connection: nothing is lost that could be repaired

	cancel  context.CancelFunc
	ctx     context.Context // ends with the peer
	working sync.WaitGroup

	mu          sync.Mutex // guards all that follows
	conns       []*muxConn
	left        []*muxConn // shares from before a restart, over which the peer may still send
	in, out     uint64     // bytes over those that were dropped
	ufrag       string     // of this end
	remote      description
	assoc       *sctp.Association
	certificate [32]byte // SHA-256 of the peer's, as the handshake has shown it
}

// route is where datagrams go.
type route struct {
	conn *muxConn // nil: ICE itself carries them
	to   netip.AddrPort
}

// newPeer makes a peer that has not begun. gone is called at most a few times, when
// the connection has ended.
func newPeer(config *engine, m *mux, gone func(error), more ...ice.AgentOption) (*peer, error) {
	agent, err := ice.NewAgentWithOptions(slices.Concat(config.ice, more)...)
	if err != nil {
		return nil, fmt.Errorf("rtc: ice: %w", err)
	}
	p := &peer{config: config, mux: m, agent: agent, gone: gone, moved: func() {}, probes: newProber()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.dtls = newSecure(p.send, func() { gone(errPeerGone) })
	if err := errors.Join(
		agent.OnConnectionStateChange(p.onState),
		agent.OnSelectedCandidatePairChange(p.onPair),
	); err != nil {
		p.close()
		return nil, fmt.Errorf("rtc: ice: %w", err)
	}
	return p, nil
}

func (p *peer) onState(state ice.ConnectionState) {
	if state == ice.ConnectionStateDisconnected || state == ice.ConnectionStateFailed {
		p.gone(fmt.Errorf("rtc: ice: %s: %w", state, errPeerGone))
	}
}

// onPair follows the path that ICE has selected.
func (p *peer) onPair(local, remote ice.Candidate) {
	r := p.routeOf(local, remote)
	e, _ := p.mux.exitOf(r.to)
	_, isStream := e.via.(*stream)
	p.lossless.Store(isStream)
	p.trace.path(candidateAddr(remote))
	if old := p.path.Swap(r); old != nil && *old != *r {
		p.moved()
		p.pulse.restart()
		go p.verify()
		time.AfterFunc(lateData, p.leaveShares)
		for _, b := range p.tail.take(time.Now()) {
			_ = p.send(b)
		}
	}
}

// look finds out whether the peer is alive, and now and then how long the path is.
func (p *peer) look(now time.Time) {
	if p.association() == nil {
		return
	}
	silent := !p.pulse.heard.Load()
	p.silent.Store(silent)
	if p.tail.trim(now); !silent {
		p.tail.take(now) // it was not into the void
	}
	switch p.pulse.look(p.config.quiet, !p.controlling, now) {
	case gone:
		p.gone(fmt.Errorf("rtc: no sign of life in %s: %w", p.config.gone, errPeerGone))
	case ask:
		go p.heartbeat() // the socket may be busy; other peers do not wait for it
	}
	if p.busy.Swap(false) {
		_, least := p.pulse.roundTrip()
		if wait, yes := p.pace.dip(now, least); yes {
			time.AfterFunc(wait, p.heartbeat)
		}
	}
}

// doubtful reports whether the peer should have been heard: something was sent to it
// a while ago, and nothing came since.
func (p *peer) doubtful(now time.Time) bool {
	return p.silent.Load() && p.tail.since(now) >= doubtAfter
}

// doubtAfter is a few round trips of any path.
const doubtAfter = 700 * time.Millisecond

// heartbeat asks the peer for a sign of life. That it is lost is for those above to notice.
func (p *peer) heartbeat() { _ = p.watched().beat(time.Now()) }

func (p *peer) watched() watched { return watched{p.dtls, &p.pulse} }

// stuck says that nothing has arrived for a while although the window is full.
func (p *peer) stuck() { go p.verify() }

// window returns how many bytes of bulk data may be on their way, of which acked have
// arrived and buffered have not.
func (p *peer) window(acked, buffered uint64) uint64 {
	now := time.Now()
	window := uint64(p.pace.limit(now))
	full := buffered+link.MaxFrame > window
	if full && !p.busy.Load() {
		p.busy.Store(true)
	}
	if _, least := p.pulse.roundTrip(); least > 0 {
		p.pace.sees(now, flight{acked, int(buffered), full, int(p.association().CWND()), least})
	}
	return window
}

func (p *peer) association() *sctp.Association {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.assoc
}

// routeOf finds the mux's share of the pair's local end.
func (p *peer) routeOf(local, remote ice.Candidate) *route {
	to := addrPort(remote.Address(), uint16(remote.Port()))
	if local.Type() == ice.CandidateTypeHost && local.NetworkType().IsUDP() {
		for _, c := range p.shares() {
			if c.key.v6 == to.Addr().Is6() && !c.closed() {
				return &route{conn: c, to: to}
			}
		}
	}
	return &route{}
}

// shares are the parts of the mux that are or were this peer's.
func (p *peer) shares() []*muxConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

// gather finds the local candidates and returns what the agent is known by.
func (p *peer) gather(ctx context.Context) (ufrag, pwd string, err error) {
	done := make(chan struct{})
	var once sync.Once
	err = p.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			once.Do(func() { close(done) })
		}
	})
	if err == nil {
		err = p.agent.GatherCandidates()
	}
	if err != nil {
		return "", "", fmt.Errorf("rtc: ice: %w", err)
	}
	select {
	case <-done:
	case <-ctx.Done():
		// The agent must not be restarted while it still gathers: pion reads then what
		// the restart writes. There is nothing to wait for but its own goroutine.
		select {
		case <-done:
		case <-time.After(gatherPatience):
		}
		return "", "", ctx.Err()
	}
	ufrag, pwd, err = p.agent.GetLocalUserCredentials()
	if err != nil {
		return "", "", fmt.Errorf("rtc: ice: %w", err)
	}
	conns := p.mux.agent(ufrag)
	for _, c := range conns {
		c.tap(p.deliver)
		c.trace.Store(p.trace)
	}
	p.mu.Lock()
	p.left = append(p.left, p.conns...)
	p.conns, p.ufrag = conns, ufrag
	p.mu.Unlock()
	return ufrag, pwd, nil
}

// leaveShares drops the shares from before the last restart, but for one that is the
// path still.
func (p *peer) leaveShares() {
	var left []*muxConn
	r := p.path.Load()
	p.mu.Lock()
	p.left = slices.DeleteFunc(p.left, func(c *muxConn) bool {
		if r != nil && r.conn == c && p.ctx.Err() == nil {
			return false
		}
		p.in += c.bytesIn.Load()
		p.out += c.bytesOut.Load()
		left = append(left, c)
		return true
	})
	p.mu.Unlock()
	for _, c := range left {
		c.drop()
	}
}

// bytes counts datagram payload, both ways.
func (p *peer) bytes() (in, out uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in, out = p.in, p.out
	for _, c := range slices.Concat(p.left, p.conns) {
		in += c.bytesIn.Load()
		out += c.bytesOut.Load()
	}
	return in, out
}

// deliver takes what is not for ICE: all but STUN, and answers to this peer's own
// requests.
func (p *peer) deliver(b []byte) (taken bool) {
	if p.deaf.Load() {
		return true
	}
	if _, isSTUN := stunClass(b); isSTUN {
		return p.probes.answered(b)
	}
	if m := p.mending.Load(); m != nil && !p.lossless.Load() && m.arrive(b) {
		return true
	}
	p.dtls.deliver(b) // or it is lost, as a router would have lost it
	return true
}

// mend repairs losses from now on.
func (p *peer) mend(keys repair.Keys) {
	p.mending.Store(newMending(keys, func(b []byte) { p.dtls.deliver(b) }, p.write))
}

// start connects to the peer that remote describes. opened is called when all
// channels are open.
func (p *peer) start(remote description, controlling, client bool, opened func([link.Channels]*sctp.Stream)) error {
	if err := p.try(remote.Candidates); err != nil {
		return err
	}
	begin := p.agent.StartAccept
	if p.controlling = controlling; controlling {
		begin = p.agent.StartDial
	}
	conn, err := begin(remote.Ufrag, remote.Pwd)
	if err != nil {
		return fmt.Errorf("rtc: ice: %w", err)
	}
	p.viaICE.Store(conn)
	p.deaf.Store(false)
	p.mu.Lock()
	p.remote = remote
	p.mu.Unlock()
	p.working.Go(func() {
		if err := p.run(remote, client, opened); err != nil {
			p.gone(err)
		}
	})
	return nil
}

// try gives ICE more addresses of the peer.
func (p *peer) try(candidates []candidate) error {
	for i, c := range candidates {
		cand, err := ice.UnmarshalCandidate(c.line(i))
		if err == nil {
			err = p.agent.AddRemoteCandidate(cand)
		}
		if err != nil {
			return fmt.Errorf("rtc: ice: candidate %s: %w", c.Addr, err)
		}
	}
	return nil
}

// restart gives up what this end is known by (RFC 8445, section 2.4). What is returned
// has to be told to the peer, which does the same; resume then finds another path. The
// last one is used until then. Streams and calls go on: what does not arrive meanwhile
// is sent again.
func (p *peer) restart(ctx context.Context) (ufrag, pwd string, err error) {
	p.leaveShares()
	if err := p.agent.Restart("", ""); err != nil {
		return "", "", fmt.Errorf("rtc: ice: restart: %w", err)
	}
	return p.gather(ctx)
}

// resume looks for a path to the peer as it is known after its restart.
func (p *peer) resume(remote description) error {
	if err := p.agent.SetRemoteCredentials(remote.Ufrag, remote.Pwd); err != nil {
		return fmt.Errorf("rtc: ice: resume: %w", err)
	}
	p.mu.Lock()
	p.remote.Ufrag, p.remote.Pwd, p.remote.Candidates = remote.Ufrag, remote.Pwd, remote.Candidates
	p.mu.Unlock()
	return p.try(remote.Candidates)
}

// run brings one layer up after the other.
func (p *peer) run(remote description, client bool, opened func([link.Channels]*sctp.Stream)) error {
	if err := p.agent.AwaitConnect(p.ctx); err != nil {
		return fmt.Errorf("rtc: ice: %w", err)
	}
	if p.path.Load() == nil { // what tells of it may be late
		pair, err := p.agent.GetSelectedCandidatePair()
		if err != nil || pair == nil {
			return fmt.Errorf("rtc: ice: no path: %w", errors.Join(err, errPeerGone))
		}
		p.trace.path(candidateAddr(pair.Remote))
		p.path.CompareAndSwap(nil, p.routeOf(pair.Local, pair.Remote))
	}
	exploring, stop := context.WithCancel(p.ctx)
	defer stop()
	if r := p.path.Load(); p.mux.sock.Whole() && remote.Datagram > baseDatagram {
		sizes := probed(r.to.Addr(), remote.Datagram)
		p.working.Go(func() { p.explore(exploring, sizes) })
	}
	err := p.dtls.handshake(p.ctx, shake{
		cert: p.config.cert, client: client, log: p.config.log,
		check: func(der []byte) error { return p.recognize(der, remote.Fingerprint) },
	})
	if err != nil {
		return err
	}
	stop()
	p.trace.add(p2p.Step{Kind: p2p.StepEncrypted})
	p.size.Store(baseMTU)
	if most, _ := p.probes.longest(); most > baseDatagram {
		p.size.Store(int64(most - recordOverhead))
	}
	assoc, err := sctp.ClientWithOptions(
		sctp.WithNetConn(p.watched()), sctp.WithLoggerFactory(p.config.log),
		sctp.WithMTU(uint32(p.mtu())),
		sctp.WithEnableZeroChecksum(true),
		sctp.WithMaxReceiveBufferSize(receiveBuffer),
		sctp.WithMaxMessageSize(maxMessage),
		sctp.WithRTOMax(float64(rtoMax.Milliseconds())),
	)
	if err != nil {
		return fmt.Errorf("rtc: sctp: %w", err)
	}
	p.mu.Lock()
	p.assoc = assoc
	p.mu.Unlock()
	if p.ctx.Err() != nil { // close has not seen it
		assoc.Abort("")
		return p.ctx.Err()
	}
	var streams [link.Channels]*sctp.Stream
	for ch := range streams {
		s, err := assoc.OpenStream(uint16(ch), sctp.PayloadTypeWebRTCBinary)
		if err != nil {
			return fmt.Errorf("rtc: channel %d: %w", ch, err)
		}
		s.SetReliabilityParams(ch == unordered, sctp.ReliabilityTypeReliable, 0)
		streams[ch] = s
	}
	p.heartbeat() // how long is the path?
	opened(streams)
	return nil
}

// recognize takes the certificate of the handshake if it is the one that was announced.
func (p *peer) recognize(der []byte, want [32]byte) error {
	got := sha256.Sum256(der)
	p.mu.Lock()
	p.certificate = got
	p.mu.Unlock()
	if got != want && want != [32]byte{} { // none is known without signalling, see session.unsigned
		err := fmt.Errorf("rtc: connect: the certificate is not the one that was signed: %w", p2p.ErrRefused)
		p.gone(err)
		return err
	}
	return nil
}

// remoteCertificate is the SHA-256 of the peer's certificate after the handshake.
func (p *peer) remoteCertificate() [32]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.certificate
}

// send sends a datagram over the path of now, if there is one: else it is lost, as any
// may be.
func (p *peer) send(b []byte) error {
	if p.hushed.Load() {
		return net.ErrClosed
	}
	if p.silent.Load() {
		p.tail.keep(b, time.Now())
	}
	if m := p.mending.Load(); m != nil && !p.lossless.Load() {
		m.sent(b)
	}
	p.write(b)
	return nil
}

// write writes a datagram to the path of now.
func (p *peer) write(b []byte) {
	r := p.path.Load()
	switch {
	case r == nil:
	case r.conn != nil:
		_, _ = r.conn.send(b, r.to)
	default:
		conn := p.viaICE.Load()
		p.pumping.Do(func() { go p.pump(conn) })
		_, _ = conn.Write(b)
	}
}

// pump takes in what comes over paths that are not the mux's, until the agent has ended.
func (p *peer) pump(conn *ice.Conn) {
	buf := make([]byte, maxPacket)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		p.dtls.deliver(buf[:n])
	}
}

// close ends the connection and waits until nothing of it is left.
func (p *peer) close() {
	p.cancel()
	if assoc := p.association(); assoc != nil {
		assoc.Abort("")
	}
	_ = p.dtls.Close()
	p.hushed.Store(true)
	if m := p.mending.Load(); m != nil {
		m.end()
	}
	_ = p.agent.GracefulClose()
	p.working.Wait()
	p.leaveShares()
	for _, c := range p.shares() {
		c.drop()
	}
}

// mtu is the length of SCTP's packets.
func (p *peer) mtu() int { return int(p.size.Load()) }

// payloadOf is how many bytes of a message an SCTP packet takes: behind a header for
// the packet and one for the chunk (I-DATA, RFC 8260), in steps of four.
func payloadOf(mtu int) int { return (mtu - 12 - 20) &^ 3 }

// Settings of SCTP.
const (
	receiveBuffer = 8 << 20
	rtoMax        = 4 * time.Second
)
