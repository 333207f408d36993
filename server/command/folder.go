package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/shoal-p2p/shoal/server/api"
)

type foldersCmd struct {
	List   folderListCmd   `cmd:"" aliases:"ls" default:"withargs" help:"List the folders kept here and offered by others (default)."`
	Add    folderAddCmd    `cmd:"" aliases:"share" help:"Share a folder."`
	Join   folderJoinCmd   `cmd:"" help:"Keep a folder here that another member offers."`
	Set    folderSetCmd    `cmd:"" help:"Change a folder's label, or who may do what with it."`
	Access folderAccessCmd `cmd:"" help:"Show who may do what with a folder."`
	Pause  folderPauseCmd  `cmd:"" help:"Leave a folder as it is for now."`
	Resume folderResumeCmd `cmd:"" help:"Go on with a paused folder."`
	Remove folderRemoveCmd `cmd:"" aliases:"rm" help:"Forget a folder here; its files stay as they are."`
	Scan   folderScanCmd   `cmd:"" help:"Look at all files of a folder now."`
	Unread folderUnreadCmd `cmd:"" help:"List the files of a folder that are found by name only, and why."`
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
		files, size := strconv.Itoa(f.Files), bytesText(f.Bytes)
		if f.State == api.FolderStateOffered && f.Files == 0 {
			files, size = "", "" // only the one who has it knows
		}
		rows = append(rows, []string{
			orDash(f.Label), f.Id, orDash(files), orDash(size), nodeName(f.NodeName, f.Node), orDash(f.Path), stateText(f),
		})
	}
	return table(c.Stdout, []string{"LABEL", "ID", "FILES", "SIZE", "NODE", "PATH", "STATE"}, rows)
}

// stateText says what a folder is doing, what it lacks, and what waits for a person.
func stateText(f api.Folder) string {
	text := string(f.State)
	if f.NeedFiles > 0 {
		if f.Progress != nil {
			text += fmt.Sprintf(" %d%%", int(*f.Progress*100)) // 100 % is when nothing is missing
		}
		text += fmt.Sprintf(", %s (%s) to come", count(f.NeedFiles, "file"), bytesText(f.NeedBytes))
	}
	if f.Conflicts > 0 {
		text += ", " + count(f.Conflicts, "conflict")
	}
	if f.Unread > 0 {
		text += ", " + strconv.Itoa(f.Unread) + " without text"
	}
	if f.State != api.FolderStateOffered && !f.Writable {
		text += ", read-only"
	}
	if why := f.Error + f.Warning; why != "" {
		text += ": " + why
	}
	return text
}

