package command

import (
	"fmt"

	"github.com/shoal-p2p/shoal/server/api"
)

// grantFlag says what single members may do.
type grantFlag struct {
	Grant map[string]string `placeholder:"MEMBER=ACCESS" help:"What one member may do, by its name or ID: write, read, none, or default: as all. Can be given several times."`
}

// grants returns what the flag says as the API has it: with IDs in place of names.
func (g grantFlag) grants(c *console) (*api.Grants, error) {
	if len(g.Grant) == 0 {
		return nil, nil //nolint:nilnil // nothing is asked for
	}
	out := api.Grants{}
	for who, access := range g.Grant {
		switch access {
		case "write", "read", "none", "default":
		default:
			return nil, UsageError{fmt.Sprintf("--grant %s=%s: write, read, none or default", who, access)}
		}
		id, err := c.member(who)
		if err != nil {
			return nil, err
		}
		out[id] = access
	}
	return &out, nil
}

type folderAccessCmd struct {
	ID   string `arg:"" name:"folder" help:"The folder's ID, or its label when only one has it."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run shows who may do what with a folder.
func (a folderAccessCmd) Run(c *console) error {
	if a.ID == "" {
		return whichFolder("access")
	}
	var f api.Folder
	done, err := c.get(folderPath(a.ID), nil, &f, a.JSON)
	if done || err != nil {
		return err
	}
	var rows [][]string
	for _, g := range f.Grants {
		rows = append(rows, []string{nodeName(g.NodeName, g.Node), string(g.Access)})
	}
	others := "all others"
	if len(rows) == 0 {
		others = "all"
	}
	if !f.Decides {
		if len(rows) == 0 {
			rows = append(rows, []string{"this computer", string(f.Access)})
		}
		fmt.Fprintln(c.Stderr, "What others may do, only whoever shares the folder and admins see.")
	} else {
		rows = append(rows, []string{others, string(f.Access)})
	}
	return table(c.Stdout, []string{"MEMBER", "ACCESS"}, rows)
}
