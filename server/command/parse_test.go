package command

import (
	"strings"
	"testing"
)

func TestUnknownCommands(t *testing.T) {
	for args, want := range map[string]string{
		"serach":              "unknown command serach, did you mean search?",
		"--name x serach":     "unknown command serach, did you mean search?",
		"peer":                "unknown command peer, did you mean peers?",
		"frobnicate":          "unknown command frobnicate",
		"x":                   "unknown command x",
		"folders shre":        "unknown command folders shre, did you mean folders share?",
		"folders delete":      "unknown command folders delete",
		"serve extra":         "unexpected argument extra",
		"folders list extra":  "unexpected argument extra",
		"folders ls extra":    "unexpected argument extra",
		"status extra":        "unexpected argument extra",
		"--nam x":             `unknown flag --nam, did you mean "--name"?`,
		"--name":              "--name: a value is missing",
		"invite --uses":       "--uses",
		"lab --nodes x":       "--nodes x: not a whole number",
		"folders add one two": "unexpected argument two",
	} {
		got := shoal(t, nil, strings.Fields(args)...)
		line, _, _ := strings.Cut(got.stderr, "\n")
		whole := line == "shoal: "+want || want == "--uses" && strings.Contains(line, want)
		if got.code != ExitUsage || !whole || !strings.Contains(got.stderr, "shoal --help") {
			t.Errorf("%s: exit code %d, %q, want %q", args, got.code, got.stderr, want)
		}
	}
}
