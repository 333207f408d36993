package command

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

func TestDeltaExplain(t *testing.T) {
	d := deltaFiles{t, t.TempDir()}
	d.put("old", "charla")
	d.put("new", "gocharla")
	d.put("own.story", "block: 2\nold: charla\nnew: gocharla\n\nFirst.\n\n[3] Here it is.\n")
	golden, err := os.ReadFile("../../p2p/delta/lesson/testdata/charla.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), d.ok("explain", "--story", "charla")); diff != "" {
		t.Error(diff)
	}
	want := d.ok("explain", "-b", "2", d.path("old"), d.path("new"))
	if !strings.Contains(want, "      2       4  013900cd  ab9e1994         1  \"la\"\n") {
		t.Error(want)
	}
	if diff := cmp.Diff(want, d.ok("explain", "--text", "charla", "gocharla", "--block", "2")); diff != "" {
		t.Error(diff)
	}
	if got := d.ok("explain", d.path("own.story")); !strings.HasPrefix(got, "First.\n") || !strings.Contains(got, "   Here it is.\n") {
		t.Error(got)
	}
	// The story's own words would be wrong about blocks of another length.
	if got := d.ok("explain", "-b", "3", d.path("own.story")); strings.Contains(got, "First.") || !strings.Contains(got, "2 blocks of 3") {
		t.Error(got)
	}
	var e api.Explanation
	if err := json.Unmarshal([]byte(d.ok("explain", "--json", "--text", "charla", "gocharla")), &e); err != nil || len(e.Steps) != 5 || e.Wire.Total != 38 {
		t.Errorf("%v: %+v", err, e)
	}
	if err := json.Unmarshal([]byte(d.ok("explain", "--json", "--text", "", "")), &e); err != nil || e.OldSize != 0 {
		t.Errorf("%v: %+v", err, e)
	}
	d.put("long", strings.Repeat("\x1b[2J", 300))
	if got := d.ok("explain", "-b", "1", d.path("old"), d.path("long")); !strings.Contains(got, "… and 1000 more steps") || strings.Contains(got, "\x1b") {
		t.Error(got)
	}
	if got := d.ok("explain", "-b", "1", d.path("old"), d.path("long")); !strings.Contains(got, "… and 1000 more steps; --all prints them\n") {
		t.Error(got)
	}
	d.put("longer", strings.Repeat("charla", 4000))
	if got := d.ok("explain", "-b", "6", d.path("longer"), d.path("longer")); !strings.Contains(got, "too many in texts of 48000 bytes together; --all prints them.\n") {
		t.Error(got[:2000])
	}
	if got := d.ok("explain", "-b", "6", "--all", d.path("longer"), d.path("longer")); !strings.Contains(got, "\n  4000  23994  ") {
		t.Error(got[:2000])
	}
	if got := d.ok("explain", "-b", "1", "--all", d.path("old"), d.path("long")); !strings.Contains(got, "\n  1200  1199  ") {
		t.Error(got)
	}
}

func TestDeltaExplainRefuses(t *testing.T) {
	d := newDeltaFiles(t)
	d.put("bad.story", "block: 2\nold: a\nnews: b\n")
	t.Chdir(d.dir)
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{nil, ExitUsage, "--story charla"},
		{[]string{"old"}, ExitUsage, "two files"},
		{[]string{"-", "-"}, ExitUsage, "only one"},
		{[]string{"old", "new", "-b", "-1"}, ExitUsage, "--block"},
		{[]string{"old", "new", "-b", "65537"}, ExitUsage, "from 1 to 65536"},
		{[]string{"--story", "other"}, ExitUsage, "charla, false-alarm"},
		{[]string{"--story", "charla", "old", "new"}, ExitUsage, "its own texts"},
		{[]string{"missing", "new"}, ExitError, "no such file"},
		{[]string{"old", "."}, ExitError, "shoal: . is a directory, not a regular file\n"},
		{[]string{"--text"}, ExitUsage, "two texts"},
		{[]string{"--text", "a"}, ExitUsage, "give two texts"},
		{[]string{"old", "new", "-b", "0"}, ExitUsage, "--block 0: it is from 1 to 65536 bytes"},
		{[]string{"bad.story"}, ExitError, "bad.story: line 3: unknown \"news\""},
	} {
		got := shoal(t, nil, append([]string{"delta", "explain"}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.stderr, tc.says) || got.stdout != "" {
			t.Errorf("shoal delta explain %q: exit code %d, want %d; %s does not say %q", tc.args, got.code, tc.code, got.stderr, tc.says)
		}
	}
}

