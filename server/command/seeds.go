package command

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

type seedsCmd struct {
	List   seedsListCmd   `cmd:"" aliases:"ls" default:"withargs" help:"List the seeds of this node (default)."`
	Pause  seedsPauseCmd  `cmd:"" help:"Stop a download; what is here stays."`
	Resume seedsResumeCmd `cmd:"" help:"Go on with a download, or share a file again that was changed and is as it was."`
	Link   seedsLinkCmd   `cmd:"" help:"Print the link to a seed, or make one for a computer outside the network."`
	Links  seedsLinksCmd  `cmd:"" help:"List the links to a seed for computers outside, and who has used them."`
	Unlink seedsUnlinkCmd `cmd:"" help:"Withdraw a link for a computer outside."`
	Remove seedsRemoveCmd `cmd:"" aliases:"rm" help:"Share a file no longer, or give a download up."`
}

type seedsListCmd struct {
	Network bool `help:"List what the network has instead."`
	JSON    bool `name:"json" help:"Print the API's answer."`
}

// Run lists seeds.
func (l seedsListCmd) Run(c *console) error {
	if l.Network {
		return trackerListCmd{Limit: 1000, JSON: l.JSON}.Run(c)
	}
	var list api.KeptSeedList
	done, err := c.get("/api/seeds", nil, &list, l.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No seeds here: share a file with shoal seed FILE, or get one that shoal seeds --network lists.")
		return nil
	}
	var rows [][]string
	for _, s := range list.Items {
		rows = append(rows, seedRow(s))
	}
	return table(c.Stdout, []string{"NAME", "STATE", "DONE", "SIZE", "DOWN", "UP", "LEFT", "FROM", "TO", "SENT", "ID", "PATH"}, rows)
}

func seedRow(s api.KeptSeed) []string {
	state, left := string(s.State), "-"
	if s.Error != "" {
		state += ": " + s.Error
	}
	if s.EtaS != nil {
		left = leftText(*s.EtaS)
	}
	rate := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return rateText(float64(n))
	}
	return []string{
		s.Name, state, percent(s.BytesDone, s.Size), bytesText(s.Size), rate(s.RateDown), rate(s.RateUp), left,
		strconv.Itoa(s.Sources), strconv.Itoa(s.Takers), bytesText(s.BytesSent), orDash(shortID(s.Id)), s.Path,
	}
}

// Help says what the columns mean.
func (seedsListCmd) Help() string {
	return "FROM is how many members and servers it is coming from, TO how many members get it from here, SENT what went to others since it was added."
}

