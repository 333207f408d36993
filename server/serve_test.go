package server

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/server/api"
)

// TestServe sends requests that no client library sends.
func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{Addr: l.Addr().String()})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	for _, row := range []struct {
		name, request string
		status        int
		code          string // empty: no problem of ours
	}{
		{"plain", "GET /api/node HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, ""},
		{"1.0", "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", 200, ""},
		{"1.0 without host", "GET /healthz HTTP/1.0\r\n\r\n", 403, "host_refused"},
		{"1.1 without host", "GET /healthz HTTP/1.1\r\n\r\n", 400, ""},
		{"empty host", "GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 403, "host_refused"},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400, ""},
		{"absolute form", "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 403, "host_refused"},
		{"absolute form, own", "GET http://localhost/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200, ""},
		{"absolute form, user", "GET http://localhost@evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 403, "host_refused"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "host_refused"},
		{"connect", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 404, "not_found"},
		{"preflight", "OPTIONS /api/join HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", 403, "origin_refused"},
		{"large header", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 32*kib) + "\r\n\r\n", 431, ""},
		{"form", "POST /api/samples HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + testToken +
			"\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415, "content_type_unsupported"},
		{"endless", "POST /api/documents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + testToken +
			"\r\nContent-Type: application/json\r\nContent-Length: 9000000000\r\n\r\n", 413, "body_too_large"},
		{"no token, body never sent", "POST /api/documents HTTP/1.1\r\nHost: localhost\r\n" +
			"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n", 401, "token_required"},
		{"chunked", "POST /api/documents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + testToken +
			"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"title\":\"a\"}\r\n0\r\n\r\n", 201, ""},
		{"socket without a key", "GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400, "request_invalid"},
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(row.request)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		code := ""
		if resp.Header.Get("Content-Type") == "application/problem+json" {
			var p api.Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			code = p.Code
		}
		if resp.StatusCode != row.status || code != row.code {
			t.Errorf("%s: %d %s, want %d %s", row.name, resp.StatusCode, code, row.status, row.code)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := s.Serve(l); err == nil {
		t.Error("a closed server serves")
	}
}
