package lesson

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed stories/*.story
var stories embed.FS

// storyExt is how the names of story files end.
const storyExt = ".story"

// MaxStory is the most bytes that a story file has.
const MaxStory = 64 << 10

// ErrStory: the text is no story.
var ErrStory = errors.New("not a story")

// A Story is an example to be told: two texts, a length of blocks, and what there
// is to say.
//
// As a file it is plain text. It begins with the lines "title:", "block:", "old:"
// and "new:", in any order, and ends them with an empty one; a value in double
// quotes may contain the escapes of Go, such as \n. Paragraphs follow, with empty
// lines between them. One that begins with a number in brackets belongs to that
// step, the first of which is [1]; the others are the introduction. Lines that
// begin with # say something to the reader of the file only.
type Story struct {
	Name  string      `json:"name"` // of the file, without directory and extension
	Title string      `json:"title"`
	Block int         `json:"block"`
	Old   string      `json:"old"`
	New   string      `json:"new"`
	Text  []Paragraph `json:"text"`
}

// A Paragraph is told at a step; 0 is before the first one.
type Paragraph struct {
	Step int    `json:"step"`
	Text string `json:"text"`
}

// Stories returns those that come with the program, by name.
func Stories() []Story {
	files, err := stories.ReadDir("stories")
	if err != nil {
		panic("lesson: stories: " + err.Error()) // they are compiled in, and tested
	}
	out := make([]Story, len(files))
	for i, f := range files {
		text, err := stories.ReadFile("stories/" + f.Name())
		if err == nil {
			out[i], err = ParseStory(f.Name(), text)
		}
		if err != nil {
			panic("lesson: stories: " + err.Error())
		}
	}
	return out
}

// ParseStory reads a story file. Errors: ErrStory.
func ParseStory(name string, text []byte) (Story, error) {
	s := Story{Name: strings.TrimSuffix(path.Base(name), storyExt), Text: []Paragraph{}}
	if err := s.parse(text); err != nil {
		return Story{}, fmt.Errorf("%w: %s: %w", ErrStory, name, err)
	}
	return s, nil
}

func (s *Story) parse(text []byte) error {
	switch {
	case len(text) > MaxStory:
		return fmt.Errorf("more than %d bytes", MaxStory)
	case !utf8.Valid(text):
		return errors.New("not UTF-8")
	}
	p := parser{story: s, seen: map[string]bool{}}
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		if err := p.line(strings.TrimRight(line, " \t\r")); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	p.paragraph()
	for _, key := range []string{"block", "old", "new"} {
		if !p.seen[key] {
			return fmt.Errorf("there is no line %q", key+":")
		}
	}
	return check(len(s.Old), len(s.New), s.Block)
}

type parser struct {
	story *Story
	seen  map[string]bool // keys of the head
	body  bool            // the head is over
	step  int
	words []string // lines of the paragraph
}

func (p *parser) line(line string) error {
	switch {
	case strings.HasPrefix(line, "#"):
		return nil
	case line == "":
		p.body = p.body || len(p.seen) > 0
		p.paragraph()
		return nil
	case !p.body:
		return p.field(line)
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) && r != '\t' }); i >= 0 {
		return fmt.Errorf("a character that cannot be shown, at byte %d", i+1)
	}
	if len(p.words) == 0 {
		p.step = 0
		if number, rest, ok := strings.Cut(strings.TrimPrefix(line, "["), "]"); ok && line[0] == '[' {
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 {
				return fmt.Errorf("[%s] is no number of a step", number)
			}
			p.step, line = n, strings.TrimSpace(rest)
		}
	}
	p.words = append(p.words, strings.Fields(line)...)
	return nil
}

// paragraph ends the paragraph.
func (p *parser) paragraph() {
	if len(p.words) > 0 {
		p.story.Text = append(p.story.Text, Paragraph{Step: p.step, Text: strings.Join(p.words, " ")})
	}
	p.words = nil
}

func (p *parser) field(line string) (err error) {
	key, value, found := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case !found:
		return fmt.Errorf("%q has no colon", line)
	case p.seen[key]:
		return fmt.Errorf("%s comes twice", key)
	}
	p.seen[key] = true
	if strings.HasPrefix(value, `"`) {
		if value, err = strconv.Unquote(value); err != nil {
			return fmt.Errorf("%s: not a text in double quotes", key)
		}
		if !utf8.ValidString(value) {
			return fmt.Errorf("%s: not UTF-8", key)
		}
	}
	switch key {
	case "title":
		if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			return errors.New("title: a character that cannot be shown")
		}
		p.story.Title = value
	case "old":
		p.story.Old = value
	case "new":
		p.story.New = value
	case "block":
		if p.story.Block, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("block: %q is no number", value)
		}
	default:
		return fmt.Errorf("unknown %q; there are title, block, old and new", key)
	}
	return nil
}

// At returns what is told at a step, from 1; 0 is the introduction.
func (s Story) At(step int) (texts []string) {
	for _, p := range s.Text {
		if p.Step == step {
			texts = append(texts, p.Text)
		}
	}
	return texts
}
