package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/shoal-p2p/shoal/p2p/lesson"
)

type lessonCmd struct {
	Name *string `arg:"" optional:"" help:"The lesson, or a story of your own: @FILE, where @- is the standard input. Without it, all lessons are listed."`
	File bool    `help:"Print the story as it is written, to make one of your own from."`
	JSON bool    `name:"json" help:"Print what GET /api/lessons answers, or what is to be seen, as JSON."`
}

// Run lists the lessons or plays one. It needs no node.
func (l lessonCmd) Run(c *console) error {
	if l.Name == nil {
		if l.File {
			return UsageError{"--file: name a lesson, e.g. shoal lesson put-get --file"}
		}
		return l.list(c)
	}
	chosen, err := l.choose(c, *l.Name)
	if err != nil {
		return err
	}
	if l.File {
		_, err := io.WriteString(c.Stdout, chosen.File)
		return err
	}
	p, err := chosen.Play(c.ctx)
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if l.JSON && err == nil {
		return printJSON(c, struct {
			lesson.Lesson
			File  string        `json:"file"`
			Lines []lesson.Line `json:"lines"`
			Wrong int           `json:"wrong"`
		}{chosen, chosen.File, p.Lines, p.Wrong})
	}
	if !l.JSON {
		if _, err := io.WriteString(writeWhile{c.ctx, c.Stdout}, p.Text); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
		return err
	case p.Wrong == 1:
		return errors.New("an expectation does not hold")
	case p.Wrong > 1:
		return fmt.Errorf("%d expectations do not hold", p.Wrong)
	}
	return nil
}

// choose returns a lesson by its name, or what a file tells.
func (l lessonCmd) choose(c *console, name string) (lesson.Lesson, error) {
	if path, own := strings.CutPrefix(name, "@"); own {
		text, err := c.readSmall(path, lesson.MaxFile)
		if err != nil {
			return lesson.Lesson{}, err
		}
		return lesson.Parse(string(text))
	}
	found, err := lesson.Find(name)
	if errors.Is(err, lesson.ErrUnknown) {
		err = UsageError{fmt.Sprintf("%s: no such lesson; shoal lesson lists them", name)}
	}
	return found, err
}

func (l lessonCmd) list(c *console) error {
	all, err := lesson.All()
	if err != nil {
		return err
	}
	if l.JSON {
		return printJSON(c, struct {
			Items []lesson.Lesson `json:"items"`
			Next  *string         `json:"next"`
		}{all, nil})
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for i, one := range all {
		if i == 0 || all[i-1].Subject != one.Subject {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintln(w, subjects[one.Subject])
		}
		fmt.Fprintf(w, "  %s\t%s\n", one.Name, one.Title)
	}
	fmt.Fprint(w, "\nshoal lesson NAME plays one. How rsync works: shoal delta explain --story charla\n")
	return w.Flush()
}

// subjects are headings.
var subjects = map[string]string{
	lesson.SubjectTable: "The table that all keep together", lesson.SubjectPaxos: "Paxos", lesson.SubjectRaft: "Raft",
	lesson.SubjectNAT: "Ways through routers",
}

func printJSON(c *console, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "%s\n", asciiControls(text))
	return err
}
