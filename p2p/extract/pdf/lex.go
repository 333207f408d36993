package pdf

import (
	"io"
	"math"
	"strconv"
)

// The objects of section 7.3. Numbers are int64 or float64, null is nil.
type (
	object  any
	name    string
	array   []object
	dict    map[name]object
	keyword string // also what no object begins with, such as "]"
	ref     struct{ number, generation int }
	stream  struct {
		dict
		at   int64  // of the data in the file
		data []byte // instead, if it came decompressed
		key  ref    // by which it is encrypted
	}
)

// maxDepth is how deep arrays and dictionaries may be nested.
const maxDepth = 64

// maxString bounds strings, names and numbers.
const maxString = 1 << 20

// lexer reads objects from a file or from what was decompressed.
type lexer struct {
	r    io.ReaderAt // nil: all is in buf
	buf  []byte
	base int64 // of buf in r
	pos  int
	size int64 // of r
	deep int
}

// blockSize is how much of a file a lexer reads at once.
const blockSize = 16 << 10

func lexBytes(b []byte) *lexer { return &lexer{buf: b, size: int64(len(b))} }

func lexAt(r io.ReaderAt, size, at int64) *lexer {
	return &lexer{r: r, size: size, base: max(at, 0)}
}

func (l *lexer) offset() int64 { return l.base + int64(l.pos) }

const eof = -1

// next returns the next byte, or eof.
func (l *lexer) next() int {
	if l.pos >= len(l.buf) && !l.fill() {
		return eof
	}
	c := l.buf[l.pos]
	l.pos++
	return int(c)
}

func (l *lexer) fill() bool {
	if l.r == nil {
		return false
	}
	at := l.offset()
	n := min(int64(blockSize), l.size-at)
	if n <= 0 {
		return false
	}
	// A byte that was read can be taken back.
	keep := 0
	if len(l.buf) > 0 {
		keep = 1
	}
	block := make([]byte, keep+int(n))
	copy(block, l.buf[len(l.buf)-keep:])
	k, _ := l.r.ReadAt(block[keep:], at) // an error is the end of what can be read
	if k == 0 {
		return false
	}
	l.buf, l.base, l.pos = block[:keep+k], at-int64(keep), keep
	return true
}

// back takes back the byte that was read last.
func (l *lexer) back(c int) {
	if c != eof {
		l.pos--
	}
}

func isSpace(c int) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelimiter(c int) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

// skip skips white space and comments, and returns what comes next.
func (l *lexer) skip() int {
	for {
		c := l.next()
		if c == '%' {
			for c != '\n' && c != '\r' && c != eof {
				c = l.next()
			}
		}
		if !isSpace(c) {
			return c
		}
	}
}

// object reads an object, without looking whether a number is part of a
// reference; the end is keyword "".
func (l *lexer) object() object {
	switch c := l.skip(); {
	case c == eof:
		return keyword("")
	case c == '(':
		return l.literal()
	case c == '/':
		return l.name()
	case c == '<':
		if c = l.next(); c == '<' {
			return l.dict()
		}
		l.back(c)
		return l.hex()
	case c == '[':
		return l.array()
	case c == '>':
		if c = l.next(); c != '>' {
			l.back(c)
		}
		return keyword(">>")
	case isDelimiter(c):
		return keyword(rune(c))
	default:
		l.back(c)
		return l.word()
	}
}

