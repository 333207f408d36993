package command

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"0": 0, "none": 0, "off": 0, "20mbit": 2_500_000, "20 Mbit/s": 2_500_000, "2MB": 2_000_000, "2.5MB/s": 2_500_000, "500k": 500_000, "500kB": 500_000,
		"1MiB": 1 << 20, "1g": 1e9, "8kbit": 1000, "100mbps": 12_500_000, "1000": 1000, "0mbit": 0,
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "fast", "-1", "1e9", "999", "2XB", "k", "1.2.3k", "99999gb", "NaN", "inf", "１k"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	for rate, want := range map[Rate]string{0: "none", 2_500_000: "2.5 MB/s (20 Mbit)", 1000: "1.0 kB/s (8 kbit)", 125_000_000: "125.0 MB/s (1 Gbit)"} {
		if got := rate.String(); got != want {
			t.Errorf("%d is %q, want %q", rate, got, want)
		}
	}
}

func TestLimitFlags(t *testing.T) {
	rate := Rate(7000)
	if got := (LimitFlags{LimitDown: &rate, LimitUp: new(Rate)}).Over(link.Rates{Up: 1, Down: 2, PeerUp: 3, PeerDown: 4}); got != (link.Rates{Down: 7000, PeerUp: 3, PeerDown: 4}) {
		t.Errorf("%+v", got)
	}
	p := Program{Serve: func(_ context.Context, s Serve, _ Terminal) error {
		if r := s.Over(link.Rates{Down: 5, PeerUp: 6}); r != (link.Rates{Up: 2_500_000, Down: 5, PeerDown: 1000}) {
			t.Errorf("%+v", r)
		}
		if dir, err := s.DownloadsPath(); err != nil || dir != "/srv/files" {
			t.Errorf("%s %v", dir, err)
		}
		return nil
	}}
	env := map[string]string{"SHOAL_LIMIT_UP": "20mbit", "SHOAL_DOWNLOADS": "/srv/files"}
	if got := shoalWith(t, p, env, "serve", "--limit-peer-up", "0", "--limit-peer-down=1k"); got.code != ExitOK {
		t.Errorf("%+v", got)
	}
	env["SHOAL_LIMIT_UP"] = "very"
	if got := shoalWith(t, p, env, "serve"); got.code != ExitUsage || !strings.Contains(got.stderr, "20mbit") {
		t.Errorf("%+v", got)
	}
}

func TestLimit(t *testing.T) {
	f := newFake(t, map[string]any{
		"GET /api/limits": api.Limits{Up: 2_500_000, PeerDown: 1000},
		"PUT /api/limits": api.Limits{Down: 2_000_000, PeerDown: 1000},
	})
	env := map[string]string{"SHOAL_HTTP": f.URL}
	got := shoal(t, env, "limit")
	if want := "up         2.5 MB/s (20 Mbit)\ndown       none\npeer up    none\npeer down  1.0 kB/s (8 kbit)\n"; got.code != ExitOK || got.stdout != want {
		t.Errorf("%+v", got)
	}
	got = shoal(t, env, "limit", "--up", "0", "--down", "2MB", "--json")
	if want := `PUT /api/limits {"down":2000000,"peer_down":1000,"peer_up":0,"up":0}`; got.code != ExitOK || f.asked[len(f.asked)-1] != want || !strings.HasPrefix(got.stdout, `{"down":2000000`) {
		t.Errorf("%+v, asked %v", got, f.asked)
	}
	if got := shoal(t, env, "limit", "--up", "many"); got.code != ExitUsage {
		t.Errorf("%+v", got)
	}
}

