package fault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
)

// TestNames: a point that is not in the list could never be asked for, and a test that
// goes through the list would take one that is nowhere for one that was survived.
func TestNames(t *testing.T) {
	if !slices.IsSorted(fault.Names) {
		t.Error("the names are not sorted")
	}
	point := regexp.MustCompile(`fault\.Point\("([^"]+)"\)`)
	used := map[string]bool{}
	for _, pattern := range []string{"../*.go", "../../replica/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range point.FindAllSubmatch(b, -1) {
				used[string(m[1])] = true
				if !slices.Contains(fault.Names, string(m[1])) {
					t.Errorf("%s uses %s, which is not in Names", file, m[1])
				}
			}
		}
	}
	for _, name := range fault.Names {
		if !used[name] {
			t.Errorf("%s is nowhere", name)
		}
	}
}

// TestPoint builds a program with the tag and lets it die at the second passage.
func TestPoint(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "main.go")
	source := `package main

import "github.com/shoal-p2p/shoal/p2p/folder/apply/fault"

func main() {
	for range 3 {
		fault.Point("apply.made")
		fault.Point("apply.kept")
		print("x")
	}
}
`
	if err := os.WriteFile(program, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	for tags, want := range map[string]string{"": "xxx", "fault": "x"} {
		binary := filepath.Join(dir, "program"+tags+".exe")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags="+tags, "-o", binary, program).CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = append(os.Environ(), "SHOAL_FAULT=apply.kept:2")
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("with tags %q it prints %q, want %q", tags, got, want)
		}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && tags != "" && status.Signal() != syscall.SIGKILL {
			t.Errorf("it ends with %v, not killed", err)
		}
	}
}
