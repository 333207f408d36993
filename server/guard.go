package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// guard decides, from nothing but a request's head, whether it is served. The
// attacker it is built against is a web page that the user of this computer has
// open: it can make the browser send almost any request here, by any name that
// resolves to us, but it cannot set Host, Origin or Sec-Fetch-* and it does not
// know the token.
type guard struct {
	hosts    *hostList
	token    [sha256.Size]byte // of the token
	open     []netip.Prefix    // from there reads need no token
	chosen   bool              // open was given by options
	attempts *attempts
	now      func() time.Time
}

// newGuard makes a guard of o's token, open reads and hosts.
func newGuard(o Options) (*guard, error) {
	hosts, err := newHostList(o.Addr, o.Hosts)
	if err != nil {
		return nil, err
	}
	g := &guard{
		hosts:    hosts,
		token:    sha256.Sum256([]byte(o.Token)),
		open:     o.OpenReads,
		chosen:   len(o.OpenReads) > 0,
		attempts: newAttempts(),
		now:      time.Now,
	}
	if !g.chosen {
		g.open = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if o.RequireToken {
		g.open = nil
	}
	return g, nil
}

// admit refuses requests that do not name this server, or that a page of another
// origin makes. It holds for every request, whatever its path.
func (g *guard) admit(r *http.Request) error {
	h, err := g.host(r)
	if err != nil {
		return err
	}
	if err := fetchSite(r); err != nil {
		return err
	}
	return g.origin(r, h)
}

// host returns by which name the request calls this server. net/http takes Host
// from an absolute-form request line when there is one, and itself refuses a
// request with several Host headers or, since HTTP/1.1, none.
func (g *guard) host(r *http.Request) (host, error) {
	h, err := parseHost(r.Host)
	if err != nil {
		return host{}, err
	}
	if !g.hosts.accepts(h) {
		return host{}, fmt.Errorf("%w: %s", errHost, h.name)
	}
	if r.URL.Host != "" && r.URL.Host != r.Host {
		return host{}, fmt.Errorf("%w: the request names two hosts", errHost)
	}
	return h, nil
}

// fetchSite refuses what a browser says comes from another site, or from
// another port or subdomain of the same one: any program on this computer may
// serve pages at localhost. Only opening the page itself is left: a link to it
// (an invitation) may stand anywhere, and shows the page to its user only.
func fetchSite(r *http.Request) error {
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site == "same-origin" || site == "none" || opensPage(r) {
			continue
		}
		return fmt.Errorf("%w: the browser calls the request %.20q", errOrigin, site)
	}
	return nil
}

// opensPage reports whether r is a browser tab going to the dashboard.
func opensPage(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/" &&
		slices.Equal(r.Header["Sec-Fetch-Mode"], []string{"navigate"}) &&
		slices.Equal(r.Header["Sec-Fetch-Dest"], []string{"document"})
}

// origin refuses a request whose Origin is not the very address it is sent to.
// WebSockets and older browsers have nothing but this. The scheme is http; it is
// https where a proxy in front of this server speaks TLS, which it can only do
// for a name given by options.
func (g *guard) origin(r *http.Request, h host) error {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return nil
	}
	refused := fmt.Errorf("%w: %.100q is not this server", errOrigin, origins[0])
	u, err := url.Parse(origins[0])
	if len(origins) > 1 || err != nil || u.User != nil || u.Scheme+"://"+u.Host != origins[0] {
		return refused
	}
	from, err := parseHost(u.Host)
	if err != nil || from.name != h.name {
		return refused
	}
	standard := "80"
	if u.Scheme == "https" {
		standard = "443"
	}
	if u.Scheme != "http" && (u.Scheme != "https" || !g.hosts.given[h.name]) {
		return refused
	}
	if portOr(from.port, standard) != portOr(h.port, standard) {
		return refused
	}
	return nil
}

func portOr(port, standard string) string {
	if port == "" {
		return standard
	}
	return port
}

