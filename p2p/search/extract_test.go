package search

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func extract(t *testing.T, name, content string, limit int) Extracted {
	t.Helper()
	e, err := Extract(name, strings.NewReader(content), limit)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExtract(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		want          Extracted
	}{
		{"a/notes.txt", "hello\nworld", Extracted{Title: "notes.txt", Text: "hello\nworld", Type: TypeText}},
		{"empty.txt", "", Extracted{Title: "empty.txt", Type: TypeText}},
		{"x.md", "intro\n\n# The *Title* #\ntext", Extracted{Title: "The *Title*", Text: "intro\n\n# The *Title* #\ntext", Type: TypeMarkdown}},
		{"x.md", "Title\n=====\ntext", Extracted{Title: "Title", Text: "Title\n=====\ntext", Type: TypeMarkdown}},
		{"x.md", "---\ntitle: \"Front\"\n---\n# Heading", Extracted{Title: "Front", Text: "---\ntitle: \"Front\"\n---\n# Heading", Type: TypeMarkdown}},
		{"x.md", "---\nother: 1\n---\n## Heading", Extracted{Title: "Heading", Text: "---\nother: 1\n---\n## Heading", Type: TypeMarkdown}},
		{"x.md", "```\n# no\n```\n# yes", Extracted{Title: "yes", Text: "```\n# no\n```\n# yes", Type: TypeMarkdown}},
		{"x.md", "#hashtag\n", Extracted{Title: "x.md", Text: "#hashtag\n", Type: TypeMarkdown}},
		{
			"x.html", "<title>A &amp; B</title><script>var evil</script><p>one<p>two<b>three</b><style>p{}</style>",
			Extracted{Title: "A & B", Text: "one\ntwothree\n", Type: TypeHTML},
		},
		{"x.html", "<h1>Big <i>news</i></h1>text", Extracted{Title: "Big news", Text: "Big news\ntext", Type: TypeHTML}},
		{"x.html", "no tags", Extracted{Title: "x.html", Text: "no tags", Type: TypeHTML}},
		{"main.go", "package main", Extracted{Title: "main.go", Text: "package main", Type: TypeCode}},
		{"Dockerfile", "FROM scratch", Extracted{Title: "Dockerfile", Text: "FROM scratch", Type: TypeCode}},
		{"README", "read me", Extracted{Title: "README", Text: "read me", Type: TypeText}},
		{"unknown.xyz", "plain words", Extracted{Title: "unknown.xyz", Text: "plain words", Type: TypeText}},
		{"unknown.xyz", "\x00\x01\x02", Extracted{Title: "unknown.xyz", Type: TypeOther, Binary: true}},
		{"unknown", "\x89PNG\r\n\x1a\n\x00", Extracted{Title: "unknown", Type: TypeImage, Binary: true}},
		{"photo.jpg", "\xff\xd8\xff", Extracted{Title: "photo.jpg", Type: TypeImage, Binary: true}},
		{"movie.ts", "G@\x00\x10", Extracted{Title: "movie.ts", Type: TypeOther, Binary: true, Problem: "not text, in spite of its name"}},
		{"bom.txt", "\xef\xbb\xbfhello", Extracted{Title: "bom.txt", Text: "hello", Type: TypeText}},
		{"le.txt", "\xff\xfeh\x00\xe4\x00", Extracted{Title: "le.txt", Text: "hä", Type: TypeText}},
		{"be.txt", "\xfe\xff\x00h\x00\xe4", Extracted{Title: "be.txt", Text: "hä", Type: TypeText}},
		{"latin.txt", "Gr\xfc\xdfe f\xfcr \x84Z\xfcrich\x93", Extracted{Title: "latin.txt", Text: "Grüße für „Zürich“", Type: TypeText}},
		{"mostly.txt", "äöüäöüäöü \xff", Extracted{Title: "mostly.txt", Text: "äöüäöüäöü \uFFFD", Type: TypeText}},
	} {
		if diff := cmp.Diff(tt.want, extract(t, tt.name, tt.content, 0)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.name, tt.content, diff)
		}
	}
}

func TestExtractCutsLongText(t *testing.T) {
	e := extract(t, "a.txt", strings.Repeat("ä", 1000), 101)
	if !e.Truncated || e.Text != strings.Repeat("ä", 50) {
		t.Errorf("truncated %v, %d bytes", e.Truncated, len(e.Text))
	}
	if e := extract(t, "a.txt", "0123456789", 10); e.Truncated || len(e.Text) != 10 {
		t.Errorf("exactly the limit: truncated %v, %d bytes", e.Truncated, len(e.Text))
	}
	// Every byte becomes two or three, but not more than a document may have.
	if e := extract(t, "a.txt", strings.Repeat("\x80", MaxText), 0); !e.Truncated || len(e.Text) > MaxText || !utf8.ValidString(e.Text) {
		t.Errorf("truncated %v, %d bytes", e.Truncated, len(e.Text))
	}
}

func TestExtractTellsReadErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := Extract("a.txt", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 0)
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := Extract("a.png", iotest.ErrReader(broken), 0); err != nil {
		t.Errorf("an image was read: %v", err)
	}
}

func TestTypeOf(t *testing.T) {
	for name, want := range map[string]string{
		"a.MD": TypeMarkdown, "a.b/c": TypeOther, "x.tar.gz": TypeArchive, "x.Go": TypeCode, ".gitignore": TypeCode,
		"dir/Makefile": TypeCode, "": TypeOther, ".": TypeOther, "a.": TypeOther, ".env": TypeCode, "song.flac": TypeAudio,
		"film.mkv": TypeVideo, "a.docx": TypeDocument, "a.pdf": TypePDF, ".md": TypeOther,
	} {
		if got := TypeOf(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func FuzzExtract(f *testing.F) {
	for _, s := range []string{"# x\n", "<title>a<p>b</p>", "\xff\xfea\x00", "\xef\xbb\xbfx", "Gr\xfc\xdfe", "\x00", "---\ntitle: x\n---", "<!--", "<![CDATA["} {
		for _, name := range []string{"a.md", "a.html", "a.txt", "a"} {
			f.Add(name, []byte(s), 0)
		}
	}
	f.Fuzz(func(t *testing.T, name string, content []byte, limit int) {
		e, err := Extract(name, strings.NewReader(string(content)), limit)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(e.Text) || len(e.Text) > MaxText || utf8.RuneCountInString(e.Title) > max(MaxTitle, utf8.RuneCountInString(name)) {
			t.Errorf("text of %d bytes, title %q", len(e.Text), e.Title)
		}
		if e.Type == "" || e.Binary && e.Text != "" {
			t.Errorf("type %q, binary %v, text %q", e.Type, e.Binary, e.Text)
		}
	})
}
