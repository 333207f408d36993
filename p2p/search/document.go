package search

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Errors that callers tell apart.
var (
	// ErrEmpty: the query has no word to search for.
	ErrEmpty = errors.New("nothing to search for")
	// ErrTooLong: the query has more than MaxQuery code points.
	ErrTooLong = errors.New("query too long")
	// ErrCursor: the cursor belongs to another query or is none.
	ErrCursor = errors.New("not a cursor of this query")
	// ErrNotFound: there is no such document.
	ErrNotFound = errors.New("no such document")
	// ErrUnusable: a document breaks a limit.
	ErrUnusable = errors.New("document not usable")
)

// Limits of a document.
const (
	MaxID     = 64       // bytes of an ID
	MaxTitle  = 512      // code points of a title; longer ones are cut
	MaxPath   = 4096     // bytes of a path
	MaxText   = 4 << 20  // bytes of text; longer ones are cut
	MaxFields = 64       // fields
	MaxField  = 1 << 10  // bytes of a field's name or text
	maxFields = 32 << 10 // bytes of all fields together
	maxTotal  = 1 << 30  // documents that a node can claim to have
	maxLabel  = 128      // bytes of a folder's ID or a type
	maxSize   = 1 << 62  // bytes of a file
)

// Document is what can be found: a file of a shared folder, or something
// published without a file.
type Document struct {
	ID       string // FileID, or 16 random bytes in lower-case base32; at most MaxID printable ASCII characters
	Title    string
	Text     string
	Folder   string // the folder's ID; empty without a file
	Path     string // in the folder, with slashes; empty without a file
	Type     string // as of TypeOf, such as "markdown"
	Size     int64  // bytes
	Modified time.Time
	Fields   map[string]Value
}

// Value is a number or a text.
type Value struct {
	Number   float64
	Text     string
	IsNumber bool
}

// Number returns the value of a number.
func Number(x float64) Value { return Value{Number: x, IsNumber: true} }

// Text returns the value of a text.
func Text(s string) Value { return Value{Text: s} }

// MarshalJSON writes a number or a string.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.IsNumber {
		return json.Marshal(v.Number)
	}
	return json.Marshal(v.Text)
}

// UnmarshalJSON reads a number or a string.
func (v *Value) UnmarshalJSON(b []byte) error {
	var number *float64
	if err := json.Unmarshal(b, &number); err == nil && number != nil {
		*v = Number(*number)
		return nil
	}
	var text *string
	if err := json.Unmarshal(b, &text); err != nil || text == nil {
		return fmt.Errorf("search: field value %.40s: neither a number nor a string", b)
	}
	*v = Text(*text)
	return nil
}

// FileID returns the ID of the document for the file at path of a folder. It is
// the same on every node, so that one file on several nodes is recognised.
func FileID(folder, path string) string {
	sum := sha256.Sum256([]byte(folder + "\x00" + path))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// validID reports whether id can name a document.
func validID(id string) bool {
	for _, r := range id {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return id != "" && len(id) <= MaxID
}

// check returns d as it can be indexed: valid UTF-8, title and text cut to
// their limits. What cannot be repaired is an error.
func (d Document) check() (Document, error) {
	d.Title = cutRunes(oneLine(strings.ToValidUTF8(d.Title, "\uFFFD")), MaxTitle)
	d.Text = strings.ToValidUTF8(cutBytes(d.Text, MaxText), " ")
	if year := d.Modified.Year(); year < 1700 || year > 2200 {
		d.Modified = time.Unix(0, 0).UTC() // nanoseconds since 1970 must fit 64 bits
	}
	switch {
	case !validID(d.ID):
		return d, fmt.Errorf("search: document %.80q: id: %w", d.ID, ErrUnusable)
	case !validLabel(d.Folder, maxLabel) || !validLabel(d.Type, maxLabel):
		return d, fmt.Errorf("search: document %s: folder or type too long or not one line of UTF-8: %w", d.ID, ErrUnusable)
	case !validPath(d.Path):
		return d, fmt.Errorf("search: document %s: path too long, not UTF-8 or with a NUL: %w", d.ID, ErrUnusable)
	case d.Size < 0 || d.Size > maxSize:
		return d, fmt.Errorf("search: document %s: size %d: %w", d.ID, d.Size, ErrUnusable)
	case len(d.Fields) > MaxFields:
		return d, fmt.Errorf("search: document %s: %d fields, at most %d: %w", d.ID, len(d.Fields), MaxFields, ErrUnusable)
	}
	bytes := 0
	for name, v := range d.Fields {
		bytes += len(name) + len(v.Text) + 16
		if name == "" || len(name) > MaxField || len(v.Text) > MaxField || !utf8.ValidString(name) || !utf8.ValidString(v.Text) {
			return d, fmt.Errorf("search: document %s: field %.40q: empty, too long or not UTF-8: %w", d.ID, name, ErrUnusable)
		}
		if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
			return d, fmt.Errorf("search: document %s: field %.40q: not a finite number: %w", d.ID, name, ErrUnusable)
		}
	}
	if bytes > maxFields {
		return d, fmt.Errorf("search: document %s: more than %d bytes of fields: %w", d.ID, maxFields, ErrUnusable)
	}
	return d, nil
}

// oneLine returns s with single spaces for white space and without control
// characters.
func oneLine(s string) string {
	var b builder
	b.write(s)
	return strings.TrimSpace(string(b.runes))
}

// cutRunes returns the first n code points of s.
func cutRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// cutBytes returns at most n bytes of s, without half a code point at the end.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
