package server

import (
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

var hostileNames = []string{
	"plain.txt", "with space.txt", `quote".txt`, `back\slash.txt`, "semi;colon=.txt", "percent%41.txt", "line\nend.txt",
	"cr\r\nSet-Cookie: a=b", "nul\x00.txt", "../../etc/passwd", "dir/file.txt", `..\..\boot.ini`, "C:evil.txt", "\u202etxt.exe", "a\u200fb\u2066c.txt",
	"zero\u200bwidth", "Überraschung.pdf", "日本語.txt", "emoji😀.png", "\xff\xfe.bin", "", ".", "..", "   ", "...", "tab\there", "del\x7f",
	"bom\ufeff.txt", "line\u2028sep", "para\u2029sep", "c1\u0085next", strings.Repeat("x", 300) + ".tar.gz", strings.Repeat("ü", 300) + ".txt",
	"utf-8''evil.txt", "a'b'c.txt", "*star*.txt", "<script>alert(1)</script>.html", "file.html", "$(touch x)", "`id`", "-rf", "~root", "a,b.txt", "NUL", "{}", "|pipe",
}

func TestAttachment(t *testing.T) {
	for _, name := range hostileNames {
		checkAttachment(t, name)
	}
	if got, want := attachment("Ünï.txt"), `attachment; filename="_n_.txt"; filename*=UTF-8''%C3%9Cn%C3%AF.txt`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, params, err := mime.ParseMediaType(attachment("Überraschung 1.pdf")); err != nil || params["filename"] != "Überraschung 1.pdf" {
		t.Errorf("read back: %v %v", params, err)
	}
}

func checkAttachment(t *testing.T, name string) {
	t.Helper()
	h := attachment(name)
	for _, c := range []byte(h) {
		if c < 0x20 || c > 0x7e {
			t.Fatalf("%q: header %q has byte %#x", name, h, c)
		}
	}
	kind, params, err := mime.ParseMediaType(h)
	if err != nil || kind != "attachment" || len(params) != 1 {
		t.Fatalf("%q: header %s: %s %v %v", name, h, kind, params, err)
	}
	saved := params["filename"]
	if saved == "" || len(saved) > maxFileName || !utf8.ValidString(saved) || strings.ContainsAny(saved, "/\\:") || strings.Trim(saved, ". ") == "" {
		t.Errorf("%q is saved as %q", name, saved)
	}
	for _, r := range saved {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			t.Errorf("%q is saved as %q with %U", name, saved, r)
		}
	}
}

func FuzzAttachment(f *testing.F) {
	for _, name := range hostileNames {
		f.Add(name)
	}
	f.Fuzz(checkAttachment)
}

func TestRange(t *testing.T) {
	modified := time.Unix(1e9, 0).UTC()
	date := modified.Format(http.TimeFormat)
	const etag = `"abc"`
	whole := byteRange{0, 10}
	for _, row := range []struct {
		header, ifRange string
		part            byteRange
		partial         bool
		err             error
	}{
		{"", "", whole, false, nil},
		{"bytes=0-9", "", whole, true, nil},
		{"bytes=0-0", "", byteRange{0, 1}, true, nil},
		{"bytes=3-5", "", byteRange{3, 3}, true, nil},
		{"bytes=3-", "", byteRange{3, 7}, true, nil},
		{"bytes=-3", "", byteRange{7, 3}, true, nil},
		{"bytes=-30", "", whole, true, nil},
		{"bytes=5-500", "", byteRange{5, 5}, true, nil},
		{"bytes=5-99999999999999999999", "", byteRange{5, 5}, true, nil},
		{"Bytes= 3-5 ", "", byteRange{3, 3}, true, nil},
		{"bytes=10-", "", whole, false, errRange},
		{"bytes=99999999999999999999-", "", whole, false, errRange},
		{"bytes=-0", "", whole, false, errRange},
		{"bytes=0-1,3-4", "", whole, false, errRanges},
		{"bytes=0-,0-,0-", "", whole, false, errRanges},
		{"bytes=5-3", "", whole, false, nil},
		{"bytes=-", "", whole, false, nil},
		{"bytes=a-b", "", whole, false, nil},
		{"bytes=+1-2", "", whole, false, nil},
		{"bytes=1--2", "", whole, false, nil},
		{"bytes", "", whole, false, nil},
		{"lines=1-2", "", whole, false, nil},
		{"bytes=3-5", etag, byteRange{3, 3}, true, nil},
		{"bytes=3-5", `W/"abc"`, whole, false, nil},
		{"bytes=3-5", `"other"`, whole, false, nil},
		{"bytes=3-5", date, whole, false, nil},
		{"bytes=3-5", modified.Add(time.Hour).Format(http.TimeFormat), whole, false, nil},
		{"bytes=0-1,3-4", `"other"`, whole, false, nil},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if row.header != "" {
			r.Header.Set("Range", row.header)
		}
		if row.ifRange != "" {
			r.Header.Set("If-Range", row.ifRange)
		}
		part, partial, err := rangeOf(r, etag, 10)
		if part != row.part || partial != row.partial || err != row.err {
			t.Errorf("%s if %s: %v %v %v, want %v %v %v", row.header, row.ifRange, part, partial, err, row.part, row.partial, row.err)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=0-")
	if _, _, err := rangeOf(r, etag, 0); err != errRange {
		t.Errorf("of an empty file: %v", err)
	}
}

func TestPrecondition(t *testing.T) {
	modified := time.Unix(1e9, 0).UTC()
	at := func(d time.Duration) string { return modified.Add(d).Format(http.TimeFormat) }
	const etag = `"abc"`
	for _, row := range []struct {
		name, value string
		status      int
		err         error
	}{
		{"If-None-Match", etag, 304, nil},
		{"If-None-Match", `W/"abc"`, 304, nil},
		{"If-None-Match", `"x", "abc"`, 304, nil},
		{"If-None-Match", `*`, 304, nil},
		{"If-None-Match", `"x"`, 200, nil},
		{"If-Match", etag, 200, nil},
		{"If-Match", `*`, 200, nil},
		{"If-Match", `W/"abc"`, 0, errPrecondition},
		{"If-Match", `"x"`, 0, errPrecondition},
		{"If-Modified-Since", at(0), 304, nil},
		{"If-Modified-Since", at(-time.Hour), 200, nil},
		{"If-Modified-Since", "yesterday", 200, nil},
		{"If-Unmodified-Since", at(0), 200, nil},
		{"If-Unmodified-Since", at(-time.Hour), 0, errPrecondition},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(row.name, row.value)
		status, err := precondition(r, etag, modified)
		if status != row.status || err != row.err {
			t.Errorf("%s: %s: %d %v, want %d %v", row.name, row.value, status, err, row.status, row.err)
		}
	}
}

// A file that is newer than the index has no ETag, and so equals none.
func TestConditionsWithoutETag(t *testing.T) {
	modified := time.Unix(1e9, 0).UTC()
	for _, value := range []string{"", ",", ` , "x"`, `W/`, `""`} {
		for name, want := range map[string]struct {
			status int
			err    error
		}{"If-Match": {0, errPrecondition}, "If-None-Match": {http.StatusOK, nil}} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header[name] = []string{value}
			if status, err := precondition(r, "", modified); status != want.status || err != want.err {
				t.Errorf("%s: %q: %d %v", name, value, status, err)
			}
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", "bytes=3-5")
		r.Header["If-Range"] = []string{value}
		if part, partial, err := rangeOf(r, "", 10); partial || err != nil || part.length != 10 {
			t.Errorf("If-Range %q: %v %v %v", value, part, partial, err)
		}
	}
}
