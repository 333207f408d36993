package lesson

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/dht/story"
	paxos "github.com/shoal-p2p/shoal/p2p/paxos/lesson"
)

// MaxFile is how many bytes a story of one's own may have.
const MaxFile = story.MaxStory

// Errors that callers tell apart.
var (
	// ErrUnknown: there is no lesson of that name.
	ErrUnknown = errors.New("no such lesson")
	// ErrFile: the text is no story that can be played. What is returned says why.
	ErrFile = errors.New("not a story")
)

// The subjects.
const (
	SubjectTable = "table" // the distributed table
	SubjectPaxos = "paxos"
	SubjectRaft  = "raft"
	SubjectNAT   = "nat" // ways through routers
)

// A Lesson is a story with a name.
type Lesson struct {
	Name    string `json:"name"` // such as "put-get"; empty: a story of one's own
	Title   string `json:"title"`
	Subject string `json:"subject"`
	File    string `json:"-"` // the story as it is written

	play func(context.Context) ([]Line, string, error)
}

// A Line is something that is shown. Its kinds are those of package dht/story.
type Line struct {
	Kind  story.Kind `json:"kind"`
	Text  string     `json:"text"`
	At    int64      `json:"at_ms,omitempty"` // since the beginning, where the story tells time
	Round int        `json:"round,omitempty"` // of a message: those of one round travel at the same time
	From  string     `json:"from,omitempty"`  // who sends it, or to whom it happens
	To    []string   `json:"to,omitempty"`    // of a message
}

// Played is a lesson as it went.
type Played struct {
	Lesson
	Lines []Line
	Text  string // the same, to be read
	Wrong int    // expectations that did not hold
}

// All returns the lessons that come with the program, by subject.
func All() ([]Lesson, error) {
	var out []Lesson
	table, err := story.Stories()
	if err != nil {
		return nil, fmt.Errorf("lesson: %w", err)
	}
	for _, s := range table {
		out = append(out, ofTable(plain(s.Name), s))
	}
	for _, of := range stages {
		stories, err := of.stories()
		if err != nil {
			return nil, fmt.Errorf("lesson: %w", err)
		}
		for _, s := range stories {
			out = append(out, of.lesson(of.subject+"-"+plain(s.Name), s))
		}
	}
	return out, nil
}

// plain is a name without the number that puts it in order.
func plain(name string) string {
	_, rest, _ := strings.Cut(name, "-")
	return rest
}

// Find returns a lesson that comes with the program. Errors: ErrUnknown.
func Find(name string) (Lesson, error) {
	all, err := All()
	if err != nil {
		return Lesson{}, err
	}
	for _, l := range all {
		if l.Name == name {
			return l, nil
		}
	}
	return Lesson{}, fmt.Errorf("lesson: %.60q: %w", name, ErrUnknown)
}

// Parse reads a story of one's own. One with a cast of acceptors is about Paxos, with a
// cast of nodes about Raft, one with homes about routers, any other about the table. Errors: ErrFile.
func Parse(file string) (Lesson, error) {
	for _, of := range stages {
		if hasLine(file, of.cast) {
			s, err := paxos.ParseStory(file)
			if err != nil {
				return Lesson{}, failure{err}
			}
			return of.lesson("", s), nil
		}
	}
	s, err := story.ParseStory(file)
	if err != nil {
		return Lesson{}, failure{err}
	}
	return ofTable("", s), nil
}

func hasLine(file, prefix string) bool {
	for line := range strings.Lines(file) {
		if strings.HasPrefix(strings.TrimSpace(line), prefix) {
			return true
		}
	}
	return false
}

// failure is an ErrFile whose text is that of what is wrong.
type failure struct{ err error }

func (f failure) Error() string        { return f.err.Error() }
func (f failure) Unwrap() error        { return f.err }
func (f failure) Is(target error) bool { return target == ErrFile }

// Play plays a lesson, until it ends or ctx does. Errors: ErrFile, with what there was to
// be seen until then.
func (l Lesson) Play(ctx context.Context) (Played, error) {
	lines, text, err := l.play(ctx)
	p := Played{Lesson: l, Lines: lines, Text: text}
	for _, line := range lines {
		if line.Kind == story.KindWrong {
			p.Wrong++
		}
	}
	if err != nil {
		return p, failure{err}
	}
	return p, nil
}

func ofTable(name string, s story.Story) Lesson {
	return Lesson{Name: name, Title: s.Title, Subject: SubjectTable, File: s.File, play: func(ctx context.Context) ([]Line, string, error) {
		lines, err := story.Play(ctx, s)
		out := make([]Line, len(lines))
		for i, l := range lines {
			out[i] = Line{Kind: l.Kind, Text: l.Text, Round: l.Round, From: l.From}
			if l.To != "" {
				out[i].To = []string{l.To}
			}
		}
		return out, story.Render(s.Title, lines), err
	}}
}
