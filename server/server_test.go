package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3filter"
	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "test-token-0123456789"

// startNode starts a node in memory.
func startNode(t testing.TB) *node.Node {
	t.Helper()
	t.TempDir() // what is registered first goes last: the node may write in a folder until it is closed
	n, err := node.Start(t.Context(), node.Options{Name: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// newServer makes a server that is ready. What o leaves out is a node in memory,
// the test's token and a small page.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Node == nil {
		o.Node = startNode(t)
	}
	if o.Token == "" {
		o.Token = testToken
	}
	if o.UI == nil {
		o.UI = testPage
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.SetReady(true)
	return s
}

var testPage = fstest.MapFS{
	"index.html":                  {Data: []byte("<!doctype html><html><head><title>shoal</title></head><body></body></html>")},
	"assets/index-B3xk_9aQ.js":    {Data: []byte("export default 1\n")},
	"assets/index-B3xk_9aQ.js.gz": {Data: []byte("gzipped")},
	"assets/index-B3xk_9aQ.js.br": {Data: []byte("brotli")},
	"favicon.svg":                 {Data: []byte("<svg xmlns='http://www.w3.org/2000/svg'/>")},
}

// bodies are requests that each operation with a body takes.
var bodies = map[string]string{
	"updateDht":      `{"replicas":3}`,
	"putValue":       `{"key":"greeting","value":"hello","protect":["domain"],"ttl_s":60}`,
	"batchDht":       `{"put":[{"key":"greeting","value":"hello"}],"get":[{"key":"greeting"}],"remove":[{"key":"nothing"}]}`,
	"removeValues":   `{"key":"greeting","values":false}`,
	"renewValue":     `{"key":"greeting","ttl_s":60}`,
	"putVersion":     `{"key":"notes","value":" one","append":true}`,
	"updateRegister": `{"key":"counter","add":1}`,
	"createRange":    `{"name":"lecture"}`,
	"insertRange":    `{"entries":[{"key":5,"value":"sys"}]}`,
	"sendData":       `{"key":"greeting","data":"hello","wait_s":0}`,
	"replyData":      `{"data":"world!"}`,
	"addDocument":    `{"title":"A title","text":"Some text","fields":{"year":2026,"kind":"note"}}`,
	"addInvite":      `{}`,
	"addNetwork":     `{"mode":"closed"}`,
	"join":           `{"link":"shoal://join#AAAA"}`,

	"addHandshake":    `{"link":"shoal://join#AAAA"}`,
	"answerHandshake": `{"offer":"shoal://offer#AAAA"}`,
	"finishHandshake": `{"answer":"shoal://answer#AAAA"}`,

	"updateMember": `{"role":"admin"}`,
	"addFolder":    `{"path":"/nowhere/at/all"}`,
	"updateFolder": `{"label":"other"}`,

	"previewFolder":    `{"id":"notes"}`,
	"decideHeld":       `{"decision":"release"}`,
	"resolveConflicts": `{"keep":"ours","numbers":[1,2]}`,
	"resolveConflict":  `{"keep":"theirs"}`,
	"restoreTrash":     `{"numbers":[1]}`,
	"revertChanges":    `{"paths":["a.txt"]}`,
	"explainRsync":     `{"old":"charla","new":"gocharla","block":2}`,
	"playLesson":       `{"file":"title Mine\nnodes 3\n"}`,

	"addSeed":        `{"path":"/nowhere/at/all"}`,
	"updateKeptSeed": `{"paused":true}`,
	"addSeedLink":    `{"expires_in":3600}`,
	"addDownload":    `{"id":"` + nobodysSeed + `"}`,
	"setLimits":      `{"up":1000000}`,
}

// nobodysSeed is the ID of a seed that nobody has.
const nobodysSeed = "0000000000000000000000000000000000000000000000000000000000000001"

// queries are the parameters that operations need.
var queries = map[string]string{
	"search":     "q=netwrk",
	"events":     "timeout=0",
	"getContent": "path=a.txt",
	"uploadSeed": "name=a.txt",

	"listResponsible": "key=greeting",
	"getValues":       "key=greeting",
	"listVersions":    "key=greeting",
}

// good is a request to rt that no guard refuses.
func good(t testing.TB, rt route) *http.Request {
	t.Helper()
	path := strings.NewReplacer("{id}", "x", "{n}", "7", "{name}", "put-get", "{code}", "not_found", "/*", "/favicon.svg").Replace(rt.path)
	if q := queries[rt.op]; q != "" {
		path += "?" + q
	}
	var body io.Reader
	if rt.body > 0 {
		text, ok := bodies[rt.op]
		if !ok {
			t.Fatalf("%s takes a body and the test knows none", rt.op)
		}
		body = strings.NewReader(text)
	}
	if rt.upload {
		body = strings.NewReader("a file")
	}
	r := httptest.NewRequest(rt.method, path, body)
	r.Host = "localhost:8080"
	r.RemoteAddr = "127.0.0.1:54321"
	r.Header.Set("Authorization", "Bearer "+testToken)
	switch {
	case rt.body > 0:
		r.Header.Set("Content-Type", "application/json")
	case rt.upload:
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	return arriving(r, "127.0.0.1:8080")
}

// arriving is r as if it had come in at a local address.
func arriving(r *http.Request, addr string) *http.Request {
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
}

// do serves r and checks what holds for every reply.
func do(t testing.TB, s *Server, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	h := w.Header()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if h.Get(name) != want {
			t.Errorf("%s %s: header %s is %q, want %q", r.Method, r.URL, name, h.Get(name), want)
		}
	}
	if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%s %s: Content-Security-Policy %q", r.Method, r.URL, h.Get("Content-Security-Policy"))
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s %s: header %s lets other origins in", r.Method, r.URL, name)
		}
	}
	if w.Code >= 400 {
		checkProblem(t, r, w)
	}
	return w
}

