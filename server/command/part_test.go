package command

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// A command line is understood, refused and explained in the same way whether all
// commands are known or only the one that it names.
func TestPartIsTheWhole(t *testing.T) {
	whole := reflect.TypeFor[grammar]()
	var lines [][]string
	for _, name := range names(whole) {
		for _, rest := range []string{"--help", "--dta x", "--http", "x y z too many", "sgn", "--data /nowhere --json extra extra extra", "--token a/b --bogus"} {
			lines = append(lines, append(strings.Fields(name), strings.Fields(rest)...))
		}
	}
	for _, line := range []string{
		"folder --help", "folder lst", "folders list --help", "folder add --help", "delta", "delta diff", "delta diff a", "delta sign --help", "delta sgn a", "delta explain --help",
		"connect", "version", "version --data x --http y", "serve --http nonsense", "lab --nodes", "search", "join",
	} {
		lines = append(lines, strings.Fields(line))
	}
	for _, args := range lines {
		if reflect.TypeOf(part(args)) == reflect.PointerTo(whole) {
			t.Errorf("%v: the whole grammar is built", args)
		}
		code, out := told(t, part(args), args)
		wantCode, want := told(t, new(grammar), args)
		if code != wantCode || out != want {
			t.Errorf("%v: %d %s\nwith all commands: %d %s", args, code, out, wantCode, want)
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"versio"}, {"VERSION"}, {"--data", "version"}, {"global"}, {""}, {"-"}, {"--"}} {
		if reflect.TypeOf(part(args)) != reflect.PointerTo(whole) {
			t.Errorf("%q names no command, and only a part of the grammar is built", args)
		}
	}
}

// names are those of all commands of a group, with those in them.
func names(group reflect.Type) (all []string) {
	for i := range group.NumField() {
		f := group.Field(i)
		if !isCommand(f) {
			continue
		}
		for _, alias := range append(strings.Split(f.Tag.Get("aliases"), ","), strings.ToLower(f.Name)) {
			if alias == "" {
				continue
			}
			all = append(all, alias)
			for _, inner := range names(f.Type) {
				all = append(all, alias+" "+inner)
			}
		}
	}
	return all
}

func refuseToServe(context.Context, Serve, Terminal) error { return errors.New("not here") }

func refuseToRun(context.Context, Lab, Terminal) error { return errors.New("not here") }

// told is what run says and returns. Nothing is served, and no node answers.
func told(t *testing.T, commands any, args []string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	p := Program{Version: "1", Serve: refuseToServe, Lab: refuseToRun}
	dir := t.TempDir()
	code = run(t.Context(), p, commands, args, Terminal{
		Getenv: func(name string) string {
			return map[string]string{"SHOAL_DATA": dir, "SHOAL_HTTP": "127.0.0.1:1"}[name]
		},
		Stdin: strings.NewReader(""), Stdout: &b, Stderr: &b,
	})
	return code, strings.ReplaceAll(b.String(), dir, "DIR")
}
