package mirror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// perHost is the most connections to one host, of all mirrors of a client.
const perHost = 4

const (
	maxRedirects = 3
	maxHeader    = 32 << 10 // bytes
)

// Options are those of a Client. The zero value works.
type Options struct {
	// Timeout is how long a server may take to be connected, to answer, and to send
	// the next bytes. If zero, 15 seconds.
	Timeout time.Duration
	// Slowest is the rate in bytes per second, measured after Timeout, below which a
	// server is given up. If zero, 4096.
	Slowest int64
	// Outside returns the addresses at which others see this node. URLs of strangers
	// must not lead there: a router may answer whom it sees from inside. If nil, none.
	Outside func() []netip.Addr
	// Roots are who vouches for servers. If nil, those of the system.
	Roots *x509.CertPool
}

// A Client fetches from web servers, for all downloads of a node.
type Client struct {
	options Options
	guarded *http.Transport // for what others have named
	open    *http.Transport // for what the user has named
}

// NewClient returns a client, which holds connections until it is closed.
func NewClient(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Slowest == 0 {
		o.Slowest = 4 << 10
	}
	return newClient(o, guard{outside: o.Outside, nets: ownNets}, nil)
}

func newClient(o Options, g guard, names *net.Resolver) *Client {
	guarded := net.Dialer{Timeout: o.Timeout, Resolver: names, Control: g.control}
	open := net.Dialer{Timeout: o.Timeout, Resolver: names}
	return &Client{options: o, guarded: o.transport(guarded), open: o.transport(open)}
}

// transport returns one whose connections a dialer makes. Two of them share none: a
// connection that the user may have must not serve a stranger's request.
func (o Options) transport(d net.Dialer) *http.Transport {
	t := &http.Transport{
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.Timeout,
		ResponseHeaderTimeout:  o.Timeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        perHost,
		MaxIdleConnsPerHost:    perHost,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
	}
	// With HTTP/2 all requests would share one connection, and its one window.
	t.Protocols.SetHTTP1(true)
	return t
}

// Close closes the connections that nobody uses. Those in use end with what uses them.
func (c *Client) Close() {
	c.guarded.CloseIdleConnections()
	c.open.CloseIdleConnections()
}

// Open asks a server whether it has the file of size bytes at a URL, which the user
// of this node has named himself (trusted), or somebody else. Errors are as those of
// [Mirror.Fetch].
func (c *Client) Open(ctx context.Context, rawURL string, size int64, trusted bool) (*Mirror, error) {
	m := &Mirror{client: c, url: rawURL, size: size, trusted: trusted}
	if err := m.open(ctx); err != nil {
		return nil, m.wrap("open", err)
	}
	return m, nil
}

func (m *Mirror) open(ctx context.Context) error {
	if err := seed.CheckURL(m.url); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	u, err := url.Parse(m.url)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	m.host = hostOf(u)
	m.http = &http.Client{Transport: gate{m}, CheckRedirect: checkRedirect}
	return m.probe(ctx)
}

// A gate lets each request of a mirror, also after a redirection, take the connections
// that are for it.
type gate struct{ m *Mirror }

// RoundTrip implements http.RoundTripper.
func (g gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.m.trusted && hostOf(r.URL) == g.m.host {
		return g.m.client.open.RoundTrip(r)
	}
	if why := checkURL(r.URL); why != "" {
		return nil, fmt.Errorf("%s: %w: %s", r.URL.Host, ErrForbidden, why)
	}
	return g.m.client.guarded.RoundTrip(r)
}

func hostOf(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d redirections", ErrUnfit, maxRedirects)
	}
	if err := seed.CheckURL(withoutFragment(r.URL)); err != nil {
		return fmt.Errorf("%w: redirected: %w", ErrUnfit, err)
	}
	r.Header.Del("Referer") // where one comes from concerns nobody
	return nil
}

func withoutFragment(u *url.URL) string {
	v := *u
	v.Fragment, v.RawFragment = "", ""
	return v.String()
}

// Errors that callers tell apart, with ErrForbidden. What is returned wraps them and
// says more. All others are of the network: the same may work later.
var (
	// ErrUnfit: this server does not serve this file as it must.
	ErrUnfit = errors.New("of no use as a mirror")
	// ErrChanged: the file has changed on the server. Opened again, it can be fit.
	ErrChanged = errors.New("the file has changed there")
	// ErrSlow: the server has sent nothing, or too little, for too long.
	ErrSlow = errors.New("too slow")
)

// An Error says what failed at which server.
type Error struct {
	Op   string // "open" or "fetch"
	URL  string
	Wait time.Duration // for so long, the server wants to be left alone
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("mirror: %s %s: %v", e.Op, e.URL, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

func (m *Mirror) wrap(op string, err error) error {
	e := &Error{Op: op, URL: m.url, Err: err}
	var busy *busyError
	if errors.As(err, &busy) {
		e.Wait = busy.wait
	}
	var u *url.Error
	if errors.As(err, &u) {
		e.Err = u.Err // it repeats the URL
	}
	return e
}

// busyError is an answer that asks to come again later.
type busyError struct {
	status string
	wait   time.Duration
}

// Error implements error.
func (e *busyError) Error() string { return "it answers " + e.status }

// MaxWait is the longest that a server is left alone because it said so.
const MaxWait = 10 * time.Minute

// waitOf reads Retry-After (RFC 9110 §10.2.3).
func waitOf(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, ok := number(text); ok {
		return time.Duration(min(n, int64(MaxWait/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxWait)
}
