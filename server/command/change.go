package command

import (
	"fmt"
	"net/http"

	"github.com/shoal-p2p/shoal/server/api"
)

type changesCmd struct {
	Folder string   `arg:"" optional:"" help:"The folder's ID or label (default: the only one)."`
	Paths  []string `arg:"" optional:"" name:"path" help:"With --revert: these files only, as the list has them."`
	Revert bool     `help:"Give the files the content that the folder has; what they are now goes to the trash."`
	JSON   bool     `name:"json" help:"Print the API's answer."`
}

// Run lists or reverts what was changed here in a folder that is read-only here.
func (v changesCmd) Run(c *console) error {
	if len(v.Paths) > 0 && !v.Revert {
		return UsageError{"changes: what shall become of these files? --revert gives them the content that the folder has"}
	}
	id, err := c.folderOr("changes", v.Folder)
	if err != nil {
		return err
	}
	if v.Revert {
		var body api.Revert
		if len(v.Paths) > 0 {
			body.Paths = &v.Paths
		}
		_, err := c.call(http.MethodPost, folderPath(id, "revert"), nil, body)
		return err
	}
	var list api.ChangeList
	done, err := c.get(folderPath(id, "changes"), nil, &list, v.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing was changed here that does not go to the others.")
		return nil
	}
	var rows [][]string
	for _, item := range list.Items {
		rows = append(rows, []string{string(item.What), bytesText(item.Size), item.Path})
	}
	return table(c.Stdout, []string{"WHAT", "SIZE", "PATH"}, rows)
}
