package rtc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// newCertificate makes the certificate of this process. WebRTC trusts
// fingerprints, never names or dates; but pion refuses to use a certificate of
// its own that has expired, so this one outlives every process.
func newCertificate() (webrtc.Certificate, [32]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webrtc.Certificate{}, [32]byte{}, fmt.Errorf("rtc: certificate: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "WebRTC"},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), // whatever this computer's clock says
		NotAfter:     time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return webrtc.Certificate{}, [32]byte{}, fmt.Errorf("rtc: certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return webrtc.Certificate{}, [32]byte{}, fmt.Errorf("rtc: certificate: %w", err)
	}
	return webrtc.CertificateFromX509(key, cert), sha256.Sum256(der), nil
}

// quiet is how long a peer may be silent.
type quiet struct {
	gone      time.Duration // after that it is gone
	failed    time.Duration // after that the connection has failed, says ICE; pion wants one
	keepalive time.Duration // between two packets when there is nothing to say
}

// silence makes a peer that is killed noticed at the first keepalive that is due
// 5 s after its last packet.
var silence = quiet{gone: 5 * time.Second, failed: 10 * time.Second, keepalive: 2 * time.Second}

// newAPI sets pion up for data channels on m.
func newAPI(m *mux, log *slog.Logger, q quiet) *webrtc.API {
	var s webrtc.SettingEngine
	s.LoggerFactory = loggerFactory{log}
	s.SetICEUDPMux(m)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetIncludeLoopbackCandidate(true) // what is offered is chosen in ownAddrs
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DisableActiveTCP(true)
	s.SetICETimeouts(q.gone, q.failed, q.keepalive)
	// 50 checks, 200 ms apart, span the whole handshake: two routers may be
	// opened seconds apart.
	s.SetICEMaxBindingRequests(50)
	s.SetHostAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(50 * time.Millisecond)
	s.SetPrflxAcceptanceMinWait(50 * time.Millisecond)
	s.SetDTLSInsecureSkipHelloVerify(true) // ICE has checked the path
	s.SetDTLSReplayProtectionWindow(1024)
	// ICE has found a path already; a second, as RFC 6347 has it, would be most of
	// the handshake where one datagram is lost. It doubles each time.
	s.SetDTLSRetransmissionInterval(100 * time.Millisecond)
	s.DetachDataChannels()
	s.EnableSCTPZeroChecksum(true)
	s.SetSCTPMaxReceiveBufferSize(8 << 20)
	s.SetSCTPMaxMessageSize(maxMessage)
	s.SetSCTPRTOMax(4 * time.Second)
	// An empty engine and registry: else pion runs interceptors for media.
	return webrtc.NewAPI(webrtc.WithSettingEngine(s),
		webrtc.WithMediaEngine(&webrtc.MediaEngine{}), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
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
