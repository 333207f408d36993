package rtc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
)

// newCertificate makes the certificate of this process. WebRTC trusts
// fingerprints, never names or dates; this one outlives every process all the same.
func newCertificate() (tls.Certificate, [32]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, [32]byte{}, fmt.Errorf("rtc: certificate: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "WebRTC"},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), // whatever this computer's clock says
		NotAfter:     time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, [32]byte{}, fmt.Errorf("rtc: certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, sha256.Sum256(der), nil
}

// engine is what all connections of a transport have in common.
type engine struct {
	ice     []ice.AgentOption
	cert    tls.Certificate
	log     loggerFactory
	silence time.Duration // of a TCP connection that the other end has made nothing of yet
	quiet
}

// patient is e for connections whose other end may begin minutes later.
func (e *engine) patient(life time.Duration) *engine {
	p := *e
	p.silence = max(life, e.silence)
	p.ice = append(slices.Clone(e.ice), // the last of two options holds
		ice.WithCheckInterval(patientCheck),
		ice.WithMaxBindingRequests(uint16(min(life/patientCheck+50, math.MaxUint16))))
	return &p
}

// patientCheck is the time between two checks of a pair while its other end may not
// have begun: often enough that both routers stay open, and that the two meet soon
// after it has.
const patientCheck = 500 * time.Millisecond

// newEngine sets pion up for data channels on m.
func newEngine(m *mux, cert tls.Certificate, log *slog.Logger, q quiet) *engine {
	factory := loggerFactory{log}
	return &engine{cert: cert, log: factory, silence: streamSilence, quiet: q, ice: []ice.AgentOption{
		ice.WithUDPMux(m),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithIncludeLoopback(), // what is offered is chosen in ownAddrs
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithDisableActiveTCP(),
		// Who is silent is known from the data; ICE would ask every peer every 2 s.
		ice.WithDisconnectedTimeout(0),
		ice.WithFailedTimeout(0),
		ice.WithKeepaliveInterval(0),
		// 50 checks, 200 ms apart, span the whole handshake: two routers may be
		// opened seconds apart.
		ice.WithMaxBindingRequests(50),
		ice.WithHostAcceptanceMinWait(0),
		ice.WithSrflxAcceptanceMinWait(50 * time.Millisecond),
		ice.WithPrflxAcceptanceMinWait(50 * time.Millisecond),
		ice.WithRelayAcceptanceMinWait(relayGrace), // before that none is tried
		ice.WithLoggerFactory(factory),
	}}
}

// loggerFactory sends pion's warnings to a slog.Logger, as details for somebody
// who looks for them: pion warns of what peers do wrong.
type loggerFactory struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (f loggerFactory) NewLogger(scope string) logging.LeveledLogger {
	return logger{f.log.With("pion", scope)}
}

type logger struct{ log *slog.Logger }

func (l logger) Trace(string)                      {}
func (l logger) Tracef(string, ...any)             {}
func (l logger) Debug(string)                      {}
func (l logger) Debugf(string, ...any)             {}
func (l logger) Info(string)                       {}
func (l logger) Infof(string, ...any)              {}
func (l logger) Warn(msg string)                   { l.log.Debug(msg) }
func (l logger) Error(msg string)                  { l.log.Debug(msg) }
func (l logger) Warnf(format string, args ...any)  { l.logf(format, args) }
func (l logger) Errorf(format string, args ...any) { l.logf(format, args) }

// logf formats only what somebody reads: peers can cause many warnings.
func (l logger) logf(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}
