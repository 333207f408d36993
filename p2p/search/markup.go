package search

import (
	"strings"
	"unicode"
)

// hasMarkup reports whether texts of a type are shown without the marks that
// Markdown has at the beginning of lines. People write it in what they publish,
// too.
func hasMarkup(kind string) bool { return kind == TypeMarkdown || kind == TypeDocument }

// titleLines is how many lines of a text may come before its title.
const titleLines = 64

// body returns text without the line that only repeats the title, which is shown
// above the snippet anyway: the first line or, with markup, a heading.
func body(text, title string, markup bool) string {
	at, lines := 0, 0
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		end := at + len(line)
		switch first := strings.TrimSpace(text[:at]) == ""; {
		case first && repeats(trimmed, title), markup && repeats(headingLine(trimmed, ""), title):
			if next, _, _ := strings.Cut(text[end:], "\n"); markup && isRule(strings.TrimSpace(next)) {
				end += len(next)
			}
			if first {
				return text[end:]
			}
			return text[:at] + text[end:]
		case trimmed != "" && !markup:
			return text
		}
		at = end
		if lines++; lines == titleLines {
			break
		}
	}
	return text
}

// repeats reports whether a line says the title.
func repeats(line, title string) bool {
	return line != "" && len(line) <= 8*MaxTitle && cutRunes(oneLine(line), MaxTitle) == title
}

// isRule reports whether a line only draws a line.
func isRule(line string) bool {
	return len(line) >= 3 && strings.IndexByte("-=*_`~", line[0]) >= 0 && strings.Trim(line, line[:1]) == ""
}

// unmark returns text with spaces in the place of the marks of headings, quotes
// and lists, so that everything else stays where it is. Words are never marks.
// With inside, text begins inside of a line.
func unmark(text string, inside bool) string {
	var plain []byte
	at := 0
	for line := range strings.Lines(text) {
		if n := marks(line); n > 0 && !inside {
			if plain == nil {
				plain = []byte(text)
			}
			copy(plain[at:at+n], strings.Repeat(" ", n))
		}
		at, inside = at+len(line), false
	}
	if plain == nil {
		return text
	}
	return string(plain)
}

// marks returns how many bytes at the beginning of a line are marks.
func marks(line string) int {
	line = strings.TrimRight(line, " \t\r\n")
	if isRule(strings.TrimSpace(line)) {
		return len(line)
	}
	for at := 0; ; {
		rest := strings.TrimLeft(line[at:], " \t")
		begin := len(line) - len(rest)
		n := 1
		switch {
		case strings.HasPrefix(rest, ">"):
			at = begin + 1
			continue
		case strings.HasPrefix(rest, "#"):
			n = len(rest) - len(strings.TrimLeft(rest, "#"))
		case !strings.HasPrefix(rest, "-") && !strings.HasPrefix(rest, "*") && !strings.HasPrefix(rest, "+"):
			return at
		}
		if n > 6 || n < len(rest) && rest[n] != ' ' && rest[n] != '\t' {
			return at
		}
		at = begin + n
	}
}

// Heading returns the title of a Markdown text: of its front matter, else the
// first heading of any level, in either style.
func Heading(text string) string {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	before, fenced := "", false
	front := strings.HasPrefix(text, "---\n") || strings.HasPrefix(text, "---\r\n")
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if n++; n > 1000 {
			break
		}
		if front {
			if title, ok := strings.CutPrefix(line, "title:"); ok && n > 1 {
				return strings.Trim(strings.TrimSpace(title), `"'`)
			}
			front = n == 1 || line != "---"
			continue
		}
		if strings.HasPrefix(line, "```") || strings.HasPrefix(line, "~~~") {
			fenced, before = !fenced, ""
			continue
		}
		if title := headingLine(line, before); !fenced && title != "" {
			return title
		}
		before = line
	}
	return ""
}

// headingLine returns the heading that ends with line, if one does.
func headingLine(line, before string) string {
	if marks := len(line) - len(strings.TrimLeft(line, "#")); marks > 0 && marks <= 6 && len(line) > marks && (line[marks] == ' ' || line[marks] == '\t') {
		return strings.TrimSpace(strings.TrimRight(strings.TrimSpace(line[marks:]), "#"))
	}
	if before != "" && len(line) >= 3 && (strings.Trim(line, "=") == "" || strings.Trim(line, "-") == "") && !strings.HasPrefix(before, "- ") {
		return before
	}
	return ""
}
