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
		"invite --uses":       "--uses: a value is missing",
		"lab --nodes x":       "--nodes x: not a whole number",
		"folders add one two": "unexpected argument two",
	} {
		got := shoal(t, nil, strings.Fields(args)...)
		line, _, _ := strings.Cut(got.stderr, "\n")
		whole := line == "shoal: "+want
		if got.code != ExitUsage || !whole || !strings.Contains(got.stderr, "\nRun \"shoal") {
			t.Errorf("%s: exit code %d, %q, want %q", args, got.code, got.stderr, want)
		}
	}
}

// TestUsage: a command has one name in usage lines, and errors name the help that
// helps.
func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"folders pause --help": "Usage: shoal folders pause <folder>",
		"folder rm --help":     "Usage: shoal folders remove <folder>",
		"folders --help":       "[also: share].",
		"delta sign --help":    "from 1 to 1048576",
	} {
		if got := shoal(t, nil, strings.Fields(args)...); got.code != ExitOK || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: exit code %d, %s", args, got.code, got.stdout)
		}
	}
	for args, want := range map[string]string{
		"delta":            "shoal delta",
		"delta sign":       "shoal delta sign",
		"folder frob":      "shoal folders",
		"folders ls extra": "shoal folders list",
		"frob":             "shoal",
	} {
		got := shoal(t, nil, strings.Fields(args)...)
		if line := "\nRun \"" + want + " --help\" for how it is used.\n"; got.code != ExitUsage || !strings.HasSuffix(got.stderr, line) {
			t.Errorf("%s: exit code %d, %s", args, got.code, got.stderr)
		}
	}
}
