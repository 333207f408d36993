package pdf

import (
	"bytes"
	"math"
)

const (
	maxForms  = 12      // forms within each other
	maxUses   = 1 << 14 // uses of forms in a file
	maxStates = 64      // saved states
	maxArgs   = 64      // operands of an operator
)

// matrix is a transformation (8.3.4): a b c d e f.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// times returns the transformation that does m first and then n.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// state is the graphics state, as far as text depends on it (8.4, 9.3).
type state struct {
	ctm     matrix
	font    *font
	size    float64
	spacing float64 // after each glyph
	word    float64 // after each space
	stretch float64
	leading float64
}

// painter follows a page's content to where it draws text.
type painter struct {
	file  *file
	fonts map[ref]*font
	out   *layout
	uses  int // of forms
}

// paint follows content.
func (p *painter) paint(content []byte, resources dict, ctm matrix, depth int) error {
	s := state{ctm: ctm, stretch: 1}
	var saved []state
	var text, line matrix
	l := lexBytes(content)
	var args array
	num := func(i int) float64 {
		if i < len(args) {
			return p.file.number(args[i], 0)
		}
		return 0
	}
	move := func(x, y float64) {
		line = matrix{1, 0, 0, 1, x, y}.times(line)
		text = line
	}
	show := func(x object) {
		if t, ok := x.(string); ok {
			text = p.show(&s, text, t)
		}
	}
	last := func() object {
		if len(args) == 0 {
			return nil
		}
		return args[len(args)-1]
	}
	for !p.out.full() {
		x := l.object()
		op, ok := x.(keyword)
		if !ok {
			if len(args) < maxArgs {
				args = append(args, x)
			}
			continue
		}
		switch op {
		case "":
			return nil
		case "q":
			if len(saved) < maxStates {
				saved = append(saved, s)
			}
		case "Q":
			if n := len(saved); n > 0 {
				s, saved = saved[n-1], saved[:n-1]
			}
		case "cm":
			s.ctm = matrix{num(0), num(1), num(2), num(3), num(4), num(5)}.times(s.ctm)
		case "BT":
			text, line = identity, identity
		case "Tc":
			s.spacing = num(0)
		case "Tw":
			s.word = num(0)
		case "Tz":
			s.stretch = num(0) / 100
		case "TL":
			s.leading = num(0)
		case "Tf":
			if len(args) > 0 {
				n, _ := args[0].(name)
				s.font, s.size = p.font(resources, n), num(1)
			}
		case "gs":
			n, _ := last().(name)
			g := p.file.dict(p.file.dict(resources["ExtGState"])[n])
			if f := p.file.list(g["Font"]); len(f) == 2 {
				s.font, s.size = p.fontOf(f[0]), p.file.number(f[1], s.size)
			}
		case "Td":
			move(num(0), num(1))
		case "TD":
			s.leading = -num(1)
			move(num(0), num(1))
		case "Tm":
			line = matrix{num(0), num(1), num(2), num(3), num(4), num(5)}
			text = line
		case "T*":
			move(0, -s.leading)
		case "Tj":
			show(last())
		case "'":
			move(0, -s.leading)
			show(last())
		case `"`:
			s.word, s.spacing = num(0), num(1)
			move(0, -s.leading)
			show(last())
		case "TJ":
			parts, _ := last().(array)
			for _, x := range parts {
				if _, ok := x.(string); ok {
					show(x)
				} else {
					tx := -p.file.number(x, 0) / 1000 * s.size * s.stretch
					text = matrix{1, 0, 0, 1, tx, 0}.times(text)
				}
			}
		case "Do":
			n, _ := last().(name)
			if err := p.form(p.file.dict(resources["XObject"])[n], resources, s.ctm, depth); err != nil {
				return err
			}
		case "ID":
			skipImage(l)
		}
		args = args[:0]
	}
	return nil
}

// skipImage skips the data of an image in the content (8.9.7).
func skipImage(l *lexer) {
	rest := l.buf[l.pos:]
	for i := 0; ; i += 2 {
		k := bytes.Index(rest[i:], []byte("EI"))
		if k < 0 {
			l.pos = len(l.buf)
			return
		}
		i += k
		end := i+2 == len(rest) || isSpace(int(rest[i+2]))
		if end && i > 0 && isSpace(int(rest[i-1])) {
			l.pos += i + 2
			return
		}
	}
}

// form follows a form (8.10). One within itself is not followed for ever.
func (p *painter) form(x object, outer dict, ctm matrix, depth int) error {
	s, ok := p.file.resolve(x).(*stream)
	if !ok || s.dict["Subtype"] != name("Form") || depth >= maxForms || p.uses >= maxUses {
		return nil
	}
	p.uses++
	content, err := p.file.decode(s)
	if err != nil {
		return err
	}
	if m := p.file.list(s.dict["Matrix"]); len(m) == 6 {
		var own matrix
		for i := range own {
			own[i] = p.file.number(m[i], identity[i])
		}
		ctm = own.times(ctm)
	}
	resources := p.file.dict(s.dict["Resources"])
	if resources == nil {
		resources = outer
	}
	return p.paint(content, resources, ctm, depth+1)
}

func (p *painter) font(resources dict, n name) *font {
	return p.fontOf(p.file.dict(resources["Font"])[n])
}

// maxFonts is how many fonts are kept.
const maxFonts = 256

func (p *painter) fontOf(x object) *font {
	r, isRef := x.(ref)
	if isRef {
		if f, ok := p.fonts[r]; ok {
			return f
		}
	}
	d := p.file.dict(x)
	if d == nil {
		return nil
	}
	f := p.file.font(d)
	if isRef {
		if len(p.fonts) >= maxFonts {
			clear(p.fonts)
		}
		p.fonts[r] = f
	}
	return f
}

// show draws a string, and returns where the next one begins.
func (p *painter) show(s *state, text matrix, t string) matrix {
	if s.font == nil {
		return text
	}
	at := text.times(s.ctm)
	for _, g := range s.font.decode(t) {
		advance := g.width/1000*s.size + s.spacing
		if g.space {
			advance += s.word
		}
		next := matrix{1, 0, 0, 1, advance * s.stretch, 0}.times(text)
		end := next.times(s.ctm)
		p.out.glyph(g.text, run{
			x: at[4], y: at[5], endX: end[4], endY: end[5],
			size: s.size * math.Hypot(at[2], at[3]), dirX: at[0], dirY: at[1],
		})
		text, at = next, end
	}
	return text
}
