package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"shoal": main})
}

// TestScripts runs e2e/cli/*.txtar: what a person types, with real nodes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("e2e", "cli"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"until": until,
			"mode":  mode,
			"take":  take,
		},
	})
}

// exits: "exits CODE PROGRAM ARGS…" runs a program, which must end with the code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// untilLimit is when a thing that should happen has failed to.
const untilLimit = 30 * time.Second

// until: "until PATTERN PROGRAM ARGS…" runs a program again and again until its
// output matches: what another process does can only be asked for.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGS…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	end := time.Now().Add(untilLimit)
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for ; ; <-pace.C {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Env, cmd.Dir = environ(ts), ts.MkAbs(".")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if pattern.Match(out.Bytes()) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("no %q after %v; the last run (%v) said:\n%s", args[0], untilLimit, err, out.Bytes())
		}
	}
}

// environ is what a script's programs see of the environment.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "WORK", "SHOAL_DATA", "SHOAL_HTTP", "SHOAL_TOKEN"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// take: "take NAME FILE PATTERN" sets a variable to what the pattern's group
// matches in the file.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: take NAME FILE PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	match := pattern.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(match) != 2 {
		ts.Fatalf("no %q in %s", args[2], args[1])
	}
	ts.Setenv(args[0], match[1])
}

// mode: "mode PERM FILE…" checks permission bits.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode PERM FILE…")
	}
	for _, name := range args[1:] {
		st, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := strconv.FormatUint(uint64(st.Mode().Perm()), 8); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}
