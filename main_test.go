package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/store"
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
			"same":  same,
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

// same: "same FILE FILE" checks that two links are of one invitation: the address in
// it may be another one.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: same FILE FILE")
	}
	a, err := member.ParseInvitation(ts.ReadFile(args[0]))
	ts.Check(err)
	b, err := member.ParseInvitation(ts.ReadFile(args[1]))
	ts.Check(err)
	if a.ID != b.ID || a.Secret != b.Secret || !a.Expires.Equal(b.Expires) {
		ts.Fatalf("%s and %s are different invitations", args[0], args[1])
	}
}

// TestGood: an invitation is written again only if this node made it, for the
// network in which it is, and it can still be used.
func TestGood(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	inv := member.Invitation{Network: p2p.ID{1}, ID: [16]byte{2}, Secret: member.Secret{3}, Role: member.RoleMember, Expires: noon}
	for name, tc := range map[string]struct {
		change func(*member.State, *member.Invite)
		want   bool
	}{
		"as made":         {func(*member.State, *member.Invite) {}, true},
		"expired":         {func(_ *member.State, i *member.Invite) { i.Expires = noon.Add(-time.Minute) }, false},
		"withdrawn":       {func(_ *member.State, i *member.Invite) { i.Ended = true }, false},
		"of another node": {func(_ *member.State, i *member.Invite) { i.ID = [16]byte{9} }, false},
		"another secret":  {func(_ *member.State, i *member.Invite) { i.Secret = member.Secret{9} }, false},
		"another role":    {func(_ *member.State, i *member.Invite) { i.Role = member.RoleAdmin }, false},
		"another network": {func(s *member.State, _ *member.Invite) { s.Network = p2p.ID{9} }, false},
		"used once": {func(s *member.State, _ *member.Invite) {
			s.Redemptions = []member.Redemption{{Invite: inv.ID}, {Invite: [16]byte{9}}}
		}, true},
		"used up": {func(s *member.State, _ *member.Invite) {
			s.Redemptions = []member.Redemption{{Invite: inv.ID}, {Invite: inv.ID}}
		}, false},
	} {
		kept := member.Invite{ID: inv.ID, Secret: inv.Secret, Role: inv.Role, MaxUses: 2, Expires: noon}
		state := member.State{Network: inv.Network}
		tc.change(&state, &kept)
		state.Invites = []member.Invite{kept}
		if got := good(state, inv, noon.Add(-time.Second)); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestNotOpened(t *testing.T) {
	denied := fmt.Errorf("store: %w: %w: chown", store.ErrUnusable, fs.ErrPermission)
	if got := notOpened("/srv/x", denied).Error(); strings.Contains(got, "chown") || !strings.Contains(got, "choose another with --data, or make it writable for user ") {
		t.Errorf("permission denied: %q", got)
	}
	if got := notOpened("/srv/x", store.ErrInUse); !errors.Is(got, store.ErrInUse) {
		t.Errorf("in use: %v", got)
	}
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