// checkProblem checks that an error has RFC 9457's form.
func checkProblem(t testing.TB, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s %s: %d with type %q", r.Method, r.URL, w.Code, got)
		return
	}
	p := problemIn(t, w)
	if p.Status != w.Code || p.Code == "" || p.Title == "" || p.Detail == "" || p.Type != "/problems/"+p.Code {
		t.Errorf("%s %s: status %d, problem %+v", r.Method, r.URL, w.Code, p)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s %s: problem with Cache-Control %q", r.Method, r.URL, got)
	}
}

func problemIn(t testing.TB, w *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Errorf("problem %q: %v", w.Body, err)
	}
	return p
}

// codeOf is the problem's code, or empty for a reply that is none.
func codeOf(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code < 400 {
		return ""
	}
	return problemIn(t, w).Code
}

// call serves a request with the token, holds the reply against the API's
// description, and decodes it into out unless that is nil.
func call(t testing.TB, s *Server, method, target, body string, status int, out any) *httptest.ResponseRecorder {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.Host, r.RemoteAddr = "localhost:8080", "127.0.0.1:54321"
	r.Header.Set("Authorization", "Bearer "+testToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := do(t, s, r)
	if w.Code != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, target, w.Code, status, w.Body)
	}
	conforms(t, s, r, w)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %v", method, target, err)
		}
	}
	return w
}

// conforms checks a reply of the API against openapi.yaml.
func conforms(t testing.TB, s *Server, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	path := r.URL.Path
	if of := strings.SplitN(path, "/", 4); len(of) == 4 && of[1] == "n" {
		path = "/" + of[3]
	}
	i := slices.IndexFunc(s.routes, func(rt route) bool {
		return rt.op != "" && rt.method == r.Method && samePath(rt.path, path)
	})
	if i < 0 {
		t.Fatalf("%s %s: not in the route table", r.Method, r.URL)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: described(t, s.routes[i]), Options: options},
		Status:                 w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())), Options: options,
	})
	if err != nil {
		t.Errorf("%s %s: reply %d is not what openapi.yaml says: %v", r.Method, r.URL, w.Code, err)
	}
	if strings.HasPrefix(path, "/api/") && w.Header().Get(positionHeader) == "" {
		t.Errorf("%s %s: reply without %s", r.Method, r.URL, positionHeader)
	}
}

// samePath reports whether path fits a template with {parameters}.
func samePath(template, path string) bool {
	a, b := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(t, p string) bool { return t == p || strings.HasPrefix(t, "{") })
}