// TestDeltaFiles: the results go to files that are named, with figures.
func TestDeltaFiles(t *testing.T) {
	d := newDeltaFiles(t)
	figures := func(args ...string) map[string]any {
		t.Helper()
		var v map[string]any
		if err := json.Unmarshal([]byte(d.ok(args...)), &v); err != nil {
			t.Fatal(err)
		}
		if v["took_ms"].(float64) < 0 {
			t.Errorf("%v", v)
		}
		delete(v, "took_ms")
		return v
	}
	got := figures("sign", "-b", "8", "--json", d.path("old"), d.path("a.sig"))
	if diff := cmp.Diff(map[string]any{"size": 44.0, "block": 8.0, "blocks": 6.0, "signature_bytes": float64(len(d.text("a.sig")))}, got); diff != "" {
		t.Error(diff)
	}
	if st, err := os.Stat(d.path("a.sig")); err != nil || st.Mode() != 0o640 {
		t.Errorf("the mode is %v, %v", st.Mode(), err)
	}
	got = figures("diff", "--json", d.path("a.sig"), d.path("new"), d.path("a.delta"))
	want := map[string]any{
		"size": 44.0, "base_size": 44.0, "block": 8.0, "blocks": 6.0, "matched_bytes": 36.0, "literal_bytes": 8.0,
		"delta_bytes": float64(len(d.text("a.delta"))),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = figures("patch", "--json", d.path("old"), d.path("a.delta"), d.path("made"))
	if diff := cmp.Diff(map[string]any{"size": 44.0, "base_size": 44.0, "matched_bytes": 36.0, "literal_bytes": 8.0}, got); diff != "" {
		t.Error(diff)
	}
	if d.text("made") != newText {
		t.Errorf("%q was made", d.text("made"))
	}
	if out := d.ok("sign", "--force", d.path("new"), d.path("a.sig")) + d.ok("diff", "--force", d.path("a.sig"), d.path("new"), d.path("a.delta")); out != "" {
		t.Errorf("it says %q", out)
	}
	before := d.names()
	t.Chdir(d.dir)
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"sign", "--json", "old"}, ExitUsage, "name a file"},
		{[]string{"diff", "--json", "sig", "new"}, ExitUsage, "name a file"},
		{[]string{"sign", "old", "a.sig"}, ExitError, "--force"},
		{[]string{"diff", "sig", "new", "a.delta"}, ExitError, "--force"},
		{[]string{"diff", "sig", "-"}, ExitUsage, "pipe"},
		{[]string{"sign", "--force", "old", "old"}, ExitUsage, "overwritten"},
		{[]string{"sign", "--force", "old", "./old"}, ExitUsage, "overwritten"},
		{[]string{"diff", "--force", "sig", "new", "new"}, ExitUsage, "overwritten"},
		{[]string{"diff", "--force", "sig", "new", "sig"}, ExitUsage, "overwritten"},
		{[]string{"patch", "--force", "old", "delta", "delta"}, ExitUsage, "overwritten"},
		{[]string{"sign", "old", "-"}, ExitUsage, "standard output"},
		{[]string{"patch", "old", "delta", "-"}, ExitUsage, "standard output"},
		{[]string{"patch", "-", "delta", "x"}, ExitUsage, "pipe"},
		{[]string{"diff", "delta", "new", "x"}, ExitError, "the order is"},
		{[]string{"sign", "old", "missing/x"}, ExitError, "write missing/x: there is no directory missing"},
		{[]string{"sign", "old", "old/x"}, ExitError, "write old/x: not a directory"},
		{[]string{"sign", "old", "."}, ExitError, "not a regular file"},
		{[]string{"sign", "missing", "x"}, ExitError, "no such file"},
	} {
		got := shoal(t, nil, append([]string{"delta"}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.stderr, tc.says) || got.stdout != "" {
			t.Errorf("shoal delta %q: exit code %d, want %d; %s does not say %q", tc.args, got.code, tc.code, got.stderr, tc.says)
		}
	}
	if diff := cmp.Diff(before, d.names()); diff != "" {
		t.Error(diff)
	}
	// The test's standard input has 19 bytes.
	if got := figures("sign", "--json", "-", d.path("stdin.sig")); got["size"] != 19.0 {
		t.Errorf("%v", got)
	}
}
