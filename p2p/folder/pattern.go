package folder

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPattern bounds a line of an ignore file, in bytes. Longer ones are no
// patterns.
const maxPattern = 4096

// pattern is one line of an ignore file in the syntax of gitignore(5), with the
// one difference that ? and [...] stand for a character, not for a byte of one.
//
// It is kept as components, so that no wildcard but ** can reach over a slash,
// and both levels match by moving only the last star forward: the time is at most
// the product of the lengths, whatever the pattern.
type pattern struct {
	negated  bool // !: what matches is not ignored
	dirOnly  bool // trailing slash
	anchored bool // has another slash: matches from the ignore file's directory on
	parts    []component
}

// component matches one component of a path, or with double any number of them.
type component struct {
	double bool
	tokens []token
}

// token matches one character, or with star any number of them.
type token struct {
	star   bool
	any    bool
	lit    rune
	class  []span // [...] when not nil
	negate bool   // [!...]
}

// span is a range of characters, or a class such as [:alpha:].
type span struct {
	lo, hi rune
	named  func(rune) bool
}

// parsePattern reads a line without its end. ok is false for what is no pattern:
// blank lines, comments, and what can match nothing.
func parsePattern(line string) (p pattern, ok bool) {
	line = trimBlanks(line)
	if line == "" || line[0] == '#' || len(line) > maxPattern || !utf8.ValidString(line) {
		return pattern{}, false
	}
	if rest, found := strings.CutPrefix(line, "!"); found {
		p.negated, line = true, rest
	}
	if rest, found := strings.CutSuffix(line, "/"); found {
		p.dirOnly, line = true, rest
	}
	p.anchored = strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return pattern{}, false
	}
	p.parts, ok = parseComponents(line)
	if n := len(p.parts); ok && !p.anchored {
		// Without a slash, ** is two stars for one component.
		if n == 1 && p.parts[0].double {
			p.parts[0] = component{tokens: []token{{star: true}}}
		}
	}
	return p, ok
}

// trimBlanks cuts trailing spaces unless a backslash quotes them, and a carriage
// return of files made on Windows.
func trimBlanks(line string) string {
	line = strings.TrimSuffix(line, "\r")
	end := len(line)
	for end > 0 && line[end-1] == ' ' {
		end--
	}
	slashes := 0
	for slashes < end && line[end-1-slashes] == '\\' {
		slashes++
	}
	if slashes%2 == 1 && end < len(line) {
		end++ // the quoted space
	}
	return line[:end]
}

// parseComponents splits at slashes, but not at one inside brackets, which
// matches nothing.
func parseComponents(s string) ([]component, bool) {
	var parts []component
	for {
		c, rest, more, ok := parseComponent(s)
		if !ok {
			return nil, false
		}
		parts = append(parts, c)
		if !more {
			return parts, true
		}
		s = rest
	}
}

// parseComponent reads up to the next slash; more tells that there was one.
func parseComponent(s string) (c component, rest string, more, ok bool) {
	stars := 0
	for s != "" && s[0] != '/' {
		r, size := utf8.DecodeRuneInString(s)
		t := token{lit: r}
		switch r {
		case '*':
			stars++
			t = token{star: true}
		case '?':
			t = token{any: true}
		case '[':
			t, size, ok = parseClass(s)
			if !ok {
				return c, "", false, false
			}
		case '\\':
			s = s[1:]
			if s == "" {
				return c, "", false, false // quotes nothing: matches nothing
			}
			if s[0] == '/' {
				continue // a quoted slash is a slash
			}
			t.lit, size = utf8.DecodeRuneInString(s)
		}
		s = s[size:]
		if n := len(c.tokens); t.star && n > 0 && c.tokens[n-1].star {
			continue
		}
		c.tokens = append(c.tokens, t)
	}
	c.double = stars >= 2 && len(c.tokens) == 1 && c.tokens[0].star
	if s == "" {
		return c, "", false, true
	}
	return c, s[1:], true, true
}

