package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/node"
)

func textLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestTableIsTheSpecification: each operation has its row, each row its operation.
func TestTableIsTheSpecification(t *testing.T) {
	doc := document(t)
	described := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described[method+" "+path] = op.OperationID
		}
	}
	for _, rt := range routes() {
		key := rt.method + " " + rt.path
		if rt.op == "" {
			if rt.access != static || described[key] != "" {
				t.Errorf("%s: a row without operation is a file of the page", key)
			}
			continue
		}
		op, ok := described[key]
		if !ok || op != rt.op {
			t.Errorf("%s is %s in the table and %q in openapi.yaml", key, rt.op, op)
		}
		delete(described, key)
		if reads := rt.method == http.MethodGet; reads == (rt.access == changing && !rt.socket) || rt.socket && rt.raw == nil {
			t.Errorf("%s: only what is no GET, or a WebSocket, changes, and all of that does", key)
		}
		if (rt.strict == nil) == (rt.raw == nil) {
			t.Errorf("%s: needs one of strict and raw", key)
		}
		item := doc.Paths.Find(rt.path).GetOperation(rt.method)
		if (item.RequestBody != nil) != (rt.body > 0 || rt.upload) {
			t.Errorf("%s: body limit %d", key, rt.body)
		}
	}
	for key, op := range described {
		t.Errorf("%s (%s) is in openapi.yaml and not in the table", key, op)
	}
}

// TestOnlyTheTableIsServed: there is no way around the guards.
func TestOnlyTheTableIsServed(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n, Lab: []*node.Node{n}})
	want := map[string]bool{}
	for _, rt := range s.routes {
		for _, prefix := range []string{"", "/n/0"} {
			if prefix != "" && !strings.HasPrefix(rt.path, "/api/") {
				continue
			}
			want[rt.method+" "+prefix+echoPath(rt.path)] = true
			if rt.method == http.MethodGet {
				want["HEAD "+prefix+echoPath(rt.path)] = true
			}
		}
	}
	for _, r := range s.echo.Load().Routes() {
		key := r.Method + " " + r.Path
		if !want[key] {
			t.Errorf("%s is served and not in the table", key)
		}
		delete(want, key)
	}
	for key := range want {
		t.Errorf("%s is in the table and not served", key)
	}
}

var foreignHosts = []string{
	"", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:8080", "evil.localhost",
	"localhost..", "localhost:8080:8080", "localhost:port", "localhost:123456", "0.0.0.0:8080", "[::]:8080", "2130706433",
	"0x7f000001", "0177.0.0.1", "127.1", "127.0.0.2", "[::ffff:127.0.0.1]:8080", "[::1%25lo]:8080", "::1", "[::1", "[127.0.0.1]",
	"user@localhost", "localhost/", "localhost,evil.example", "192.0.2.1", "lo calhost", "localhost\x00", "löcalhost", "192.168.0.1:8080",
	strings.Repeat("a", 300),
}

var ownHosts = []string{
	"localhost", "LOCALHOST:8080", "LocalHost.", "localhost.:9999", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.:80", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]:8080",
	"localhost:",
}

var foreignOrigins = []string{
	"null", "http://evil.example", "http://evil.example:8080", "http://localhost", "http://localhost:3000", "https://localhost:8080",
	"http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080/", "http://localhost:8080.evil.example", "http://user@localhost:8080",
	"http://localhost:8080?x", "http://localhost:8080#x", "ws://localhost:8080", "file://", "", "localhost:8080", "http://", "://localhost:8080",
	"http://localhost:80800", "chrome-extension://localhost:8080", "HTTP://localhost:8080",
}

// guardCase is one way to ask, and what the guards must make of it on a route.
type guardCase struct {
	name string
	edit func(*http.Request)
	want func(rt route) string // the problem's code; empty: no guard refuses
}

func always(code string) func(route) string { return func(route) string { return code } }

// needing says the code for routes of these kinds; others are not refused.
func needing(code string, kinds ...access) func(route) string {
	return func(rt route) string {
		if slices.Contains(kinds, rt.access) {
			return code
		}
		return ""
	}
}

