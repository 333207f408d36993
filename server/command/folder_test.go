package command

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

var bob = strings.Repeat("b", 52)

// syncing is a node that keeps one folder and has something to tell of each kind.
func syncing(t *testing.T) *fake {
	t.Helper()
	side := api.ConflictSide{Path: "a.txt", Size: 3, Modified: &noon, Member: bob, MemberName: "bob"}
	theirs := api.ConflictSide{Path: "a (conflict alice 0123).txt", Size: 4, Modified: &noon, MemberName: "alice"}
	return newFake(t, map[string]any{
		"GET /api/folders": api.FolderList{Items: []api.Folder{
			{
				Id: "f1", Label: "notes", Path: "/home/alice/notes", State: "syncing", Files: 3, Bytes: 9000, NodeName: "alice", Writable: true,
				NeedFiles: 2, NeedBytes: 1000, Progress: pointer(0.9), Conflicts: 1,
			},
			{Id: "f2", Label: "films", State: "offered", NodeName: "bob"},
		}},
		"GET /api/members": api.MemberList{Items: []api.Member{
			{Id: strings.Repeat("a", 52), Name: "alice", Self: true}, {Id: bob, Name: "bob"}, {Id: "bbbb" + strings.Repeat("c", 48), Name: "carol"},
		}},
		"POST /api/folders":         api.Folder{Id: "f2", Label: "films", Path: "/films", State: "syncing", NodeName: "alice", Progress: pointer(0.0), NeedFiles: 1},
		"PATCH /api/folders/notes":  api.Folder{Id: "f1", Label: "notes", Path: "/notes", State: "paused", NodeName: "alice", Writable: true},
		"GET /api/folders/notes":    api.Folder{Id: "f1", Access: "read", Decides: true, Grants: []api.Grant{{Node: bob, NodeName: "bob", Access: "write"}}},
		"POST /api/folders/preview": api.Preview{Path: "/films", Known: true, Same: 1, There: 2, FetchBytes: 1500, Here: 3, Differ: 1, Items: []api.PreviewItem{{Path: "x\x1b", What: "differ", Size: 7}}},
		"GET /api/folders/f1/conflicts": api.ConflictList{Items: []api.Conflict{
			{N: 4711, Kind: "content", Path: "a.txt", Ours: side, Theirs: theirs},
			{N: 4713, Kind: "name", Path: "d", Ours: api.ConflictSide{MemberName: "bob", Member: bob}, Theirs: api.ConflictSide{Path: "e"}},
			{N: 4712, Kind: "delete", Path: "b.txt", Ours: side, Theirs: api.ConflictSide{MemberName: "carol", Deleted: true}},
		}},
		"POST /api/folders/f1/conflicts": api.ConflictsResolved{Resolved: 2},
		"GET /api/folders/f1/trash": api.TrashList{Next: pointer("8"), Items: []api.Discarded{
			{N: 9, Path: "old.txt", Size: 2000, MemberName: "bob", Time: noon, Local: true},
			{N: 8, Path: "gone.txt", Deleted: true, MemberName: "alice", Time: noon},
		}},
		"POST /api/folders/f1/restore": api.RestoredList{Items: []api.Restored{{N: 8, Path: "gone.txt"}, {N: 9, Path: "old (restored).txt"}}},
		"GET /api/folders/f1/held": api.HeldList{Items: []api.Held{{
			Member: bob, MemberName: "bob", Since: noon, Limit: 50, Done: 2, Deleted: 60, Changed: 1,
			Items: []api.HeldItem{{Path: "a.txt", Deleted: true, Size: 3}, {Path: "b.txt", Size: 4, NewSize: 5}},
		}}},
		"POST /api/folders/f1/held":   http.StatusNoContent,
		"GET /api/folders/f1/changes": api.ChangeList{Items: []api.Change{{Path: "mine.txt", What: "new", Size: 5}}},
		"POST /api/folders/f1/revert": http.StatusNoContent,
		"GET /api/transfers": api.TransferList{Items: []api.Transfer{
			{Path: "big.iso", FolderLabel: "notes", Peer: bob, PeerName: "bob", BytesTotal: 1000, BytesDone: 250, BytesWire: 120, BytesReused: 130, Rate: 250, EtaS: pointer(3.0), State: "running"},
			{Path: "other", FolderLabel: "notes", BytesTotal: 10, State: "failed", Error: "bob is off"},
			{Path: "old.iso", FolderLabel: "notes", Peer: bob, PeerName: "bob", BytesTotal: 1000, BytesDone: 1000, BytesWire: 80, BytesReused: 900, BytesResumed: 20, Rate: 500, Ended: pointer(noon), State: "done"},
		}},
	})
}

