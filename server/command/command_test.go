package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

// fake is a node that gives fixed answers and remembers what it was asked.
type fake struct {
	*httptest.Server
	mu      sync.Mutex     // guards the following fields while a verb runs
	answers map[string]any // "GET /api/node" to a value, a status or a problem
	asked   []string       // method, URL and body
	tokens  []string
}

func newFake(t *testing.T, answers map[string]any) *fake {
	t.Helper()
	f := &fake{answers: answers}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
	f.tokens = append(f.tokens, r.Header.Get("Authorization"))
	switch a := f.answers[r.Method+" "+r.URL.Path].(type) {
	case nil:
		sendJSON(w, http.StatusNotFound, "application/problem+json", api.Problem{Code: "not_found", Title: "Not found", Detail: "no such thing"})
	case int:
		w.WriteHeader(a)
	case api.Problem:
		sendJSON(w, a.Status, "application/problem+json", a)
	case []byte: // a file
		w.Header().Set("Shoal-Position", "1.1")
		w.Write(a)
	case string:
		io.WriteString(w, a)
	default:
		sendJSON(w, http.StatusOK, "application/json; charset=UTF-8", a)
	}
}

func sendJSON(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// result is what a run of the program gave.
type result struct {
	code           int
	stdout, stderr string
}

// shoal runs the program with an environment of its own.
func shoal(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	return shoalWith(t, Program{Version: "1.2.3"}, env, args...)
}

func shoalWith(t *testing.T, p Program, env map[string]string, args ...string) result {
	t.Helper()
	if env["SHOAL_DATA"] == "" {
		env = merge(env, map[string]string{"SHOAL_DATA": t.TempDir()})
	}
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), p, args, Terminal{
		Getenv: func(name string) string { return env[name] },
		Stdin:  strings.NewReader("shoal://join#stdin\n"),
		Stdout: &stdout, Stderr: &stderr,
	})
	return result{code, stdout.String(), stderr.String()}
}

func merge(a, b map[string]string) map[string]string {
	m := map[string]string{}
	for _, from := range []map[string]string{a, b} {
		for k, v := range from {
			m[k] = v
		}
	}
	return m
}

func pointer[T any](v T) *T { return &v }

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.Local)

