package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

const (
	oldText = "The quick brown fox jumps over the lazy dog."
	newText = "The quick brown cox jumps over the lazy dog."
)

// deltaFiles is a directory with an old and a new file, the signature of the one
// and the delta to the other.
type deltaFiles struct {
	t   *testing.T
	dir string
}

func newDeltaFiles(t *testing.T) deltaFiles {
	d := deltaFiles{t, t.TempDir()}
	d.put("old", oldText)
	d.put("new", newText)
	d.put("sig", d.ok("sign", "--block", "8", d.path("old")))
	d.put("delta", d.ok("diff", d.path("sig"), d.path("new")))
	return d
}

func (d deltaFiles) path(name string) string { return filepath.Join(d.dir, name) }

func (d deltaFiles) put(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(text), 0o640); err != nil {
		d.t.Fatal(err)
	}
}

func (d deltaFiles) text(name string) string {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

// names lists the directory: a failed run leaves nothing in it.
func (d deltaFiles) names() (names []string) {
	d.t.Helper()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// ok runs "shoal delta", which must succeed, and returns its output.
func (d deltaFiles) ok(args ...string) string {
	d.t.Helper()
	got := shoal(d.t, nil, append([]string{"delta"}, args...)...)
	if got.code != ExitOK || got.stderr != "" {
		d.t.Fatalf("shoal delta %s: exit code %d: %s", args, got.code, got.stderr)
	}
	return got.stdout
}

func TestDelta(t *testing.T) {
	d := newDeltaFiles(t)
	d.ok("patch", d.path("old"), d.path("delta"), d.path("made"))
	if got := d.text("made"); got != newText {
		t.Errorf("%q was made", got)
	}
	if st, err := os.Stat(d.path("made")); err != nil || st.Mode() != 0o640 {
		t.Errorf("the mode is %v, %v", st.Mode(), err)
	}
	// In place, with the mode that the replaced file had.
	if err := os.Chmod(d.path("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.ok("patch", "--force", d.path("old"), d.path("delta"), d.path("old"))
	if got := d.text("old"); got != newText {
		t.Errorf("the old file became %q", got)
	}
	if st, err := os.Stat(d.path("old")); err != nil || st.Mode() != 0o600 {
		t.Errorf("the mode is %v, %v", st.Mode(), err)
	}
	if diff := cmp.Diff([]string{"delta", "made", "new", "old", "sig"}, d.names()); diff != "" {
		t.Error(diff)
	}
}

func TestDeltaShow(t *testing.T) {
	d := newDeltaFiles(t)
	want := `          AT  OP          LENGTH  FROM
           0  copy            16  0
          16  data             8  "cox jump"
          24  copy            20  24
new file  44 bytes, BLAKE3 9ef2b60ea4668070e11ede0492ecdde954076413d3fd217e87e2abfd6c42305b
old file  44 bytes
matched   36 bytes
literal   8 bytes
`
	if diff := cmp.Diff(want, d.ok("show", d.path("delta"))); diff != "" {
		t.Error(diff)
	}
	want = `{"ops":[{"op":"copy","at":0,"length":16,"offset":0},{"op":"data","at":16,"length":8},{"op":"copy","at":24,"length":20,"offset":24}],` +
		`"totals":{"size":44,"base_size":44,"matched_bytes":36,"literal_bytes":8,` +
		`"base_blake3":"","blake3":"9ef2b60ea4668070e11ede0492ecdde954076413d3fd217e87e2abfd6c42305b"}}` + "\n"
	if diff := cmp.Diff(want, d.ok("show", "--json", d.path("delta"))); diff != "" {
		t.Error(diff)
	}
	// Whoever signs with package delta can have the sum of the old file noted.
	sig, err := delta.Sign(strings.NewReader("some old text"), delta.SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var made bytes.Buffer
	if _, err := delta.Encode(&made, sig, strings.NewReader("new"), 3); err != nil {
		t.Fatal(err)
	}
	d.put("noted", made.String())
	if got := d.ok("show", d.path("noted")); !strings.Contains(got, "old file  13 bytes, BLAKE3 "+sig.Sum().String()+"\n") {
		t.Errorf("with the sum of the old file: %s", got)
	}
	// No operation at all, and data that is longer than a line and comes in pieces.
	d.put("new", "")
	d.put("empty", d.ok("diff", d.path("sig"), d.path("new")))
	if got := d.ok("show", "--json", d.path("empty")); !strings.HasPrefix(got, `{"ops":[],"totals":{"size":0,`) {
		t.Errorf("an empty file: %s", got)
	}
	d.put("new", strings.Repeat("\x1b[2J", 100_000))
	d.put("long", d.ok("diff", d.path("sig"), d.path("new")))
	got := d.ok("show", d.path("long"))
	if line := `           0  data        400000  1b 5b 32 4a 1b 5b 32 4a …` + "\n"; !strings.Contains(got, line) {
		t.Errorf("a long piece: %s", got)
	}
}

func TestDeltaRefuses(t *testing.T) {
	d := newDeltaFiles(t)
	d.put("longer", oldText+"!")
	d.put("other", strings.ToUpper(oldText))
	d.put("cut", d.text("delta")[:60])
	d.put("more", d.text("delta")+"x")
	d.put("more sig", d.text("sig")+"x")
	d.put("text", "hello")
	before := d.names()
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{}, ExitUsage, "shoal: delta: which command?\nUsage: shoal delta <command>\n  sign "},
		{[]string{"sign"}, ExitUsage, "file"},
		{[]string{"sign", "--block", "-1", "old"}, ExitUsage, "block"},
		{[]string{"sign", "--block", "9999999", "old"}, ExitUsage, "block"},
		{[]string{"patch", "old", "delta"}, ExitUsage, "newfile"},
		{[]string{"sign", "missing"}, ExitError, "no such file"},
		{[]string{"sign", "."}, ExitError, "not a regular file"},
		{[]string{"diff", "missing", "new"}, ExitError, "no such file"},
		{[]string{"diff", "text", "new"}, ExitError, "shoal: read the signature text: cut short: malformed\n"},
		{[]string{"diff", "more sig", "new"}, ExitError, "follows"},
		{[]string{"diff", "delta", "new"}, ExitError, "delta is a delta, not a signature: the order is shoal delta diff SIGNATURE"},
		{[]string{"diff", "new", "sig"}, ExitError, "sig is a signature, and new is not: the order"},
		{[]string{"patch", "delta", "old", "made"}, ExitError, "delta is a delta, and old is not: the order is shoal delta patch OLDFILE"},
		{[]string{"diff", "old", "new"}, ExitError, "old is not a signature, which shoal delta sign writes"},
		{[]string{"show", "new"}, ExitError, "new is not a delta, which shoal delta diff writes"},
		{[]string{"sign", "-b", "-1", "old"}, ExitUsage, "--block -1: it is from 1 to 1048576 bytes"},
		{[]string{"sign", "-b", "0", "old"}, ExitUsage, "--block 0: it is from 1"},
		{[]string{"sign", "-b", "x", "old"}, ExitUsage, "--block x: not a number"},
		{[]string{"sign", "old", "-b"}, ExitUsage, "--block: a value is missing"},
		{[]string{"diff", "sig", "missing"}, ExitError, "no such file"},
		{[]string{"diff", "sig", "."}, ExitError, "not a regular file"},
		{[]string{"show", "sig"}, ExitError, "sig is a signature, not a delta"},
		{[]string{"show", "cut"}, ExitError, "cut short"},
		{[]string{"show", "--json", "more"}, ExitError, "follows"},
		{[]string{"patch", "old", "delta", "new"}, ExitError, "--force"},
		{[]string{"patch", "--force", "old", "delta", "."}, ExitError, "not a regular file"},
		{[]string{"patch", "missing", "delta", "made"}, ExitError, "no such file"},
		{[]string{"patch", "old", "missing", "made"}, ExitError, "no such file"},
		{[]string{"patch", "old", "delta", "missing/made"}, ExitError, "shoal: write missing/made: there is no directory missing"},
		{[]string{"patch", "longer", "delta", "made"}, ExitError, "has 45 bytes"},
		{[]string{"patch", "other", "delta", "made"}, ExitError, "not the one that was signed"},
		{[]string{"patch", "old", "sig", "made"}, ExitError, "sig is a signature, not a delta"},
		{[]string{"patch", "old", "cut", "made"}, ExitError, "cut short"},
		{[]string{"patch", "old", "more", "made"}, ExitError, "follows"},
		{[]string{"patch", "--force", "old", "cut", "new"}, ExitError, "cut short"},
	} {
		t.Chdir(d.dir)
		got := shoal(t, nil, append([]string{"delta"}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.stderr, tc.says) {
			t.Errorf("shoal delta %q: exit code %d, want %d; %s does not say %q", tc.args, got.code, tc.code, got.stderr, tc.says)
		}
	}
	if diff := cmp.Diff(before, d.names()); diff != "" {
		t.Error(diff)
	}
	if d.text("new") != newText || d.text("old") != oldText {
		t.Error("a file was changed")
	}
}

// TestDeltaStops: the end of the context ends a long run, and leaves nothing.
func TestDeltaStops(t *testing.T) {
	d := newDeltaFiles(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	before := d.names()
	for _, args := range [][]string{
		{"sign", d.path("old")},
		{"diff", d.path("sig"), d.path("new")},
		{"patch", d.path("old"), d.path("delta"), d.path("made")},
		{"show", d.path("delta")},
	} {
		var out, errs bytes.Buffer
		code := Run(ctx, Program{}, append([]string{"delta"}, args...), Terminal{Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &errs})
		if code != ExitInterrupted || errs.String() != "shoal: interrupted\n" {
			t.Errorf("shoal delta %s: exit code %d: %s", args, code, errs.String())
		}
	}
	if diff := cmp.Diff(before, d.names()); diff != "" {
		t.Error(diff)
	}
}

// TestDeltaStopsWaiting: a run that waits for a pipe ends, and leaves nothing.
func TestDeltaStopsWaiting(t *testing.T) {
	d := newDeltaFiles(t)
	before := d.names()
	for _, args := range [][]string{
		{"sign", "-"},
		{"diff", "-", d.path("new")},
		{"patch", d.path("old"), "-", d.path("made")},
		{"show", "-"},
		{"explain", "-", d.path("new")},
	} {
		ctx, stop := context.WithCancel(t.Context())
		in, write := io.Pipe()
		go func() {
			// The header is whole: patch has made its temporary file by then.
			if _, err := io.WriteString(write, d.text("delta")[:60]); err == nil {
				time.Sleep(20 * time.Millisecond)
			}
			stop()
		}()
		var out, errs bytes.Buffer
		code := Run(ctx, Program{}, append([]string{"delta"}, args...), Terminal{Getenv: func(string) string { return "" }, Stdin: in, Stdout: &out, Stderr: &errs})
		// diff sees at once that it is no signature.
		if args[0] != "diff" && (code != ExitInterrupted || errs.String() != "shoal: interrupted\n") {
			t.Errorf("shoal delta %s: exit code %d: %s", args, code, errs.String())
		}
		stop()
		if err := errors.Join(in.Close(), write.Close()); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(before, d.names()); diff != "" {
		t.Error(diff)
	}
}

// TestInstall: who comes first has the name.
func TestInstall(t *testing.T) {
	d := deltaFiles{t, t.TempDir()}
	d.put("temp", "ours")
	d.put("name", "theirs")
	if err := install(d.path("temp"), d.path("name"), false); err == nil || d.text("name") != "theirs" {
		t.Errorf("%v; the file holds %q", err, d.text("name"))
	}
	if err := install(d.path("temp"), d.path("free"), false); err != nil || d.text("free") != "ours" {
		t.Errorf("%v; the file holds %q", err, d.text("free"))
	}
	if _, err := os.Stat(d.path("temp")); !os.IsNotExist(err) {
		t.Errorf("the temporary name: %v", err)
	}
	if err := install(d.path("free"), d.path("name"), true); err != nil || d.text("name") != "ours" {
		t.Errorf("%v; the file holds %q", err, d.text("name"))
	}
	if st, err := os.Stat(d.path("name")); err != nil || st.Mode()&fs.ModeType != 0 {
		t.Errorf("%v, %v", st, err)
	}
}
