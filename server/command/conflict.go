package command

import (
	"fmt"
	"strconv"

	"github.com/shoal-p2p/shoal/server/api"
)

type conflictsCmd struct {
	Folder string   `arg:"" optional:"" help:"The folder's ID or label (default: the only one)."`
	N      []string `arg:"" optional:"" help:"With --keep: these conflicts, by their numbers."`
	Keep   string   `placeholder:"WHICH" enum:",ours,theirs,both" default:"" help:"Resolve them: ours keeps what has the name, theirs gives it to the copy, both makes the copy a file of its own. What goes is in the trash."`
	All    bool     `help:"With --keep: all conflicts of the folder."`
	JSON   bool     `name:"json" help:"Print the API's answer."`
}

// Run lists or resolves conflicts.
func (v conflictsCmd) Run(c *console) error {
	id, numbers, err := c.folderAndNumbers("conflicts", v.Folder, v.N)
	if err != nil {
		return err
	}
	switch {
	case v.Keep == "" && (v.All || len(numbers) > 0):
		return UsageError{"conflicts: what shall become of them? --keep ours, theirs or both"}
	case v.Keep == "":
		return v.list(c, id)
	case v.All == (len(numbers) > 0):
		return UsageError{"conflicts --keep " + v.Keep + ": which? Their numbers, or --all"}
	}
	body := api.ConflictsResolve{Keep: api.Keep(v.Keep)}
	if !v.All {
		body.Numbers = &numbers
	}
	var resolved api.ConflictsResolved
	done, err := c.post(folderPath(id, "conflicts"), body, &resolved, v.JSON)
	if done || err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "resolved %s\n", count(resolved.Resolved, "conflict"))
	return err
}

func (v conflictsCmd) list(c *console, id string) error {
	var list api.ConflictList
	done, err := c.get(folderPath(id, "conflicts"), nil, &list, v.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No conflicts.")
		return nil
	}
	var rows [][]string
	for _, f := range list.Items {
		theirs := sideText(f.Theirs)
		if f.Theirs.Path != "" && f.Theirs.Path != f.Path {
			theirs += ": " + f.Theirs.Path
		}
		rows = append(rows, []string{strconv.FormatInt(f.N, 10), string(f.Kind), f.Path, sideText(f.Ours), theirs})
	}
	return table(c.Stdout, []string{"N", "KIND", "PATH", "HAS THE NAME (OURS)", "THE OTHER (THEIRS)"}, rows)
}

// sideText says who made a version, and what it is.
func sideText(s api.ConflictSide) string {
	who := orDash(s.MemberName)
	if s.Deleted {
		return who + " deleted it"
	}
	text := fmt.Sprintf("%s, %s", who, bytesText(s.Size))
	switch {
	case s.Hash != "" || s.Modified != nil:
	case s.MemberName == "" && s.Member == "":
		return "another name"
	default:
		return who + ", a directory"
	}
	if s.Modified != nil {
		text += ", " + timeText(*s.Modified)
	}
	return text
}