func TestFolderVerbs(t *testing.T) {
	f := syncing(t)
	films, err := filepath.Abs("films")
	if err != nil {
		t.Fatal(err)
	}
	joined := `LABEL  ID  FILES  SIZE  NODE   PATH    STATE
films  f2  0      0 B   alice  /films  syncing 0%, 1 file (0 B) to come, read-only
`
	preview := `/films would be made
same on both sides  1 file
only there          2 files, 1.5 kB to fetch
only here           3 files to share
different           1 file, of which both versions would be kept
WHERE   SIZE  PATH
differ  7 B   x\x1b
and 5 more
`
	paused := `LABEL  ID  FILES  SIZE  NODE   PATH    STATE
notes  f1  0      0 B   alice  /notes  paused
`
	for _, tc := range []struct {
		args, stdout string
		asked        string // the last request
	}{
		{"folder", `LABEL  ID  FILES  SIZE    NODE   PATH               STATE
notes  f1  3      9.0 kB  alice  /home/alice/notes  syncing 90%, 2 files (1.0 kB) to come, 1 conflict
films  f2  -      -       bob    -                  offered
`, "GET /api/folders"},
		{"folder join films", joined, `POST /api/folders {"id":"films"}`},
		{"folder join films films --node bob", joined, `POST /api/folders {"id":"films","node":"` + bob + `","path":"` + films + `"}`},
		{"folder join --node bbbbb films", joined, `POST /api/folders {"id":"films","node":"` + bob + `"}`},
		{"folder join films films --preview", preview, `POST /api/folders/preview {"id":"films","path":"` + films + `"}`},
		{"folder set notes --label x --access read", paused, `PATCH /api/folders/notes {"access":"read","label":"x"}`},
		{"folder set notes --access none --grant bob=write", paused, `PATCH /api/folders/notes {"access":"none","grants":{"` + bob + `":"write"}}`},
		{"folder set notes --grant bob=default", paused, `PATCH /api/folders/notes {"grants":{"` + bob + `":"default"}}`},
		{"folder access notes", `MEMBER      ACCESS
bob         write
all others  read
`, "GET /api/folders/notes"},
		{"folder pause notes", paused, `PATCH /api/folders/notes {"paused":true}`},
		{"folder resume notes", paused, `PATCH /api/folders/notes {"paused":false}`},
		{"conflicts", `N     KIND     PATH   HAS THE NAME (OURS)         THE OTHER (THEIRS)
4711  content  a.txt  bob, 3 B, 2026-11-20 12:00  alice, 4 B, 2026-11-20 12:00: a (conflict alice 0123).txt
4713  name     d      bob, a directory            another name: e
4712  delete   b.txt  bob, 3 B, 2026-11-20 12:00  carol deleted it
`, "GET /api/folders/f1/conflicts"},
		{"conflicts f1 --keep ours 4712 4711", "resolved 2 conflicts\n", `POST /api/folders/f1/conflicts {"keep":"ours","numbers":[4711,4712]}`},
		{"conflicts --keep both 4712 4712", "resolved 2 conflicts\n", `POST /api/folders/f1/conflicts {"keep":"both","numbers":[4712]}`},
		{"conflicts --keep theirs --all", "resolved 2 conflicts\n", `POST /api/folders/f1/conflicts {"keep":"theirs"}`},
		{"trash", `N  WHAT      BY     WHEN              SIZE    HERE  PATH
9  replaced  bob    2026-11-20 12:00  2.0 kB  yes   old.txt
8  deleted   alice  2026-11-20 12:00  0 B     no    gone.txt
`, "GET /api/folders/f1/trash?limit=50"},
		{"trash f1 -n 7 --cursor 8", `N  WHAT      BY     WHEN              SIZE    HERE  PATH
9  replaced  bob    2026-11-20 12:00  2.0 kB  yes   old.txt
8  deleted   alice  2026-11-20 12:00  0 B     no    gone.txt
`, "GET /api/folders/f1/trash?cursor=8&limit=7"},
		{"trash --restore 9 8", "8 restored as gone.txt\n9 restored as old (restored).txt\n", `POST /api/folders/f1/restore {"numbers":[8,9]}`},
		{"held", `bob deleted 60 files and changed 1, since 2026-11-20 12:00; up to 50 at once need no yes
2 changes more went through before; shoal trash has what they took
WHAT     NOW  THEN  PATH
deleted  3 B  -     a.txt
changed  4 B  5 B   b.txt
and 59 more
`, "GET /api/folders/f1/held"},
		{"held --release", "", `POST /api/folders/f1/held {"decision":"release"}`},
		{"held f1 --refuse --member bob", "", `POST /api/folders/f1/held {"decision":"refuse","member":"` + bob + `"}`},
		{"changes f1", "WHAT  SIZE  PATH\nnew   5 B   mine.txt\n", "GET /api/folders/f1/changes"},
		{"changes --revert", "", "POST /api/folders/f1/revert {}"},
		{"changes f1 --revert mine.txt", "", `POST /api/folders/f1/revert {"paths":["mine.txt"]}`},
		{"transfers", `STATE               DONE  SIZE    NETWORK  DISK   RATE     LEFT  ENDED             FROM  FOLDER  PATH
running             25%   1.0 kB  120 B    130 B  250 B/s  3 s   -                 bob   notes   big.iso
failed: bob is off  0%    10 B    0 B      0 B    -        -     -                 -     notes   other
done                100%  1.0 kB  80 B     920 B  500 B/s  -     ` + timeText(noon) + `  bob   notes   old.iso
`, "GET /api/transfers"},
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
			if n := len(f.asked); n == 0 || f.asked[n-1] != tc.asked {
				t.Errorf("asked %q, want %q", f.asked, tc.asked)
			}
		})
	}
	for args, route := range map[string]string{
		"conflicts --json": "/api/folders/f1/conflicts", "trash --json": "/api/folders/f1/trash", "held --json": "/api/folders/f1/held",
		"changes --json": "/api/folders/f1/changes", "transfers --json": "/api/transfers", "folder join films --preview --json": "/api/folders/preview",
	} {
		got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, strings.Fields(args)...)
		if got.code != ExitOK || !strings.HasPrefix(got.stdout, "{") {
			t.Errorf("%s (%s): %+v", args, route, got)
		}
	}
}

