package paxos

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var breakIt = flag.Bool("paxos.mutants", false, "break the code in many ways and see that the simulation finds each (takes minutes)")

// mutants are ways to get it wrong. Each replaces a text that is in the file once. Those
// that are about a short memory make it so short that it matters in the simulation.
var mutants = []struct {
	name, file, old, new string
}{
	{"an acceptor ignores what it has promised", "acceptor.go", "return m.Ballot.Less(s.Promised)", "return false"},
	{"an acceptor accepts a lower ballot than it has promised", "acceptor.go", "return m.Ballot.Less(s.Promised)", "return m.Kind == KindPrepare && m.Ballot.Less(s.Promised)"},
	{"an acceptor takes a second copy of an accept for a new one", "acceptor.go", "if m.Ballot != s.Accepted {", "if !m.Ballot.IsZero() {"},
	{"an acceptor that retires forgets the epoch", "acceptor.go", "s = State{Config: m.Config, Promised: s.Promised, Retired: true, Steps: s.Steps}", "s = State{}"},
	{"one less than a majority", "config.go", "return n/2 + 1", "return max(1, n/2)"},
	{"a ballot is used again after a crash", "proposer.go", "run: random.Uint64()", "run: random.Uint64() & 0"},
	{"the first value is taken, not that of the greatest ballot", "proposer.go", "if p.round.best.Less(r.Accepted) || p.round.best == r.Accepted && r.Vote.Sealed {", "if p.round.best.IsZero() {"},
	{"the joint majority is skipped", "config.go", "return c.Epoch == 1 || best.Epoch == c.Epoch ||", "return c.Epoch >= 1 || best.Epoch == c.Epoch ||"},
	{"the state is not transferred", "proposer.go", "r.value.Next = nil\n\t}", "r.value = Value{}\n\t}"},
	{"the next epoch begins before it is chosen", "proposer.go", "if r.value.Next == nil { // the epoch is open", "if r.value.Next != nil {\n\t\tp.adopt(out, *r.value.Next)\n\t\tp.start(out)\n\t\treturn\n\t}\n\tif r.value.Next == nil {"},
	{"a closed epoch goes on", "proposer.go", "if r.value.Next == nil { // the epoch is open", "if true {"},
	{"the old acceptors retire before the new ones have the value", "proposer.go", "p.adopt(out, *r.value.Next, Step{r.value.Head(), shown(r.votes)})\n", "p.adopt(out, *r.value.Next, Step{r.value.Head(), shown(r.votes)})\n\t\tr.ballot = Ballot{p.config.Epoch, 1, p.self, p.run}\n\t\tp.send(out, p.config.leaving(), Request{Kind: KindRetire})\n"},
	{"a read is served by one acceptor", "proposer.go", "\tif p.config.prepared(p.round.best, p.round.yes) {", "\tif p.task.change == nil && p.task.replace == nil && !r.Accepted.IsZero() {\n\t\tp.finish(out, Result{Data: r.Value.Data, Exists: r.Value.Exists, Version: r.Value.Version}, nil)\n\t\treturn\n\t}\n\tif p.config.prepared(p.round.best, p.round.yes) {"},
	{"short: a change is made though it is too late to tell", "value.go", "v.Version >= op.From+Window", "v.Version >= op.From+100000"},
	{"an error is believed before the value is chosen", "proposer.go", "\tnext := r.ballot.next()\n", "\tif r.err != nil {\n\t\tp.finish(out, Result{}, r.err)\n\t\treturn\n\t}\n\tnext := r.ballot.next()\n"},
	{"a change that was made is made again", "value.go", "if slices.Contains(v.Recent, op.ID) {", "if false && slices.Contains(v.Recent, op.ID) {"},
	{"a full page of the directory gets other pages below it", "directory.go", "case found || len(p.Children) > 0:", "case found:"},
	{"an acceptor does not find out that it has forgotten something", "store.go", "seen.Life > a.Life || seen.Life == a.Life && seen.Changes > a.Changes", "seen.Life > a.Life || seen.Life == a.Life && seen.Changes > a.Changes+1000000"},
	{"an acceptor believes who shows no majority", "proof.go", "if m.Kind == KindPrepare || check == nil {", "if true {"},
	{"an acceptor believes that others have the value", "proof.go", "if m.Kind == KindRetire {\n", "if m.Kind == KindRetire {\n\t\treturn nil\n"},
	{"the promises of a few are enough", "proof.go", "if !m.Config.prepared(best, box.yes) {", "if len(box.yes) == 0 {"},
	{"nobody looks who has signed", "proof.go", "|| !b.check(v.By, v.text(b.register, b.config), v.Mark)", ""},
	{"a value need not follow from what was found", "proof.go", "if !m.Value.descends(base, m.Proof.Recent) {", "if false {"},
	{"what was found is as the proposer says", "proof.go", "case !slices.ContainsFunc(m.Proof.Votes, has):", "case false && has(Vote{}):"},
	{"an acceptor believes in an epoch that nobody has decided", "acceptor.go", "if check == nil || s.IsZero() || m.Config.Epoch <= s.Config.Epoch {", "if true {"},
	{"a promise is not on the disk", "sim_test.go", "n.disk[m.Register] = state", "if m.Kind != KindPrepare {\n\t\t\t\tn.disk[m.Register] = state\n\t\t\t}"},
	{"what was accepted is not on the disk", "sim_test.go", "n.disk[m.Register] = state", "if m.Kind != KindAccept {\n\t\t\t\tn.disk[m.Register] = state\n\t\t\t}"},
}

var failedSeed = regexp.MustCompile(`seed (\d+): ([^\n]*)`)

// TestMutants: a simulation that finds nothing wrong is worth something only if it finds
// what is wrong.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		sources := map[string]string{m.file: read(t, m.file)}
		if n := strings.Count(sources[m.file], m.old); n != 1 {
			t.Fatalf("%s: %s has %q %d times", m.name, m.file, m.old, n)
		}
		if !*breakIt {
			continue
		}
		sources[m.file] = strings.Replace(sources[m.file], m.old, m.new, 1)
		if strings.HasPrefix(m.name, "short: ") {
			if sources["value.go"] == "" {
				sources["value.go"] = read(t, "value.go")
			}
			sources["value.go"] = strings.Replace(sources["value.go"], "Window  = 128", "Window  = 5", 1)
		}
		overlay := overlayOf(t, sources)
		for _, n := range []string{"100", "1000", "3000"} {
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay,
				"-run", "TestAnyWeather|TestStorm|TestAppenders|TestWithoutFounder|TestRollbacks|TestLiars", "-paxos.seeds", n, ".")
			out, err := cmd.CombinedOutput()
			found := failedSeed.FindAllStringSubmatch(string(out), -1)
			switch {
			case len(found) > 0:
				t.Logf("%s: found, with seed %s: %.70s", m.name, found[0][1], found[0][2])
			case err != nil:
				t.Errorf("%s: %v\n%s", m.name, err, out)
			case n == "3000":
				t.Errorf("%s: not found", m.name)
			default:
				continue
			}
			break
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// overlayOf returns a file that lets the go command read other texts in place of files.
func overlayOf(t *testing.T, sources map[string]string) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, text := range sources {
		whole, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		replace[whole] = write(name, []byte(text))
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	return write("overlay.json", overlay)
}