func TestVerbs(t *testing.T) {
	node := api.Node{
		Id: strings.Repeat("a", 52), Name: "alice", Version: "1.2.3", Started: noon, Http: "127.0.0.1:8080",
		P2p: []string{"192.0.2.1:4747"}, Network: api.Network{Name: "home", Mode: "closed"}, Role: "admin",
		Members: 3, Peers: 1, Folders: 1, Documents: 24,
	}
	f := newFake(t, map[string]any{
		"GET /healthz":  api.Health{Status: "ok"},
		"GET /api/node": node,
		"GET /api/peers": api.PeerList{Items: []api.Peer{
			{Id: strings.Repeat("b", 52), Name: "bob", Connected: true, RttMs: 1.25, BytesIn: 1500000, BytesOut: 999, Path: &api.Path{Kind: "direct", Proto: "udp", Remote: "192.0.2.2:4747"}},
			{Id: strings.Repeat("c", 52), Name: "", Error: "no route"},
		}},
		"GET /api/members": api.MemberList{Items: []api.Member{
			{Id: strings.Repeat("a", 52), Name: "alice", Role: "admin", Self: true, Admitted: noon},
			{Id: strings.Repeat("b", 52), Name: "bob", Role: "member", Connected: true, Admitted: noon, By: strings.Repeat("a", 52)},
		}},
		"GET /api/folders": api.FolderList{Items: []api.Folder{
			{Id: "f1", Label: "notes", Path: "/home/alice/notes", State: "idle", Files: 3, Bytes: 12345, NodeName: "alice", Writable: true},
			{Id: "f2", Label: "films", State: "offered", Files: 0, NodeName: "bob", Error: "gone"},
		}},
		"POST /api/folders":         api.Folder{Id: "f3", Label: "new", Path: "/new", State: "scanning", NodeName: "alice", Writable: true},
		"DELETE /api/folders/notes": http.StatusNoContent,
		"POST /api/folders/f1/scan": http.StatusAccepted,
		"POST /api/invites":         api.Invite{Link: "http://localhost:8080/#join=abc", Expires: noon, MaxUses: 2},
		"POST /api/join":            api.Joined{Network: api.Network{Name: "home"}, Members: 2, Words: []string{"one", "two", "three", "four"}},
	})
	linkFile := filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(linkFile, []byte("shoal://join#file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("pictures")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args   string
		stdout string
		asked  string // the first request
	}{
		{"health", "ok\n", "GET /healthz"},
		{"version", "shoal 1.2.3\n", ""},
		{"status", `name     alice
id       aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
network  home (closed), 3 members
role     admin
linked   1 of 2 other members
shares   1 folder, 24 documents
http     127.0.0.1:8080
p2p      192.0.2.1:4747
started  2026-11-20 12:00
version  1.2.3
`, "GET /api/node"},
		{"peers", `NAME  ID            LINK        RTT     IN      OUT    REMOTE
bob   bbbbbbbbbbbb  direct udp  1.2 ms  1.5 MB  999 B  192.0.2.2:4747
-     cccccccccccc  none        -       0 B     0 B    off or unreachable
`, "GET /api/peers"},
		{"members", `NAME   ID            ROLE    LINKED     ADMITTED          BY
alice  aaaaaaaaaaaa  admin   this node  2026-11-20 12:00  founder
bob    bbbbbbbbbbbb  member  yes        2026-11-20 12:00  alice
`, "GET /api/members"},
		{"folders", `LABEL  ID  FILES  SIZE     NODE   PATH               STATE
notes  f1  3      12.3 kB  alice  /home/alice/notes  idle
films  f2  -      -        bob    -                  offered: gone
`, "GET /api/folders"},
		{"folders add pictures --label new --access read", `LABEL  ID  FILES  SIZE  NODE   PATH  STATE
new    f3  0      0 B   alice  /new  scanning
`, `POST /api/folders {"access":"read","label":"new","path":"` + here + `"}`},
		{"folders remove notes", "", "DELETE /api/folders/notes"},
		{"folders rm notes", "", "DELETE /api/folders/notes"},
		{"folders share --access read --label new pictures", `LABEL  ID  FILES  SIZE  NODE   PATH  STATE
new    f3  0      0 B   alice  /new  scanning
`, `POST /api/folders {"access":"read","label":"new","path":"` + here + `"}`},
		{"folders scan f1", "", "POST /api/folders/f1/scan"},
		{"invite --uses 2 --expires 90m --role admin", "http://localhost:8080/#join=abc\n", `POST /api/invites {"expires_in":5400,"max_uses":2,"role":"admin"}`},
		{"join shoal://join#arg", "joined home, 2 members\ncompare with the one who invited you: one two three four\n", `POST /api/join {"link":"shoal://join#arg"}`},
		{"join @" + linkFile, "joined home, 2 members\ncompare with the one who invited you: one two three four\n", `POST /api/join {"link":"shoal://join#file"}`},
		{"join -", "joined home, 2 members\ncompare with the one who invited you: one two three four\n", `POST /api/join {"link":"shoal://join#stdin"}`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			f.asked = nil
			got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, strings.Fields(tc.args)...)
			if got.code != ExitOK {
				t.Errorf("exit code %d: %s", got.code, got.stderr)
			}
			if diff := cmp.Diff(tc.stdout, got.stdout); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if tc.asked != "" && (len(f.asked) == 0 || f.asked[0] != tc.asked) {
				t.Errorf("asked %q, want %q", f.asked, tc.asked)
			}
		})
	}
}

