package story

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// check shows whether an expectation holds.
func (w *world) check(holds bool, text, got string) {
	if holds {
		w.add(Line{Kind: KindHolds, Text: text})
		return
	}
	w.add(Line{Kind: KindWrong, Text: text + ": no, " + got})
}

func (w *world) doExpect(ctx context.Context, a *args) error {
	// The command itself is not shown: the line says it.
	w.lines = w.lines[:len(w.lines)-1]
	what, err := a.next("what is expected")
	if err != nil {
		return err
	}
	text := strings.Join(append([]string{what}, a.words...), " ")
	l := w.last
	found := strings.Join(l.values, " ")
	holds, got := true, ""
	count := func(n int) error {
		want, err := a.number("a number", 0, 1<<20)
		holds, got = n == want, fmt.Sprint(n)
		return err
	}
	switch what {
	case "status":
		holds, got = len(a.words) == 1 && a.words[0] == l.status, l.status
		a.words = nil
	case "nothing", "value":
		text = fmt.Sprintf("%s %s", what, shorts(a.words))
		if what == "nothing" {
			text = what
		}
		holds, got = slices.Equal(a.words, l.values), shorts(l.values)
		a.words = nil
	case "has", "lost":
		missing := slices.ContainsFunc(a.words, func(word string) bool { return !slices.Contains(strings.Fields(found), word) })
		holds, got = missing == (what == "lost"), shorts(l.values)
		a.words = nil
	case "asked", "kept", "refused":
		segments := map[string][]string{"asked": l.asked, "kept": l.kept, "refused": l.refused}[what]
		holds, got = slices.Equal(a.words, segments), cmp.Or(strings.Join(segments, " "), "none")
		a.words = nil
	case "keys":
		holds, got = strings.Join(a.words, " ") == strings.Trim(fmt.Sprint(l.keys), "[]"), fmt.Sprint(l.keys)
		a.words = nil
	case "values":
		err = count(len(l.values))
	case "messages":
		err = count(l.trace.Messages)
	case "rounds":
		err = count(l.trace.Rounds)
	case "links":
		err = count(w.countLinks())
	case "needs":
		var n int
		n, err = a.number("a number", 0, 1<<20)
		holds, got = l.needs >= n, fmt.Sprint(l.needs)
		text = fmt.Sprintf("needs at least %d", n)
	case "copies":
		key, _, err := a.key()
		if err != nil {
			return err
		}
		counts, err := w.counts(ctx, key)
		if err != nil {
			return err
		}
		if err := count(len(counts)); err != nil {
			return err
		}
	case "keeps":
		var near []string
		_, _, near, err = a.keepers()
		holds, got = slices.Equal(near, a.words), strings.Join(near, " ")
		a.words = nil
	default:
		return fmt.Errorf("%.40q is nothing that can be expected", what)
	}
	if err != nil {
		return err
	}
	w.check(holds, text, got)
	return nil
}
