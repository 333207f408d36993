package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/shoal-p2p/shoal/server/api"
)

type foldersCmd struct {
	List   folderListCmd   `cmd:"" aliases:"ls" default:"withargs" help:"List the folders shared here and offered by others (default)."`
	Add    folderAddCmd    `cmd:"" aliases:"share" help:"Share a folder."`
	Remove folderRemoveCmd `cmd:"" aliases:"rm" help:"Stop sharing a folder; its files stay as they are."`
	Scan   folderScanCmd   `cmd:"" help:"Look at all files of a folder now."`
}

type folderListCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run lists folders.
func (l folderListCmd) Run(c *console) error {
	var list api.FolderList
	done, err := c.get("/api/folders", nil, &list, l.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No folders. `shoal folders add PATH` shares one.")
		return nil
	}
	return c.printFolders(list.Items)
}

func (c *console) printFolders(folders []api.Folder) error {
	var rows [][]string
	for _, f := range folders {
		state := string(f.State)
		if why := f.Error + f.Warning; why != "" {
			state += ": " + why
		}
		files, size := strconv.Itoa(f.Files), bytesText(f.Bytes)
		if f.State == api.Offered && f.Files == 0 {
			files, size = "", "" // only the one who has it knows
		}
		rows = append(rows, []string{
			orDash(f.Label), f.Id, orDash(files), orDash(size), nodeName(f.NodeName, f.Node), orDash(f.Path), state,
		})
	}
	return table(c.Stdout, []string{"LABEL", "ID", "FILES", "SIZE", "NODE", "PATH", "STATE"}, rows)
}

type folderAddCmd struct {
	Path   string `arg:"" help:"The directory to share."`
	Label  string `help:"What people call it (default: the last part of the path)."`
	Access string `default:"write" enum:"write,read" help:"What other members may do: write or read."`
	JSON   bool   `name:"json" help:"Print the API's answer."`
}

// Run shares a folder. The node may have been started elsewhere, so it is told
// the whole path.
func (a folderAddCmd) Run(c *console) error {
	if a.Path == "" {
		return UsageError{"folders add: which directory? e.g. shoal folders add ~/Documents"}
	}
	path, err := wholePath(a.Path)
	if err != nil {
		return fmt.Errorf("share %s: %w", a.Path, err)
	}
	access := api.Access(a.Access)
	body := api.FolderNew{Path: path, Access: &access}
	if a.Label != "" {
		body.Label = &a.Label
	}
	var f api.Folder
	done, err := c.post("/api/folders", body, &f, a.JSON)
	if done || err != nil {
		return err
	}
	return c.printFolders([]api.Folder{f})
}

type folderRemoveCmd struct {
	ID string `arg:"" name:"id" help:"The folder's ID, or its label when only one has it."`
}

// Run forgets a folder.
func (r folderRemoveCmd) Run(c *console) error {
	if r.ID == "" {
		return UsageError{"folders remove: which folder? shoal folders lists them"}
	}
	_, err := c.call(http.MethodDelete, "/api/folders/"+url.PathEscape(r.ID), nil, nil)
	return err
}

type folderScanCmd struct {
	ID string `arg:"" name:"id" help:"The folder's ID, or its label when only one has it."`
}

// Run starts a scan.
func (s folderScanCmd) Run(c *console) error {
	if s.ID == "" {
		return UsageError{"folders scan: which folder? shoal folders lists them"}
	}
	_, err := c.call(http.MethodPost, "/api/folders/"+url.PathEscape(s.ID)+"/scan", nil, nil)
	return err
}
