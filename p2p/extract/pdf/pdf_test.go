package pdf

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func readString(t *testing.T, file string) (Document, error) {
	t.Helper()
	return Read(strings.NewReader(file), int64(len(file)), 1<<20)
}

// assembled puts objects together, numbered from 1, with a table unless it is broken.
func assembled(broken bool, objects ...string) string {
	var b strings.Builder
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj %s endobj\n", i+1, o)
	}
	if broken {
		b.WriteString("trailer <</Root 1 0 R/Info 9 0 R>> startxref 12 %%EOF")
		return b.String()
	}
	begin := b.Len()
	fmt.Fprintf(&b, "xref\n1 %d\n", len(objects))
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer <</Root 1 0 R/Info 9 0 R>>\nstartxref\n%d\n%%%%EOF", begin)
	return b.String()
}

// page is a file with one page whose content and font are given.
func page(content, filter, font string) string { return pageOf(false, content, filter, font) }

func pageOf(broken bool, content, filter, font string) string {
	return assembled(broken, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1/Resources<</Font<</F 5 0 R>>>>>>",
		"<</Type/Page/Contents 4 0 R>>", fmt.Sprintf("<</Length %d%s>>stream\n%s\nendstream", len(content), filter, content), font,
		"null", "null", "null", "<</Title(A \\(title\\))>>")
}

const helvetica = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"

func TestText(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"one string", "BT /F 10 Tf 1 0 0 1 50 700 Tm (Hello) Tj ET", "Hello"},
		{"kerning", "BT /F 10 Tf [(He) 20 (ll) -30 (o)] TJ ET", "Hello"},
		{"a space that is a distance", "BT /F 10 Tf [(Hello) -250 (World)] TJ ET", "Hello World"},
		{"lines", "BT /F 10 Tf 12 TL 50 700 Td (one) Tj T* (two) Tj (three) ' ET", "one\ntwo\nthree"},
		{"paragraphs", "BT /F 10 Tf 0 700 Td (a) Tj 0 -12 Td (b) Tj 0 -12 Td (c) Tj 0 -30 Td (d) Tj ET", "a\nb\nc\n\nd"},
		{"a hyphen", "BT /F 10 Tf 12 TL (exam-) Tj T* (ple of well-) Tj T* (Known) Tj ET", "example of well-\nKnown"},
		{"escapes", `BT /F 10 Tf (a\(b\)c\\d\101\12e) Tj ET`, `a(b)c\dA e`},
		{"hexadecimal", "BT /F 10 Tf <48 65 6c6C6f> Tj ET", "Hello"},
		{"Latin", "BT /F 10 Tf (Gr\xfc\xdfe \x84Z\x93) Tj ET", "Grüße „Z“"},
		{"an image in between", "BT /F 10 Tf (be) Tj ET BI /W 1 ID \x00 EI(Tj\n EI BT /F 10 Tf 20 0 Td (after) Tj ET", "be after"},
		{"turned", "BT /F 10 Tf 0 1 -1 0 50 50 Tm (up) Tj [-300 (wards)] TJ ET", "up wards"},
		{"small units", "0.1 0 0 0.1 0 0 cm BT /F 100 Tf [(ab) -250 (c)] TJ 0 -120 Td (d) Tj ET", "ab c\nd"},
		{"a state that comes back", "q 2 0 0 2 0 0 cm BT /F 10 Tf (a) Tj ET Q BT /F 10 Tf 15 0 Td (b) Tj ET", "a b"},
		{"no font", "BT (lost) Tj ET", ""},
	} {
		d, err := readString(t, page(tt.content, "", helvetica))
		if err != nil || d.Text != tt.want || d.Title != "A (title)" {
			t.Errorf("%s: %q, want %q, title %q, %v", tt.name, d.Text, tt.want, d.Title, err)
		}
	}
}

