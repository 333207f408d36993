package story

import (
	"fmt"
	"strings"
)

// Line is one line of a story.
type Line struct {
	Number int
	Verb   string // empty: Text is for the reader
	Args   []string
	Text   string
}

// arguments are how many each command takes, at the least and at the most; 0: any.
var arguments = map[string][2]int{
	"public": {1, 0}, "home": {2, 0}, "join": {2, 0}, "router": {2, 0},
	"finds": {3, 3}, "linked": {3, 3}, "ladder": {3, 0}, "instead": {2, 2},
}

// Parse reads a story.
func Parse(text string) ([]Line, error) {
	var out []Line
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if said, ok := strings.CutPrefix(line, "|"); ok {
			out = append(out, Line{Number: i + 1, Text: strings.TrimSpace(said)})
			continue
		}
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		verb, args := words[0], words[1:]
		n, ok := arguments[verb]
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: there is no command %q", i+1, verb)
		case len(args) < n[0] || n[1] > 0 && len(args) > n[1]:
			return nil, fmt.Errorf("line %d: %s takes %d words or more, not %d", i+1, verb, n[0], len(args))
		}
		out = append(out, Line{Number: i + 1, Verb: verb, Args: args})
	}
	return out, nil
}

// inOrder returns the first of want that does not come in got, in this order.
func inOrder(want, got []string) (missing string) {
	for _, g := range got {
		if len(want) > 0 && g == want[0] {
			want = want[1:]
		}
	}
	if len(want) > 0 {
		return want[0]
	}
	return ""
}
