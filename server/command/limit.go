package command

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/server/api"
)

// Rate is how fast contents are carried at most, in bytes per second. 0: as fast as it goes.
type Rate int64

// rateUnits are what a number is multiplied with; those with "bit" are of bits.
var rateUnits = map[string]float64{
	"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	"bit": 1. / 8, "kbit": 1e3 / 8, "mbit": 1e6 / 8, "gbit": 1e9 / 8, "kbps": 1e3 / 8, "mbps": 1e6 / 8, "gbps": 1e9 / 8,
}

// Bounds of a Rate that is one, in bytes per second.
const (
	leastRate = 1000
	mostRate  = 1e12
)

// wantRate says what a rate looks like.
const wantRate = "a rate such as 20mbit, 2.5MB or 500k (per second, at least 1k), or 0 for none"

// parseRate reads a rate as people write it: 20mbit, 2MB, 500k, with or without /s.
func parseRate(text string) (Rate, error) {
	text = strings.ToLower(strings.ReplaceAll(text, " ", ""))
	if text == "none" || text == "off" {
		return 0, nil
	}
	text = strings.TrimSuffix(text, "/s")
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	unit, known := rateUnits[text[end:]]
	n, err := strconv.ParseFloat(text[:end], 64)
	if err != nil || !known {
		return 0, errors.New("not a rate")
	}
	n = math.Round(n * unit)
	if n != 0 && n < leastRate || n > mostRate {
		return 0, errors.New("not a possible rate")
	}
	return Rate(n), nil
}

// String writes a rate for people.
func (r Rate) String() string {
	if r == 0 {
		return "none"
	}
	return fmt.Sprintf("%s/s (%s)", bytesText(int64(r)), bitsText(int64(r)*8))
}

// bitsText writes a rate as those who sell connections do.
func bitsText(n int64) string {
	value, unit := float64(n)/1000, 0
	for value >= 999.95 && unit < 4 {
		value /= 1000
		unit++
	}
	return fmt.Sprintf("%.4g %cbit", value, "kMGTP"[unit])
}

// LimitFlags are the limits of a node that are given at its start; nil: as they were set last.
type LimitFlags struct {
	LimitUp       *Rate `placeholder:"RATE" from:"SHOAL_LIMIT_UP" help:"How fast contents go to other members at most, together, such as 20mbit, 2MB or 500k a second; 0: no limit (default: as set last)."`
	LimitDown     *Rate `placeholder:"RATE" from:"SHOAL_LIMIT_DOWN" help:"How fast contents come from others at most, together."`
	LimitPeerUp   *Rate `placeholder:"RATE" from:"SHOAL_LIMIT_PEER_UP" help:"How fast contents go to each member at most."`
	LimitPeerDown *Rate `placeholder:"RATE" from:"SHOAL_LIMIT_PEER_DOWN" help:"How fast contents come from each member at most."`
}

// Over returns limits with those that are given in their place.
func (l LimitFlags) Over(r link.Rates) link.Rates {
	for _, f := range []struct {
		given *Rate
		to    *int64
	}{{l.LimitUp, &r.Up}, {l.LimitDown, &r.Down}, {l.LimitPeerUp, &r.PeerUp}, {l.LimitPeerDown, &r.PeerDown}} {
		if f.given != nil {
			*f.to = int64(*f.given)
		}
	}
	return r
}

type limitCmd struct {
	Up       *Rate `placeholder:"RATE" help:"To all members together: 20mbit, 2MB, 500k; 0: no limit."`
	Down     *Rate `placeholder:"RATE" help:"From all members together."`
	PeerUp   *Rate `placeholder:"RATE" help:"To each member."`
	PeerDown *Rate `placeholder:"RATE" help:"From each member."`
	JSON     bool  `name:"json" help:"Print the API's answer."`
}

// Help says what limits are of.
func (limitCmd) Help() string {
	return "Limits hold at once, for contents of seeds and of folders alike, and also after the next start, unless a flag of serve says otherwise. What is not named stays as it is. k, MB and GB are bytes; kbit, mbit and gbit are bits."
}

// Run shows the limits, or changes some.
func (l limitCmd) Run(c *console) error {
	var now api.Limits
	change := l.Up != nil || l.Down != nil || l.PeerUp != nil || l.PeerDown != nil
	done, err := c.get("/api/limits", nil, &now, l.JSON && !change)
	if done || err != nil {
		return err
	}
	if change {
		r := LimitFlags{l.Up, l.Down, l.PeerUp, l.PeerDown}.Over(link.Rates{Up: now.Up, Down: now.Down, PeerUp: now.PeerUp, PeerDown: now.PeerDown})
		answer, err := c.call(http.MethodPut, "/api/limits", nil, map[string]int64{"up": r.Up, "down": r.Down, "peer_up": r.PeerUp, "peer_down": r.PeerDown})
		if err != nil {
			return err
		}
		if done, err := c.show("/api/limits", answer, &now, l.JSON); done || err != nil {
			return err
		}
	}
	for _, row := range []struct {
		what string
		rate int64
	}{{"up", now.Up}, {"down", now.Down}, {"peer up", now.PeerUp}, {"peer down", now.PeerDown}} {
		fmt.Fprintf(c.Stdout, "%-9s  %v\n", row.what, Rate(row.rate))
	}
	return nil
}