func TestNewRefuses(t *testing.T) {
	n := startNode(t)
	for name, o := range map[string]Options{
		"token of other chars": {Node: n, Token: "a/b"},
		"no token, all":        {Node: n, Addr: "0.0.0.0:8080"},
		"no token, all 6":      {Node: n, Addr: "[::]:8080"},
		"no token, lan":        {Node: n, Addr: "192.0.2.1:8080"},
		"no token, no host":    {Node: n, Addr: ":8080"},
		"no address":           {Node: n, Addr: "8080"},
		"host":                 {Node: n, Hosts: []string{"http://shoal"}},
		"host that means all":  {Node: n, Hosts: []string{"0.0.0.0"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, o := range map[string]Options{
		"loopback":   {Node: n, Addr: "127.0.0.1:8080"},
		"loopback 6": {Node: n, Addr: "[::1]:8080"},
		"name":       {Node: n, Addr: "localhost:8080"},
		"all":        {Node: n, Addr: "0.0.0.0:8080", Token: testToken},
	} {
		s, err := New(o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReady(t *testing.T) {
	s, err := New(Options{Node: startNode(t), Token: testToken, UI: testPage})
	if err != nil {
		t.Fatal(err)
	}
	stages := []struct {
		step func()
		code string
	}{
		{func() {}, "starting"},
		{func() { s.SetReady(false) }, "starting"},
		{func() { s.SetReady(true) }, ""},
		{func() { s.SetReady(false) }, "stopping"},
		{func() { s.SetReady(true) }, ""},
		{func() { _ = s.Close() }, "stopping"},
	}
	for i, stage := range stages {
		stage.step()
		for _, rt := range s.routes {
			if rt.op != "health" && rt.op != "getNode" && rt.path != "/" {
				continue
			}
			w := do(t, s, good(t, rt))
			want := stage.code
			if rt.access == static {
				want = ""
			}
			if got := codeOf(t, w); got != want {
				t.Errorf("stage %d: %s: code %q, want %q", i, rt.path, got, want)
			}
			if want != "" && (w.Code != 503 || w.Header().Get("Retry-After") == "") {
				t.Errorf("stage %d: %s: status %d, Retry-After %q", i, rt.path, w.Code, w.Header().Get("Retry-After"))
			}
		}
	}
}

func TestPanicIsAProblem(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{Logger: textLogger(&log)})
	i := slices.IndexFunc(s.routes, func(rt route) bool { return rt.op == "health" })
	s.routes[i].raw = func(*nodeAPI, http.ResponseWriter, *http.Request) error { panic("secret " + testToken) }
	e, err := s.router(s.options.Node)
	if err != nil {
		t.Fatal(err)
	}
	s.echo.Store(e)
	w := do(t, s, good(t, s.routes[i]))
	if w.Code != 500 || codeOf(t, w) != "internal" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "handler panicked") || strings.Contains(log.String(), testToken) {
		t.Errorf("log: %s", &log)
	}
}

// Between the binding of its address and the start of its node a server says that
// it is starting, whatever is asked.
func TestBeforeAttach(t *testing.T) {
	s, err := New(Options{Token: testToken, UI: testPage})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, path := range []string{"/", "/healthz", "/api/node", "/nowhere"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || codeOf(t, w) != "starting" || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if err := s.Attach(startNode(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.Attach(startNode(t)); err == nil {
		t.Error("a second node was attached")
	}
}

// What nobody expected is in the log, however short the time is that its route has.
func TestUnexpectedErrorIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{Logger: textLogger(&log)})
	i := slices.IndexFunc(s.routes, func(rt route) bool { return rt.op == "getNode" })
	if s.routes[i].limit == 0 {
		t.Fatal("the route has no limit")
	}
	s.routes[i].raw = func(*nodeAPI, http.ResponseWriter, *http.Request) error { return errors.New("the disk is on fire") }
	e, err := s.router(s.options.Node)
	if err != nil {
		t.Fatal(err)
	}
	s.echo.Store(e)
	w := do(t, s, good(t, s.routes[i]))
	if w.Code != 500 || codeOf(t, w) != "internal" || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "the disk is on fire") {
		t.Errorf("log: %s", &log)
	}
}