// Without a folder's name the only one is meant; without that, nothing is guessed.
func TestWhichFolder(t *testing.T) {
	kept := func(labels ...string) *fake {
		list := api.FolderList{Items: []api.Folder{{Id: "o", Label: "offered", State: "offered"}}}
		for _, l := range labels {
			list.Items = append(list.Items, api.Folder{Id: "id-" + l, Label: l, State: "idle"})
		}
		return newFake(t, map[string]any{
			"GET /api/folders":                  list,
			"GET /api/folders/2024/conflicts":   api.ConflictList{Items: []api.Conflict{}},
			"POST /api/folders/2024/conflicts":  api.ConflictsResolved{},
			"GET /api/folders/notes/conflicts":  api.ConflictList{Items: []api.Conflict{}},
			"POST /api/folders/notes/conflicts": api.ConflictsResolved{},
		})
	}
	for _, tc := range []struct {
		f    *fake
		args string
		code int
		says string
	}{
		{kept(), "conflicts", ExitNotFound, "no folder is kept here"},
		{kept(), "changes", ExitNotFound, "no folder is kept here"},
		{kept("notes", "films"), "conflicts", ExitUsage, "conflicts: which folder? notes and films are kept here"},
		{kept("notes", "films"), "held", ExitUsage, "held: which folder?"},
		{kept("notes", "films"), "trash --restore 7", ExitUsage, "trash: which folder?"},
		{kept("notes", "films"), "conflicts notes", ExitOK, "No conflicts."},
		{kept("notes", "2024"), "conflicts 2024", ExitOK, "No conflicts."},
		{kept("notes", "2024"), "conflicts 2024 --keep ours 7", ExitOK, ""},
		{kept("notes"), "held --release --member dave", ExitNotFound, "no such thing"},
	} {
		got := shoal(t, map[string]string{"SHOAL_HTTP": tc.f.URL}, strings.Fields(tc.args)...)
		if got.code != tc.code || !strings.Contains(got.stderr, tc.says) {
			t.Errorf("%s: %+v, want exit code %d and %q", tc.args, got, tc.code, tc.says)
		}
	}
}

