package command

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/server/api"
)

// What an invitation can be, as the API has it.
const (
	minExpiry = time.Minute
	maxExpiry = 365 * 24 * time.Hour
	maxUses   = 1000
)

type inviteCmd struct {
	Expires time.Duration `placeholder:"24h" help:"How long the link works: 1m to 8760h (default: 24h; in an open network 8760h)."`
	Uses    int           `default:"1" help:"How many computers can join with it: 1 to 1000."`
	Role    string        `default:"member" enum:"member,admin" help:"What who joins becomes: member or admin."`
	JSON    bool          `name:"json" help:"Print the API's answer."`
}

// Run makes an invitation. The link alone goes to the standard output, so that
// scripts can pass it on.
func (i inviteCmd) Run(c *console) error {
	switch {
	case i.Uses < 1 || i.Uses > maxUses:
		return UsageError{fmt.Sprintf("--uses %d: 1 to %d", i.Uses, maxUses)}
	case i.Expires != 0 && (i.Expires < minExpiry || i.Expires > maxExpiry):
		return UsageError{fmt.Sprintf("--expires %v: between 1m and 8760h", i.Expires)}
	}
	role := api.Role(i.Role)
	body := api.InviteNew{MaxUses: &i.Uses, Role: &role}
	if seconds := int(i.Expires / time.Second); seconds > 0 {
		body.ExpiresIn = &seconds
	}
	var inv api.Invite
	done, err := c.post("/api/invites", body, &inv, i.JSON)
	if done || err != nil {
		return err
	}
	if parsed, err := member.ParseInvitation(inv.Link); err == nil && parsed.Public() {
		fmt.Fprintf(c.Stderr, "This network is open: anybody who has this link can join, as often as he likes, until %s.\n", timeText(inv.Expires))
		fmt.Fprintln(c.Stdout, oneLine(inv.Link))
		return nil
	}
	fmt.Fprintf(c.Stderr, "Open this link on the computer that shall join, where shoal runs, or give it to `shoal join` there.\nIt works until %s, for %s. Whoever has it can join.\n",
		timeText(inv.Expires), count(inv.MaxUses, "computer"))
	fmt.Fprintln(c.Stdout, oneLine(inv.Link))
	return nil
}

