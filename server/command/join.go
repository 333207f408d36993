package command

import (
	"fmt"

	"github.com/shoal-p2p/shoal/server/api"
)

type folderJoinCmd struct {
	ID      string `arg:"" name:"folder" help:"The offered folder's ID, or its label when only one has it."`
	Path    string `arg:"" optional:"" help:"The directory to keep it in, made if there is none (default: ~/shoal/LABEL)."`
	Node    string `placeholder:"MEMBER" help:"Whose offer is meant: a member's name or ID."`
	Preview bool   `help:"Change nothing, only say what would happen to the directory."`
	JSON    bool   `name:"json" help:"Print the API's answer."`
}

// Run joins a folder. The node may have been started elsewhere, so it is told the
// whole path.
func (j folderJoinCmd) Run(c *console) error {
	if j.ID == "" {
		return UsageError{"folders join: which folder? shoal folders lists those that are offered"}
	}
	body := api.FolderNew{Id: &j.ID}
	if j.Path != "" {
		path, err := wholePath(j.Path)
		if err != nil {
			return fmt.Errorf("join %s: %w", j.Path, err)
		}
		body.Path = &path
	}
	if j.Node != "" {
		id, err := c.member(j.Node)
		if err != nil {
			return err
		}
		body.Node = &id
	}
	if j.Preview {
		return c.previewFolder(api.PreviewNew{Id: j.ID, Node: body.Node, Path: body.Path}, j.JSON)
	}
	var f api.Folder
	done, err := c.post("/api/folders", body, &f, j.JSON)
	if done || err != nil {
		return err
	}
	return c.printFolders([]api.Folder{f})
}

// previewFolder says what joining would do. Numbers that are too small are told as
// a partial result.
func (c *console) previewFolder(body api.PreviewNew, asJSON bool) error {
	var p api.Preview
	done, err := c.post("/api/folders/preview", body, &p, asJSON)
	if err != nil {
		return err
	}
	if !done {
		err = c.printPreview(p)
	}
	switch {
	case err != nil:
		return err
	case !p.Known:
		return outcome{errPartial, fmt.Sprintf("nobody who has the folder could be asked: only what is here is counted (exit %d)", ExitPartial)}
	case p.Partial:
		return outcome{errPartial, fmt.Sprintf("there is more than could be compared: the numbers are lower bounds (exit %d)", ExitPartial)}
	}
	return nil
}

func (c *console) printPreview(p api.Preview) error {
	state := "is there"
	if !p.Exists {
		state = "would be made"
	}
	fmt.Fprintf(c.Stdout, "%s %s\n", oneLine(p.Path), state)
	fmt.Fprintf(c.Stdout, "same on both sides  %s\n", count(p.Same, "file"))
	fmt.Fprintf(c.Stdout, "only there          %s, %s to fetch\n", count(p.There, "file"), bytesText(p.FetchBytes))
	fmt.Fprintf(c.Stdout, "only here           %s to share\n", count(p.Here, "file"))
	fmt.Fprintf(c.Stdout, "different           %s, of which both versions would be kept\n", count(p.Differ, "file"))
	if len(p.Items) == 0 {
		return nil
	}
	var rows [][]string
	for _, item := range p.Items {
		rows = append(rows, []string{string(item.What), bytesText(item.Size), item.Path})
	}
	if err := table(c.Stdout, []string{"WHERE", "SIZE", "PATH"}, rows); err != nil {
		return err
	}
	if more := p.Differ + p.Here + p.There - len(p.Items); more > 0 {
		fmt.Fprintf(c.Stdout, "and %d more\n", more)
	}
	return nil
}