func TestSeeds(t *testing.T) {
	id, other := strings.Repeat("1a", 32), strings.Repeat("1b", 32)
	seeds := api.KeptSeedList{Items: []api.KeptSeed{
		{Id: id, Name: "lecture\x1b.mp4", State: "downloading", Size: 3 << 20, BytesDone: 1 << 20, RateDown: 1 << 20, EtaS: pointer(2.0), Sources: 3, Path: "/d/lecture.mp4"},
		{Id: other, Name: "notes.txt", State: "changed", Error: "it was changed", Size: 5, BytesDone: 5, BytesSent: 7, Path: "/d/notes.txt"},
		{Name: "disk.img", State: "reading", Size: 10, BytesDone: 5, Path: "/d/disk.img"},
	}}
	f := newFake(t, map[string]any{
		"GET /api/seeds": seeds, "PATCH /api/seeds/" + id: seeds.Items[0], "DELETE /api/seeds/" + other: http.StatusNoContent,
		"GET /api/tracker": api.TrackedList{Items: []api.Tracked{{Id: id, Name: "of the network", Size: 5}}},
	})
	env := map[string]string{"SHOAL_HTTP": f.URL}
	got := shoal(t, env, "seeds")
	want := `NAME             STATE                    DONE  SIZE    DOWN      UP  LEFT  FROM  TO  SENT  ID            PATH
lecture\x1b.mp4  downloading              33%   3.1 MB  1.0 MB/s  -   2 s   3     0   0 B   1a1a1a1a1a1a  /d/lecture.mp4
notes.txt        changed: it was changed  100%  5 B     -         -   -     0     0   7 B   1b1b1b1b1b1b  /d/notes.txt
disk.img         reading                  50%   10 B    -         -   -     0     0   0 B   -             /d/disk.img
`
	if got.code != ExitOK || got.stdout != want {
		t.Errorf("%+v %s", got, cmp.Diff(want, got.stdout))
	}
	if got := shoal(t, env, "seeds", "--network"); !strings.Contains(got.stdout, "of the network") {
		t.Errorf("%+v", got)
	}
	for args, asked := range map[string]string{
		"seeds pause 1a1a":           "PATCH /api/seeds/" + id + ` {"paused":true}`,
		"seeds resume " + id:         "PATCH /api/seeds/" + id + ` {"paused":false}`,
		"seeds rm notes.txt --files": "DELETE /api/seeds/" + other + "?files=true",
		"seeds remove " + other[:8]:  "DELETE /api/seeds/" + other,
		"seeds pause LECTURE":        "",
		"seeds pause 1":              "",
		"seeds pause disk.img":       "",
		"swarm nothing":              "",
	} {
		got := shoal(t, env, strings.Fields(args)...)
		last := f.asked[len(f.asked)-1]
		if asked == "" && got.code != ExitNotFound || asked != "" && (got.code != ExitOK || last != asked) {
			t.Errorf("%s: %+v, asked %s", args, got, last)
		}
	}
}

func TestSwarm(t *testing.T) {
	id := strings.Repeat("1a", 32)
	cellsOf := func(b ...byte) string { return base64.StdEncoding.EncodeToString(b) }
	f := newFake(t, map[string]any{
		"GET /api/seeds": api.KeptSeedList{Items: []api.KeptSeed{{Id: id, Name: "lecture.mp4", State: "downloading"}}},
		"GET /api/seeds/" + id + "/swarm": api.Swarm{
			Id: id, State: "downloading", Size: 1 << 20, PieceLength: 64 << 10, Pieces: 16, Columns: 4, PerColumn: 4, Have: cellsOf(255, 1, 0, 255),
			Members: []api.SwarmMember{
				{Id: strings.Repeat("a", 52), Name: "ada", State: "connected", Have: pointer(cellsOf(255, 255, 255, 255)), RateDown: 1000, Got: 2000, RttMs: pointer(1.5)},
				{Id: strings.Repeat("e", 52), Outside: true, State: "connected", RateUp: 5, Gave: 6},
				{Name: "mirror.example", Url: "https://mirror.example/x", State: "gone", Why: "it does not answer"},
			},
			From: [][]int{{1, 2}, {-1, 1}, {0, 1}}, TookS: 2, BoundS: pointer(1.6), Ratio: pointer(1.25),
		},
	})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "swarm", "lecture.mp4")
	want := `lecture.mp4  downloading  1.0 MB, 16 pieces of 65.5 kB each
   WHO                     PIECES  SENDS              GETS         RTT     STATE
   this node               #+.#                                            
   came from               aa.=                                            
a  ada                     ####    1.0 kB/s (2.0 kB)  0 B/s (0 B)  1.5 ms  connected
b  eeeeeeeeeeee (outside)  -       0 B/s (0 B)        5 B/s (6 B)  -       connected
c  mirror.example          -       0 B/s (0 B)        0 B/s (0 B)  -       gone: it does not answer
took 2.0 s, 1.25 times the least that is possible
`
	if got.code != ExitOK || got.stdout != want {
		t.Errorf("%+v %s", got, cmp.Diff(want, got.stdout))
	}
	// What a node says wrongly costs nothing.
	if text := fromText(api.Swarm{Columns: 4, From: [][]int{{1, 1 << 40}}}); text != "-" {
		t.Errorf("%.20s", text)
	}
	if letter(51) != "Z" || letter(52) != "*" || cells(pointer("%")) != "-" {
		t.Error("odd values")
	}
}