// parseClass reads [...] at the start of s and returns how many bytes it took.
func parseClass(s string) (t token, size int, ok bool) {
	i := 1
	if i < len(s) && (s[i] == '!' || s[i] == '^') {
		t.negate = true
		i++
	}
	t.class = []span{}
	for first := true; ; first = false {
		if i >= len(s) {
			return token{}, 0, false // never closed: matches nothing
		}
		if s[i] == ']' && !first {
			return t, i + 1, true
		}
		if name, found := strings.CutPrefix(s[i:], "[:"); found {
			end := strings.Index(name, ":]")
			if end >= 0 && !strings.Contains(name[:end], "]") {
				in := named(name[:end])
				if in == nil {
					return token{}, 0, false
				}
				t.class = append(t.class, span{named: in})
				i += len("[:") + end + len(":]")
				continue
			}
		}
		lo, n, valid := classRune(s[i:])
		if !valid {
			return token{}, 0, false
		}
		i += n
		hi := lo
		if i+1 < len(s) && s[i] == '-' && s[i+1] != ']' {
			hi, n, valid = classRune(s[i+1:])
			if !valid {
				return token{}, 0, false
			}
			i += 1 + n
		}
		t.class = append(t.class, span{lo: lo, hi: hi})
	}
}

// classRune reads a character inside brackets, which a backslash may quote.
func classRune(s string) (r rune, size int, ok bool) {
	if s[0] == '\\' {
		if len(s) == 1 {
			return 0, 0, false
		}
		r, size = utf8.DecodeRuneInString(s[1:])
		return r, size + 1, true
	}
	r, size = utf8.DecodeRuneInString(s)
	return r, size, true
}

// named returns the POSIX class of a name, on ASCII as in git's C locale.
func named(name string) func(rune) bool {
	ascii := func(in func(rune) bool) func(rune) bool {
		return func(r rune) bool { return r < utf8.RuneSelf && in(r) }
	}
	switch name {
	case "alnum":
		return ascii(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	case "alpha":
		return ascii(unicode.IsLetter)
	case "blank":
		return func(r rune) bool { return r == ' ' || r == '\t' }
	case "cntrl":
		return ascii(unicode.IsControl)
	case "digit":
		return ascii(unicode.IsDigit)
	case "graph":
		return func(r rune) bool { return r > ' ' && r < 0x7f }
	case "lower":
		return ascii(unicode.IsLower)
	case "print":
		return func(r rune) bool { return r >= ' ' && r < 0x7f }
	case "punct":
		return ascii(func(r rune) bool { return r > ' ' && r < 0x7f && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	case "space":
		return ascii(unicode.IsSpace)
	case "upper":
		return ascii(unicode.IsUpper)
	case "xdigit":
		return func(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) }
	}
	return nil
}

// match reports whether p names the path, given as components relative to the
// ignore file's directory.
func (p pattern) match(names []string, dir bool) bool {
	if p.dirOnly && !dir {
		return false
	}
	if !p.anchored {
		return p.parts[0].match(names[len(names)-1])
	}
	return matchParts(p.parts, names)
}

// matchParts matches components: ** stands for any number of them, at the end of
// a pattern for at least one.
func matchParts(parts []component, names []string) bool {
	if last := parts[len(parts)-1]; last.double {
		if len(names) == 0 {
			return false
		}
		// What precedes may match any proper prefix: as if it were followed by a
		// component that matches all, and then by **.
		parts = append(slices.Clone(parts), component{tokens: []token{{star: true}}})
	}
	i, j := 0, 0
	star, mark := -1, 0
	for j < len(names) {
		switch {
		case i < len(parts) && parts[i].double:
			star, mark = i, j
			i++
		case i < len(parts) && parts[i].match(names[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(parts) && parts[i].double {
		i++
	}
	return i == len(parts)
}

// match matches one component; * stands for any number of characters.
func (c component) match(name string) bool {
	i, j := 0, 0
	star, mark := -1, 0
	for j < len(name) {
		r, size := utf8.DecodeRuneInString(name[j:])
		switch {
		case i < len(c.tokens) && c.tokens[i].star:
			star, mark = i, j
			i++
		case i < len(c.tokens) && c.tokens[i].match(r):
			i, j = i+1, j+size
		case star >= 0:
			_, size = utf8.DecodeRuneInString(name[mark:])
			mark += size
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(c.tokens) && c.tokens[i].star {
		i++
	}
	return i == len(c.tokens)
}

func (t token) match(r rune) bool {
	if t.any {
		return true
	}
	if t.class == nil {
		return t.lit == r
	}
	return t.negate != slices.ContainsFunc(t.class, func(s span) bool {
		if s.named != nil {
			return s.named(r)
		}
		return s.lo <= r && r <= s.hi
	})
}
