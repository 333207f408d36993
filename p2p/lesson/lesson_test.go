package lesson

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/dht/story"
)

// TestAll: every lesson has a name of its own and plays, again from its own file too.
func TestAll(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	count, names := map[string]int{}, map[string]bool{}
	for _, l := range all {
		count[l.Subject]++
		if l.Name == "" || l.Title == "" || names[l.Name] || strings.ContainsAny(l.Name, "0123456789") && !strings.HasPrefix(l.Name, "sybil") && !strings.HasPrefix(l.Name, "protection") {
			t.Errorf("%+v", l)
		}
		names[l.Name] = true
		p, err := l.Play(t.Context())
		if err != nil || p.Wrong > 0 || len(p.Lines) == 0 || !strings.HasPrefix(p.Text, l.Title+"\n") {
			t.Errorf("%s: %v, %d wrong, %d lines", l.Name, err, p.Wrong, len(p.Lines))
		}
		own, err := Parse(l.File)
		if err != nil || own.Subject != l.Subject || own.Title != l.Title {
			t.Errorf("%s: from its file: %v, %+v", l.Name, err, own)
			continue
		}
		again, err := own.Play(t.Context())
		if err != nil || again.Text != p.Text {
			t.Errorf("%s: from its file it plays otherwise: %v", l.Name, err)
		}
	}
	if count[SubjectTable] < 16 || count[SubjectPaxos] != 4 || count[SubjectRaft] != 2 || count[SubjectNAT] != 4 {
		t.Errorf("%v", count)
	}
}

// TestStaged: notes come before what they are about, and messages say from whom to whom.
func TestStaged(t *testing.T) {
	l, err := Find("paxos-one-round")
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var notes, messages int
	at := int64(0)
	for _, line := range p.Lines {
		if line.At < at {
			t.Errorf("%+v comes after %d ms", line, at)
		}
		at = line.At
		switch {
		case line.Kind == story.KindNote:
			notes++
		case line.Kind == story.KindMessage && line.From == "P" && len(line.To) == 3:
			messages++
		}
	}
	if notes < 4 || messages < 3 {
		t.Errorf("%d notes, %d messages of P to all", notes, messages)
	}
}

// TestErrors: what is no story is said to be none.
func TestErrors(t *testing.T) {
	if _, err := Find("none"); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
	for _, file := range []string{"", "title a\nfly", "title: a\nacceptors: A\n\nx\n\n0: A flies\n10: end", "title: a\nnodes: A\n\nx\n\n0: A flies\n10: end", "title: a\nnodes: A\n\nx", "title: a\nnodes: \n\nx\n\n0: A waits\n10: end"} {
		l, err := Parse(file)
		if err == nil {
			_, err = l.Play(t.Context())
		}
		if !errors.Is(err, ErrFile) {
			t.Errorf("%q: %v", file, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l, err := Parse("title a\nnodes 2\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Play(ctx); !errors.Is(err, ErrFile) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
