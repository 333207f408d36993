package command

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/server/api"
)

// TestWhichNode: flag, variable, DIR/http, in this order; and the token
// on disk goes to the node that put it there.
func TestWhichNode(t *testing.T) {
	for _, tc := range []struct {
		name, http, token string
		kept              string // DIR/http
		base, sent        string
	}{
		{name: "kept", kept: "127.0.0.1:8099", base: "http://127.0.0.1:8099", sent: "disk"},
		{name: "kept beyond loopback", kept: "192.0.2.1:8099", base: "http://192.0.2.1:8099", sent: "disk"},
		{name: "given", http: "localhost:1", kept: "127.0.0.1:8099", base: "http://localhost:1", sent: "disk"},
		{name: "given what is kept", http: "192.0.2.1:8099", kept: "192.0.2.1:8099", base: "http://192.0.2.1:8099", sent: "disk"},
		{name: "another computer", http: "192.0.2.7:1", base: "http://192.0.2.7:1"},
		{name: "another computer with its token", http: "192.0.2.7:1", token: "its", base: "http://192.0.2.7:1", sent: "its"},
		{name: "everywhere", http: "0.0.0.0:9", base: "http://127.0.0.1:9", sent: "disk"},
		{name: "everywhere, short", http: ":9", base: "http://127.0.0.1:9", sent: "disk"},
		{name: "everywhere v6", http: "[::]:9", base: "http://[::1]:9", sent: "disk"},
		{name: "any port", http: "127.0.0.1:0", kept: "127.0.0.1:34567", base: "http://127.0.0.1:34567", sent: "disk"},
		{name: "node of a lab", http: "http://127.0.0.1:8080/n/3/", base: "http://127.0.0.1:8080/n/3", sent: "disk"},
		{name: "behind a proxy", http: "https://nas.example", token: "its", base: "https://nas.example", sent: "its"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{tokenFile: "disk\n", addressFile: tc.kept} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := console{global: Global{Data: dir, HTTP: tc.http, Token: tc.token}, Terminal: Terminal{Getenv: func(string) string { return "" }}}
			n, err := c.node()
			if err != nil {
				t.Fatal(err)
			}
			if n.base.String() != tc.base || n.token != tc.sent {
				t.Errorf("%s with token %q, want %s with %q", n.base, n.token, tc.base, tc.sent)
			}
		})
	}
}

// TestDefaultNode: without any place named, the default address is asked, without
// the token of whoever was there before.
func TestDefaultNode(t *testing.T) {
	home := t.TempDir()
	c := console{Terminal: Terminal{Getenv: func(name string) string { return map[string]string{"XDG_DATA_HOME": home, "HOME": home}[name] }}}
	dir, err := c.global.dir(c.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(filepath.Join(dir, tokenFile), "disk\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.node(); err != nil || n.base.String() != "http://127.0.0.1:8080" || n.token != "" {
		t.Errorf("%v with token %q, %v", n.base, n.token, err)
	}
}

// TestNobodyRunsThere: who names a data directory is never given another node.
func TestNobodyRunsThere(t *testing.T) {
	dir := t.TempDir()
	want := "shoal: no node runs with " + dir + " (start one: shoal --data " + dir + ")\n"
	for _, r := range []result{
		shoal(t, map[string]string{"SHOAL_DATA": dir}, "status"),
		shoal(t, nil, "status", "--data", dir),
		shoal(t, map[string]string{"SHOAL_HTTP": "127.0.0.1:0"}, "search", "x", "--data="+dir),
	} {
		if r.code != ExitUnreachable || r.stderr != want {
			t.Errorf("%+v, want exit code 3 and %q", r, want)
		}
	}
	for err, want := range map[error]string{
		&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}: "no node is known to run with /d: /d/http cannot be read: permission denied",
		&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}:   "no node runs with /d (start one: shoal --data /d)",
		nil: "no node runs with /d (start one: shoal --data /d)",
	} {
		if got := nobody("/d", err); got.Error() != want || exitCode(got) != ExitUnreachable {
			t.Errorf("%v: exit code %d, %q, want %q", err, exitCode(got), got, want)
		}
	}
}

func TestProblemText(t *testing.T) {
	for _, tc := range []struct{ title, detail, hint, want string }{
		{"Title", "it happened", "Do this.", "it happened. Do this"},
		{"Title", "it happened.", "", "it happened"},
		{"Title", "", "Do this.", "Title. Do this"},
		{"", "the files are away", "Is the disk mounted?", "the files are away. Is the disk mounted?"},
		{"", "it met an error; the node's log tells more", "The node's log tells more.", "it met an error; the node's log tells more"},
		{"", "it happened", " ", "it happened"},
	} {
		p := problem{api.Problem{Title: tc.title, Detail: tc.detail, Hint: &tc.hint, Code: "code"}}
		if got := p.Error(); got != tc.want {
			t.Errorf("%q, %q, %q: %q, want %q", tc.title, tc.detail, tc.hint, got, tc.want)
		}
	}
}

func TestTokenIsSent(t *testing.T) {
	f := newFake(t, map[string]any{"GET /api/node": api.Node{Name: "alice"}})
	if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "status", "--token", "secret"); got.code != ExitOK {
		t.Fatalf("%+v", got)
	}
	if f.tokens[0] != "Bearer secret" {
		t.Errorf("token %q", f.tokens[0])
	}
}

func TestNoHomeButAddress(t *testing.T) {
	f := newFake(t, map[string]any{"GET /healthz": api.Health{Status: "ok"}})
	c := console{global: Global{HTTP: f.URL}, Terminal: Terminal{Getenv: func(string) string { return "" }}}
	if n, err := c.node(); err != nil || n.base.String() != f.URL {
		t.Errorf("%v, %v", n.base, err)
	}
	c.global.HTTP = ""
	if _, err := c.node(); err == nil {
		t.Error("found a node without anything to go by")
	}
}
