package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/delta/lesson"
)

// explainLines is how many blocks, steps and operations are printed unless all
// are asked for.
const explainLines = 200

type deltaExplainCmd struct {
	Old   string `arg:"" optional:"" help:"The old file, or a story: a file whose name ends in .story. - is the standard input."`
	New   string `arg:"" optional:"" help:"The new file; - is the standard input."`
	Text  bool   `help:"OLD and NEW are the texts themselves."`
	Block int    `short:"b" placeholder:"BYTES" help:"Length of the blocks in bytes (default: about the square root of the old text's length)."`
	Story string `placeholder:"NAME" help:"Tell a story that comes with the program: charla is the example of the talk, false-alarm another one."`
	All   bool   `help:"Print all blocks, steps and operations, not only the first 200."`
	JSON  bool   `name:"json" help:"Print what POST /api/rsync/explain answers."`
}

// Run explains two texts with the sums that people are taught. It needs no node.
func (x deltaExplainCmd) Run(c *console) error {
	old, target, story, err := x.texts(c)
	if err != nil {
		return err
	}
	block := x.Block
	if block == 0 && story != nil {
		block = story.Block
	}
	e, err := lesson.Explain(old, target, block)
	switch {
	case errors.Is(err, lesson.ErrBlock):
		return UsageError{fmt.Sprintf("--block is from 1 to %d", lesson.MaxBlock)}
	case err != nil:
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
	o := lesson.RenderOptions{Lines: explainLines}
	if x.All {
		o.Lines = 0
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
	switch isStory := filepath.Ext(x.Old) == ".story" && x.New == "" && !x.Text; {
	case x.Block < 0:
		return nil, nil, nil, UsageError{fmt.Sprintf("--block is from 1 to %d", lesson.MaxBlock)}
	case x.Story != "" && (x.Old != "" || x.Text):
		return nil, nil, nil, UsageError{"--story has its own texts"}
	case x.Story != "":
		story, err = storyNamed(x.Story)
	case isStory:
		story, err = c.readStory(x.Old)
	case x.Text:
		// An empty text is one, and the same as none given.
		return []byte(x.Old), []byte(x.New), nil, nil
	case x.Old == "" || x.New == "":
		return nil, nil, nil, UsageError{"name two files, e.g. shoal delta explain old.txt new.txt, or a story: shoal delta explain --story charla"}
	case x.Old == "-" && x.New == "-":
		return nil, nil, nil, UsageError{"only one of the two can be the standard input"}
	default:
		if old, err = c.readSmall(x.Old, lesson.MaxFile); err == nil {
			target, err = c.readSmall(x.New, lesson.MaxFile)
		}
		return old, target, nil, err
	}
	if err != nil {
		return nil, nil, nil, err
	}
	return []byte(story.Old), []byte(story.New), story, nil
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
	var in io.Reader = c.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(readWhile{c.ctx, in}, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case int64(len(data)) > most:
		return nil, fmt.Errorf("%s is too large to explain: more than %d bytes", name, most)
	}
	return data, nil
}