type joinCmd struct {
	Link string `arg:"" help:"The invitation; @FILE reads it from a file, - from the standard input."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run joins the network of an invitation.
func (j joinCmd) Run(c *console) error {
	link, err := ReadLink(j.Link, c.Stdin)
	if err != nil {
		return err
	}
	var joined api.Joined
	done, err := c.post("/api/join", api.JoinNew{Link: link}, &joined, j.JSON)
	if err != nil {
		return notJoined(err, link, time.Now())
	}
	if done {
		return nil
	}
	network := fmt.Sprintf("%s, %s", oneLine(joined.Network.Name), count(joined.Members, "member"))
	if len(joined.Words) == 0 { // nobody was met, so there is nothing to compare
		fmt.Fprintln(c.Stdout, "already in", network)
		return nil
	}
	if joined.Network.Mode == api.NetworkModeOpen {
		fmt.Fprintln(c.Stderr, openNote)
	}
	fmt.Fprintf(c.Stdout, "joined %s\ncompare with the one who invited you: %s\n", network, oneLine(strings.Join(joined.Words, " ")))
	return nil
}

// openNote is said where anybody can be a member.
const openNote = "This network is open: anybody can join it. Your folders are shared with nobody there until you say so, for each; documents that you publish are for everybody."

// notWhole is said of text that is no invitation: most often a part of one.
const notWhole = "This is not a whole invitation link. Copy all of it, from http to the end."

// notJoined says why link does not let this node join, in the words of the one who
// holds it.
func notJoined(err error, link string, now time.Time) error {
	var p *problem
	if !errors.As(err, &p) {
		return err
	}
	switch p.Code {
	case "invite_malformed":
		return outcome{err, notWhole}
	case "invite_expired":
		if inv, parseErr := member.ParseInvitation(link); parseErr == nil && inv.Expired(now) {
			return outcome{err, fmt.Sprintf("The invitation expired at %s. Ask for a new one.", clock(inv.Expires, now))}
		}
	}
	return err
}

// linkLimit is more than any invitation has.
const linkLimit = 8 << 10

// ReadLink returns the invitation that arg is, or that is in the file which @FILE
// names, or in stdin for -.
func ReadLink(arg string, stdin io.Reader) (string, error) {
	var from io.Reader
	name, isFile := strings.CutPrefix(arg, "@")
	switch {
	case isFile:
		path, err := wholePath(name)
		if err != nil {
			return "", fmt.Errorf("read the invitation: %w", err)
		}
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read the invitation: %w", err)
		}
		defer f.Close()
		from = f
	case arg == "-":
		from = stdin
	case strings.TrimSpace(arg) == "":
		return "", UsageError{"join: which invitation? Give its link, from http to the end"}
	default:
		return strings.TrimSpace(arg), nil
	}
	text, err := io.ReadAll(io.LimitReader(from, linkLimit))
	if err != nil {
		return "", fmt.Errorf("read the invitation from %s: %w", arg, err)
	}
	link := strings.TrimSpace(string(text))
	if link == "" {
		return "", fmt.Errorf("read the invitation from %s: nothing is there", arg)
	}
	return link, nil
}

type membersCmd struct {
	List   membersListCmd   `cmd:"" aliases:"ls" default:"withargs" help:"List who belongs to the network (default)."`
	Remove membersRemoveCmd `cmd:"" aliases:"rm" help:"Remove a member from the network (admins only)."`
	Role   membersRoleCmd   `cmd:"" help:"Make a member an admin, who invites and removes others, or a member again (admins only)."`
}

type membersRemoveCmd struct {
	Member string `arg:"" help:"Its name, its ID, or the first characters of that."`
}

// Help says what stays.
func (membersRemoveCmd) Help() string {
	return "The others end their links to it and take nothing from it any more. What it has stays on its disk, and whom it has let in stays a member. It comes back with a new invitation only."
}

// Run revokes a member, and names whom it has let in.
func (r membersRemoveCmd) Run(c *console) error {
	id, err := c.member(r.Member)
	if err != nil {
		return err
	}
	var list api.MemberList
	if _, err := c.get("/api/members", nil, &list, false); err != nil {
		return err
	}
	if _, err := c.call(http.MethodDelete, "/api/members/"+url.PathEscape(id), nil, nil); err != nil {
		return err
	}
	var stay []string
	for _, m := range list.Items {
		if m.By == id {
			stay = append(stay, nodeName(m.Name, m.Id))
		}
	}
	if len(stay) > 0 {
		fmt.Fprintf(c.Stderr, "It has let in %s, who stay: shoal members remove ends that, too.\n", enumerate(stay))
	}
	return nil
}

type membersRoleCmd struct {
	Member string `arg:"" help:"Its name, its ID, or the first characters of that."`
	Role   string `arg:"" enum:"admin,member" help:"admin or member."`
	JSON   bool   `name:"json" help:"Print the API's answer."`
}

// Run changes a role.
func (r membersRoleCmd) Run(c *console) error {
	id, err := c.member(r.Member)
	if err != nil {
		return err
	}
	path := "/api/members/" + url.PathEscape(id)
	answer, err := c.call(http.MethodPatch, path, nil, api.MemberChange{Role: api.Role(r.Role)})
	if err != nil {
		return c.showProblem(answer, err, r.JSON)
	}
	var m api.Member
	_, err = c.show(path, answer, &m, r.JSON)
	return err
}

type membersListCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run lists the roster.
func (m membersListCmd) Run(c *console) error {
	var list api.MemberList
	done, err := c.get("/api/members", nil, &list, m.JSON)
	if done || err != nil {
		return err
	}
	names := make(map[string]string)
	for _, m := range list.Items {
		names[m.Id] = m.Name
	}
	var rows [][]string
	for _, m := range list.Items {
		linked := "no"
		switch {
		case m.Self:
			linked = "this node"
		case m.Connected:
			linked = "yes"
		}
		by := "founder"
		if m.By != "" {
			by = nodeName(names[m.By], m.By)
		}
		role := string(m.Role)
		if m.Certified {
			role += ", by certificate"
		}
		rows = append(rows, []string{orDash(m.Name), shortID(m.Id), role, linked, timeText(m.Admitted), by})
	}
	return table(c.Stdout, []string{"NAME", "ID", "ROLE", "LINKED", "ADMITTED", "BY"}, rows)
}
