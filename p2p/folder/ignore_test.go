package folder

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestIgnoreTable(t *testing.T) {
	for _, c := range []struct {
		pattern string
		path    string // with a slash at the end: a directory
		want    bool
	}{
		{"a", "a", true},
		{"a", "b/a", true},
		{"a", "ab", false},
		{"a", "A", false},
		{"/a", "a", true},
		{"/a", "b/a", false},
		{"a/", "a", false},
		{"a/", "a/", true},
		{"a/", "b/a/", true},
		{"a/b", "a/b", true},
		{"a/b", "x/a/b", false},
		{"a/b/", "a/b/", true},
		{"*.o", "x.o", true},
		{"*.o", "d/x.o", true},
		{"*.o", ".o", true},
		{"/*.o", "d/x.o", false},
		{"d/*.o", "d/x.o", true},
		{"d/*.o", "d/e/x.o", false},
		{"**/x", "x", true},
		{"**/x", "a/b/x", true},
		{"**/x", "a/bx", false},
		{"a/**", "a", false},
		{"a/**", "a/b", true},
		{"a/**", "a/b/c", true},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "ab", false},
		{"a**b", "axxb", true},
		{"x/a**b", "x/a/b", false},
		{"**", "a/b", true},
		{"/**", "a", true},
		{"a/***/b", "a/x/y/b", true},
		{"?", "a", true},
		{"?", "é", true},
		{"?", "ab", false},
		{"a?b", "a/b", false},
		{"[abc]", "b", true},
		{"[!abc]", "b", false},
		{"[^abc]", "d", true},
		{"[a-c]", "b", true},
		{"[]-]", "]", true},
		{"[]-]", "-", true},
		{"[a-]", "-", true},
		{`[\]]`, "]", true},
		{"[[:digit:]]x", "3x", true},
		{"[[:nonsense:]]", "n", false},
		{"[", "[", false},
		{"[a", "[a", false},
		{`\[`, "[", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`\!a`, "!a", true},
		{`\#a`, "#a", true},
		{"#a", "#a", false},
		{"!a", "a", false},
		{`a\ `, "a ", true},
		{"a  ", "a", true},
		{`a\`, "a", false},
		{"", "a", false},
		{"/", "a", false},
		{"a\r", "a", true},
		{"a[/]b", "a/b", false},
		{"日本*", "日本語", true},
	} {
		g, err := (*Ignore)(nil).Below("", strings.NewReader(c.pattern+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		path, dir := strings.CutSuffix(c.path, "/")
		if got := g.Match(path, dir); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

func TestDefaultsIgnoreOnlyWhatProgramsLeave(t *testing.T) {
	for path, want := range map[string]bool{
		".DS_Store": true, "d/.DS_Store": true, "d/.notes.md.swp": true, "~$thesis.docx": true, ".~lock.x.odt#": true,
		".Trash-1000/": true, ".git/": false, "node_modules/": false, "x~": false, "x.bak": false, ".env": false,
		"a.tmp": false, "core": false, ".swp": false,
	} {
		path, dir := strings.CutSuffix(path, "/")
		if got := Defaults().Match(path, dir); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

func TestIgnoreFilesOfAFolder(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t,
		".shoalignore=\ufeff*.log\n!keep.log\n/top\nbuild/\n!.DS_Store\n", ".DS_Store=wanted", ".x.swp=temporary",
		"a.log=1", "keep.log=2", "top=3", "d/top=4", "build/x=5", "d/build=6", "d/.shoalignore=!b.log\ntop\n", "d/b.log=7", "d/c.log=8",
		"d/e/b.log=9", ".shoal/x=no", "d/.SHOAL/y=no")
	id := b.add(dir).ID
	b.wantHas(".DS_Store=wanted", "d/", "d/b.log=7", "d/build=6", "d/e/", "d/e/b.log=9", "keep.log=2")

	// What is ignored from now on is gone from what is shared, and says why.
	b.sink.failing(func(updates []Update) error {
		for _, u := range updates {
			if u.Gone && u.Ignored == (u.Path == "keep.log") {
				t.Errorf("%s: ignored is %v", u.Path, u.Ignored)
			}
		}
		return nil
	})
	build(t, dir, ".shoalignore=d\n")
	if err := os.Remove(filepath.Join(dir, "keep.log")); err != nil {
		t.Fatal(err)
	}
	b.rescan(id)
	b.wantHas("a.log=1", "build/", "build/x=5", "top=3")
	if _, err := b.OpenFile(id, "d/b.log"); err == nil {
		t.Error("an ignored file is served")
	}
	// And back.
	b.sink.failing(nil)
	if err := os.Remove(filepath.Join(dir, ".shoalignore")); err != nil {
		t.Fatal(err)
	}
	b.rescan(id)
	b.wantHas("a.log=1", "build/", "build/x=5", "d/", "d/b.log=7", "d/build=6", "d/c.log=8", "d/e/", "d/e/b.log=9", "top=3")
}

func TestIgnoreFileTooLarge(t *testing.T) {
	for what, text := range map[string]string{
		"bytes":    strings.Repeat("# comment\n", maxIgnoreFile/10+1),
		"line":     strings.Repeat("x", maxIgnoreFile+1),
		"patterns": strings.Repeat("x\n", maxPatterns+1),
	} {
		if _, err := (*Ignore)(nil).Below("", strings.NewReader(text)); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// unlikeGit are the patterns for which git does not do what gitignore(5) says, and
// we do: git cuts the letters in front of the first wildcard from pattern and path
// before it looks for **/, so that a**/b is /a/**/b without the slash and matches
// ab, ax/b and a/x/b; and **\/ does not match in the directory of the file itself.
var unlikeGit = regexp.MustCompile(`^!?[^*?\[\\]*[^/*?\[\\]\*\*|\\/`)

// TestIgnoreAsGit compares with git check-ignore on random patterns and paths.
func TestIgnoreAsGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: nothing to compare with")
	}
	ignoreAsGit(t, git, rand.Uint64())
}

func ignoreAsGit(t *testing.T, git string, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	names := []string{"a", "b", "ab", "abc", "a.o", "b.o", ".a", "[a]", "a b", "#a", "!a", "a\\b", "-", "A"}
	pattern := func() string {
		var p strings.Builder
		for range 1 + rnd.IntN(5) {
			p.WriteString(pick("a", "b", "ab", "c", ".o", "*", "**", "?", "/", "/", "[ab]", "[!a]", "[a-b]", "[", "]", "\\", " ", "!", "#", "\\*", "[]a]", "[^/]", "[[:alpha:]]", "/**/", "**/", "/**"))
		}
		return p.String()
	}
	for round := range 40 {
		dir := newTree(t)
		var paths []string
		for range 25 {
			p := names[rnd.IntN(len(names))]
			for range rnd.IntN(4) {
				p = names[rnd.IntN(len(names))] + "/" + p
			}
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755); err != nil {
				continue // a file is in the way
			}
			if err := os.WriteFile(filepath.Join(dir, p), nil, 0o644); err != nil {
				continue
			}
			paths = append(paths, p)
		}
		files := map[string]string{"": ""}
		for _, at := range []string{"", "a", "ab/b"} {
			if info, err := os.Stat(filepath.Join(dir, at)); err != nil || !info.IsDir() {
				continue
			}
			var text strings.Builder
			for range 1 + rnd.IntN(6) {
				line := pick("", "", "!") + pattern()
				if !unlikeGit.MatchString(line) {
					text.WriteString(line + "\n")
				}
			}
			files[at] = text.String()
			for _, name := range []string{".gitignore", IgnoreFile} {
				build(t, filepath.Join(dir, at), name+"="+text.String())
			}
		}
		want := checkIgnore(t, git, dir, paths)
		tree, err := openTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			got := ignoredIn(t, tree, p)
			if got != slices.Contains(want, p) {
				t.Errorf("seed %d round %d: %q ignored: %v, git says %v; files %q", seed, round, p, got, !got, files)
			}
		}
		if err := tree.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func ignoredIn(t *testing.T, tree *tree, path string) bool {
	t.Helper()
	above := (*Ignore)(nil) // without the defaults, which git does not have
	for i, r := range path + "/" {
		if r != '/' {
			continue
		}
		at, err := tree.dir(parent(path[:i]))
		if err != nil {
			t.Fatal(err)
		}
		above, err = above.enter(at, parent(path[:i]))
		if err != nil {
			t.Fatal(err)
		}
		if err := at.Close(); err != nil {
			t.Fatal(err)
		}
		if above.Match(path[:i], i < len(path)) {
			return true
		}
	}
	return false
}

func checkIgnore(t *testing.T, git, dir string, paths []string) []string {
	t.Helper()
	run := func(stdin string, args ...string) string {
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C")
		cmd.Stdin = strings.NewReader(stdin)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 1 {
			t.Fatalf("git %v: %v: %s", args, err, errs.String())
		}
		return out.String()
	}
	run("", "init", "-q", ".")
	out := run(strings.Join(paths, "\x00"), "-c", "core.excludesFile=/dev/null", "check-ignore", "-z", "--stdin", "--no-index")
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
}

func FuzzIgnore(f *testing.F) {
	for _, s := range []string{"a", "*a*a*a*a*b", "**/**/**/x", "[a-", "!\\", "a/**/b/**/c", "[[:alpha:]-z]", "\\", "[\\"} {
		f.Add(s, "a/b/c")
		f.Add(s, strings.Repeat("a", 200))
	}
	f.Fuzz(func(t *testing.T, patterns, path string) {
		g, err := (*Ignore)(nil).Below("", strings.NewReader(patterns))
		if err != nil {
			return
		}
		if CheckPath(path) == nil {
			g.Match(path, false)
			g.Match(path, true)
		}
	})
}

// The worst patterns take time that grows with the product of the lengths.
func BenchmarkIgnoreWorst(b *testing.B) {
	g, err := (*Ignore)(nil).Below("", strings.NewReader(strings.Repeat("*a", 500)+"b\n/"+strings.Repeat("**/*a/", 300)+"b\n"))
	if err != nil {
		b.Fatal(err)
	}
	path := strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 31)+"/", 127), "/")
	for b.Loop() {
		g.Match(path, false)
	}
}
