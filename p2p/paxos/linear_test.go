package paxos

import (
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var (
	seeds = flag.Int("paxos.seeds", 200, "how many worlds each simulation tries")
	first = flag.Uint64("paxos.first", 1, "the first seed")
	show  = flag.String("paxos.show", "", "a directory in which to draw the history of a failure")
)

// model is what one copy of the register would do. An operation of which nobody knows
// what came of it returns after everything else, so that it may take effect then, where
// nobody sees it.
var model = porcupine.Model{
	Init: func() any { return simState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(simState), input.(simIn), output.(simOut)
		next := s
		switch in.kind {
		case "append":
			next = simState{true, s.data + in.word}
			if out.last != "" && !strings.HasPrefix(out.last, next.data) {
				return false, s
			}
		case "delete":
			next = simState{}
		case "cas":
			if s == in.old {
				next = simState{true, in.word}
			}
			switch {
			case out.unknown:
				return true, next
			case out.differs:
				return s != in.old && s == out.state, s
			case s != in.old:
				return false, s
			}
		}
		return out.unknown || out.again || next == out.state, next
	},
	DescribeOperation: func(input, output any) string {
		in := input.(simIn)
		return fmt.Sprintf("%s %s: %v", in.kind, in.word, output.(simOut))
	},
	DescribeState: func(state any) string { return state.(simState).String() },
}

// check says what is wrong with what happened in a world.
func (s *sim) check() string {
	if len(s.wrong) > 0 {
		return strings.Join(s.wrong, "; ")
	}
	if s.appending {
		s.settle()
	}
	s.unseen()
	switch result, info := porcupine.CheckOperationsVerbose(model, s.history, 10*time.Second); result {
	case porcupine.Illegal:
		if *show != "" {
			if err := porcupine.VisualizePath(model, info, filepath.Join(*show, fmt.Sprintf("%d.html", s.seed))); err != nil {
				return "not linearizable, and not drawn: " + err.Error()
			}
		}
		return "not linearizable"
	case porcupine.Unknown:
		return "the history is too long to be checked"
	}
	if s.appending {
		return s.checkOnce()
	}
	return ""
}

// settle finds out what came of appends of which nobody knew, where nothing else is done:
// those that are not in the last value were not made. That keeps the check short.
func (s *sim) settle() {
	last := s.history[len(s.history)-1].Output.(simOut).state.data
	s.history = slices.DeleteFunc(s.history, func(o porcupine.Operation) bool {
		return o.Output.(simOut).unknown && !strings.Contains(","+last, ","+o.Input.(simIn).word)
	})
	for i, o := range s.history {
		if out := o.Output.(simOut); out.unknown || out.again {
			out.last = last
			s.history[i].Output = out
		}
	}
}

// unseen drops what a liar has proposed and nobody has ever seen: it may have been made after
// everything else. That keeps the check short.
func (s *sim) unseen() {
	if len(s.liars) == 0 {
		return
	}
	var all strings.Builder
	for _, o := range s.history {
		all.WriteString(o.Input.(simIn).old.data + "|" + o.Output.(simOut).state.data + "|")
	}
	s.history = slices.DeleteFunc(s.history, func(o porcupine.Operation) bool {
		return o.ClientId > len(s.people) && !strings.Contains(all.String(), o.Input.(simIn).word)
	})
}

// checkOnce: each append that was acknowledged is in the last value exactly once, each
// other one at most once.
func (s *sim) checkOnce() string {
	last := s.history[len(s.history)-1].Output.(simOut).state.data
	words := strings.SplitAfter(last, ",")
	for _, o := range s.history {
		in := o.Input.(simIn)
		if in.kind != "append" {
			continue
		}
		n := 0
		for _, w := range words {
			if w == in.word {
				n++
			}
		}
		if n > 1 || n == 0 && !o.Output.(simOut).unknown {
			return fmt.Sprintf("%s is there %d times", in.word, n)
		}
	}
	return ""
}

// worlds runs a simulation for many seeds, until a few have gone wrong, and returns those.
func worlds(t *testing.T, n int, of func(seed uint64) settings) (failed []*sim, sum counts) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	queue := seedsOf(n)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range queue {
				mu.Lock()
				enough := len(failed) >= 5
				mu.Unlock()
				if enough {
					return
				}
				s := &sim{settings: of(seed)}
				s.run()
				wrong := s.check()
				mu.Lock()
				sum.add(s.counts)
				if wrong != "" {
					s.wrong = []string{wrong}
					failed = append(failed, s)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(failed, func(a, b *sim) int { return int(a.seed) - int(b.seed) })
	return failed, sum
}

func seedsOf(n int) <-chan uint64 {
	c := make(chan uint64, n)
	for i := range n {
		c <- *first + uint64(i)
	}
	close(c)
	return c
}

func (c *counts) add(o counts) {
	c.messages += o.messages
	c.rounds += o.rounds
	c.chosen += o.chosen
	c.moved += o.moved
	c.crashes += o.crashes
	c.unknown += o.unknown
	c.again += o.again
	c.ops += o.ops
	c.lies += o.lies
	c.refused += o.refused
	c.unshown += o.unshown
	c.doubled += o.doubled
}

func report(t *testing.T, failed []*sim, sum counts) {
	t.Helper()
	t.Logf("%+v", sum)
	for i, s := range failed {
		if i > 0 {
			t.Errorf("seed %d: %s", s.seed, s.wrong[0])
			continue
		}
		t.Errorf("seed %d: %s\n%s", s.seed, s.wrong[0], strings.Join(s.log, "\n"))
	}
}

// TestAnyWeather: whatever befalls nodes and messages, the register is linearizable, and
// everybody gets an answer when it is over.
func TestAnyWeather(t *testing.T) {
	failed, sum := worlds(t, *seeds, func(seed uint64) settings {
		return settings{
			seed: seed, nodes: 8, people: 4, ops: 12, chaos: 2 * time.Minute,
			loss: []float64{0, 0.05, 0.2}[seed%3], double: 0.1, late: 0.03,
			crashes: seed%2 == 0, cuts: seed%5 < 3, replace: seed%4 < 3, views: seed%7 < 3,
		}
	})
	report(t, failed, sum)
}

// TestStorm: messages overtake each other all the time, every second one comes twice, and
// everybody wants something at once.
func TestStorm(t *testing.T) {
	failed, sum := worlds(t, *seeds, func(seed uint64) settings {
		return settings{
			seed: seed, nodes: 5, people: 3, ops: 15, chaos: time.Minute, double: 0.5, storm: true,
			loss: []float64{0, 0.1}[seed%2], crashes: seed%3 > 0, replace: seed%4 == 0,
		}
	})
	report(t, failed, sum)
}

// TestWithoutFounder: the only one who kept the directory gives it to others and goes for
// ever, at the beginning, while people use a register for the first time, among many others.
func TestWithoutFounder(t *testing.T) {
	failed, sum := worlds(t, *seeds, func(seed uint64) settings {
		return settings{
			seed: seed, nodes: 7, people: 4, ops: 8, chaos: 90 * time.Second, founder: true, crowd: int(seed%3) * 15,
			loss: []float64{0, 0.1}[seed%2], double: 0.1, late: 0.03, views: true,
			crashes: seed%3 > 0, cuts: seed%5 < 3, replace: seed%4 < 2,
		}
	})
	report(t, failed, sum)
}

// TestRollbacks: an acceptor whose disk is put back to an earlier time finds out, and does no
// harm; it is made an acceptor again in its next life.
func TestRollbacks(t *testing.T) {
	failed, sum := worlds(t, *seeds, func(seed uint64) settings {
		return settings{
			seed: seed, nodes: 5 + int(seed%3), people: 4, ops: 15, chaos: 2 * time.Minute, rollbacks: true,
			loss: []float64{0, 0.1, 0.3}[seed%3], double: 0.1, late: 0.03, cuts: seed%2 == 0, replace: seed%4 > 0, storm: seed%5 == 0,
		}
	})
	report(t, failed, sum)
}

// TestLiars: a node that proposes without the promises of a majority, or what does not follow from
// what it was told, in epochs that nobody has decided, or tells acceptors that others have the
// value, is refused by all, and nobody else is.
func TestLiars(t *testing.T) {
	failed, sum := worlds(t, *seeds, func(seed uint64) settings {
		return settings{
			seed: seed, nodes: 6 + int(seed%3), people: 4, ops: 12, chaos: time.Minute, lies: 700 * time.Millisecond,
			loss: []float64{0, 0.1}[seed%2], double: 0.1, crashes: seed%3 == 0, cuts: seed%5 == 0, replace: seed%4 < 2, storm: seed%7 == 0,
		}
	})
	report(t, failed, sum)
	if sum.lies == 0 || sum.refused < sum.lies {
		t.Errorf("%d lies, of which %d were refused", sum.lies, sum.refused)
	}
}

// TestAppenders: twenty people append to one value, while every minute a tenth of a
// hundred nodes goes for ever and others come.
func TestAppenders(t *testing.T) {
	failed, sum := worlds(t, max(1, *seeds/20), func(seed uint64) settings {
		return settings{
			seed: seed, nodes: 100, people: 20, ops: 8, chaos: 4 * time.Minute, churn: 6 * time.Second, appending: true,
			loss: 0.02, double: 0.05, late: 0.01, crashes: true, cuts: true, replace: true, views: true,
		}
	})
	report(t, failed, sum)
}

// TestViewsNeedTheDirectory: people who see different members and believe what they see
// have two registers in place of one, even in fine weather. The simulation finds it, so
// that it would find it if the directory did not help.
func TestViewsNeedTheDirectory(t *testing.T) {
	for _, noDir := range []bool{false, true} {
		failed, _ := worlds(t, 20, func(seed uint64) settings {
			return settings{seed: seed, nodes: 8, people: 4, ops: 6, chaos: time.Second, views: true, noDir: noDir}
		})
		if noDir && len(failed) < 5 {
			t.Errorf("without the directory %d of 20 worlds go wrong", len(failed))
		}
		if !noDir {
			report(t, failed, counts{})
		}
	}
}