func TestJSONIsTheAnswer(t *testing.T) {
	answers := map[string]any{
		"GET /api/node":     api.Node{Name: "alice\x1b[31m\u009b31m\u202e"},
		"GET /api/peers":    api.PeerList{Items: []api.Peer{}},
		"GET /api/members":  api.MemberList{Items: []api.Member{{Name: "bob"}}},
		"GET /api/folders":  api.FolderList{Items: []api.Folder{}},
		"POST /api/folders": api.Folder{Id: "f"},
		"GET /api/search":   api.SearchAnswer{Query: "x", Hits: []api.Hit{}},
		"POST /api/invites": api.Invite{Link: "l"},
		"POST /api/join":    api.Joined{Members: 2},

		"POST /api/network/check": testReport(),
	}
	f := newFake(t, answers)
	for args, route := range map[string]string{
		"status --json": "GET /api/node", "peers --json": "GET /api/peers", "members --json": "GET /api/members",
		"folders --json": "GET /api/folders", "folders list --json": "GET /api/folders", "folders add --json .": "POST /api/folders",
		"search --json x": "GET /api/search", "invite --json": "POST /api/invites", "join --json l": "POST /api/join", "netcheck --json": "POST /api/network/check",
	} {
		got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, strings.Fields(args)...)
		want, err := json.Marshal(answers[route])
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal([]byte(got.stdout), &a); err != nil {
			t.Errorf("%s: %v in %q", args, err, got.stdout)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, a); diff != "" || got.code != ExitOK {
			t.Errorf("%s: exit code %d (-want +got):\n%s", args, got.code, diff)
		}
		if strings.ContainsAny(got.stdout, "\x1b\u009b\u202e") {
			t.Errorf("%s: control characters in %q", args, got.stdout)
		}
	}
}

