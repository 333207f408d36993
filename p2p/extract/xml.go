package extract

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html/charset"
)

// element is a place in a part of a document.
type element struct {
	space, name string // the prefix as it is written, and the name
	attrs       []xml.Attr
	begins      bool // else it ends
}

// attr returns the attribute of a name, whatever its prefix.
func (e element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// eachElement calls tag at the beginning and the end of every element, and text
// with what is between, until full. Nothing grows with how deep they are nested,
// and entities other than those of HTML are not replaced (there is no place where
// they could be defined).
func eachElement(r io.Reader, full func() bool, tag func(element), text func([]byte)) error {
	d := xml.NewDecoder(r)
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = charset.NewReaderLabel
	for !full() {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			var syntax *xml.SyntaxError
			if errors.As(err, &syntax) {
				return fmt.Errorf("%w: %w", errDamaged, err)
			}
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			tag(element{t.Name.Space, t.Name.Local, t.Attr, true})
		case xml.EndElement:
			tag(element{t.Name.Space, t.Name.Local, nil, false})
		case xml.CharData:
			text(t)
		}
	}
	return nil
}

// field returns the text of the first element of a name in a part, which is
// small.
func (a *archive) field(part, name string) string {
	r, err := a.open(part)
	if err != nil {
		return ""
	}
	var b strings.Builder
	inside, done := false, false
	err = eachElement(io.LimitReader(r, 1<<20), func() bool { return done },
		func(e element) {
			if e.name == name {
				inside, done = e.begins, !e.begins
			}
		},
		func(s []byte) {
			if inside && b.Len() < 8<<10 {
				b.Write(s)
			}
		})
	if err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}
