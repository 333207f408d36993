package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"github.com/shoal-p2p/shoal/p2p"
)

// perGuests bounds the allocations of all guests of one member at one time.
const perGuests = 8

// Limits of a Server whose options name none.
const (
	DefaultPerMember = 2
	DefaultTotal     = 64
	DefaultRate      = 8 << 20
)

// allocationLife is how long an allocation outlives a client that does not
// refresh it.
const allocationLife = 5 * time.Minute

// ServerOptions configure a Server.
type ServerOptions struct {
	// Packets carries the TURN messages of clients over UDP, Streams brings the
	// connections of those over TCP. Either may be nil.
	Packets net.PacketConn
	Streams net.Listener
	// Member reports whether a node may use the relay now. Nil: whoever has
	// credentials.
	Member func(p2p.ID) bool
	// PerMember and Total bound the allocations, Rate the bytes per second that
	// each member may send. 0: the defaults.
	PerMember, Total int
	Rate             int64
	// Loggers takes what pion has to say. It is needed.
	Loggers logging.LoggerFactory
}

// Server is the relay that a node is for others.
type Server struct {
	o      ServerOptions
	secret [32]byte
	x      *exchange
	turn   *turn.Server
}

// NewServer serves TURN until Close, which also closes Packets and Streams.
func NewServer(o ServerOptions) (*Server, error) {
	if o.PerMember == 0 {
		o.PerMember = DefaultPerMember
	}
	if o.Total == 0 {
		o.Total = DefaultTotal
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	s := &Server{o: o, x: newExchange()}
	if _, err := rand.Read(s.secret[:]); err != nil {
		return nil, fmt.Errorf("relay: secret: %w", err)
	}
	config := turn.ServerConfig{
		Realm: realm, AuthHandler: s.auth, QuotaHandler: s.quota,
		LoggerFactory: o.Loggers, AllocationLifetime: allocationLife,
		StrictAddressFamily: true, // the switch has an address of IPv4, also for who comes over IPv6
	}
	if o.Packets != nil {
		config.PacketConnConfigs = []turn.PacketConnConfig{{
			PacketConn: o.Packets, RelayAddressGenerator: generator{s}, PermissionHandler: permit,
		}}
	}
	if o.Streams != nil {
		config.ListenerConfigs = []turn.ListenerConfig{{
			Listener: o.Streams, RelayAddressGenerator: generator{s}, PermissionHandler: permit,
		}}
	}
	var err error
	if s.turn, err = turn.NewServer(config); err != nil {
		return nil, fmt.Errorf("relay: serve: %w", err)
	}
	return s, nil
}

// Credentials returns the user name and password of a member. They hold as long
// as the server lives and ServerOptions.Member says so.
func (s *Server) Credentials(member p2p.ID) (user, password string) {
	user = member.String()
	return user, s.password(user)
}

// GuestCredentials returns the user name and password of a node that is no member and
// has an invitation of one. They hold until a time, and as long as the member's.
func (s *Server) GuestCredentials(guest, host p2p.ID, until time.Time) (user, password string) {
	user = strings.Join([]string{guestUser, strconv.FormatInt(until.Unix(), 10), guest.String(), host.String()}, ":")
	return user, s.password(user)
}

const guestUser = "guest"

// allowed tells as whose a user's allocations count, if he may have any.
func (s *Server) allowed(user string, now time.Time) (owner string, ok bool) {
	id, rest := user, ""
	if parts := strings.Split(user, ":"); len(parts) == 4 && parts[0] == guestUser {
		until, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil || now.Unix() >= until {
			return "", false
		}
		id, rest = parts[3], guestUser+" of "
	}
	member, err := p2p.ParseID(id)
	if err != nil || s.o.Member != nil && !s.o.Member(member) {
		return "", false
	}
	return rest + id, true
}

func (s *Server) password(user string) string {
	h := hmac.New(sha256.New, s.secret[:])
	h.Write([]byte("shoal relay 1\x00" + user))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Drop ends the allocations of a member: of one that is none any more, or that
// starts anew and knows nothing of those it had.
func (s *Server) Drop(member p2p.ID) { s.x.drop(member.String()) }

// Serves reports whether a member has an allocation.
func (s *Server) Serves(member p2p.ID) bool { return s.x.count(member.String()) > 0 }

// Load returns how many allocations there are, of how many.
func (s *Server) Load() (used, total int) { return s.x.total(), s.o.Total }

// Close ends all allocations.
func (s *Server) Close() error {
	if err := s.turn.Close(); err != nil {
		return fmt.Errorf("relay: close: %w", err)
	}
	return nil
}

// auth implements turn.AuthHandler. It is asked for each request, so that a member
// who is revoked cannot refresh what he has.
func (s *Server) auth(r *turn.RequestAttributes) (user string, key []byte, ok bool) {
	owner, ok := s.allowed(r.Username, time.Now())
	if !ok {
		return "", nil, false
	}
	return owner, turn.GenerateAuthKey(r.Username, realm, s.password(r.Username)), true
}

func (s *Server) quota(owner, _ string, _ net.Addr) bool {
	if strings.HasPrefix(owner, guestUser) {
		return s.x.count(owner) < perGuests
	}
	return s.x.count(owner) < s.o.PerMember
}

// permit implements turn.PermissionHandler: a client may talk to other clients of
// the same relay, and to nobody else on earth.
func permit(_ net.Addr, peer net.IP) bool {
	a, ok := netip.AddrFromSlice(peer)
	return ok && a.Unmap() == Switch
}

// generator hands out ports of the switch. It implements
// turn.RelayAddressGenerator.
type generator struct{ s *Server }

var errOnlyUDP = errors.New("relay: only datagrams are relayed")

func (generator) Validate() error { return nil }

func (g generator) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	p, err := g.s.x.open(c.UserID, g.s.o.Rate, g.s.o.Total)
	if err != nil {
		return nil, nil, err
	}
	return p, p.LocalAddr(), nil
}

func (generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errOnlyUDP
}

func (generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errOnlyUDP }
