package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

// nodeAPI answers for one node; a lab has one of these for each of its nodes.
type nodeAPI struct {
	*Server
	node *node.Node
}

// positionHeader tells which events a reply reflects.
const positionHeader = "Shoal-Position"

// router registers the route table: once for the node n, and below /n/{i} for each
// node of a lab.
func (s *Server) router(n *node.Node) (*echo.Echo, error) {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { s.fail(writerOf(c), c.Request(), err) }
	spec, err := loadSpec()
	if err != nil {
		return nil, err
	}
	if err := s.register(e, spec, "", n); err != nil {
		return nil, err
	}
	for i, n := range s.options.Lab {
		if err := s.register(e, spec, "/n/"+strconv.Itoa(i), n); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// register adds the routes of one node below prefix; without one, all of them.
func (s *Server) register(e *echo.Echo, spec *spec, prefix string, n *node.Node) error {
	a := &nodeAPI{Server: s, node: n}
	wrapper := &api.ServerInterfaceWrapper{Handler: api.NewStrictHandler(a, nil)}
	for _, rt := range s.routes {
		if prefix != "" && !strings.HasPrefix(rt.path, "/api/") {
			continue
		}
		var check *checker
		if rt.op != "" {
			var err error
			if check, err = spec.checker(rt); err != nil {
				return err
			}
		}
		path := prefix + echoPath(rt.path)
		h := a.handle(rt, check, wrapper)
		e.Add(rt.method, path, h)
		if rt.method == http.MethodGet {
			e.Add(http.MethodHead, path, h)
		}
	}
	return nil
}

// echoPath writes /a/{id} as /a/:id.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// serve is where every request begins: whatever its path, it gets the security
// headers and passes the host and origin checks before it is routed.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	rep := &reply{ResponseWriter: w, control: http.NewResponseController(w)}
	defer s.finish(rep, r, began)
	rep.deadline(began.Add(writeTimeout))
	h, err := s.guard.host(r)
	if err != nil {
		h = host{}
	}
	secure(w.Header(), h)
	if err := s.guard.admit(r); err != nil {
		s.refuse(rep, r, err)
		return
	}
	if e := s.echo.Load(); e != nil {
		e.ServeHTTP(rep, r)
		return
	}
	s.refuse(rep, r, errStarting)
}

// finish counts a request and answers for a handler that panicked.
func (s *Server) finish(rep *reply, r *http.Request, began time.Time) {
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler {
		s.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked", slog.String("path", r.URL.Path),
			slog.String("cause", s.redact(fmt.Sprint(cause))), slog.String("stack", string(debug.Stack())))
		if rep.status == 0 {
			s.refuse(rep, r, errInternal)
			cause = nil
		} else {
			cause = http.ErrAbortHandler
		}
	}
	s.metrics.request(rep.route, rep.status)
	s.log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", rep.status), slog.String("from", r.RemoteAddr), slog.Duration("took", time.Since(began)))
	if cause != nil {
		panic(cause) // net/http's own sign for a reply that is broken off
	}
}

// refuse fails r before its body was read, and so gives the connection up:
// otherwise net/http would read on to find the next request.
func (s *Server) refuse(rep *reply, r *http.Request, err error) {
	if r.ContentLength != 0 {
		rep.Header().Set("Connection", "close")
	}
	s.fail(rep, r, err)
}

// handle is the way of a request to one route: may it, is the node ready, is the
// request what the specification says; then the answer.
func (a *nodeAPI) handle(rt route, check *checker, wrapper *api.ServerInterfaceWrapper) echo.HandlerFunc {
	return func(c echo.Context) error {
		rep, r := writerOf(c), c.Request()
		rep.route = rt.path
		if err := a.allow(rt, r); err != nil {
			a.refuse(rep, r, err)
			return nil
		}
		// What fails is told to the request as it came: the context that ends
		// with this function would look as if nobody were there to hear it.
		if err := a.answer(rt, check, wrapper, c, rep, r); err != nil {
			a.fail(rep, r, err)
		}
		return nil
	}
}

// answer reads a request that is admitted and answers it.
func (a *nodeAPI) answer(rt route, check *checker, wrapper *api.ServerInterfaceWrapper, c echo.Context, rep *reply, r *http.Request) error {
	ctx := r.Context()
	if strings.HasPrefix(rt.path, "/api/") {
		// The position is read before the handler reads anything. What the
		// reply shows is then at least as new as the position, and a client
		// that goes on from there misses nothing; it may see some events
		// whose effect the reply has already, which changes nothing.
		position := a.node.Events().Position()
		rep.Header().Set(positionHeader, position)
		ctx = context.WithValue(ctx, positionKey{}, position)
	}
	if rt.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rt.limit)
		defer cancel()
		rep.deadline(time.Now().Add(rt.limit + writeTimeout))
	}
	r = r.WithContext(ctx)
	if err := readBody(rt, rep, r); err != nil {
		a.refuse(rep, r, err)
		return nil
	}
	if err := setPathValues(c, r); err != nil {
		return err
	}
	if check != nil {
		if err := check.request(r); err != nil {
			return err
		}
	}
	c.SetRequest(r)
	switch {
	case rt.stream != nil && acceptsStream(r):
		return rt.stream(a, rep, r)
	case rt.raw != nil:
		return rt.raw(a, rep, r)
	default:
		return rt.strict(wrapper, c)
	}
}

