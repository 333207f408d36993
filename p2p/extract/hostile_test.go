package extract

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/search"
)

const wordRels = `<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`

// entry is a part of an archive.
type entry struct {
	name    string
	content io.Reader
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.content == nil {
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		if err == nil && e.content != nil {
			_, err = io.Copy(w, e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wordOf returns a docx whose main part is body.
func wordOf(t testing.TB, body io.Reader, more ...entry) []byte {
	t.Helper()
	return zipOf(t, append([]entry{{"_rels/.rels", strings.NewReader(wordRels)}, {"word/document.xml", body}}, more...)...)
}

// repeated returns n bytes of a text repeated.
func repeated(text string, n int) io.Reader {
	block := []byte(strings.Repeat(text, 1+(64<<10)/len(text)))
	var parts []io.Reader
	for ; n > 0; n -= len(block) {
		parts = append(parts, bytes.NewReader(block[:min(n, len(block))]))
	}
	return io.MultiReader(parts...)
}

// overlapping returns a docx in which n names stand for the same compressed bytes.
func overlapping(t testing.TB, n int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("<w:p><w:t>x</w:t></w:p>"), 1<<20)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var b, directory bytes.Buffer
	header := func(to *bytes.Buffer, central bool, name string, method uint16, crc uint32, size, full int, at int) {
		if central {
			to.WriteString("PK\x01\x02\x14\x00")
		} else {
			to.WriteString("PK\x03\x04")
		}
		for _, v := range []any{
			uint16(20), uint16(0), method, uint32(0), crc, uint32(size), uint32(full), uint16(len(name)), uint16(0),
		} {
			_ = binary.Write(to, binary.LittleEndian, v)
		}
		if central {
			for _, v := range []any{uint16(0), uint16(0), uint16(0), uint32(0), uint32(at)} {
				_ = binary.Write(to, binary.LittleEndian, v)
			}
		}
		to.WriteString(name)
	}
	rels := []byte(wordRels)
	header(&b, false, "_rels/.rels", 0, crc32.ChecksumIEEE(rels), len(rels), len(rels), 0)
	b.Write(rels)
	header(&directory, true, "_rels/.rels", 0, crc32.ChecksumIEEE(rels), len(rels), len(rels), 0)
	at := b.Len()
	header(&b, false, "word/document.xml", 8, crc32.ChecksumIEEE(body), packed.Len(), len(body), 0)
	b.Write(packed.Bytes())
	for i := range n {
		name := "word/document.xml"
		if i > 0 {
			name = fmt.Sprintf("word/header%d.xml", i)
		}
		header(&directory, true, name, 8, crc32.ChecksumIEEE(body), packed.Len(), len(body), at)
	}
	begin := b.Len()
	b.Write(directory.Bytes())
	b.WriteString("PK\x05\x06\x00\x00\x00\x00")
	for _, v := range []any{uint16(n + 1), uint16(n + 1), uint32(directory.Len()), uint32(begin), uint16(0)} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	return b.Bytes()
}

// manyParts returns an archive of n empty parts beside a document.
func manyParts(t testing.TB, n int) []byte {
	t.Helper()
	entries := []entry{{"_rels/.rels", strings.NewReader(wordRels)}, {"word/document.xml", strings.NewReader("<w:p><w:t>found</w:t></w:p>")}}
	for i := range n {
		entries = append(entries, entry{fmt.Sprint("customXml/", i), nil})
	}
	return zipOf(t, entries...)
}

// pdfOf puts objects into a file, numbered from 1.
func pdfOf(trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	begin := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n%s\nstartxref\n%d\n%%%%EOF\n", trailer, begin)
	return b.Bytes()
}

const root = "<</Root 1 0 R/Size 9>>"

// pagesOf is a PDF of one page with a content.
func pageOf(content string) []byte {
	return pdfOf(root, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R>>>>>>",
		fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(content), content),
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
		"<</Type/XObject/Subtype/Form/Resources<</XObject<</X 6 0 R>>>>/Length 14>>stream\n/X Do /X Do /X Do /X Do /X Do\nendstream")
}

func zlibOf(t testing.TB, r io.Reader) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("\x78\x9c")
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = io.Copy(w, r)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func utf16le(s string) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(c))
		b.WriteByte(byte(c >> 8))
	}
	return b.String()
}

