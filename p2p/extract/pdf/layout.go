package pdf

import (
	"bytes"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// layout puts glyphs together to words, lines and paragraphs, by the distances
// between them.
type layout struct {
	text  []byte
	limit int
	last  run
	any   bool    // there is a last one on this page
	lines float64 // the usual distance between lines, in sizes
	pend  byte    // what separates the next glyph: 0, or the greatest of the constants below
}

// run is where a glyph is and where the next one is expected, in the space of
// the page.
type run struct {
	x, y, endX, endY float64
	size             float64
	dirX, dirY       float64 // in which writing goes
}

const (
	wordGap      = 0.16 // of the size: more is a space
	lineGap      = 0.45 // across: more is another line
	paragraphGap = 1.75 // of the distance between lines that is usual: more is a paragraph
)

func (o *layout) full() bool { return len(o.text) > o.limit }

// glyph adds a glyph.
func (o *layout) glyph(s string, r run) {
	r.size = math.Abs(r.size)
	if math.IsNaN(r.x+r.y+r.size) || math.IsInf(r.x+r.y+r.size, 0) {
		return
	}
	if o.any {
		o.pend = max(o.pend, o.between(r))
	}
	o.last, o.any = r, true
	s = visible(s)
	if strings.TrimSpace(s) == "" {
		if s != "" {
			o.pend = max(o.pend, ' ')
		}
		return
	}
	o.separate(s)
	o.text = append(o.text, s...)
}

// What separates glyphs; the greatest counts.
const (
	space     = ' '
	newLine   = '!'
	paragraph = '"'
)

// between returns what is between the last glyph and one at r.
func (o *layout) between(r run) byte {
	size := max(min(r.size, o.last.size), 0.01)
	length := math.Hypot(r.dirX, r.dirY)
	if length == 0 {
		return 0
	}
	dx, dy := r.x-o.last.endX, r.y-o.last.endY
	along := (dx*r.dirX + dy*r.dirY) / length
	across := (dy*r.dirX - dx*r.dirY) / length // up is positive
	switch {
	case math.Abs(across) > lineGap*size:
		pitch := math.Abs(across) / max(r.size, o.last.size, 0.01)
		usual := o.lines
		if usual == 0 {
			usual = 1.2
		}
		if across < 0 && pitch > paragraphGap*usual || across > 2*size {
			return paragraph
		}
		if across < 0 && pitch < 3 {
			if o.lines == 0 {
				o.lines = pitch
			}
			o.lines = (3*o.lines + pitch) / 4
		}
		return newLine
	case along > wordGap*size:
		return space
	case along < -2*size:
		return newLine
	}
	return 0
}

// separate writes what is pending before s.
func (o *layout) separate(s string) {
	pend := o.pend
	o.pend = 0
	if len(o.text) == 0 {
		return
	}
	switch pend {
	case space:
		o.text = append(o.text, ' ')
	case newLine:
		if !o.joins(s) {
			o.text = append(o.text, '\n')
		}
	case paragraph:
		o.text = append(o.text, "\n\n"...)
	}
}

// joins takes away the hyphen of a word that goes on with s in the next line.
func (o *layout) joins(s string) bool {
	before, ok := bytes.CutSuffix(o.text, []byte("-"))
	if !ok {
		before, ok = bytes.CutSuffix(o.text, []byte("\u00ad"))
	}
	first, _ := utf8.DecodeRuneInString(s)
	end, _ := utf8.DecodeLastRune(before)
	if !ok || !unicode.IsLower(first) || !unicode.IsLetter(end) {
		return false
	}
	o.text = before
	return true
}

// endPage begins a new page.
func (o *layout) endPage() {
	o.any = false
	o.pend = paragraph
}

// visible returns s without what says nothing: control characters, and those of
// private use, which are symbols of a font.
func visible(s string) string {
	drop := func(r rune) bool {
		return r == utf8.RuneError || r != '\t' && r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Co, r)
	}
	if strings.IndexFunc(s, drop) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if drop(r) {
			return -1
		}
		return r
	}, s)
}
