package command

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mattn/go-isatty"

	"github.com/shoal-p2p/shoal/server/api"
)

// style is how emphasis looks where the output goes: escape sequences on a
// terminal, asterisks elsewhere.
type style struct{ terminal bool }

func newStyle(t Terminal) style {
	f, ok := t.Stdout.(*os.File)
	return style{terminal: ok && isatty.IsTerminal(f.Fd()) && t.Getenv("NO_COLOR") == "" && t.Getenv("TERM") != "dumb"}
}

// strong marks what was searched for.
func (s style) strong(text string) string {
	if s.terminal {
		return "\x1b[1m" + text + "\x1b[0m"
	}
	return "*" + text + "*"
}

// title marks a heading; elsewhere than on a terminal its place is mark enough.
func (s style) title(text string) string {
	if s.terminal {
		return "\x1b[1m" + text + "\x1b[0m"
	}
	return text
}

// Printable returns text with everything escaped that could move the cursor,
// change colours or the direction of writing, or look like nothing: names and
// snippets come from other computers.
func Printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case harmless(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// harmless reports whether r shows as itself. The two joiners are invisible but
// needed to write Persian, Indic scripts and many emoji.
func harmless(r rune) bool {
	return unicode.IsGraphic(r) && r != '\u2800' || r == '\u200c' || r == '\u200d'
}

// asciiControls returns the JSON text with the characters that Printable would
// escape in JSON's own notation. Outside ASCII they occur within strings only,
// so the value stays the same.
func asciiControls(json []byte) []byte {
	out := make([]byte, 0, len(json))
	for len(json) > 0 {
		r, n := utf8.DecodeRune(json)
		switch {
		case r < 0x7f || harmless(r):
			out = append(out, json[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		json = json[n:]
	}
	return out
}

// highlight returns the snippet on one line with its marks strong. Marks that
// do not lie within the text, or overlap, are left out: the text is somebody
// else's.
func (s style) highlight(snippet api.Snippet) string {
	text := []rune(snippet.Text)
	var b strings.Builder
	at := 0
	for _, m := range snippet.Marks {
		if len(m) != 2 || m[0] < at || m[1] <= m[0] || m[1] > len(text) {
			continue
		}
		b.WriteString(oneLine(string(text[at:m[0]])))
		b.WriteString(s.strong(oneLine(string(text[m[0]:m[1]]))))
		at = m[1]
	}
	b.WriteString(oneLine(string(text[at:])))
	return strings.TrimSpace(b.String())
}

// oneLine makes line ends and tabs spaces, and the rest printable.
func oneLine(text string) string {
	return Printable(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, text))
}

// table prints rows in aligned columns under a heading. The cells are made
// printable here.
func table(w io.Writer, heading []string, rows [][]string) error {
	rows = append([][]string{heading}, rows...)
	widths := make([]int, len(heading))
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// bytesText writes a size for people: 1.5 MB is 1 500 000 bytes.
func bytesText(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n), 0
	for value >= 999.95 && unit < 6 {
		value /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", value, " kMGTPE"[unit])
}

// timeText writes a moment in local time.
func timeText(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// clock writes a moment in local time, without the day if that is today's.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return timeText(t)
}

// enumerate writes names as one does in a sentence; of many only the first ones.
func enumerate(names []string) string {
	const most = 3
	if n := len(names); n > most+1 {
		names = append(slices.Clone(names[:most]), strconv.Itoa(n-most)+" others")
	}
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// shortID is what people see of an ID.
func shortID(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// count writes a number with its noun: 1 hit, 2 hits.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// orDash stands for an empty cell.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
