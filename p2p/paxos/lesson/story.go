package lesson

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrStory: a story that cannot be played. What is returned wraps it and says why.
var ErrStory = errors.New("no story")

// Limits of a story: it is looked at by a person.
const (
	maxStory = 16 << 10 // bytes
	maxNodes = 16
	maxSteps = 100
	// MaxTime is when a story ends at the latest.
	MaxTime = time.Minute
)

// A Story says who is on the stage and what happens.
type Story struct {
	Name  string
	Title string
	Text  string
	File  string              // all of it, as it was read
	Cast  map[string][]string // role ("acceptors") to names
	Steps []Step              // by time
	Notes []Step              // likewise: what the reader is told before that happens
	End   time.Duration
}

// A Step is what somebody does.
type Step struct {
	At   time.Duration
	Who  string
	What string // a verb
	With []string
}

//go:embed stories/*.story
var files embed.FS

// Stories returns the stories of Paxos.
func Stories() ([]Story, error) { return Load(files) }

// Load reads all stories of a file system that has them in stories/, by name.
func Load(from embed.FS) ([]Story, error) {
	entries, err := from.ReadDir("stories")
	if err != nil {
		return nil, fmt.Errorf("lesson: stories: %w", err)
	}
	var stories []Story
	for _, e := range entries {
		text, err := from.ReadFile("stories/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("lesson: story %s: %w", e.Name(), err)
		}
		s, err := ParseStory(string(text))
		if err != nil {
			return nil, fmt.Errorf("lesson: story %s: %w", e.Name(), err)
		}
		s.Name = strings.TrimSuffix(e.Name(), ".story")
		stories = append(stories, s)
	}
	return stories, nil
}

// ParseStory reads a story. Paragraphs are separated by empty lines: the first has the
// title and the cast ("acceptors: A B C"), a line each; then comes the text; one that
// begins with a time in brackets ("[25] …") is a note; one of lines "25: P fails" says who
// does what, when, in milliseconds. A line that begins with # is for those who write
// stories. Errors: ErrStory.
func ParseStory(text string) (Story, error) {
	if len(text) > maxStory {
		return Story{}, fmt.Errorf("%w: %d bytes, at most %d", ErrStory, len(text), maxStory)
	}
	s := Story{File: text, Cast: map[string][]string{}}
	for i, paragraph := range paragraphs(text) {
		lines := strings.Split(paragraph, "\n")
		var err error
		switch {
		case i == 0:
			err = s.head(lines)
		case paragraph[0] == '[':
			err = s.note(paragraph)
		case '0' <= paragraph[0] && paragraph[0] <= '9':
			err = s.steps(lines)
		case s.Text == "":
			s.Text = paragraph
		default:
			s.Text += "\n\n" + paragraph
		}
		if err != nil {
			return Story{}, err
		}
	}
	byTime := func(a, b Step) int { return int(a.At - b.At) }
	slices.SortStableFunc(s.Steps, byTime)
	slices.SortStableFunc(s.Notes, byTime)
	if s.End == 0 || len(s.Steps) > maxSteps {
		return Story{}, fmt.Errorf("%w: %d steps, want 1 to %d and the step \"end\"", ErrStory, len(s.Steps), maxSteps)
	}
	return s, nil
}

func paragraphs(text string) []string {
	var out []string
	var now []string
	for line := range strings.Lines(text + "\n\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case line != "":
			now = append(now, line)
		case len(now) > 0:
			out = append(out, strings.Join(now, "\n"))
			now = nil
		}
	}
	return out
}

func (s *Story) head(lines []string) error {
	nodes := 0
	for _, line := range lines {
		key, rest, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("%w: %.60q is no role with names", ErrStory, line)
		}
		if key == "title" {
			s.Title = strings.TrimSpace(rest)
			continue
		}
		s.Cast[key] = strings.Fields(rest)
		nodes += len(s.Cast[key])
		for _, name := range s.Cast[key] {
			if len(name) > 8 {
				return fmt.Errorf("%w: %.60q is too long a name", ErrStory, name)
			}
		}
	}
	if nodes > maxNodes {
		return fmt.Errorf("%w: %d nodes, at most %d", ErrStory, nodes, maxNodes)
	}
	return nil
}

func (s *Story) note(paragraph string) error {
	at, text, ok := strings.Cut(paragraph[1:], "]")
	when, err := moment(at)
	if !ok || err != nil {
		return fmt.Errorf("%w: %.60q is no note with a time", ErrStory, paragraph)
	}
	s.Notes = append(s.Notes, Step{At: when, What: strings.TrimSpace(text)})
	return nil
}

func (s *Story) steps(lines []string) error {
	for _, line := range lines {
		at, rest, _ := strings.Cut(line, ":")
		when, err := moment(at)
		words := strings.Fields(rest)
		if err == nil && len(words) == 1 && words[0] == "end" {
			s.End = when
			continue
		}
		if err != nil || len(words) < 2 {
			return fmt.Errorf("%w: %.60q does not say when who does what", ErrStory, line)
		}
		s.Steps = append(s.Steps, Step{At: when, Who: words[0], What: words[1], With: words[2:]})
	}
	return nil
}

func moment(text string) (time.Duration, error) {
	ms, err := strconv.ParseUint(text, 10, 32)
	at := time.Duration(ms) * time.Millisecond
	if err != nil || at > MaxTime {
		return 0, fmt.Errorf("%w: %.60q is no time in milliseconds", ErrStory, text)
	}
	return at, nil
}