// TestTableLost: the same from a file whose table leads nowhere.
func TestTableLost(t *testing.T) {
	d, err := readString(t, pageOf(true, "BT /F 10 Tf (Hello) Tj ET", "", helvetica))
	if err != nil || d.Text != "Hello" || d.Title != "A (title)" {
		t.Errorf("%+v, %v", d, err)
	}
	whole := page("BT /F 10 Tf (Hello) Tj ET", "", helvetica)
	cut := whole[:strings.Index(whole, "xref")]
	if d, err := readString(t, "junk before\n"+cut); err != nil || d.Text != "Hello" {
		t.Errorf("cut off: %+v, %v", d, err)
	}
}

func TestFilters(t *testing.T) {
	const content = "BT /F 10 Tf (Hello Hello Hello Hello) Tj ET"
	var flate, packed, ascii bytes.Buffer
	z := zlib.NewWriter(&flate)
	l := lzw.NewWriter(&packed, lzw.MSB, 8)
	a := ascii85.NewEncoder(&ascii)
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{z, l, a} {
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	up := func(s string) string { // PNG's filter "up" with rows of 4
		var b strings.Builder
		before := make([]byte, 4)
		for s += strings.Repeat(" ", (4-len(s)%4)%4); s != ""; s = s[4:] {
			b.WriteByte(2)
			for i := range 4 {
				b.WriteByte(s[i] - before[i])
			}
			copy(before, s[:4])
		}
		return b.String()
	}
	for name, tt := range map[string][2]string{
		"flate":  {flate.String(), "/Filter/FlateDecode"},
		"array":  {flate.String(), "/Filter[/FlateDecode]/DecodeParms[null]"},
		"lzw":    {packed.String(), "/Filter/LZWDecode/DecodeParms<</EarlyChange 0>>"},
		"85":     {ascii.String() + "~>", "/Filter/ASCII85Decode"},
		"hex":    {fmt.Sprintf("%x>", content), "/Filter/ASCIIHexDecode"},
		"run":    {string(rune(len(content)-1)) + content + "\x80", "/Filter/RunLengthDecode"},
		"two":    {fmt.Sprintf("%x>", flate.String()), "/Filter[/ASCIIHexDecode/FlateDecode]"},
		"damage": {flate.String()[:flate.Len()-6], "/Filter/FlateDecode"},
	} {
		d, err := readString(t, page(tt[0], tt[1], helvetica))
		if err != nil || d.Text != "Hello Hello Hello Hello" {
			t.Errorf("%s: %q, %v", name, d.Text, err)
		}
	}
	f := &file{}
	got, err := f.predicted(dict{"Predictor": int64(12), "Columns": int64(4)}, []byte(up(content)))
	if err != nil || strings.TrimSpace(string(got)) != content {
		t.Errorf("predictor: %q, %v", got, err)
	}
}

// TestLZW: the example of section 7.4.4.2, whose codes become longer early.
func TestLZW(t *testing.T) {
	got := unLZW([]byte{0x80, 0x0b, 0x60, 0x50, 0x22, 0x0c, 0x0c, 0x85, 0x01}, true)
	if want := []byte{45, 45, 45, 45, 45, 65, 45, 45, 45, 66}; !bytes.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestFonts(t *testing.T) {
	cmap := func(s string) string { return fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(s), s) }
	composite := func(unicode string) string {
		return assembled(false, "<</Type/Catalog/Pages 2 0 R>>", "<</Kids[3 0 R]/Type/Pages>>", "<</Type/Page/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
			"<</Length 40>>stream\nBT /F 10 Tf <0001000200030004> Tj ET\nendstream",
			"<</Type/Font/Subtype/Type0/Encoding/Identity-H/ToUnicode 6 0 R/DescendantFonts[7 0 R]>>", cmap(unicode), "<</DW 500/W[1[600 600]3 4 300]>>")
	}
	for _, tt := range []struct{ name, file, want string }{
		{"differences", page("BT /F 10 Tf (\x01\x02\x03\x04\x05) Tj ET", "", "<</Subtype/Type1/Encoding<</Differences[1/Zcaron/fi/uni20AC 4/alpha/afii10017]>>>>"), "Žfi€αА"},
		{"accents", page("BT /F 10 Tf (\x01\x02) Tj ET", "", "<</Subtype/Type1/Encoding<</Differences[1/eacute/Scommaaccent]>>>>"), "éȘ"},
		{"standard", page("BT /F 10 Tf (it's \xae) Tj ET", "", "<</Subtype/Type1>>"), "it’s fi"},
		{"Macintosh", page("BT /F 10 Tf (\x8a) Tj ET", "", "<</Subtype/TrueType/Encoding/MacRomanEncoding>>"), "ä"},
		{"characters", composite("1 begincodespacerange <0000><ffff> endcodespacerange 2 beginbfchar <0001><0041> <0002><d83dde00> endbfchar 1 beginbfrange <0003><0004><0062> endbfrange"), "A😀bc"},
		{"an array", composite("1 begincodespacerange <0000><ffff> endcodespacerange 1 beginbfrange <0001><0004>[<0041><0042><00430044><0045>] endbfrange"), "ABCDE"},
		{"nothing known", composite(""), ""},
	} {
		if d, err := readString(t, tt.file); err != nil || d.Text != tt.want {
			t.Errorf("%s: %q, want %q, %v", tt.name, d.Text, tt.want, err)
		}
	}
}

// TestEncrypted reads what qpdf has encrypted without a password, by all methods,
// and what needs one.
func TestEncrypted(t *testing.T) {
	for _, name := range []string{"rc4-40.pdf", "aes-128.pdf", "aes-256.pdf", "packed.pdf"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		d, err := readString(t, string(b))
		if err != nil || d.Text != "Hello from a page." || d.Title != "A (title)" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	b, err := os.ReadFile("testdata/secret.pdf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readString(t, string(b)); !errors.Is(err, ErrEncrypted) {
		t.Errorf("%v", err)
	}
}

func TestLimit(t *testing.T) {
	file := page("BT /F 10 Tf (H\xe4\xe4\xe4\xe4) Tj ET", "", helvetica)
	for limit, want := range map[int]string{1: "H", 2: "H", 3: "Hä", 9: "Hääää"} {
		d, err := Read(strings.NewReader(file), int64(len(file)), limit)
		if err != nil || d.Text != want || d.Truncated != (limit < 9) {
			t.Errorf("%d: %+v, %v", limit, d, err)
		}
	}
}

func TestLexer(t *testing.T) {
	l := lexBytes([]byte("<</A 1/B[1 0 R(x)]/C<</D null>>/E/F#20G/H -1.5>> % comment\n true (unended"))
	want := dict{"A": int64(1), "B": array{ref{1, 0}, "x"}, "C": dict{"D": nil}, "E": name("F G"), "H": -1.5}
	if diff := cmp.Diff(object(want), l.object(), cmp.AllowUnexported(ref{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := l.object(); got != true {
		t.Errorf("%v", got)
	}
	if got := l.object(); got != "unended" {
		t.Errorf("%v", got)
	}
	if got := l.object(); got != keyword("") {
		t.Errorf("%v", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(page("BT /F 10 Tf (Hello) Tj ET", "", helvetica)))
	f.Add([]byte(pageOf(true, "q BT /F 10 Tf [(Hello) -3 (x)] TJ ET BI ID EI Q", "", "<</Subtype/Type0/Encoding/UniGB-UCS2-H/ToUnicode 4 0 R>>")))
	entries, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if b, err := os.ReadFile("testdata/" + e.Name()); err == nil && !e.IsDir() {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Read(bytes.NewReader(b), int64(len(b)), 1000)
		if !utf8.ValidString(d.Text) || len(d.Text) > 1000 || !utf8.ValidString(d.Title) {
			t.Errorf("%+v, %v", d, err)
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrEncrypted) && !errors.Is(err, ErrTooLarge) && !strings.Contains(err.Error(), " of ") {
			t.Errorf("another error: %v", err)
		}
	})
}