// allow checks who asks, and whether the node can answer.
func (a *nodeAPI) allow(rt route, r *http.Request) error {
	if err := a.guard.authorise(rt.access, r); err != nil {
		return err
	}
	if rt.access == static {
		return nil
	}
	return a.ready()
}

// positionKey is the context's key of the position that the reply's header says.
type positionKey struct{}

func positionOf(ctx context.Context) string {
	position, _ := ctx.Value(positionKey{}).(string)
	return position
}

// bodyTimeout is how long a body may take to arrive.
const bodyTimeout = 30 * time.Second

// readBody replaces r's body by one that is complete, of a bounded size, and
// declared as JSON. Browsers send other types to other origins without asking
// first; a type of which nothing is made is refused for that reason alone. A file is left to
// its handler.
func readBody(rt route, rep *reply, r *http.Request) error {
	if rt.upload {
		if !isBytes(r.Header["Content-Type"]) {
			return errNotBytes
		}
		return nil
	}
	limit := rt.body
	if limit == 0 {
		limit = mib // to tell a body that is not wanted from one that is too large
	}
	if r.ContentLength > limit {
		return fmt.Errorf("%w: %d bytes, at most %d are read", errTooLarge, r.ContentLength, limit)
	}
	types := r.Header["Content-Type"]
	if rt.access == changing && len(types) > 0 && !isJSON(types) {
		return errContentType
	}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	rep.readDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(rep.ResponseWriter, r.Body, limit))
	// A deadline that stays would end the request's context when it passes.
	rep.readDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fmt.Errorf("%w: more than the %d bytes that are read", errTooLarge, limit)
	case err != nil:
		return fmt.Errorf("%w: %w", errBodyLost, err)
	case len(data) == 0:
		r.ContentLength, r.Body = 0, http.NoBody
		return nil
	case rt.body == 0:
		return fmt.Errorf("%w: %s %s takes no body", errInvalid, rt.method, rt.path)
	case !isJSON(types):
		return errContentType
	}
	r.ContentLength = int64(len(data))
	r.Body = io.NopCloser(bytes.NewReader(data))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	return nil
}

func isJSON(types []string) bool {
	if len(types) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(types[0])
	charset, given := params["charset"]
	return err == nil && kind == "application/json" && (!given || strings.EqualFold(charset, "utf-8"))
}

// setPathValues copies the router's path parameters, unescaped, into r, and
// refuses what has no other reading than an attempt to confuse: NUL, bytes that
// are not UTF-8.
func setPathValues(c echo.Context, r *http.Request) error {
	for i, name := range c.ParamNames() {
		value := c.ParamValues()[i]
		if r.URL.RawPath != "" {
			var err error
			if value, err = url.PathUnescape(value); err != nil {
				return fmt.Errorf("%w: path: %w", errInvalid, err)
			}
		}
		if err := checkText(name, value); err != nil {
			return err
		}
		r.SetPathValue(name, value)
	}
	return nil
}

// acceptsStream reports whether the client wants server-sent events.
func acceptsStream(r *http.Request) bool {
	for _, h := range r.Header["Accept"] {
		for part := range strings.SplitSeq(h, ",") {
			if kind, _, err := mime.ParseMediaType(part); err == nil && kind == "text/event-stream" {
				return true
			}
		}
	}
	return false
}

// reply is the ResponseWriter of one request: it knows its status and route.
type reply struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int    // 0 until the head is sent
	route   string // of the table; empty when none fits
}

// writerOf returns the reply inside the router's writer.
func writerOf(c echo.Context) *reply {
	rep, ok := c.Response().Writer.(*reply)
	if !ok {
		panic("server: the router serves only what serve gives it")
	}
	return rep
}

func (p *reply) WriteHeader(status int) {
	if p.status == 0 && status >= http.StatusOK {
		p.status = status
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *reply) Write(b []byte) (int, error) {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	return p.ResponseWriter.Write(b)
}

// Flush sends what is buffered.
func (p *reply) Flush() {
	// A writer that cannot flush does not buffer: there is nothing to do.
	_ = p.control.Flush()
}

// Hijack hands the connection to a WebSocket.
func (p *reply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.status = http.StatusSwitchingProtocols
	return p.control.Hijack()
}

// Unwrap is for http.ResponseController.
func (p *reply) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// deadline moves the moment at which writing fails. Writers without deadlines,
// such as a test's recorder, have no connection to hold up.
func (p *reply) deadline(t time.Time) { _ = p.control.SetWriteDeadline(t) }

func (p *reply) readDeadline(t time.Time) { _ = p.control.SetReadDeadline(t) }