func TestMemberByName(t *testing.T) {
	f := syncing(t)
	for text, want := range map[string]struct {
		code int
		says string
	}{
		"bob": {ExitOK, ""}, bob: {ExitOK, ""}, "bbbbb": {ExitOK, ""},
		"bbbb": {ExitUsage, "bbbb may be any of " + bob + " and bbbbc"},
		"bbb":  {ExitNotFound, "no member is called bbb"},
		"dave": {ExitNotFound, "no member is called dave"},
	} {
		got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "held", "--release", "--member", text)
		if got.code != want.code || !strings.Contains(got.stderr, want.says) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// A preview whose numbers are too small says so, and ends with code 5.
func TestPreviewPartly(t *testing.T) {
	for says, p := range map[string]api.Preview{
		"nobody who has the folder could be asked": {},
		"the numbers are lower bounds":             {Known: true, Partial: true},
	} {
		f := newFake(t, map[string]any{"POST /api/folders/preview": p})
		got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "folder", "join", "x", "--preview")
		if got.code != ExitPartial || !strings.Contains(got.stderr, says) {
			t.Errorf("%+v, want code %d and %q", got, ExitPartial, says)
		}
	}
}

func TestProgressLine(t *testing.T) {
	folder := func(state api.FolderState, files int, bytes int64) api.Folder {
		return api.Folder{State: state, NeedFiles: files, NeedBytes: bytes}
	}
	running := api.Transfer{State: "running", Path: "big.iso", BytesTotal: 1000, BytesDone: 999, Rate: 100}
	for _, tc := range []struct {
		folders   []api.Folder
		transfers []api.Transfer
		want      string
		busy      bool
	}{
		{nil, nil, "nothing is to come", false},
		{[]api.Folder{folder("idle", 0, 0), folder("paused", 3, 9), folder("held", 3, 9), folder("error", 3, 9)}, nil, "nothing is to come", false},
		{[]api.Folder{folder("scanning", 0, 0)}, nil, "looking", true},
		{[]api.Folder{folder("syncing", 2, 5000)}, nil, "2 files (5.0 kB) to come", true},
		{[]api.Folder{folder("syncing", 2, 5000)}, []api.Transfer{running, running}, "2 files (3.0 kB) to come, 200 B/s, 16 s left, 99% big.iso", true},
		{[]api.Folder{folder("syncing", 1, 1)}, []api.Transfer{running}, "1 file (1 B) to come, 100 B/s, 1 s left, 99% big.iso", true},
		{[]api.Folder{folder("paused", 1, 1)}, []api.Transfer{{State: "waiting"}}, "nothing is to come", false},
		{[]api.Folder{folder("idle", 0, 0)}, []api.Transfer{{State: "done"}, {State: "failed"}}, "nothing is to come", false},
	} {
		if line, busy := progressLine(tc.folders, tc.transfers); line != tc.want || busy != tc.busy {
			t.Errorf("%q %v, want %q %v", line, busy, tc.want, tc.busy)
		}
	}
	for seconds, want := range map[float64]string{0: "0 s", 0.2: "1 s", 59: "59 s", 61: "2 min", 3600: "1.0 h", 1e12: "-", -1: "-"} {
		if got := leftText(seconds); got != want {
			t.Errorf("%v s: %q, want %q", seconds, got, want)
		}
	}
}

// TestWatch: a line for each change until nothing is to come; the end that is asked
// for is none with an error.
func TestWatch(t *testing.T) {
	busy := api.FolderList{Items: []api.Folder{{State: "syncing", NeedFiles: 1, NeedBytes: 5}}}
	f := newFake(t, map[string]any{"GET /api/folders": busy, "GET /api/transfers": api.TransferList{}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	c := &console{Terminal: Terminal{Getenv: func(string) string { return "" }, Stdout: &out}, ctx: ctx, global: Global{HTTP: f.URL, Data: t.TempDir()}}
	tick := make(chan time.Time)
	ended := make(chan error)
	go func() { ended <- c.watch(tick) }()
	tick <- noon // the first answer was printed
	tick <- noon // and is the same
	f.mu.Lock()
	f.answers["GET /api/folders"] = api.FolderList{}
	f.mu.Unlock()
	for done := false; !done; {
		select {
		case tick <- noon:
		case err := <-ended:
			if done = true; err != nil {
				t.Error(err)
			}
		}
	}
	if want := "1 file (5 B) to come\nnothing is to come\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	f.answers["GET /api/folders"] = busy
	go func() { ended <- c.watch(tick) }()
	tick <- noon
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