type folderAddCmd struct {
	Path   string `arg:"" help:"The directory to share."`
	Label  string `help:"What people call it (default: the last part of the path)."`
	Access string `default:"write" enum:"write,read,none" help:"What other members may do: write, read, or none: they do not see it."`
	grantFlag
	JSON bool `name:"json" help:"Print the API's answer."`
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
	grants, err := a.grants(c)
	if err != nil {
		return err
	}
	body := api.FolderNew{Path: &path, Access: &access, Grants: grants}
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

type folderSetCmd struct {
	ID     string  `arg:"" name:"folder" help:"The folder's ID, or its label when only one has it."`
	Label  *string `help:"What people call it here."`
	Access *string `enum:"write,read,none" help:"What other members may do: write, read, or none: they do not see it."`
	grantFlag
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run changes a folder.
func (s folderSetCmd) Run(c *console) error {
	switch {
	case s.ID == "":
		return whichFolder("set")
	case s.Label == nil && s.Access == nil && len(s.Grant) == 0:
		return UsageError{"folders set: what? --label, --access or --grant"}
	}
	grants, err := s.grants(c)
	if err != nil {
		return err
	}
	return c.changeFolder(s.ID, api.FolderChange{Label: s.Label, Access: (*api.Access)(s.Access), Grants: grants}, s.JSON)
}

type folderPauseCmd struct {
	ID string `arg:"" name:"folder" help:"The folder's ID, or its label when only one has it."`
}

// Run pauses a folder.
func (p folderPauseCmd) Run(c *console) error { return c.pauseFolder("pause", p.ID, true) }

type folderResumeCmd struct {
	ID string `arg:"" name:"folder" help:"The folder's ID, or its label when only one has it."`
}

// Run ends the pause of a folder.
func (r folderResumeCmd) Run(c *console) error { return c.pauseFolder("resume", r.ID, false) }

func (c *console) pauseFolder(verb, id string, paused bool) error {
	if id == "" {
		return whichFolder(verb)
	}
	return c.changeFolder(id, api.FolderChange{Paused: &paused}, false)
}

func (c *console) changeFolder(id string, change api.FolderChange, asJSON bool) error {
	var f api.Folder
	answer, err := c.call(http.MethodPatch, folderPath(id), nil, change)
	if err != nil {
		return err
	}
	done, err := c.show(folderPath(id), answer, &f, asJSON)
	if done || err != nil {
		return err
	}
	return c.printFolders([]api.Folder{f})
}

type folderRemoveCmd struct {
	ID string `arg:"" name:"folder" help:"The folder's ID, or its label when only one has it."`
}

// Run forgets a folder.
func (r folderRemoveCmd) Run(c *console) error {
	if r.ID == "" {
		return whichFolder("remove")
	}
	_, err := c.call(http.MethodDelete, folderPath(r.ID), nil, nil)
	return err
}

type folderScanCmd struct {
	ID string `arg:"" name:"folder" help:"The folder's ID, or its label when only one has it."`
}

// Run starts a scan.
func (s folderScanCmd) Run(c *console) error {
	if s.ID == "" {
		return whichFolder("scan")
	}
	_, err := c.call(http.MethodPost, folderPath(s.ID, "scan"), nil, nil)
	return err
}

type folderUnreadCmd struct {
	ID     string `arg:"" name:"folder" help:"The folder's ID, or its label when only one has it."`
	Reason string `placeholder:"REASON" help:"Only those of a reason, as it is listed."`
	Limit  int    `default:"200" help:"How many at most, 1 to 1000."`
	Cursor string `placeholder:"CURSOR" help:"Where to go on."`
	JSON   bool   `name:"json" help:"Print the API's answer."`
}

// Run lists what search could not read.
func (u folderUnreadCmd) Run(c *console) error {
	if u.ID == "" {
		return whichFolder("unread")
	}
	query := url.Values{"limit": {strconv.Itoa(u.Limit)}}
	if u.Reason != "" {
		query.Set("reason", u.Reason)
	}
	if u.Cursor != "" {
		query.Set("cursor", u.Cursor)
	}
	var list api.UnreadList
	done, err := c.get(folderPath(u.ID, "unread"), query, &list, u.JSON)
	if done || err != nil {
		return err
	}
	if list.Total == 0 {
		fmt.Fprintln(c.Stderr, "The text of all files has been read.")
		return nil
	}
	var rows [][]string
	for _, item := range list.Items {
		rows = append(rows, []string{string(item.Reason), item.Path, item.Detail})
	}
	if err := table(c.Stdout, []string{"REASON", "PATH", "WHY"}, rows); err != nil {
		return err
	}
	for _, n := range list.Counts {
		fmt.Fprintf(c.Stderr, "%s: %s\n", n.Reason, count(n.Count, "file"))
	}
	if list.Next != nil {
		fmt.Fprintf(c.Stderr, "There is more: shoal folders unread %s --cursor %s\n", oneLine(u.ID), oneLine(*list.Next))
	}
	return nil
}

func whichFolder(verb string) error {
	return UsageError{"folders " + verb + ": which folder? shoal folders lists them"}
}

// folderPath is the path of a folder in the API, or of something of it.
func folderPath(id string, of ...string) string {
	path := "/api/folders/" + url.PathEscape(id)
	for _, part := range of {
		path += "/" + part
	}
	return path
}
