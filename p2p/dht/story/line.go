package story

import (
	"fmt"
	"strings"
)

// A Kind says what a line is.
type Kind string

// The kinds of line.
const (
	KindNote    Kind = "note"    // a paragraph of the narration
	KindDo      Kind = "do"      // a command, as it is written
	KindMessage Kind = "message" // From one node To another one, and what that said
	KindEvent   Kind = "event"   // something that happened at a node
	KindResult  Kind = "result"  // what came of it
	KindHolds   Kind = "holds"   // an expectation that holds
	KindWrong   Kind = "wrong"   // an expectation that does not
)

// A Line is something that is shown.
type Line struct {
	Kind  Kind   `json:"kind"`
	Text  string `json:"text"`
	Round int    `json:"round,omitempty"` // of a message: those of one round travel at the same time
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// width is that of the narration.
const width = 88

// Render returns lines as text, below a title.
func Render(title string, lines []Line) string {
	var b strings.Builder
	b.WriteString(title + "\n")
	last := Kind("")
	for _, l := range lines {
		begins := l.Kind == KindNote || l.Kind == KindDo && last != KindDo
		if begins || last == KindNote || last == "" {
			b.WriteString("\n")
		}
		last = l.Kind
		switch l.Kind {
		case KindNote:
			b.WriteString(wrap(l.Text))
		case KindDo:
			b.WriteString("> " + l.Text + "\n")
		case KindMessage:
			fmt.Fprintf(&b, "  %3d  %-20s %s\n", l.Round, l.From+" → "+l.To, l.Text)
		case KindEvent:
			fmt.Fprintf(&b, "       %-20s %s\n", l.From, l.Text)
		case KindHolds:
			b.WriteString("  ✓ " + l.Text + "\n")
		case KindWrong:
			b.WriteString("  ✗ " + l.Text + "\n")
		default:
			b.WriteString("  = " + l.Text + "\n")
		}
	}
	return b.String()
}

// wrap breaks a paragraph into lines.
func wrap(text string) string {
	var b strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case used == 0:
		case used+1+n > width:
			b.WriteString("\n")
			used = 0
		default:
			b.WriteString(" ")
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String() + "\n"
}
