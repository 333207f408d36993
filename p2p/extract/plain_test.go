package extract

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/search"
)

func TestPlainText(t *testing.T) {
	r := reader(t, Options{})
	for _, tt := range []struct {
		name, content string
		want          Text
	}{
		{"a/notes.txt", "hello\nworld", Text{Title: "notes.txt", Text: "hello\nworld", Type: search.TypeText}},
		{"empty.txt", "", Text{Title: "empty.txt", Type: search.TypeText}},
		{"x.md", "intro\n\n# The *Title* #\ntext", Text{Title: "The *Title*", Text: "intro\n\n# The *Title* #\ntext", Type: search.TypeMarkdown}},
		{"x.md", "Title\n=====\ntext", Text{Title: "Title", Text: "Title\n=====\ntext", Type: search.TypeMarkdown}},
		{"x.md", "---\ntitle: \"Front\"\n---\n# Heading", Text{Title: "Front", Text: "---\ntitle: \"Front\"\n---\n# Heading", Type: search.TypeMarkdown}},
		{"x.md", "---\nother: 1\n---\n## Heading", Text{Title: "Heading", Text: "---\nother: 1\n---\n## Heading", Type: search.TypeMarkdown}},
		{"x.md", "```\n# no\n```\n# yes", Text{Title: "yes", Text: "```\n# no\n```\n# yes", Type: search.TypeMarkdown}},
		{"x.md", "#hashtag\n", Text{Title: "x.md", Text: "#hashtag\n", Type: search.TypeMarkdown}},
		{
			"x.html", "<title>A &amp; B</title><script>var evil</script><p>one<p>two<b>three</b><style>p{}</style>",
			Text{Title: "A & B", Text: "one\ntwothree\n", Type: search.TypeHTML},
		},
		{"x.html", "<h1>Big <i>news</i></h1>text", Text{Title: "Big news", Text: "Big news\ntext", Type: search.TypeHTML}},
		{"x.html", "no tags", Text{Title: "x.html", Text: "no tags", Type: search.TypeHTML}},
		{"main.go", "package main", Text{Title: "main.go", Text: "package main", Type: search.TypeCode}},
		{"Dockerfile", "FROM scratch", Text{Title: "Dockerfile", Text: "FROM scratch", Type: search.TypeCode}},
		{"README", "read me", Text{Title: "README", Text: "read me", Type: search.TypeText}},
		{"unknown.xyz", "plain words", Text{Title: "unknown.xyz", Text: "plain words", Type: search.TypeText}},
		{"unknown.xyz", "\x00\x01\x02", Text{Title: "unknown.xyz", Type: search.TypeOther}},
		{"unknown", "\x89PNG\r\n\x1a\n\x00", Text{Title: "unknown", Type: search.TypeImage}},
		{"photo.jpg", "\xff\xd8\xff", Text{Title: "photo.jpg", Type: search.TypeImage}},
		{"movie.ts", "G@\x00\x10", Text{Title: "movie.ts", Type: search.TypeOther, Reason: NotText, Detail: "binary data, in spite of its name"}},
		{"bom.txt", "\xef\xbb\xbfhello", Text{Title: "bom.txt", Text: "hello", Type: search.TypeText}},
		{"le.txt", "\xff\xfeh\x00\xe4\x00", Text{Title: "le.txt", Text: "hä", Type: search.TypeText}},
		{"be.txt", "\xfe\xff\x00h\x00\xe4", Text{Title: "be.txt", Text: "hä", Type: search.TypeText}},
		{"latin.txt", "Gr\xfc\xdfe f\xfcr \x84Z\xfcrich\x93", Text{Title: "latin.txt", Text: "Grüße für „Zürich“", Type: search.TypeText}},
		{"mostly.txt", "äöüäöüäöü \xff", Text{Title: "mostly.txt", Text: "äöüäöüäöü \uFFFD", Type: search.TypeText}},
	} {
		if diff := cmp.Diff(tt.want, readBytes(t, r, tt.name, []byte(tt.content))); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.name, tt.content, diff)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	r := reader(t, Options{MaxText: 101})
	if got := readBytes(t, r, "a.txt", []byte(strings.Repeat("ä", 1000))); got.Reason != Cut || got.Text != strings.Repeat("ä", 50) {
		t.Errorf("%q, %d bytes", got.Reason, len(got.Text))
	}
	if got := readBytes(t, r, "a.txt", []byte(strings.Repeat("0", 101))); got.Reason != "" || len(got.Text) != 101 {
		t.Errorf("exactly the limit: %q, %d bytes", got.Reason, len(got.Text))
	}
	// Every byte becomes two or three, but not more than a document may have.
	r = reader(t, Options{})
	if got := readBytes(t, r, "a.txt", []byte(strings.Repeat("\x80", search.MaxText))); got.Reason != Cut || len(got.Text) > search.MaxText || !utf8.ValidString(got.Text) {
		t.Errorf("%q, %d bytes", got.Reason, len(got.Text))
	}
}

// broken is a file on a disk that fails.
type broken struct{ error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.error }

func TestErrorsOfTheFileAreReturned(t *testing.T) {
	r := reader(t, Options{})
	onFire := errors.New("disk on fire")
	for _, name := range []string{"a.txt", "a.pdf", "a.docx"} {
		if _, err := r.Read(t.Context(), name, broken{onFire}, 10); !errors.Is(err, onFire) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Read(t.Context(), "a.png", broken{onFire}, 10); err != nil {
		t.Errorf("an image was read: %v", err)
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"# x\n", "<title>a<p>b</p>", "\xff\xfea\x00", "\xef\xbb\xbfx", "Gr\xfc\xdfe", "\x00", "---\ntitle: x\n---", "<!--", "<![CDATA[", "\x83\x65\x83\x58\x83\x67", "<?xml version='1.0' encoding='koi8-r'?>\xd0", "a\x00b\x00"} {
		for _, name := range []string{"a.md", "a.html", "a.txt", "a"} {
			f.Add(name, []byte(s), 100)
		}
	}
	f.Fuzz(func(t *testing.T, name string, content []byte, limit int) {
		if limit <= 0 || limit > search.MaxText {
			limit = search.MaxText
		}
		got, is, err := plain(name, strings.NewReader(string(content)), limit)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(got.Text) || len(got.Text) > limit {
			t.Errorf("text of %d bytes", len(got.Text))
		}
		if got.Type == "" || !is && got.Text != "" {
			t.Errorf("type %q, text %v, %q", got.Type, is, got.Text)
		}
	})
}
