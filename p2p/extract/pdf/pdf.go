package pdf

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Document is what a file has to say.
type Document struct {
	Title     string // as its author has it; empty if it has none
	Text      string // valid UTF-8; paragraphs are separated by an empty line
	Pages     int    // that were read
	Truncated bool   // the text goes on
}

// maxPages is how many nodes of the tree of pages are looked at.
const maxPages = 1 << 17

// Read returns at most limit bytes of the text of a file of a size. The errors
// are ErrDamaged, ErrEncrypted, ErrTooLarge (then there is the text until there)
// and those of r. A file of pictures has no text, which is no error.
func Read(r io.ReaderAt, size int64, limit int) (Document, error) {
	f, err := openFile(r, size)
	if err != nil {
		return Document{}, err
	}
	d := Document{Title: f.title()}
	o := &layout{limit: limit}
	p := &painter{file: f, fonts: make(map[ref]*font), out: o}
	err = f.eachPage(func(page, resources dict) error {
		d.Pages++
		content, err := f.content(page)
		if err == nil {
			err = p.paint(content, resources, identity, 0)
		}
		o.endPage()
		return err
	}, o.full)
	if d.Pages == 0 && err == nil {
		err = fmt.Errorf("%w: a PDF without pages", ErrDamaged)
	}
	text := strings.ToValidUTF8(string(o.text), "")
	if len(text) > limit {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text, d.Truncated = text[:limit], true
	}
	d.Text = text
	return d, err
}

// title returns the title that the file has for itself (14.3.3).
func (f *file) title() string {
	info, _ := f.trailer["Info"].(ref)
	s, _ := f.resolve(f.dict(info)["Title"]).(string)
	if f.crypt != nil && !f.crypt.raw && f.table[info.number].pack == 0 {
		s = string(f.crypt.open(info, []byte(s)))
	}
	return strings.TrimSpace(textString(s))
}

// textString reads a string for people (7.9.2.2).
func textString(s string) string {
	if rest, ok := strings.CutPrefix(s, "\xfe\xff"); ok {
		return utf16Text(rest)
	}
	if rest, ok := strings.CutPrefix(s, "\xff\xfe"); ok {
		var units []uint16
		for i := 0; i+1 < len(rest); i += 2 {
			units = append(units, uint16(rest[i])|uint16(rest[i+1])<<8)
		}
		return string(utf16.Decode(units))
	}
	if rest, ok := strings.CutPrefix(s, "\xef\xbb\xbf"); ok {
		return strings.ToValidUTF8(rest, "")
	}
	var b strings.Builder
	for i := range len(s) { // PDFDocEncoding is nearly that
		if s[i] >= ' ' {
			b.WriteRune(charmap.Windows1252.DecodeByte(s[i]))
		}
	}
	return b.String()
}

// content returns what a page draws: one stream, or several that belong together.
func (f *file) content(page dict) ([]byte, error) {
	var all []byte
	for _, x := range f.list(page["Contents"]) {
		s, ok := f.resolve(x).(*stream)
		if !ok {
			continue
		}
		b, err := f.decode(s)
		if err != nil {
			return all, err
		}
		all = append(append(all, b...), '\n')
	}
	return all, nil
}

// node is one of the tree of pages.
type node struct {
	object    object
	resources object // of those above
}

// eachPage calls each with the pages of a file in their order, and what they use;
// with those that it finds in a file whose tree of pages is lost.
func (f *file) eachPage(each func(page, resources dict) error, full func() bool) error {
	roots := []object{f.dict(f.trailer["Root"])["Pages"]}
	if f.dict(roots[0]) == nil {
		roots = f.loose
	}
	seen := make(map[ref]bool)
	var todo []node
	for i := range roots {
		todo = append(todo, node{object: roots[len(roots)-1-i]})
	}
	for looked := 0; len(todo) > 0 && looked < maxPages && !full(); looked++ {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if r, ok := n.object.(ref); ok {
			if seen[r] {
				continue
			}
			seen[r] = true
		}
		d := f.dict(n.object)
		if r := d["Resources"]; r != nil {
			n.resources = r
		}
		kids, isTree := d["Kids"]
		if !isTree {
			if d["Type"] == name("Page") || d["Contents"] != nil {
				if err := each(d, f.dict(n.resources)); err != nil {
					return err
				}
			}
			continue
		}
		list := f.list(kids)
		for i := range min(len(list), maxPages) {
			todo = append(todo, node{list[len(list)-1-i], n.resources})
		}
	}
	return nil
}