// TestGet: the verb waits until all is here, and says why if that does not come about.
func TestGet(t *testing.T) {
	id := strings.Repeat("1a", 32)
	link := "shoal:seed/" + id + "?len=5&name=a.txt"
	waiting := api.KeptSeed{Id: id, Name: "a.txt", State: "waiting", Size: 5, Path: "/d/a.txt"}
	whole := waiting
	whole.State, whole.BytesDone, whole.Added, whole.Ended = "seeding", 5, noon, pointer(noon.Add(1500*time.Millisecond))
	f := newFake(t, map[string]any{"POST /api/downloads": waiting, "GET /api/seeds/" + id: whole})
	env := map[string]string{"SHOAL_HTTP": f.URL}
	got := shoal(t, env, "get", link, "--web", "https://a.example/x?a=1,2", "-o", "/d")
	if got.code != ExitOK || got.stdout != "/d/a.txt\n" || got.stderr != "5 B in 1.5 s; it is shared from here too\n" {
		t.Errorf("%+v", got)
	}
	if want := `POST /api/downloads {"link":"` + strings.ReplaceAll(link, "&", `\u0026`) + `","to":"/d","web":["https://a.example/x?a=1,2"]}`; f.asked[0] != want {
		t.Errorf("%s", cmp.Diff(want, f.asked[0]))
	}
	// It is elsewhere on that computer already: a copy is waited for.
	type copies = []struct {
		Directory string `json:"directory"`
		Path      string `json:"path"`
	}
	asked, copied := whole, whole
	asked.Path, asked.Copies = "/e/a.txt", copies{{"/e", ""}}
	copied.Copies = copies{{"/e", "/e/a (2).txt"}}
	f.answers["POST /api/downloads"], f.answers["GET /api/seeds/"+id] = asked, copied
	if got := shoal(t, env, "get", id, "-o", "/e"); got.code != ExitOK || got.stdout != "/e/a (2).txt\n" {
		t.Errorf("%+v", got)
	}
	f.answers["GET /api/seeds/"+id] = whole
	if got := shoal(t, env, "get", id, "-o", "/e"); got.code != ExitError || !strings.Contains(got.stderr, "no copy of it") {
		t.Errorf("%+v", got)
	}
	f.answers["POST /api/downloads"] = waiting
	for state, want := range map[string]string{"error": "no room. (to go on", "paused": "paused", "changed": "to go on"} {
		stopped := waiting
		stopped.State, stopped.Error = api.KeptSeedState(state), "no room"
		f.answers["GET /api/seeds/"+id] = stopped
		if got := shoal(t, env, "get", id); got.code != ExitError || !strings.Contains(got.stderr, strings.ReplaceAll(want, ".", "")) {
			t.Errorf("%s: %+v", state, got)
		}
	}
	if got := shoal(t, env, "get", id, "--no-wait"); got.code != ExitOK || got.stdout != "/d/a.txt\n" {
		t.Errorf("%+v", got)
	}
	delete(f.answers, "GET /api/seeds/"+id)
	if got := shoal(t, env, "get", id); got.code != ExitNotFound { // somebody has removed it
		t.Errorf("%+v", got)
	}
}

// TestGetInterrupted: who stops watching is told that the node goes on.
func TestGetInterrupted(t *testing.T) {
	id := strings.Repeat("1a", 32)
	st := api.KeptSeed{Id: id, Name: "a.txt", State: "waiting", Size: 5, Path: "/d/a.txt"}
	f := newFake(t, map[string]any{"POST /api/downloads": st, "GET /api/seeds/" + id: st})
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	go func() {
		for ctx.Err() == nil { // until it watches
			time.Sleep(10 * time.Millisecond)
			f.mu.Lock()
			if len(f.asked) > 1 {
				cancel()
			}
			f.mu.Unlock()
		}
	}()
	code := Run(ctx, Program{}, []string{"--http", f.URL, "get", id}, Terminal{Getenv: func(string) string { return "" }, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr})
	if code != ExitInterrupted || !strings.Contains(stderr.String(), "The node goes on with it") || stdout.Len() > 0 {
		t.Errorf("exit code %d, %s%s", code, &stdout, &stderr)
	}
}

// TestSeedForServer: with the seed of a large file that a web server has, the hashes that its text has no room for are
// written, and take the place of nothing but older ones.
func TestSeedForServer(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var seeds []seed.Seed
	for _, b := range []byte{1, 2} {
		size := int64(66 << 20)
		s, err := seed.Make(t.Context(), io.LimitReader(same(b), size), size, "disk.img", nil)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, s)
	}
	answers := func(s seed.Seed) map[string]string {
		id := s.ID().String()
		f := newFake(t, map[string]any{
			"POST /api/seeds":                api.KeptSeed{Id: id, Name: s.Name, Size: s.Size, Pieces: s.Count(), Link: s.Link().String()},
			"GET /api/seeds/" + id + "/text": s.Text(), "GET /api/seeds/" + id + "/pieces": s.PackPieces(),
		})
		return map[string]string{"SHOAL_HTTP": f.URL}
	}
	for _, s := range append(seeds, seeds[1]) {
		got := shoal(t, answers(s), "seed", file, "--web", "https://a.example/disk.img?v=1")
		if list, err := os.ReadFile(file + ".pieces"); got.code != ExitOK || err != nil || !bytes.Equal(list, s.PackPieces()) || !strings.Contains(got.stderr, "https://a.example/disk.img.pieces?v=1") {
			t.Errorf("%+v, %d bytes, %v", got, len(list), err)
		}
	}
	if err := os.WriteFile(file+".pieces", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := shoal(t, answers(seeds[0]), "seed", file, "--web", "https://a.example/disk.img")
	if list, err := os.ReadFile(file + ".pieces"); got.code != ExitError || err != nil || string(list) != "mine" {
		t.Errorf("%+v, %q, %v", got, list, err)
	}
}

// same is a file in which all bytes are the same.
type same byte

func (s same) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}
