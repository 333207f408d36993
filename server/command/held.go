package command

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/shoal-p2p/shoal/server/api"
)

type heldCmd struct {
	Folder  string `arg:"" optional:"" help:"The folder's ID or label (default: the only one)."`
	Release bool   `xor:"decision" help:"Let the changes through."`
	Refuse  bool   `xor:"decision" help:"Refuse them: what is here becomes the newest version, on all computers."`
	Member  string `placeholder:"MEMBER" help:"Whose changes are decided on: a member's name or ID (default: everybody's)."`
	JSON    bool   `name:"json" help:"Print the API's answer."`
}

// Run lists what waits for a person, or decides.
func (h heldCmd) Run(c *console) error {
	decides := h.Release || h.Refuse
	if h.Member != "" && !decides {
		return UsageError{"held --member: what shall become of them? --release or --refuse"}
	}
	id, err := c.folderOr("held", h.Folder)
	if err != nil {
		return err
	}
	if !decides {
		return h.list(c, id)
	}
	body := api.HeldDecision{Decision: api.Refuse}
	if h.Release {
		body.Decision = api.Release
	}
	if h.Member != "" {
		member, err := c.member(h.Member)
		if err != nil {
			return err
		}
		body.Member = &member
	}
	_, err = c.call(http.MethodPost, folderPath(id, "held"), nil, body)
	return err
}

// shownHeld is how many changes of a member are listed for people; the API's answer
// has more.
const shownHeld = 20

func (h heldCmd) list(c *console, id string) error {
	var list api.HeldList
	done, err := c.get(folderPath(id, "held"), nil, &list, h.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing is held.")
		return nil
	}
	for _, held := range list.Items {
		if err := c.printHeld(held); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.Stderr, "Nothing of this is done here before you decide: --release lets it through, --refuse brings the files back.")
	return nil
}

func (c *console) printHeld(h api.Held) error {
	fmt.Fprintf(c.Stdout, "%s deleted %s and changed %d, since %s; up to %d at once need no yes\n",
		nodeName(h.MemberName, h.Member), count(h.Deleted, "file"), h.Changed, timeText(h.Since), h.Limit)
	if h.Done > 0 {
		fmt.Fprintf(c.Stdout, "%s more went through before; shoal trash has what they took\n", count(h.Done, "change"))
	}
	var rows [][]string
	for _, item := range h.Items[:min(len(h.Items), shownHeld)] {
		what, size := "changed", bytesText(item.NewSize)
		if item.Deleted {
			what, size = "deleted", "-"
		}
		rows = append(rows, []string{what, bytesText(item.Size), size, item.Path})
	}
	if len(rows) == 0 {
		return nil
	}
	if err := table(c.Stdout, []string{"WHAT", "NOW", "THEN", "PATH"}, rows); err != nil {
		return err
	}
	if more := h.Deleted + h.Changed - len(rows); more > 0 {
		fmt.Fprintln(c.Stdout, "and", strconv.Itoa(more), "more")
	}
	return nil
}
