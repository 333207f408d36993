package extract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf16"

	"github.com/shoal-p2p/shoal/p2p/extract/pdf"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// document reads at most limit bytes of the text of a document: one that has to
// be unpacked or interpreted, which only a child does. What it is is told by its
// content. The error is that of r.
func document(name string, r io.ReaderAt, size int64, limit int) (Text, error) {
	t := nameOnly(name)
	head := make([]byte, min(size, 1024))
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return t, err
	}
	head = head[:n]
	w := &writer{limit: limit}
	title := ""
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		title, err = zipped(&t, r, size, w)
	case bytes.Contains(head, []byte("%PDF-")):
		t.Type = search.TypePDF
		title, err = portable(r, size, w)
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		err = compound(r, size)
	case size == 0:
		err = fmt.Errorf("%w: it is empty", errDamaged)
	default:
		err = fmt.Errorf("%w: it does not begin as a document does", errDamaged)
	}
	text, goesOn := w.string()
	t.Text = text
	if title = oneLine(title, 4*search.MaxTitle); title != "" {
		t.Title = title
	}
	var failed readError
	if errors.As(err, &failed) {
		return t, failed.error
	}
	t.judge(err, goesOn)
	return t, nil
}

// judge notes what is missing.
func (t *Text) judge(err error, goesOn bool) {
	detail := ""
	if err != nil { // the reason says the rest
		detail = strings.TrimPrefix(err.Error(), "damaged: ")
		detail = strings.TrimPrefix(strings.TrimPrefix(detail, "too large: "), "encrypted: ")
	}
	switch {
	case errors.Is(err, errEncrypted), errors.Is(err, pdf.ErrEncrypted):
		t.Text = ""
		t.because(Encrypted, detail)
	case errors.Is(err, errTooLarge), errors.Is(err, pdf.ErrTooLarge):
		t.because(TooLarge, detail)
	case errors.Is(err, errUnsupported):
		t.because(Unsupported, detail)
	case err != nil:
		t.because(Damaged, detail)
	case goesOn:
		t.because(Cut, fmt.Sprintf("the first %d bytes of the text are kept", len(t.Text)))
	case strings.TrimSpace(t.Text) == "":
		t.because(NoText, "there is no text in it")
	}
}

// readError marks an error of the file, not of its content.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// portable reads a PDF file.
func portable(r io.ReaderAt, size int64, w *writer) (title string, err error) {
	d, err := pdf.Read(r, size, w.limit+1)
	w.b = []byte(d.Text)
	return d.Title, err
}

// zipped reads what is a zip file.
func zipped(t *Text, r io.ReaderAt, size int64, w *writer) (title string, err error) {
	a, err := openArchive(r, size)
	if err != nil {
		return "", err
	}
	mime, err := a.read("mimetype", 256)
	if err != nil {
		return "", err
	}
	t.Type = search.TypeDocument
	switch {
	case a.has("META-INF/container.xml"):
		return a.epub(w)
	case bytes.HasPrefix(mime, []byte("application/vnd.oasis.opendocument")), a.has("content.xml"):
		return a.openDocument(w)
	case a.has("[Content_Types].xml"), a.has(a.mainPart()):
		return a.office(w)
	}
	t.Type = search.TypeArchive
	return "", fmt.Errorf("%w: an archive", errUnsupported)
}

// compound says what a compound file is: a document of the nineties, or a newer
// one that is encrypted. Only its directory, near the beginning, is looked at.
func compound(r io.ReaderAt, size int64) error {
	name := utf16.Encode([]rune("EncryptedPackage"))
	pattern := make([]byte, 0, 2*len(name))
	for _, c := range name {
		pattern = append(pattern, byte(c), byte(c>>8))
	}
	const some = 1 << 20
	for _, at := range []int64{0, max(size-some, 0)} { // the directory is at either end
		b, err := io.ReadAll(io.NewSectionReader(r, at, some))
		if err != nil {
			return readError{err}
		}
		if bytes.Contains(b, pattern) {
			return errEncrypted
		}
	}
	return fmt.Errorf("%w: a format of before 2007", errUnsupported)
}

// joinPart returns the name of a part as another one refers to it.
func joinPart(from, to string) string {
	if rest, ok := strings.CutPrefix(to, "/"); ok {
		return path.Clean(rest)
	}
	return path.Join(path.Dir(from), to)
}