func guardCases() []guardCase {
	cases := []guardCase{{"good", func(*http.Request) {}, always("")}}
	for _, h := range foreignHosts {
		cases = append(cases, guardCase{"host " + h, func(r *http.Request) { r.Host = h }, always("host_refused")})
	}
	for _, h := range ownHosts {
		cases = append(cases, guardCase{"host " + h, func(r *http.Request) { r.Host = h }, always("")})
	}
	for _, o := range foreignOrigins {
		cases = append(cases, guardCase{"origin " + o, func(r *http.Request) { r.Header["Origin"] = []string{o} }, always("origin_refused")})
	}
	for _, site := range []string{"cross-site", "same-site", "Same-Origin", "", "other", "same-origin, cross-site"} {
		cases = append(cases, guardCase{"site " + site, func(r *http.Request) { r.Header["Sec-Fetch-Site"] = []string{site} }, always("origin_refused")})
	}
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Add(pairs[i], pairs[i+1])
			}
		}
	}
	body := func(kind, text string, length int64) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), length
			r.Header.Del("Content-Type")
			if kind != "" {
				r.Header.Set("Content-Type", kind)
			}
		}
	}
	token := func(values ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header["Authorization"] = values
			if values == nil {
				r.Header.Del("Authorization")
			}
		}
	}
	all := func(edits ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, e := range edits {
				e(r)
			}
		}
	}
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	huge := strings.Repeat(" ", 16*mib+1)
	return append(cases, []guardCase{
		{"two origins", header("Origin", "http://localhost:8080", "Origin", "http://localhost:8080"), always("origin_refused")},
		{"own origin", header("Origin", "http://localhost:8080"), always("")},
		{"own origin, other case", header("Origin", "http://LOCALHOST:8080"), always("")},
		{"same-origin", header("Sec-Fetch-Site", "same-origin"), always("")},
		{"typed address", header("Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"), always("")},
		{"two sites", header("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"), always("origin_refused")},
		{"link from elsewhere", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), func(rt route) string {
			if rt.path == "/" {
				return ""
			}
			return "origin_refused"
		}},
		{"frame elsewhere", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), always("origin_refused")},
		{"fetch of another port", header("Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"), always("origin_refused")},
		{"absolute form of another host", func(r *http.Request) { r.URL.Host = "evil.example" }, always("host_refused")},

		{"no token", token(), needing("token_required", changing)},
		{"no token, not local", all(token(), from("192.0.2.7:1")), needing("token_required", safe, changing)},
		{"no token, no address", all(token(), from("@")), needing("token_required", safe, changing)},
		{"no token, mapped loopback", all(token(), from("[::ffff:127.0.0.1]:1")), needing("token_required", changing)},
		{"no token, forwarded", all(token(), header("X-Forwarded-For", "192.0.2.7")), needing("token_required", safe, changing)},
		{"token, not local", from("192.0.2.7:1"), always("")},
		{"token, other case of the scheme", token("bearer " + testToken), always("")},
		{"wrong token", token("Bearer wrong"), needing("token_wrong", safe, changing)},
		{"empty token", token("Bearer "), needing("token_wrong", safe, changing)},
		{"longer token", token("Bearer " + testToken + "x"), needing("token_wrong", safe, changing)},
		{"basic", token("Basic " + testToken), needing("token_wrong", safe, changing)},
		{"two tokens", token("Bearer "+testToken, "Bearer "+testToken), needing("token_wrong", safe, changing)},
		{"wrong token of a socket", all(token(), header("Sec-WebSocket-Protocol", "shoal.token.wrong")), needing("token_wrong", safe, changing)},
		{"token of a socket", all(token(), header("Sec-WebSocket-Protocol", "x, shoal.token."+testToken)), always("")},
		{"token in the query", all(token(), func(r *http.Request) { r.URL.RawQuery = "token=" + testToken }), func(rt route) string {
			switch {
			case rt.access == changing:
				return "token_required"
			case rt.op != "":
				return "request_invalid"
			}
			return ""
		}},

		{"form", body("application/x-www-form-urlencoded", "a=b", 3), func(rt route) string { return bodyCode(rt, "content_type_unsupported") }},
		{"plain text", body("text/plain", "{}", 2), func(rt route) string { return bodyCode(rt, "content_type_unsupported") }},
		{"other charset", body("application/json; charset=utf-16", "{}", 2), func(rt route) string { return bodyCode(rt, "content_type_unsupported") }},
		{"no type", body("", `{"a":1}`, 7), func(rt route) string {
			if rt.body > 0 || rt.upload {
				return "content_type_unsupported"
			}
			return "request_invalid"
		}},
		{"unknown field", body("application/json", `{"surprise":1}`, 14), asJSON("request_invalid")},
		{"two values", body("application/json", `{}{}`, 4), asJSON("request_invalid")},
		{"deep", body("application/json", strings.Repeat("[", 40)+strings.Repeat("]", 40), 80), asJSON("request_invalid")},
		{"twice", body("application/json", `{"title":"a","title":"b"}`, 25), asJSON("request_invalid")},
		{"no JSON", body("application/json", `{"title":`, 9), asJSON("request_invalid")},
		{"no UTF-8", body("application/json", "\"\xff\"", 3), asJSON("request_invalid")},
		{"declared too large", body("application/json", "", 16*mib+1), asJSON("body_too_large")},
		{"too large", body("application/json", huge, -1), asJSON("body_too_large")},
		{"broken query", func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, onAPI("request_invalid")},
		{"unknown parameter", func(r *http.Request) { r.URL.RawQuery += "&surprise=1" }, onAPI("request_invalid")},
		{"wrong method", func(r *http.Request) { r.Method = http.MethodTrace }, always("method_not_allowed")},
	}...)
}

