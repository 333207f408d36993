package command

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/server/api"
)

// outsideFlags say for how long, and for how many, a link is good outside the network.
type outsideFlags struct {
	Outside *time.Duration `placeholder:"TIME" help:"Make a link for a computer outside the network, that works for so long: 1m to 8760h."`
	Uses    int            `default:"1" help:"With --outside: how many computers can use it, 1 to 40."`
}

// maxSeedUses is how many computers a link lets in at most, as the API has it.
const maxSeedUses = 40

func (f outsideFlags) check(verb string) error {
	switch {
	case f.Uses < 1 || f.Uses > maxSeedUses:
		return UsageError{fmt.Sprintf("--uses %d: 1 to %d", f.Uses, maxSeedUses)}
	case f.Outside == nil && f.Uses != 1:
		return UsageError{verb + ": --uses goes with --outside: members can use a link as often as they like"}
	case f.Outside != nil && (*f.Outside < minExpiry || *f.Outside > maxExpiry):
		return UsageError{fmt.Sprintf("--outside %v: between 1m and 8760h", *f.Outside)}
	}
	return nil
}

// linkOutside makes a link to a seed for a computer outside. The link alone goes to the standard output, so that
// scripts can pass it on.
func (c *console) linkOutside(id string, f outsideFlags, asJSON bool) error {
	seconds := int(*f.Outside / time.Second)
	var made api.SeedLinkMade
	done, err := c.post("/api/seeds/"+id+"/link", api.SeedLinkNew{ExpiresIn: &seconds, MaxUses: &f.Uses}, &made, asJSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stderr, "For `shoal get` on %s outside the network, while this node runs, until %s. Whoever has the link can use it; shoal seeds links shows who did.\n",
		count(made.MaxUses, "computer"), timeText(made.Expires))
	fmt.Fprintln(c.Stdout, oneLine(made.Link))
	return nil
}

type seedsLinkCmd struct {
	Seed string `arg:"" help:"Its ID, the first characters of it, or its name."`
	outsideFlags
	JSON bool `name:"json" help:"With --outside: print the API's answer."`
}

// Help says for whom a link is.
func (seedsLinkCmd) Help() string {
	return "Without --outside this is the link for members. With it, one computer that is no member, the first that uses the link, may have this file from this node and nothing else, until the link expires or shoal seeds unlink withdraws it."
}

// Run prints a link.
func (l seedsLinkCmd) Run(c *console) error {
	if err := l.check("seeds link"); err != nil {
		return err
	}
	if l.JSON && l.Outside == nil {
		return UsageError{"seeds link: --json goes with --outside: shoal seeds --json has the links for members"}
	}
	s, err := c.here(l.Seed)
	if err != nil {
		return err
	}
	if l.Outside != nil {
		return c.linkOutside(s.Id, l.outsideFlags, l.JSON)
	}
	fmt.Fprintln(c.Stdout, oneLine(s.Link))
	return nil
}

type seedsLinksCmd struct {
	Seed string `arg:"" help:"Its ID, the first characters of it, or its name."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run lists the links of a seed.
func (l seedsLinksCmd) Run(c *console) error {
	s, err := c.here(l.Seed)
	if err != nil {
		return err
	}
	var list api.SeedLinkList
	done, err := c.get("/api/seeds/"+s.Id+"/link", nil, &list, l.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No links for computers outside: shoal seeds link SEED --outside 24h makes one.")
		return nil
	}
	var rows [][]string
	for _, i := range list.Items {
		var guests []string
		for _, g := range i.Guests {
			guests = append(guests, shortID(g.Id)+" "+timeText(g.At))
		}
		rows = append(rows, []string{
			shortID(i.Id), string(i.State), timeText(i.Expires), strconv.Itoa(len(i.Guests)) + " of " + strconv.Itoa(i.MaxUses), orDash(strings.Join(guests, ", ")),
		})
	}
	return table(c.Stdout, []string{"LINK", "STATE", "EXPIRES", "USED", "BY"}, rows)
}

type seedsUnlinkCmd struct {
	Seed string `arg:"" help:"Its ID, the first characters of it, or its name."`
	Link string `arg:"" help:"The ID of the link, as shoal seeds links has it, or the first characters of it."`
}

// Run withdraws a link.
func (u seedsUnlinkCmd) Run(c *console) error {
	s, err := c.here(u.Seed)
	if err != nil {
		return err
	}
	var list api.SeedLinkList
	if _, err := c.get("/api/seeds/"+s.Id+"/link", nil, &list, false); err != nil {
		return err
	}
	var found []string
	for _, i := range list.Items {
		if len(u.Link) >= leastPrefix && strings.HasPrefix(i.Id, strings.ToLower(u.Link)) {
			found = append(found, i.Id)
		}
	}
	switch len(found) {
	case 0:
		return outcome{errNoSuch, fmt.Sprintf("no link of this file is called %s: shoal seeds links lists them", u.Link)}
	case 1:
		_, err := c.call(http.MethodDelete, "/api/seeds/"+s.Id+"/link/"+found[0], nil, nil)
		return err
	}
	return UsageError{fmt.Sprintf("%s may be any of %s: take the ID", u.Link, enumerate(found))}
}
