// Package server is a node's HTTP side: the API of api/openapi.yaml, its events,
// the bytes of files, metrics, and the page. routes.go is all of it on one page;
// guard.go says who may ask, errors.go how failures look, and a file for each
// noun turns what the node says into JSON.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/netutil"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/node"
)

// Options are what a Server is made of. Only Node is required.
type Options struct {
	// Node is what the server answers for. Nil: it is given to Attach, once it
	// has started.
	Node *node.Node
	// Lab holds all nodes of a lab, Node first. Empty: an ordinary node.
	Lab []*node.Node
	// Token is what changes need. Empty: a random one, which only the page that
	// is served to this computer knows. It consists of letters, digits and
	// !#$%&'*+-.^_`|~, so that it can be a WebSocket's subprotocol.
	Token string
	// RequireToken makes reads need it too, from everywhere, and keeps it out
	// of the page.
	RequireToken bool
	// OpenReads are the addresses whose reads need no token. Empty: loopback, as
	// long as the request calls the server by an address of this computer or as
	// localhost: by one of Hosts, it may come through a proxy from anywhere.
	OpenReads []netip.Prefix
	// Hosts are names and addresses by which the server may be called besides
	// localhost, the bound address and, when that is beyond loopback, those of
	// this computer's interfaces. With any of them the page never gets the token.
	Hosts []string
	// KeepLimits makes limits that were set durable, before they hold. Nil: they are forgotten with the node.
	KeepLimits func(context.Context, link.Rates) error
	// Addr is the bound address, as net.Addr's String says it. Empty: loopback.
	Addr string
	// UI holds the page. Nil or without index.html: a page that says so.
	UI fs.FS
	// Logger is where failures go. Nil: nowhere.
	Logger *slog.Logger
	// Version is the program's.
	Version string
}

// Limits of connections and of what is read before a route is known.
const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeader      = 16 << 10
	maxConnections = 1024
	maxStreams     = 512
	writeTimeout   = 30 * time.Second // for one write, or for a whole short reply
)

// Server answers HTTP for one node, or for the nodes of a lab.
type Server struct {
	options Options
	log     *slog.Logger
	guard   *guard
	routes  []route
	echo    atomic.Pointer[echo.Echo] // nil before Attach
	page    *page
	metrics *metrics

	state   atomic.Int32  // starting, serving, stopping
	streams chan struct{} // one for each open stream
	stage   chan struct{} // full while a lesson plays

	ctx    context.Context // ends when the server closes; streams end with it
	cancel context.CancelFunc
	// mu guards the following fields; streaming counts what Close waits for.
	mu        sync.Mutex
	closed    bool
	http      *http.Server
	streaming sync.WaitGroup
}

// Stages of a server's life.
const (
	starting = iota
	serving
	stopping
)

// New returns a server of o that is not ready yet: until SetReady(true) the API
// answers 503. It refuses to be bound beyond loopback without a token.
func New(o Options) (*Server, error) {
	if strings.Trim(o.Token, tokenAlphabet) != "" {
		return nil, errors.New("server: token: only letters, digits and !#$%&'*+-.^_`|~ may be in it")
	}
	noToken := o.Token == ""
	if noToken {
		o.Token = rand.Text()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g, err := newGuard(o)
	if err != nil {
		return nil, err
	}
	if g.hosts.beyond && noToken {
		return nil, fmt.Errorf("server: %s can be reached from other computers: a token is required", o.Addr)
	}
	p, err := newPage(o.UI, o.Token)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, log: o.Logger, guard: g, page: p, routes: routes(), streams: make(chan struct{}, maxStreams), stage: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.metrics = newMetrics(o.Version)
	if o.Node != nil {
		if err := s.Attach(o.Node); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Attach gives a server that was made without a node the one that it answers for.
// Until then everything, the page too, is answered by 503.
func (s *Server) Attach(n *node.Node) error {
	if s.echo.Load() != nil {
		return errors.New("server: attach: there is a node already")
	}
	e, err := s.router(n)
	if err != nil {
		return err
	}
	if err := s.metrics.attach(n); err != nil {
		return fmt.Errorf("server: attach: %w", err)
	}
	s.echo.Store(e)
	return nil
}

const tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"

// SetReady says whether the node serves. False after true means it stops.
func (s *Server) SetReady(ready bool) {
	if ready {
		s.state.Store(serving)
		return
	}
	s.state.CompareAndSwap(serving, stopping)
}

// ready is the reason why the API does not serve, or nil.
func (s *Server) ready() error {
	switch s.state.Load() {
	case serving:
		return nil
	case starting:
		return errStarting
	default:
		return errStopping
	}
}

// Handler is the whole server, guards included. A server of its own should be
// run by Serve, which also bounds headers, idle time and connections.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Serve answers on l until Close, and closes l. It returns nil after Close.
func (s *Server) Serve(l net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// net/http would answer "OPTIONS *" past the guards.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.mu.Lock()
	if s.closed || s.http != nil {
		s.mu.Unlock()
		return errors.Join(errors.New("server: serve: closed, or served already"), l.Close())
	}
	s.http = server
	s.mu.Unlock()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("server: serve on %v: %w", l.Addr(), err)
}

// closeTimeout is how long Close lets running requests finish.
const closeTimeout = 5 * time.Second

// Close ends all event streams, lets running requests finish for a while, and
// returns when nothing of the server runs any more. It is idempotent.
func (s *Server) Close() error {
	s.SetReady(false)
	s.cancel()
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	server := s.http
	s.mu.Unlock()
	var err error
	if first && server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err = server.Shutdown(ctx); err != nil {
			err = server.Close()
		}
	}
	s.streaming.Wait()
	return err
}

// stream admits one more long-lived reply. Its context ends with the request,
// with the server, and with done, which must be called.
func (s *Server) stream(ctx context.Context) (_ context.Context, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errStopping
	}
	select {
	case s.streams <- struct{}{}:
	default:
		return nil, nil, errStreams
	}
	s.streaming.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		unlink()
		cancel()
		<-s.streams
		s.streaming.Done()
	}, nil
}

// redact takes the secrets that this package knows the form of out of a text
// for the log.
func (s *Server) redact(text string) string {
	text = strings.ReplaceAll(text, s.options.Token, "[token]")
	return secretText.ReplaceAllString(text, "[secret]")
}

// secretText is what an invitation looks like in text: longer than any ID or
// hash (hexadecimal, 64), of the alphabet of base64url.
var secretText = regexp.MustCompile(`[A-Za-z0-9_-]{80,}`)
