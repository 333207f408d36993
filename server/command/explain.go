package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/delta/lesson"
)

// explainLines is how many blocks, steps and operations are printed unless all
// are asked for.
const explainLines = 200

type deltaExplainCmd struct {
	Old   *string      `arg:"" optional:"" help:"The old file, or a story: a file whose name ends in .story. - is the standard input."`
	New   *string      `arg:"" optional:"" help:"The new file; - is the standard input."`
	Text  bool         `help:"OLD and NEW are the texts themselves."`
	Block *blockLength `short:"b" placeholder:"BYTES" help:"Length of the blocks in bytes, from 1 to 65536 (default: about the square root of the old text's length)."`
	Story string       `placeholder:"NAME" help:"Tell a story that comes with the program: charla is the example of the talk, false-alarm another one."`
	All   bool         `help:"Print all blocks, steps and operations, not only the first 200, if both texts together have up to 1 MiB; without it the steps are left out above 16 KiB."`
	JSON  bool         `name:"json" help:"Print what POST /api/rsync/explain answers."`
}

// Run explains two texts with the sums that people are taught. It needs no node.
func (x deltaExplainCmd) Run(c *console) error {
	old, target, story, err := x.texts(c)
	if err != nil {
		return err
	}
	block, err := x.Block.of(lesson.MaxBlock)
	if err != nil {
		return err
	}
	if block == 0 && story != nil {
		block = story.Block
	}
	explain := lesson.Explain
	if x.All {
		explain = lesson.ExplainAll
	}
	e, err := explain(old, target, block)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "lesson: "))
	}
	if x.JSON {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.Stdout, "%s\n", asciiControls(text))
		return err
	}
	o := lesson.RenderOptions{Lines: explainLines, All: "--all prints them"}
	if x.All {
		o = lesson.RenderOptions{}
	}
	// What is told at a step of the story's own blocks is wrong with others.
	if story != nil && story.Block == e.Block {
		o.Story = story
	}
	_, err = io.WriteString(writeWhile{c.ctx, c.Stdout}, lesson.Render(e, o))
	return err
}

// texts returns the two texts, and the story that they are from or nil.
func (x deltaExplainCmd) texts(c *console) (old, target []byte, story *lesson.Story, err error) {
	if _, err := x.Block.of(lesson.MaxBlock); err != nil {
		return nil, nil, nil, err
	}
	name, other := valueOr(x.Old), valueOr(x.New)
	switch isStory := filepath.Ext(name) == ".story" && x.New == nil && !x.Text; {
	case x.Story != "" && (x.Old != nil || x.Text):
		return nil, nil, nil, UsageError{"--story has its own texts"}
	case x.Story != "":
		story, err = storyNamed(x.Story)
	case isStory:
		story, err = c.readStory(name)
	case x.Text && (x.Old == nil || x.New == nil):
		return nil, nil, nil, UsageError{`give two texts, e.g. shoal delta explain --text charla gocharla; an empty one is ""`}
	case x.Text:
		return []byte(name), []byte(other), nil, nil
	case name == "" || other == "":
		return nil, nil, nil, UsageError{"name two files, e.g. shoal delta explain old.txt new.txt, or a story: shoal delta explain --story charla"}
	case name == "-" && other == "-":
		return nil, nil, nil, UsageError{"only one of the two can be the standard input"}
	default:
		if old, err = c.readSmall(name, lesson.MaxFile); err == nil {
			target, err = c.readSmall(other, lesson.MaxFile)
		}
		return old, target, nil, err
	}
	if err != nil {
		return nil, nil, nil, err
	}
	return []byte(story.Old), []byte(story.New), story, nil
}

// valueOr is the text that was given, or an empty one.
func valueOr(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func storyNamed(name string) (*lesson.Story, error) {
	var names []string
	for _, s := range lesson.Stories() {
		if s.Name == name {
			return &s, nil
		}
		names = append(names, s.Name)
	}
	return nil, UsageError{fmt.Sprintf("--story %s: there are %s", name, strings.Join(names, ", "))}
}

func (c *console) readStory(path string) (*lesson.Story, error) {
	text, err := c.readSmall(path, lesson.MaxStory)
	if err != nil {
		return nil, err
	}
	s, err := lesson.ParseStory(path, text)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// readSmall reads a file, or the standard input as "-", of at most that many bytes.
func (c *console) readSmall(name string, most int64) ([]byte, error) {
	in, closeInput, err := c.input(name)
	if err != nil {
		return nil, err
	}
	defer closeInput()
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, reason(err))
	case int64(len(data)) > most:
		return nil, fmt.Errorf("%s is too large to explain: more than %d bytes", name, most)
	}
	return data, nil
}
