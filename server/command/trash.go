package command

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/shoal-p2p/shoal/server/api"
)

// maxTrash is the most that a page of the trash has.
const maxTrash = 1000

type trashCmd struct {
	Folder  string   `arg:"" optional:"" help:"The folder's ID or label (default: the only one)."`
	N       []string `arg:"" optional:"" help:"With --restore: numbers of the trash."`
	Restore bool     `help:"Bring back what has these numbers."`
	Limit   int      `short:"n" default:"50" help:"How many to list: 1 to 1000."`
	Cursor  string   `help:"Go on where a list ended."`
	JSON    bool     `name:"json" help:"Print the API's answer."`
}

// Run lists what was replaced or deleted, or brings it back.
func (t trashCmd) Run(c *console) error {
	if t.Limit < 1 || t.Limit > maxTrash {
		return UsageError{fmt.Sprintf("--limit %d: 1 to %d", t.Limit, maxTrash)}
	}
	id, numbers, err := c.folderAndNumbers("trash", t.Folder, t.N)
	switch {
	case err != nil:
		return err
	case t.Restore && len(numbers) == 0:
		return UsageError{"trash --restore: which? shoal trash lists the numbers"}
	case t.Restore:
		return t.restore(c, id, numbers)
	case len(numbers) > 0:
		return UsageError{"trash: what shall become of them? --restore brings them back"}
	}
	return t.list(c, id)
}

func (t trashCmd) restore(c *console, id string, numbers []int64) error {
	var list api.RestoredList
	done, err := c.post(folderPath(id, "restore"), api.Restore{Numbers: numbers}, &list, t.JSON)
	if done || err != nil {
		return err
	}
	for _, r := range list.Items {
		fmt.Fprintf(c.Stdout, "%d restored as %s\n", r.N, oneLine(r.Path))
	}
	return nil
}

func (t trashCmd) list(c *console, id string) error {
	query := url.Values{"limit": {strconv.Itoa(t.Limit)}}
	if t.Cursor != "" {
		query.Set("cursor", t.Cursor)
	}
	var list api.TrashList
	done, err := c.get(folderPath(id, "trash"), query, &list, t.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing was replaced or deleted.")
		return nil
	}
	var rows [][]string
	for _, d := range list.Items {
		what, here := "replaced", "yes"
		if d.Deleted {
			what = "deleted"
		}
		if !d.Local {
			here = "no" // others may have it
		}
		rows = append(rows, []string{strconv.FormatInt(d.N, 10), what, orDash(d.MemberName), timeText(d.Time), bytesText(d.Size), here, d.Path})
	}
	if err := table(c.Stdout, []string{"N", "WHAT", "BY", "WHEN", "SIZE", "HERE", "PATH"}, rows); err != nil {
		return err
	}
	if list.Next != nil {
		fmt.Fprintf(c.Stderr, "There is more: shoal trash --cursor %s\n", oneLine(*list.Next))
	}
	return nil
}
