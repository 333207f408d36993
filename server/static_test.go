package server

import (
	"io/fs"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
)

func TestStatic(t *testing.T) {
	s := newServer(t, Options{})
	ask := func(method, path string, header ...string) (int, string, http.Header) {
		r := good(t, route{method: method, path: path})
		r.Header.Del("Authorization")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := do(t, s, r)
		return w.Code, w.Body.String(), w.Header()
	}
	const script = "/assets/index-B3xk_9aQ.js"
	for _, row := range []struct {
		accept, encoding, body string
	}{
		{"", "", "export default 1\n"},
		{"gzip", "gzip", "gzipped"},
		{"gzip, deflate, br", "br", "brotli"},
		{"br;q=0, gzip;q=0.5", "gzip", "gzipped"},
		{"br; q=0.000, gzip; q=0", "", "export default 1\n"},
		{"identity", "", "export default 1\n"},
	} {
		status, body, h := ask(get, script, "Accept-Encoding", row.accept)
		if status != 200 || body != row.body || h.Get("Content-Encoding") != row.encoding || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %d %q %v", row.accept, status, body, h)
		}
		if h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%q: %v", row.accept, h)
		}
		if status, body, _ := ask(get, script, "Accept-Encoding", row.accept, "If-None-Match", h.Get("Etag")); status != 304 || body != "" {
			t.Errorf("%q again: %d %q", row.accept, status, body)
		}
	}
	if status, body, h := ask(http.MethodHead, script); status != 200 || body != "" || h.Get("Content-Length") != "17" {
		t.Errorf("HEAD: %d %q %v", status, body, h)
	}
	if status, _, h := ask(get, "/favicon.svg"); status != 200 || h.Get("Content-Type") != "image/svg+xml" || h.Get("Cache-Control") != "no-cache" {
		t.Errorf("icon: %d %v", status, h)
	}
	for _, path := range []string{"/index.html", script + ".gz", "/assets/../index.html", "/assets", "/folders", "/assets/index-B3xk_9aQ.js/"} {
		if status, _, _ := ask(get, path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, body, _ := ask(get, "/problems/query_empty"); status != 200 || !strings.Contains(body, "query_empty") {
		t.Errorf("problem: %d %s", status, body)
	}
}

// header adds one, whatever it says.
func header(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, "x") }
}

// TestPageToken: the token is in the page only for a browser on this computer.
func TestPageToken(t *testing.T) {
	const meta = `<meta name="shoal-token" content="` + testToken + `">`
	n := startNode(t)
	for _, row := range []struct {
		name    string
		options Options
		edit    func(*http.Request)
		has     bool
	}{
		{"local", Options{}, func(*http.Request) {}, true},
		{"local, bound to all", Options{Addr: "0.0.0.0:8080"}, func(*http.Request) {}, true},
		{"local, 6", Options{}, func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:5", "[::1]:8080" }, true},
		{"not local", Options{Addr: "0.0.0.0:8080"}, func(r *http.Request) { r.RemoteAddr = "192.0.2.7:5" }, false},
		{"open reads, not local", Options{OpenReads: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, func(r *http.Request) { r.RemoteAddr = "192.0.2.7:5" }, false},
		{"local, not open", Options{OpenReads: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, func(*http.Request) {}, false},
		{"required", Options{RequireToken: true}, func(*http.Request) {}, false},
		{"silent proxy", Options{Hosts: []string{"shoal.example"}}, func(r *http.Request) { r.Host = "shoal.example" }, false},
		{"silent proxy that says localhost", Options{Hosts: []string{"shoal.example"}}, func(*http.Request) {}, false},
		{"to another address", Options{}, func(r *http.Request) { *r = *arriving(r, "192.0.2.7:8080") }, false},
		{"nobody knows where to", Options{}, func(r *http.Request) { *r = *r.WithContext(t.Context()) }, false},
		{"Forwarded", Options{}, header("Forwarded"), false},
		{"X-Forwarded-For", Options{}, header("X-Forwarded-For"), false},
		{"X-Forwarded-Host", Options{}, header("X-Forwarded-Host"), false},
		{"X-Forwarded-Proto", Options{}, header("X-Forwarded-Proto"), false},
		{"X-Real-IP", Options{}, header("X-Real-IP"), false},
		{"Via", Options{}, header("Via"), false},
		{"CF-Connecting-IP", Options{}, header("CF-Connecting-IP"), false},
		{"True-Client-IP", Options{}, header("True-Client-IP"), false},
	} {
		row.options.Node = n
		s := newServer(t, row.options)
		r := good(t, route{method: get, path: "/"})
		row.edit(r)
		w := do(t, s, r)
		if w.Code != 200 || strings.Contains(w.Body.String(), meta) != row.has || strings.Contains(w.Body.String(), testToken) != row.has {
			t.Errorf("%s: %d %s", row.name, w.Code, w.Body)
		}
		if cache := w.Header().Get("Cache-Control"); !strings.Contains(cache, "no-cache") || strings.Contains(cache, "no-store") != row.has {
			t.Errorf("%s: Cache-Control %q", row.name, cache)
		}
	}
}

func TestNoBuild(t *testing.T) {
	n := startNode(t)
	for name, ui := range map[string]fs.FS{"empty": fstest.MapFS{}, "only a note": fstest.MapFS{".gitkeep": {}}} {
		s := newServer(t, Options{Node: n, UI: ui})
		w := do(t, s, good(t, route{method: get, path: "/"}))
		if w.Code != 200 || !strings.Contains(w.Body.String(), "built without its page") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