// word reads a number or a keyword.
func (l *lexer) word() object {
	b := make([]byte, 0, 16)
	number := true
	for {
		c := l.next()
		if c == eof || isSpace(c) || isDelimiter(c) {
			l.back(c)
			break
		}
		if len(b) == maxString {
			break
		}
		number = number && (c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+')
		b = append(b, byte(c))
	}
	s := string(b)
	if number {
		return parseNumber(s)
	}
	switch s {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	return keyword(s)
}

func parseNumber(s string) object {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(f, 0) {
		return f
	}
	return int64(0) // as other readers take "--5" or "1.2.3"
}

// literal reads a string in parentheses (7.3.4.2).
func (l *lexer) literal() string {
	var b []byte
	for open := 1; len(b) < maxString; {
		c := l.next()
		switch c {
		case eof:
			return string(b)
		case '(':
			open++
		case ')':
			if open--; open == 0 {
				return string(b)
			}
		case '\\':
			if c = l.escape(); c < 0 {
				continue
			}
		case '\r':
			if c = l.next(); c != '\n' {
				l.back(c)
			}
			c = '\n'
		}
		b = append(b, byte(c))
	}
	return string(b)
}

// escape reads what follows a backslash; negative: it stands for nothing.
func (l *lexer) escape() int {
	c := l.next()
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case '\n':
		return -1
	case '\r':
		if c = l.next(); c != '\n' {
			l.back(c)
		}
		return -1
	}
	if c < '0' || c > '7' {
		return c
	}
	n := c - '0'
	for range 2 {
		if c = l.next(); c < '0' || c > '7' {
			l.back(c)
			break
		}
		n = n<<3 | (c - '0')
	}
	return n & 0xff
}

func (l *lexer) hex() string {
	var b []byte
	high, half := 0, false
	for len(b) < maxString {
		c := l.next()
		if c == '>' || c == eof {
			break
		}
		d := hexDigit(c)
		if d < 0 {
			continue
		}
		if half {
			b = append(b, byte(high<<4|d))
		}
		high, half = d, !half
	}
	if half {
		b = append(b, byte(high<<4))
	}
	return string(b)
}

func hexDigit(c int) int {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return -1
}

func (l *lexer) name() name {
	var b []byte
	for len(b) < maxString {
		c := l.next()
		if c == eof || isSpace(c) || isDelimiter(c) {
			l.back(c)
			break
		}
		if c == '#' {
			high := l.next()
			if hexDigit(high) < 0 {
				l.back(high)
			} else if low := l.next(); hexDigit(low) < 0 {
				l.back(low)
				c = hexDigit(high)
			} else {
				c = hexDigit(high)<<4 | hexDigit(low)
			}
		}
		b = append(b, byte(c))
	}
	return name(b)
}

// array reads what follows "[".
func (l *lexer) array() object {
	if l.deep++; l.deep > maxDepth {
		return keyword("") // ends everything that is open
	}
	defer func() { l.deep-- }()
	var a array
	for {
		switch x := l.object().(type) {
		case keyword:
			switch x {
			case "]", "":
				return a
			case "R":
				a = reference(a)
			case ">>", "endobj", "stream":
				return a // the end of something else: this one was not closed
			}
		default:
			a = append(a, x)
		}
	}
}

// reference replaces the two numbers at the end of a by what they refer to.
func reference(a array) array {
	n := len(a)
	if n < 2 {
		return a
	}
	number, ok := a[n-2].(int64)
	generation, ok2 := a[n-1].(int64)
	if !ok || !ok2 || number < 0 || number > math.MaxInt32 || generation < 0 || generation > math.MaxUint16 {
		return a[:n-2]
	}
	return append(a[:n-2], ref{int(number), int(generation)})
}

// dict reads what follows "<<".
func (l *lexer) dict() object {
	if l.deep++; l.deep > maxDepth {
		return keyword("")
	}
	defer func() { l.deep-- }()
	d := dict{}
	var key name
	var values array
	put := func() {
		if len(values) > 0 {
			d[key] = values[0]
		}
		values = values[:0]
	}
	open := false
	for {
		switch x := l.object().(type) {
		case keyword:
			switch x {
			case ">>", "", "endobj", "stream":
				if open {
					put()
				}
				return d
			case "R":
				values = reference(values)
			}
		case name:
			if open && len(values) == 0 {
				values = append(values, x)
				continue
			}
			if open {
				put()
			}
			key, open = x, true
		default:
			if open && len(values) < 3 {
				values = append(values, x)
			}
		}
	}
}