func TestExitCodes(t *testing.T) {
	problemOf := func(status int, code string) api.Problem {
		return api.Problem{Status: status, Code: code, Title: "Title", Detail: "what\nhappened", Hint: pointer("do this")}
	}
	f := newFake(t, map[string]any{
		"POST /api/invites": problemOf(403, "not_admin"),
		"GET /api/peers":    problemOf(401, "token_missing"),
		"GET /api/members":  problemOf(500, "internal"),
		"POST /api/join":    problemOf(410, "invite_expired"),
		"GET /healthz":      problemOf(503, "starting"),
		"GET /api/node":     "<html>some other program</html>",
		"GET /api/search":   problemOf(503, "stopping"),
		"GET /api/folders":  problemOf(503, "busy"),
	})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args string
		http string
		code int
		says string
	}{
		{"invite", f.URL, ExitUnauthorized, "shoal: what\nshoal: happened. do this\n"},
		{"peers", f.URL, ExitUnauthorized, "happened. do this\n"},
		{"members", f.URL, ExitError, "happened. do this\n"},
		{"join x", f.URL, ExitError, "happened. do this\n"},
		{"join @/does/not/exist", f.URL, ExitError, "read the invitation"},
		{"folders remove nothing", f.URL, ExitNotFound, "no such thing"},
		{"health", f.URL, ExitUnreachable, "happened. do this\n"},
		{"search x", f.URL, ExitUnreachable, "happened. do this\n"},
		{"folders", f.URL, ExitError, "happened. do this\n"},
		{"status", f.URL, ExitUnreachable, "not as a shoal node does"},
		{"status", closed.Addr().String(), ExitUnreachable, "no node answers at " + closed.Addr().String()},
		{"health", closed.Addr().String(), ExitUnreachable, "refused"},
		{"frobnicate", f.URL, ExitUsage, "frobnicate"},
		{"search", f.URL, ExitUsage, "what for? e.g. shoal search netwrk"},
		{"search --fuzz 9 x", f.URL, ExitUsage, "fuzz"},
		{"status --data", f.URL, ExitUsage, "data"},
		{"status", "ftp://x", ExitUsage, "not an address"},
		{"status", "http://", ExitUsage, "not an address"},
		{"lab --nodes 0", "", ExitUsage, "at least one"},
		{"invite --uses 0", f.URL, ExitUsage, "--uses 0: 1 to 1000"},
		{"invite --uses 1001", f.URL, ExitUsage, "--uses 1001: 1 to 1000"},
		{"invite --uses many", f.URL, ExitUsage, "--uses many: not a whole number"},
		{"invite --expires 59s", f.URL, ExitUsage, "--expires 59s: between 1m and 8760h"},
		{"invite --expires 8761h", f.URL, ExitUsage, "between 1m and 8760h"},
		{"invite --expires soon", f.URL, ExitUsage, "--expires soon: not a time such as 90m or 24h"},
		{"search --limit 0 x", f.URL, ExitUsage, "--limit 0: 1 to 200"},
		{"search -n 201 x", f.URL, ExitUsage, "--limit 201: 1 to 200"},
	} {
		got := shoal(t, map[string]string{"SHOAL_HTTP": tc.http}, strings.Fields(tc.args)...)
		if got.code != tc.code || !strings.Contains(got.stderr, tc.says) || got.stdout != "" {
			t.Errorf("%s: exit code %d, want %d; stderr %q, want %q; stdout %q", tc.args, got.code, tc.code, got.stderr, tc.says, got.stdout)
		}
	}
	f.asked = nil
	for _, args := range [][]string{
		{"search", " "},
		{"folders", "add", ""},
		{"folders", "share", ""},
		{"folders", "rm", ""},
		{"folders", "scan", ""},
		{"folders", "unread", ""},
		{"folders", "join", ""},
		{"folders", "set", "", "--label", "x"},
		{"folders", "set", "x"},
		{"folders", "set", "x", "--access", "all"},
		{"folders", "set", "x", "--grant", "bob=admin"},
		{"folders", "set", "x", "--grant", "bob"},
		{"folders", "access", ""},
		{"folder", "pause", ""},
		{"folder", "resume", ""},
		{"conflicts", "notes", "7"},
		{"conflicts", "notes", "--all"},
		{"conflicts", "notes", "--keep", "ours"},
		{"conflicts", "notes", "--keep", "mine", "7"},
		{"conflicts", "notes", "--keep", "ours", "7", "--all"},
		{"conflicts", "notes", "--keep", "ours", "x"},
		{"trash", "notes", "--restore"},
		{"trash", "notes", "7"},
		{"trash", "notes", "--limit", "0"},
		{"trash", "--limit", "1001"},
		{"trash", "notes", "--restore", "-1"},
		{"held", "--member", "bob"},
		{"held", "--release", "--refuse"},
		{"changes", "notes", "a.txt"},
		{"transfers", "--watch", "--json"},
		{"join", ""},
		{"join", " "},
	} {
		if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, args...); got.code != ExitUsage || len(f.asked) > 0 {
			t.Errorf("%q: %+v, asked %q", args, got, f.asked)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "-h", "help", "help search", "serve --help", "folders --help", "folder join --help", "conflicts --help", "trash --help", "held --help", "changes --help", "transfers --help", "search --help", "lab -h"} {
		got := shoal(t, nil, strings.Fields(args)...)
		if got.code != ExitOK || !strings.Contains(got.stdout, "Usage: shoal") || got.stderr != "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
	serve := shoal(t, nil, "serve", "--help").stdout
	for _, name := range []string{"DATA", "HTTP", "TOKEN", "P2P", "ANNOUNCE", "NO_LAN", "NAME", "FOLDERS", "JOIN", "INVITE_FILE", "REQUIRE_TOKEN", "OPEN_READS", "HOSTS"} {
		if !strings.Contains(serve, "$SHOAL_"+name+"]") {
			t.Errorf("serve --help does not name SHOAL_%s", name)
		}
	}
}