// here returns the seed of this node that text names: by its ID, the first characters of it, or its name.
func (c *console) here(text string) (api.KeptSeed, error) {
	var list api.KeptSeedList
	if _, err := c.get("/api/seeds", nil, &list, false); err != nil {
		return api.KeptSeed{}, err
	}
	var named, begins []api.KeptSeed
	for _, s := range list.Items {
		switch {
		case s.Id == "": // it is being read
		case s.Id == strings.ToLower(text):
			return s, nil
		case s.Name == text:
			named = append(named, s)
		case len(text) >= leastPrefix && strings.HasPrefix(s.Id, strings.ToLower(text)):
			begins = append(begins, s)
		}
	}
	found := append(named, begins...)
	if len(named) == 1 {
		found = named
	}
	switch len(found) {
	case 0:
		return api.KeptSeed{}, outcome{errNoSuch, fmt.Sprintf("no seed here is called %s: shoal seeds lists them", text)}
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, s := range found {
		ids = append(ids, shortID(s.Id))
	}
	return api.KeptSeed{}, UsageError{fmt.Sprintf("%s may be any of %s: take the ID", text, enumerate(ids))}
}

type seedsPauseCmd struct {
	Seed string `arg:"" help:"Its ID, the first characters of it, or its name."`
}

// Run pauses a download.
func (p seedsPauseCmd) Run(c *console) error { return c.setPaused(p.Seed, true) }

type seedsResumeCmd struct {
	Seed string `arg:"" help:"Its ID, the first characters of it, or its name."`
}

// Run goes on with a download.
func (r seedsResumeCmd) Run(c *console) error { return c.setPaused(r.Seed, false) }

func (c *console) setPaused(text string, paused bool) error {
	s, err := c.here(text)
	if err != nil {
		return err
	}
	_, err = c.call(http.MethodPatch, "/api/seeds/"+s.Id, nil, map[string]any{"paused": paused})
	return err
}

type seedsRemoveCmd struct {
	Seed  string `arg:"" help:"Its ID, the first characters of it, or its name."`
	Files bool   `help:"Delete the file too."`
}

// Run forgets a seed.
func (r seedsRemoveCmd) Run(c *console) error {
	s, err := c.here(r.Seed)
	if err != nil {
		return err
	}
	q := url.Values{}
	if r.Files {
		q.Set("files", "true")
	}
	_, err = c.call(http.MethodDelete, "/api/seeds/"+s.Id, q, nil)
	return err
}

// Help says what becomes of the file.
func (seedsRemoveCmd) Help() string {
	return "What has come of a download that is not whole is deleted. A whole file stays, unless --files is given or it was dropped on the page. Others who have it go on sharing it."
}

type swarmCmd struct {
	Seed  string `arg:"" help:"The ID of a seed of this node, the first characters of it, or its name."`
	Watch bool   `help:"Show it again and again, until all is here."`
	JSON  bool   `name:"json" help:"Print the API's answer."`
}

// swarmColumns is how many characters the pieces have.
const swarmColumns = 48

// Run shows who has which piece.
func (s swarmCmd) Run(c *console) error {
	if s.Watch && s.JSON {
		return UsageError{"swarm: --watch or --json, not both"}
	}
	st, err := c.here(s.Seed)
	if err != nil {
		return err
	}
	tick := time.NewTicker(2 * watchPace)
	defer tick.Stop()
	q := url.Values{}
	if !s.JSON {
		q.Set("columns", strconv.Itoa(swarmColumns))
	}
	for {
		var p api.Swarm
		done, err := c.get("/api/seeds/"+st.Id+"/swarm", q, &p, s.JSON)
		if done {
			return nil
		}
		if err != nil && c.ctx.Err() == nil {
			return err
		}
		if s.Watch && c.style.terminal {
			fmt.Fprint(c.Stdout, "\x1b[H\x1b[2J")
		}
		if err := c.printSwarm(st.Name, p); err != nil {
			return err
		}
		if !s.Watch || p.State == string(api.KeptSeedStateSeeding) {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return nil // the end was asked for
		}
		fmt.Fprintln(c.Stdout)
	}
}

// Help says what the characters mean.
func (swarmCmd) Help() string {
	return "Each character stands for as many pieces as it takes to show the file in one line: # for those that are all there, + for some of them, . for none. The line \"came from\" has the letter of the member that sent most of them, and = for what was on this computer already."
}

// printSwarm draws the picture as text.
func (c *console) printSwarm(name string, p api.Swarm) error {
	fmt.Fprintf(c.Stdout, "%s  %s  %s, %s of %s each\n", oneLine(name), p.State, bytesText(p.Size), count(p.Pieces, "piece"), bytesText(int64(p.PieceLength)))
	rows := [][]string{{"", "this node", cells(&p.Have), "", "", "", ""}}
	if len(p.From) > 0 {
		rows = append(rows, []string{"", "came from", fromText(p), "", "", "", ""})
	}
	for i, m := range p.Members {
		state := string(m.State)
		if m.Why != "" {
			state += ": " + m.Why
		}
		who := nodeName(m.Name, m.Id)
		if m.Outside {
			who += " (outside)"
		}
		rtt := "-"
		if m.RttMs != nil {
			rtt = fmt.Sprintf("%.1f ms", *m.RttMs)
		}
		rows = append(rows, []string{
			letter(i), who, cells(m.Have), rateText(float64(m.RateDown)) + " (" + bytesText(m.Got) + ")",
			rateText(float64(m.RateUp)) + " (" + bytesText(m.Gave) + ")", rtt, state,
		})
	}
	if err := table(c.Stdout, []string{"", "WHO", "PIECES", "SENDS", "GETS", "RTT", "STATE"}, rows); err != nil {
		return err
	}
	if p.TookS > 0 {
		text := "took " + tookText(time.Duration(p.TookS*float64(time.Second)))
		if p.Ratio != nil {
			text += fmt.Sprintf(", %.2f times the least that is possible", *p.Ratio)
		}
		fmt.Fprintln(c.Stdout, text)
	}
	return nil
}

// letter names the i-th member in a line of text.
func letter(i int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if i < len(letters) {
		return letters[i : i+1]
	}
	return "*"
}

// cells draws which pieces are there; of what is not known or not understood, a dash.
func cells(have *string) string {
	if have == nil {
		return "-"
	}
	shares, err := base64.StdEncoding.DecodeString(*have)
	if err != nil {
		return "-"
	}
	for i, share := range shares {
		switch share {
		case 0:
			shares[i] = '.'
		case 255:
			shares[i] = '#'
		default:
			shares[i] = '+'
		}
	}
	return string(shares)
}

// fromText draws who sent the pieces.
func fromText(p api.Swarm) string {
	var b strings.Builder
	for _, run := range p.From {
		if len(run) != 2 || run[1] < 0 || b.Len()+run[1] > p.Columns || p.Columns > seed.MaxText {
			return "-"
		}
		who := "."
		switch {
		case run[0] == 0:
			who = "="
		case run[0] > 0:
			who = letter(run[0] - 1)
		}
		b.WriteString(strings.Repeat(who, run[1]))
	}
	return b.String()
}
