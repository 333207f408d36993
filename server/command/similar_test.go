package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// anything returns n bytes without a pattern.
func anything(seed byte, n int) string {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return string(p)
}

// newSimilarFiles makes directories a and b with files that have something in common.
func newSimilarFiles(t *testing.T) deltaFiles {
	d := deltaFiles{t, t.TempDir()}
	for _, dir := range []string{"a", "a/deep", "b", "b/other"} {
		if err := os.Mkdir(d.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	film := anything(1, 1<<20)
	d.put("a/film", film)
	d.put("a/deep/note", "the same note")
	d.put("a/empty", "")
	d.put("a/own", anything(2, 100<<10))
	d.put("b/film, longer", "x"+film)
	d.put("b/other/note", "the same note")
	d.put("b/empty", "")
	d.put("b/half", film[:512<<10])
	return d
}

func TestDeltaSimilar(t *testing.T) {
	d := newSimilarFiles(t)
	want := `SHARED    OF A  OF B  A          B
970.4 kB  92%   92%   film       film, longer
522.0 kB  49%   99%   film       half
13 B      100%  100%  deep/note  other/note
A        4 files, 1.2 MB
B        4 files, 1.6 MB
shared   1.0 MB in both
unique   102.4 kB only in A, 80.5 kB only in B
once     1.2 MB if every chunk is kept once, which saves 1.5 MB
`
	if diff := cmp.Diff(want, d.ok("similar", d.path("a"), d.path("b"))); diff != "" {
		t.Error(diff)
	}
	// Two files, of which one is reached by a link.
	if err := os.Symlink(d.path("a/film"), d.path("link")); err != nil {
		t.Fatal(err)
	}
	var got similarReport
	if err := json.Unmarshal([]byte(d.ok("similar", "--json", d.path("link"), d.path("b/film, longer"))), &got); err != nil {
		t.Fatal(err)
	}
	const shared, first, size = 970383, 78193, 1 << 20
	wantReport := similarReport{
		A:      sideReport{Path: d.path("link"), Files: 1, Bytes: size, Unique: first},
		B:      sideReport{Path: d.path("b/film, longer"), Files: 1, Bytes: size + 1, Unique: first + 1},
		Pairs:  []similarPair{{A: d.path("link"), B: d.path("b/film, longer"), Shared: shared, ABytes: size, BBytes: size + 1, AShared: shared, BShared: shared}},
		Totals: similarTotals{Bytes: 2*size + 1, Distinct: size + 1 + first, Saved: shared, Shared: shared},
	}
	if diff := cmp.Diff(wantReport, got, cmpopts.IgnoreUnexported(sideReport{})); diff != "" {
		t.Error(diff)
	}
}

// TestDeltaSimilarRepeats: a chunk that is in a file more than once is shared as
// often, and kept once.
func TestDeltaSimilarRepeats(t *testing.T) {
	d := deltaFiles{t, t.TempDir()}
	const zeros = 512 << 10 // one chunk of the longest length
	d.put("once", strings.Repeat("\x00", zeros))
	d.put("thrice", strings.Repeat("\x00", 3*zeros))
	var got similarReport
	if err := json.Unmarshal([]byte(d.ok("similar", "--json", d.path("once"), d.path("thrice"))), &got); err != nil {
		t.Fatal(err)
	}
	if p := got.Pairs[0]; p.Shared != zeros || p.AShared != zeros || p.BShared != 3*zeros {
		t.Errorf("the pair is %+v", p)
	}
	if want := (similarTotals{Bytes: 4 * zeros, Distinct: zeros, Saved: 3 * zeros, Shared: zeros}); got.Totals != want {
		t.Errorf("the totals are %+v", got.Totals)
	}
}

// TestDeltaSimilarLinks: what a directory links to is not in it.
func TestDeltaSimilarLinks(t *testing.T) {
	d := newSimilarFiles(t)
	for name, to := range map[string]string{"a/out": d.path("b"), "a/up": "..", "a/deep/same": "../film", "a/gone": "nowhere"} {
		if err := os.Symlink(to, d.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	got := d.ok("similar", d.path("a"), d.path("b"))
	for _, line := range []string{"A        4 files, 1.2 MB\n", "skipped  4 (symbolic links, special files)\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("%s does not say %s", got, line)
		}
	}
}

// TestDeltaSimilarItself: of a directory and itself, or one within, each pair is
// told once, and no file is a pair.
func TestDeltaSimilarItself(t *testing.T) {
	d := deltaFiles{t, t.TempDir()}
	for _, dir := range []string{"a", "a/deep", "a/deep/.shoal"} {
		if err := os.Mkdir(d.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	film := anything(1, 1<<20)
	d.put("a/film", film)
	d.put("a/longer", "x"+film)
	d.put("a/deep/film", film)
	d.put("a/deep/.shoal/film", film)
	pairs := func(a, b string) (names []string, same int) {
		t.Helper()
		var r similarReport
		if err := json.Unmarshal([]byte(d.ok("similar", "--json", d.path(a), d.path(b))), &r); err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Pairs {
			names = append(names, p.A+" "+p.B)
			if p.AShared > p.ABytes || p.BShared > p.BBytes {
				t.Errorf("%+v", p)
			}
		}
		return names, r.Totals.Same
	}
	if got, same := pairs("a", "a"); len(got) != 3 || got[0] != "deep/film film" || same != 3 {
		t.Errorf("%q, %d", got, same)
	}
	if got, same := pairs("a", "a/deep"); len(got) != 2 || got[0] != "film film" || got[1] != "longer film" || same != 1 {
		t.Errorf("%q, %d", got, same)
	}
	if got := d.ok("similar", d.path("a"), d.path("a/film")); strings.Contains(got, ".shoal") {
		t.Error(got)
	}
}

// TestDeltaSimilarSmall: why small files share nothing is said.
func TestDeltaSimilarSmall(t *testing.T) {
	d := deltaFiles{t, t.TempDir()}
	d.put("a", "charla")
	d.put("b", "gocharla")
	if got := d.ok("similar", d.path("a"), d.path("b")); !strings.Contains(got, "small    1 in A, 1 in B: a file below 16 KiB is one chunk, and shares bytes only with an equal file\n") {
		t.Error(got)
	}
}

// TestDeltaSimilarUnread: what cannot be read is named, and the rest compared.
func TestDeltaSimilarUnread(t *testing.T) {
	d := newSimilarFiles(t)
	d.put("a/huge\x1b[2J", "")
	if err := os.Truncate(d.path("a/huge\x1b[2J"), 5<<40); err != nil {
		t.Skip("the file system has no files of 5 TiB: ", err)
	}
	got := shoal(t, nil, "delta", "similar", "--json", d.path("a"), d.path("b"))
	if got.code != ExitPartial {
		t.Errorf("exit code %d", got.code)
	}
	for _, says := range []string{`a/huge\x1b[2J: `, "too large", "1 path could not be read"} {
		if !strings.Contains(got.stderr, says) {
			t.Errorf("%s does not say %q", got.stderr, says)
		}
	}
	var r similarReport
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.A.Unread != 1 || r.A.Files != 4 || len(r.Pairs) != 3 {
		t.Errorf("the report is %+v", r)
	}
	// As one of the two it is all that was asked for.
	if got := shoal(t, nil, "delta", "similar", d.path("a/huge\x1b[2J"), d.path("b")); got.code != ExitError || got.stdout != "" {
		t.Errorf("exit code %d: %s", got.code, got.stdout)
	}
}

func TestDeltaSimilarRefuses(t *testing.T) {
	d := newSimilarFiles(t)
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{d.path("a")}, ExitUsage, "<b>"},
		{[]string{d.path("a"), d.path("missing")}, ExitError, "no such file"},
		{[]string{d.path("missing"), d.path("b")}, ExitError, "no such file"},
		{[]string{os.DevNull, d.path("b")}, ExitError, "not a regular file"},
	} {
		got := shoal(t, nil, append([]string{"delta", "similar"}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.stderr, tc.says) || got.stdout != "" {
			t.Errorf("shoal delta similar %q: exit code %d, want %d: %s", tc.args, got.code, tc.code, got.stderr)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, args := range [][]string{{d.path("a"), d.path("b")}, {d.path("a/film"), d.path("a/own")}} {
		var out, errs bytes.Buffer
		code := Run(ctx, Program{}, append([]string{"delta", "similar"}, args...), Terminal{Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &errs})
		if code != ExitInterrupted || !strings.Contains(errs.String(), "interrupted") || out.Len() > 0 {
			t.Errorf("exit code %d: %s", code, errs.String())
		}
	}
}

// TestSimilarBounds: a bound of memory ends the comparison, one of pairs leaves
// pairs out, and says so.
func TestSimilarBounds(t *testing.T) {
	d := newSimilarFiles(t)
	compare := func(x *comparison) error {
		c := &console{ctx: t.Context()}
		return errors.Join(x.addTree(c, sideA, d.path("a")), x.addTree(c, sideB, d.path("b")))
	}
	x := newComparison(progress{})
	x.mostChunks = 30
	if err := compare(x); !errors.Is(err, errTooMuch) || !strings.Contains(err.Error(), "more than 30 chunks") {
		t.Error(err)
	}

	x = newComparison(progress{})
	x.mostOfChunk = 1 // what both files of b have is in two pairs
	if err := compare(x); err != nil {
		t.Fatal(err)
	}
	r := x.report()
	inPairs := int64(0)
	for _, p := range r.Pairs {
		inPairs += p.Shared
	}
	// The first chunk is in one of them only, and the next four in both.
	if four := int64(75486 + 52393 + 102055 + 213864); len(r.Pairs) != 3 || r.Totals.Common != 4 || inPairs+four != r.Totals.Shared {
		t.Errorf("the report is %+v", r)
	}
	var out strings.Builder
	if err := r.writeText(&out); err != nil || !strings.Contains(out.String(), "\ncommon   4 chunks that so many files have") {
		t.Errorf("%s, %v", out.String(), err)
	}

	x = newComparison(progress{})
	x.mostPairs = 1
	if err := compare(x); err != nil {
		t.Fatal(err)
	}
	if r := x.report(); len(r.Pairs) != 1 || r.Totals.Common == 0 {
		t.Errorf("the report is %+v", r)
	}
}

// TestSimilarProgress: a line is drawn when it takes long, harmless and short, and
// wiped at the end.
func TestSimilarProgress(t *testing.T) {
	var out strings.Builder
	p := progress{w: &out, due: time.Now().Add(time.Hour)}
	read := func() {
		t.Helper()
		r := p.reader(strings.Repeat("long/", 30)+"\x1b[2J", strings.NewReader("four"))
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	read()
	p.end()
	if out.Len() > 0 {
		t.Errorf("too soon: %q", out.String())
	}
	p.due = time.Now()
	read()
	if want := "\r\x1b[K2 files, 8 B read: …ng/long/long/long/long/long/long/\\x1b[2J"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	p.due = time.Now().Add(time.Hour)
	read()
	p.end()
	if !strings.HasSuffix(out.String(), "J\r\x1b[K") {
		t.Errorf("the line is left: %q", out.String())
	}
}