func TestServeFlags(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	link := linkUntil(noon)
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{
			"nothing", nil, nil,
			"http= p2p= name=HOST folders=[] announce=[] nolan=false noportmap=false stun=[] turn=[] relay=auto meet=[] token= require=false copies={0 false} reads=[] hosts=[] join= invite= INFO text",
		},
		{
			"flags without the verb",
			[]string{"--http", "127.0.0.1:9", "--p2p=:5", "--name", "alice", "--folder", "a,b", "--folder", "/c", "--announce", "192.0.2.1:4747", "--no-lan", "--no-portmap", "--stun", "stun.example", "--turn", "u:p@turn.example", "--relay", "off", "--copies", "auto", "--rendezvous", "meet.example", "--token", "t", "--require-token", "--open-reads", "10.0.0.0/8", "--allow-host", "nas", "--join", link, "--invite-file", "f", "--log-level", "debug", "--log-format", "json"},
			nil,
			"http=127.0.0.1:9 p2p=:5 name=alice folders=[{ " + here + "/a,b} { /c}] announce=[192.0.2.1:4747] nolan=true noportmap=true stun=[stun.example] turn=[u:p@turn.example] relay=off meet=[meet.example] token=t require=true copies={0 true} reads=[10.0.0.0/8] hosts=[nas] join=LINK invite=f DEBUG json",
		},
		{
			"variables",
			[]string{"serve"},
			map[string]string{
				"SHOAL_HTTP": "[::1]:9", "SHOAL_P2P": ":5", "SHOAL_NAME": " bob ", "SHOAL_FOLDERS": "\n/x y \r\n\nnotes = /z\n", "SHOAL_ANNOUNCE": "192.0.2.1:1,[2001:db8::1]:2", "SHOAL_NO_LAN": "1", "SHOAL_NO_PORTMAP": "1", "SHOAL_STUN": "a,b:1", "SHOAL_TURN": "u:p@turn.example", "SHOAL_RELAY": "on", "SHOAL_COPIES": "5", "SHOAL_RENDEZVOUS": "x:1,y",
				"SHOAL_TOKEN": "t", "SHOAL_REQUIRE_TOKEN": "1", "SHOAL_OPEN_READS": "10.0.0.0/8,172.16.0.0/12", "SHOAL_HOSTS": "nas,nas.lan", "SHOAL_JOIN": link, "SHOAL_INVITE_FILE": "f",
			},
			"http=[::1]:9 p2p=:5 name=bob folders=[{ /x y} {notes /z}] announce=[192.0.2.1:1 [2001:db8::1]:2] nolan=true noportmap=true stun=[a b:1] turn=[u:p@turn.example] relay=on meet=[x:1 y] token=t require=true copies={5 false} reads=[10.0.0.0/8 172.16.0.0/12] hosts=[nas nas.lan] join=LINK invite=f INFO text",
		},
		{
			"flags win over variables, empty variables are none",
			[]string{"--name", "carol"},
			map[string]string{"SHOAL_NAME": "dave", "SHOAL_HTTP": " ", "SHOAL_REQUIRE_TOKEN": "", "SHOAL_FOLDERS": ""},
			"http= p2p= name=carol folders=[] announce=[] nolan=false noportmap=false stun=[] turn=[] relay=auto meet=[] token= require=false copies={0 false} reads=[] hosts=[] join= invite= INFO text",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			p := Program{Serve: func(_ context.Context, s Serve, _ Terminal) error {
				folders, err := s.Folders()
				join, joinErr := s.Invitation()
				got = fmt.Sprintf("http=%s p2p=%s name=%s folders=%v announce=%v nolan=%v noportmap=%v stun=%v turn=%v relay=%s meet=%v token=%s require=%v copies=%v reads=%v hosts=%v join=%s invite=%s %v %s",
					s.HTTP, s.P2P, s.NodeName(), folders, s.Announce, s.NoLAN, s.NoPortMap, s.STUN, s.TURN, s.Relay, s.Rendezvous, s.Token, s.RequireToken, s.Copies, s.OpenReads, s.AllowHost, join, s.InviteFile, s.LogLevel, s.LogFormat)
				if err != nil || joinErr != nil {
					t.Error(err, joinErr)
				}
				return nil
			}}
			if r := shoalWith(t, p, tc.env, tc.args...); r.code != ExitOK {
				t.Fatalf("%+v", r)
			}
			host, err := os.Hostname()
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.NewReplacer("HOST", host, "LINK", link).Replace(tc.want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestServeRefuses(t *testing.T) {
	started := Program{
		Serve: func(context.Context, Serve, Terminal) error { return nil },
		Lab:   func(context.Context, Lab, Terminal) error { return nil },
	}
	for _, tc := range []struct{ args, says string }{
		{"--http :8080", "choose a token"},
		{"--http 0.0.0.0:8080", "choose a token"},
		{"--http [::]:8080", "choose a token"},
		{"--http 192.0.2.1:8080", "choose a token"},
		{"--http nas:8080", "choose a token"},
		{"lab --http 0.0.0.0:8080", "choose a token"},
		{"--http 8080", "--http 8080"},
		{"--p2p 4747", "--p2p 4747"},
		{"--token spaß", "token"},
		{"--token a/b", "token"},
		{"--token " + strings.Repeat("x", 300), "token"},
		{"lab --token a/b", "token"},
		{"--http 0.0.0.0:8080 --token 0123456789abcde", "--token: 15 characters are too few where other computers can try: take at least 16, such as what openssl rand -hex 16 prints"},
		{"lab --http [::]:0 --token t", "--token: 1 character "},
		{"--announce nas:4747", "--announce nas:4747: not an address with a port such as 203.0.113.7:4747"},
		{"--open-reads foo", "--open-reads foo: not a range such as 192.168.1.0/24"},
		{"--open-reads 10.0.0.0/8,10.0.0.1", "--open-reads 10.0.0.1: not a range"},
		{"--log-level loud", "--log-level loud: debug, info, warn or error"},
		{"lab --log-level INFO+1", "--log-level INFO+1: debug, info, warn or error"},
		{"extra", "extra"},
		{"--join half", "--join: This is not a whole invitation link."},
		{"--folder =/srv/notes", "--folder =/srv/notes: PATH, or ID=PATH with the ID or label of an offered folder"},
		{"--folder notes=", "PATH, or ID=PATH"},
	} {
		got := shoalWith(t, started, nil, strings.Fields(tc.args)...)
		if got.code != ExitUsage || !strings.Contains(got.stderr, tc.says) {
			t.Errorf("%s: %+v, want exit code 2 and %q", tc.args, got, tc.says)
		}
	}
	for _, args := range []string{
		"--http 0.0.0.0:8080 --token 0123456789abcdef", "--folder ./a=b", "--folder notes=/srv/notes", "--http localhost:1", "--http [::1]:1", "--http 127.1.2.3:0", "lab --nodes 64", "",
	} {
		if got := shoalWith(t, started, nil, strings.Fields(args)...); got.code != ExitOK {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestServeLogger(t *testing.T) {
	var b bytes.Buffer
	l := Serve{LogLevel: slog.LevelWarn, LogFormat: "json"}.Logger(&b)
	l.Info("quiet")
	l.Warn("loud")
	var line struct{ Msg string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Msg != "loud" {
		t.Errorf("log %q: %v", b.String(), err)
	}
}

func TestDataDirectory(t *testing.T) {
	for _, tc := range []struct {
		data string
		env  map[string]string
		want string
	}{
		{"/given", map[string]string{"HOME": "/home/a"}, "/given"},
		{"", map[string]string{"HOME": "/home/a"}, "/home/a/.local/share/shoal"},
		{"", map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "/xdg"}, "/xdg/shoal"},
		{"", map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "relative"}, "/home/a/.local/share/shoal"},
		{"", nil, ""},
	} {
		got, err := Serve{Global: Global{Data: tc.data}}.Dir(func(k string) string { return tc.env[k] })
		if got != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("%q, %v: %q (%v), want %q", tc.data, tc.env, got, err, tc.want)
		}
	}
}

func ExampleRun() {
	p := Program{Version: "1.2.3"}
	code := Run(context.Background(), p, []string{"version"}, Terminal{
		Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	fmt.Println("exit code", code)
	// Output:
	// shoal 1.2.3
	// exit code 0
}