// TestHostileFiles: nothing that is in a file breaks anything, and people are told
// what is wrong with it. One child reads them all, one after the other; a good file
// is read after each.
func TestHostileFiles(t *testing.T) {
	if raced {
		t.Skip("not with the race detector, with which each takes ten times as long: run it without")
	}
	report, err := os.ReadFile("testdata/report.docx")
	if err != nil {
		t.Fatal(err)
	}
	pdf, err := os.ReadFile("testdata/report.pdf")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile("testdata/secret.pdf")
	if err != nil {
		t.Fatal(err)
	}
	const much = 160 << 20
	bomb := strings.NewReader(zlibOf(t, repeated("(x) Tj ", much)))
	r := reader(t, Options{})
	for _, tt := range []struct {
		name, file string
		content    []byte
		want       []Reason
		text       string // in the text
	}{
		{"ratio", "a.docx", wordOf(t, repeated("\x00", much)), []Reason{Damaged, TooLarge, OutOfMemory}, ""},
		{"ratio of spaces", "a.docx", wordOf(t, repeated(" ", much)), []Reason{TooLarge, OutOfMemory}, ""},
		{"ratio of text", "a.docx", wordOf(t, repeated("<w:t>x </w:t>", much)), []Reason{Cut}, "x x x"},
		{"one attribute", "a.docx", wordOf(t, io.MultiReader(strings.NewReader("<a b='"), repeated("x", much))), []Reason{TooLarge, OutOfMemory}, ""},
		{"overlapping parts", "a.docx", overlapping(t, 1000), []Reason{TooLarge, Cut}, "x"},
		{"nested archives", "a.docx", wordOf(t, strings.NewReader("<w:t>found</w:t>"), entry{"word/embeddings/a.zip", bytes.NewReader(wordOf(t, repeated("x", 1<<20)))}), []Reason{""}, "found"},
		{"some parts", "a.docx", manyParts(t, 10_000), []Reason{""}, "found"},
		{"a million parts", "a.docx", manyParts(t, 1_000_000), []Reason{TooLarge}, ""},
		{"entities", "a.docx", wordOf(t, strings.NewReader(`<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]><w:p><w:t>&b;&c;after</w:t></w:p>`)), []Reason{"", Damaged}, ""},
		{"deep elements", "a.docx", wordOf(t, repeated("<w:a>", 5_000_000)), []Reason{NoText}, ""},
		{"name with NUL", "a.docx", zipOf(t, entry{"word/document.xml\x00.exe", strings.NewReader("x")}, entry{"../../etc/passwd", strings.NewReader("x")}), []Reason{Unsupported, Damaged}, ""},
		{"truncated", "a.docx", report[:len(report)*9/10], []Reason{Damaged}, ""},
		{"only the beginning", "a.docx", report[:100], []Reason{Damaged}, ""},
		{"empty", "a.docx", nil, []Reason{Damaged}, ""},
		{"something else", "a.docx", []byte("plain text"), []Reason{Damaged}, ""},
		{"an archive", "a.docx", zipOf(t, entry{"a.txt", strings.NewReader("x")}), []Reason{Unsupported}, ""},
		{"a PDF by another name", "a.docx", pdf, []Reason{""}, "anchovies"},
		{"of the nineties", "a.docx", append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 2000)...), []Reason{Unsupported}, ""},
		{"locked office", "a.docx", append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), utf16le("xxEncryptedPackage")...), []Reason{Encrypted}, ""},
		{"locked odt", "a.odt", zipOf(t, entry{"mimetype", strings.NewReader("application/vnd.oasis.opendocument.text")}, entry{"META-INF/manifest.xml", strings.NewReader("<m:manifest><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>")}, entry{"content.xml", strings.NewReader("\x8f\x01\x7f")}), []Reason{Encrypted}, ""},
		{"a book without chapters", "a.epub", zipOf(t, entry{"META-INF/container.xml", strings.NewReader(`<rootfile full-path="a.opf"/>`)}, entry{"a.opf", strings.NewReader("<package/>")}), []Reason{Damaged}, ""},
		{"a book of itself", "a.epub", zipOf(t, entry{"META-INF/container.xml", strings.NewReader(`<rootfile full-path="a.opf"/>`)}, entry{"a.opf", io.MultiReader(strings.NewReader(`<item id="a" href="a.opf" media-type="text/html"/>`), repeated(`<itemref idref="a"/>`, 20*3000))}), []Reason{Cut, NoText, TooLarge, TimedOut}, ""},
		{"deep page", "a.html", []byte(strings.Repeat("<div>", 100_000) + "found"), []Reason{""}, "found"},
		{"strings that are not there", "a.xlsx", zipOf(t, entry{"xl/workbook.xml", strings.NewReader("<sheet name='s'/>")}, entry{"xl/worksheets/sheet1.xml", strings.NewReader(`<row><c t="s"><v>99999999999</v></c><c t="s"><v>-1</v></c><c><v>7</v></c></row>`)}), []Reason{""}, "7"},

		{"locked PDF", "a.pdf", secret, []Reason{Encrypted}, ""},
		{"half a PDF", "a.pdf", pdf[:len(pdf)/2], []Reason{Damaged, NoText}, ""},
		{"header only", "a.pdf", []byte("%PDF-1.7"), []Reason{Damaged}, ""},
		{"deep arrays", "a.pdf", pdfOf("<</Root " + strings.Repeat("[", 1_000_000)), []Reason{Damaged}, ""},
		{"deep dictionaries", "a.pdf", pdfOf(root, strings.Repeat("<</a", 1_000_000)), []Reason{Damaged}, ""},
		{"nested objects", "a.pdf", []byte("%PDF-1.7\n" + strings.Repeat("1 0 obj ", 100_000)), []Reason{Damaged}, ""},
		{"pages of themselves", "a.pdf", pdfOf(root, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[2 0 R 2 0 R 2 0 R]/Count 9999999999/Parent 2 0 R>>"), []Reason{Damaged}, ""},
		{"an object of itself", "a.pdf", pdfOf(root, "1 0 R"), []Reason{Damaged}, ""},
		{"tables without end", "a.pdf", []byte("%PDF-1.7\nxref\n0 0\ntrailer\n<</Prev 9/Root 1 0 R>>\nstartxref\n9\n%%EOF"), []Reason{Damaged}, ""},
		{"a table of billions", "a.pdf", []byte("%PDF-1.7\nxref\n0 999999999999\n" + strings.Repeat("0000000000 00000 n \n", 100_000) + "trailer<</Root 1 0 R/Size 999999999999>>startxref\n9\n%%EOF"), []Reason{Damaged}, ""},
		{"a huge table stream", "a.pdf", []byte("%PDF-1.7\n1 0 obj<</Type/XRef/Size 99999999999999/W[8 8 8]/Index[0 99999999999]/Length 99999999999>>stream\nxx\nendstream endobj\nstartxref\n9\n%%EOF"), []Reason{Damaged}, ""},
		{"a stream of a terabyte", "a.pdf", pdfOf(root, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]>>", "<</Type/Page/Contents 4 0 R>>", "<</Length 1099511627776>>stream\nBT (x) Tj ET\nendstream"), []Reason{NoText}, ""},
		{"a stream whose length is itself", "a.pdf", pdfOf(root, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]>>", "<</Type/Page/Contents 4 0 R>>", "<</Length 4 0 R>>stream\nBT ET\nendstream"), []Reason{NoText}, ""},
		{"a compressed bomb", "a.pdf", pdfOf(root, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]>>", "<</Type/Page/Contents[4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R 4 0 R]>>", fmt.Sprintf("<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream", bomb.Len(), readAll(t, bomb))), []Reason{TooLarge, OutOfMemory}, ""},
		{"a filter of a thousand", "a.pdf", pdfOf(root, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]>>", "<</Type/Page/Contents 4 0 R>>", "<</Length 4/Filter["+strings.Repeat("/ASCIIHexDecode", 1000)+"]>>stream\n4142\nendstream"), []Reason{Damaged}, ""},
		{"a wide predictor", "a.pdf", pdfOf(root, "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]>>", "<</Type/Page/Contents 4 0 R>>", "<</Length 4/Filter/LZWDecode/DecodeParms<</Predictor 12/Columns 99999999>>>>stream\n4142\nendstream"), []Reason{Damaged}, ""},
		{"forms of themselves", "a.pdf", pageOf("BT /F 12 Tf (found) Tj ET /X Do"), []Reason{""}, "found"},
		{"deep states", "a.pdf", pageOf(strings.Repeat("q ", 500_000) + "BT /F 12 Tf (found) Tj ET" + strings.Repeat(" Q", 500_000)), []Reason{""}, "found"},
		{"operands without end", "a.pdf", pageOf(strings.Repeat("1 ", 500_000) + "BT /F 12 Tf (found) Tj ET"), []Reason{""}, "found"},
		{"numbers that are none", "a.pdf", pageOf("BT /F 1e308 Tf 1e308 0 0 1e308 1e308 0 Tm (lost) Tj /F 12 Tf 1 0 0 1 --5 1.2.3 Tm (found) Tj ET"), []Reason{""}, "found"},

		{"binary data", "a.txt", []byte("\x7fELF\x02\x01\x01\x00" + strings.Repeat("\x00\x01\xfe", 1000)), []Reason{NotText}, ""},
		{"a million tags", "a.html", []byte(strings.Repeat("<b", 1_000_000)), []Reason{""}, ""},
		{"an open tag", "a.html", []byte("<a href='" + strings.Repeat("x", 3<<20)), []Reason{""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := readBytes(t, r, tt.file, tt.content)
			runtime.ReadMemStats(&after)
			if grown := after.Sys - before.Sys; grown > 128<<20 {
				t.Errorf("the parent took %d MiB", grown>>20)
			}
			if !slices.Contains(tt.want, got.Reason) || (got.Reason == "") != (got.Detail == "") {
				t.Errorf("%q: %s, want %q", got.Reason, got.Detail, tt.want)
			}
			if !strings.Contains(got.Text, tt.text) || len(got.Text) > search.MaxText {
				t.Errorf("text of %d bytes without %q: %.200q", len(got.Text), tt.text, got.Text)
			}
			if strings.Contains(got.Text, "root:") {
				t.Error("another file was read")
			}
			if next := readBytes(t, r, "a.docx", report); next.Reason != "" || !strings.Contains(next.Text, "anchovies") {
				t.Errorf("the next file: %s %s", next.Reason, next.Detail)
			}
			t.Logf("%s: %s (%d bytes of text)", got.Reason, got.Detail, len(got.Text))
		})
	}
}

func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHugeFile reads files of 4 GiB that take no room: of text and of nothing, by
// all names.
func TestHugeFile(t *testing.T) {
	r := reader(t, Options{})
	for name, want := range map[string]Reason{"a.txt": NotText, "a.pdf": Damaged, "a.docx": Damaged, "a": ""} {
		f, err := os.Create(t.TempDir() + "/" + name)
		if err == nil {
			err = f.Truncate(4 << 30)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Read(t.Context(), name, f, 4<<30)
		if err != nil || got.Reason != want {
			t.Errorf("%s of zeros: %s %s, %v", name, got.Reason, got.Detail, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	got, err := r.Read(t.Context(), "a.txt", endless{}, 4<<30)
	if err != nil || got.Reason != Cut || len(got.Text) != search.MaxText {
		t.Errorf("one line: %s %s, %d bytes, %v", got.Reason, got.Detail, len(got.Text), err)
	}
	// Headers of documents with nothing behind them but holes.
	for name, head := range map[string]string{"a.pdf": "%PDF-1.7\n", "a.docx": "PK\x03\x04"} {
		got, err := r.Read(t.Context(), name, hole(head), 4<<30)
		if err != nil || got.Reason != Damaged && got.Reason != TimedOut {
			t.Errorf("%s: %s %s, %v", name, got.Reason, got.Detail, err)
		}
	}
}

// endless is one line.
type endless struct{}

func (endless) ReadAt(p []byte, _ int64) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// hole is a file of which only the beginning was written.
type hole string

func (h hole) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(h)) {
		copy(p, h[at:])
	}
	return len(p), nil
}

// FuzzDocument gives the decoders of zip and XML what no program would write. The
// parts are put into a good archive, or the decoders would see next to none of it.
func FuzzDocument(f *testing.F) {
	for _, name := range []string{"report.docx", "report.odt", "report.epub", "report.pptx", "catch.xlsx", "catch.ods", "report.pdf"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), b)
	}
	for kind, body := range []string{
		1: "<w:p><w:pPr><w:pStyle w:val='Title'/></w:pPr><w:r><w:t>x</w:t><w:tab/><w:br/></w:r></w:p><w:tbl><w:tr><w:tc/></w:tr></w:tbl>",
		2: "<row><c t='s'><v>0</v></c><c t='inlineStr'><is><t>x</t></is></c></row>",
		3: "<text:h>h</text:h><text:p>a<text:s text:c='3'/>b<text:note><text:p>n</text:p></text:note></text:p><table:table-row><table:table-cell/></table:table-row>",
		4: "<item id='a' href='a.xhtml' media-type='application/xhtml+xml'/><itemref idref='a'/>",
		5: "<a:p><a:t>slide</a:t></a:p>",
	} {
		f.Add(uint8(kind), []byte(body))
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		b := body
		part := func(name string) entry { return entry{name, bytes.NewReader(body)} }
		switch kind % 6 {
		case 1:
			b = wordOf(t, bytes.NewReader(body), part("docProps/core.xml"), part("word/footnotes.xml"))
		case 2:
			b = zipOf(t, part("xl/workbook.xml"), part("xl/sharedStrings.xml"), part("xl/worksheets/sheet1.xml"))
		case 3:
			b = zipOf(t, part("content.xml"), part("meta.xml"), part("META-INF/manifest.xml"))
		case 4:
			b = zipOf(t, entry{"META-INF/container.xml", strings.NewReader(`<rootfile full-path="a.opf"/>`)}, part("a.opf"), part("a.xhtml"))
		case 5:
			b = zipOf(t, part("ppt/presentation.xml"), part("ppt/slides/slide1.xml"), part("ppt/notesSlides/notesSlide1.xml"))
		}
		const limit = 1000
		got, err := document("a", bytes.NewReader(b), int64(len(b)), limit)
		if err != nil {
			t.Fatal(err)
		}
		if parsed, err := parseText(appendText(got), limit); err != nil || parsed.Text != got.Text {
			t.Errorf("what a child says is not taken: %+v, %v", got, err)
		}
		if !utf8.ValidString(got.Text) || !utf8.ValidString(got.Title) {
			t.Errorf("%+v", got)
		}
	})
}

// FuzzParseText gives the parent what a child must not say.
func FuzzParseText(f *testing.F) {
	f.Add(appendText(Text{Title: "a", Text: "b", Type: search.TypePDF, Reason: Cut, Detail: "c"}))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseText(b, 100)
		if err == nil && (len(got.Text) > 100 || len(got.Detail) > maxDetail || !reasons[got.Reason] || !types[got.Type]) {
			t.Errorf("%+v", got)
		}
	})
}