// bodyCode is code where a body is wanted or would change something, and the
// refusal of any body elsewhere.
func bodyCode(rt route, code string) string {
	if rt.access == changing {
		return code
	}
	return "request_invalid"
}

// asJSON is code of a body that is JSON, which no file is declared as.
func asJSON(code string) func(route) string {
	return func(rt route) string {
		if rt.upload {
			return "content_type_unsupported"
		}
		return code
	}
}

func onAPI(code string) func(route) string {
	return func(rt route) string {
		if rt.op == "" {
			return ""
		}
		return code
	}
}

// refusals are the codes that only guards give.
var refusals = []string{
	"host_refused", "origin_refused", "token_required", "token_wrong", "too_many_attempts", "content_type_unsupported",
	"body_too_large", "method_not_allowed", "starting", "stopping", "internal",
}

// TestGuards asks every route in every way.
func TestGuards(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{Logger: textLogger(&log), Addr: "127.0.0.1:8080"})
	rows := 0
	for _, rt := range s.routes {
		for _, c := range guardCases() {
			rows++
			s.guard.attempts = newAttempts() // their limit has its own test
			r := good(t, rt)
			c.edit(r)
			want := c.want(rt)
			w := do(t, s, r)
			got := codeOf(t, w)
			name := fmt.Sprintf("%s %s, %s", rt.method, rt.path, c.name)
			switch {
			case want != "" && got != want:
				t.Errorf("%s: %d %q, want code %s", name, w.Code, got, want)
			case want == "" && slices.Contains(refusals, got):
				t.Errorf("%s: refused: %s", name, w.Body)
			}
			switch got {
			case "token_required":
				if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s: no WWW-Authenticate", name)
				}
			case "method_not_allowed":
				if !strings.Contains(w.Header().Get("Allow"), rt.method) {
					t.Errorf("%s: Allow is %q", name, w.Header().Get("Allow"))
				}
			}
		}
	}
	if rows < 150 {
		t.Errorf("%d rows", rows)
	}
	if strings.Contains(log.String(), testToken) {
		t.Error("the token is in the log")
	}
	t.Logf("%d rows", rows)
}

// TestGuardsElsewhere: paths that are nothing have the guards too.
func TestGuardsElsewhere(t *testing.T) {
	s := newServer(t, Options{})
	for _, path := range []string{"/nothing", "/api/nothing", "/api/folders/x/y/z", "/n/0/api/node", "/assets/", "/index.html", "/..%2fetc", "//", "/problems/nothing"} {
		rt := route{method: get, path: path}
		for name, row := range map[string]struct {
			edit func(*http.Request)
			code string
		}{
			"good":   {func(*http.Request) {}, "not_found"},
			"host":   {func(r *http.Request) { r.Host = "evil.example" }, "host_refused"},
			"origin": {func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, "origin_refused"},
			"site":   {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, "origin_refused"},
		} {
			r := good(t, rt)
			row.edit(r)
			if got := codeOf(t, do(t, s, r)); got != row.code {
				t.Errorf("%s, %s: %q, want %q", path, name, got, row.code)
			}
		}
	}
}