// authorise says whether the request may do what a route of the given access
// does. A wrong token is refused where none was needed, too: who sends one means
// to be somebody.
func (g *guard) authorise(a access, r *http.Request) error {
	if a == public || a == static {
		return nil
	}
	token, sent := tokenOf(r)
	if !sent {
		if a == safe && g.readsOpen(r) {
			return nil
		}
		return errTokenRequired
	}
	from, now := remote(r), g.now()
	if wait := g.attempts.wait(now, from); wait > 0 {
		return &retryError{err: errAttempts, after: wait}
	}
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], g.token[:]) != 1 {
		g.attempts.wrong(now, from, sum)
		return errTokenWrong
	}
	return nil
}

// tokenProtocol is how a WebSocket carries the token: scripts of a page cannot
// set headers of its handshake other than the subprotocols.
const tokenProtocol = "shoal.token."

// tokenOf returns the token that r carries, from Authorization or from the
// subprotocols of a WebSocket. Something that should be a token and is none
// counts as sent, and is wrong.
func tokenOf(r *http.Request) (token string, sent bool) {
	if h := r.Header["Authorization"]; len(h) > 0 {
		scheme, token, _ := strings.Cut(h[0], " ")
		if len(h) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return "", true
		}
		return strings.TrimSpace(token), true
	}
	for _, p := range protocols(r) {
		if token, ok := strings.CutPrefix(p, tokenProtocol); ok {
			return token, true
		}
	}
	return "", false
}

// protocols lists the WebSocket subprotocols that r offers.
func protocols(r *http.Request) []string {
	var all []string
	for _, h := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(h, ",") {
			all = append(all, strings.TrimSpace(p))
		}
	}
	return all
}

// readsOpen reports whether r may read without a token. A forwarded request
// comes from somewhere else than its remote address says; where nobody has chosen
// who may read, one by another name than this computer's own counts as forwarded.
func (g *guard) readsOpen(r *http.Request) bool {
	h, err := parseHost(r.Host)
	if err != nil || forwarded(r) || !g.chosen && !g.hosts.isHere(h) {
		return false
	}
	from := remote(r)
	return slices.ContainsFunc(g.open, func(p netip.Prefix) bool { return p.Contains(from) })
}

// handsOut reports whether the page may be given the token: to a browser on this
// computer that opened it as a page of this computer. Where a name was given by
// options, a proxy on this computer is to be expected, whose requests can look the
// same.
func (g *guard) handsOut(r *http.Request) bool {
	h, err := parseHost(r.Host)
	return err == nil && h.isLoopback() && len(g.hosts.given) == 0 &&
		remote(r).IsLoopback() && local(r).IsLoopback() && g.readsOpen(r)
}

// forwarded reports whether a proxy says that it passes r on for somebody.
func forwarded(r *http.Request) bool {
	for name := range r.Header {
		switch name {
		case "Forwarded", "Via", "X-Real-Ip", "True-Client-Ip":
			return true
		}
		if strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Cf-") {
			return true
		}
	}
	return false
}

// local is the address of this end, or the zero Addr when that is none.
func local(r *http.Request) netip.Addr {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	return addrOf(addr.String())
}

// remote is the address of the other end, or the zero Addr when that is none.
func remote(r *http.Request) netip.Addr { return addrOf(r.RemoteAddr) }

func addrOf(text string) netip.Addr {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// secure sets the headers that every reply has. Pages of this server run only
// its own scripts, talk only to it, and stand in no frame; nobody else's page
// may embed or read what it serves.
func secure(header http.Header, h host) {
	connect := "'self'"
	if h.name != "" { // older browsers do not count WebSockets as 'self'
		connect += " ws://" + h.String() + " wss://" + h.String()
	}
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
		"img-src 'self' data:; connect-src "+connect+"; manifest-src 'self'; base-uri 'none'; "+
		"frame-ancestors 'none'; form-action 'none'; require-trusted-types-for 'script'; "+
		"trusted-types svelte-trusted-html")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	header.Set("Cache-Control", "no-store")
}
