package command

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"net/url"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/server/api"
)

type dhtLookupCmd struct {
	Key  string `arg:"" help:"Any text, or hex: and 64 digits."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run asks the way to a key and shows each question.
func (l dhtLookupCmd) Run(c *console) error {
	var found api.DhtLookup
	done, err := c.get("/api/dht/lookup", url.Values{"key": {l.Key}}, &found, l.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "key %s\n%s\n\n", found.Key, lookupReason(found.Lookups, found.Roster, found.Size))
	var rows [][]string
	for _, a := range found.Asked {
		by, said := "-", count(len(a.Named), "member")
		if a.NamedBy != nil {
			by = nodeName(*a.NamedByName, *a.NamedBy)
		}
		if a.Strangers > 0 {
			said += fmt.Sprintf(", and %d that are none", a.Strangers)
		}
		if a.Error != nil {
			said = oneLine(*a.Error)
		}
		rows = append(rows, []string{strconv.Itoa(a.Round), nodeName(a.Name, a.Id), strconv.Itoa(sameBits(a.Distance)), by, wayText(a), fmt.Sprintf("%.1f", a.TookMs), said})
	}
	if len(rows) == 0 {
		fmt.Fprintln(c.Stdout, "Nobody could be asked.")
	} else if err := table(c.Stdout, []string{"ROUND", "ASKED", "BITS", "NAMED BY", "WAY", "MS", "NAMES"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(c.Stdout)
	rows = nil
	for _, m := range found.Items {
		rows = append(rows, []string{yesText(m.Keeps, "keeps it"), nodeName(m.Name, m.Id) + yesText(m.Self, " (this node)"), strconv.Itoa(sameBits(m.Distance)), m.Position[:12], m.Distance[:12]})
	}
	if err := table(c.Stdout, []string{"", "NEAREST", "BITS", "POSITION", "DISTANCE"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "\n%s in %s, %.1f ms\n", count(len(found.Asked), "question"), count(found.Rounds, "round"), found.TookMs)
	if found.Crowded {
		fmt.Fprintf(c.Stdout, "Members sit nearer to this key than chance would have them (probability %.1g).\n", found.Chance)
	}
	return nil
}

// lookupReason says whether this node needs to ask the way.
func lookupReason(lookups bool, roster, size int) string {
	if lookups {
		return fmt.Sprintf("There are more than %s: this node asks the way to each key. It takes the network for one of about %d.", count(roster, "member"), size)
	}
	return fmt.Sprintf("Up to %s this node knows who keeps a key, and its puts and gets need not ask the way.", count(roster, "member"))
}

// wayText says how a question came there, or who has answered in its place.
func wayText(a api.DhtAsked) string {
	switch {
	case a.StandIn != nil:
		text := fmt.Sprintf("answered by relay %s from a snapshot of %s ago", nodeName(a.StandIn.Name, a.StandIn.Id), secondsText(a.StandIn.AgeMs))
		if a.StandIn.GoneMs > 0 {
			text += fmt.Sprintf(", gone for %s", secondsText(a.StandIn.GoneMs))
		}
		return text
	case a.Via == nil:
		return "-"
	case *a.Via == a.Id:
		return "linked"
	default:
		return fmt.Sprintf("by %s, %s", nodeName(*a.ViaName, *a.Via), count(a.Hops, "hop"))
	}
}

// secondsText rounds milliseconds down to seconds.
func secondsText(ms float64) string { return fmt.Sprintf("%d s", int(ms/1000)) }

// sameBits counts the zero bits that a distance begins with.
func sameBits(distance string) int {
	b, err := hex.DecodeString(distance)
	if err != nil {
		return 0
	}
	n := 0
	for _, x := range b {
		n += bits.LeadingZeros8(x)
		if x != 0 {
			break
		}
	}
	return n
}

type dhtBucketsCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run shows the buckets, the far half of the key space first.
func (b dhtBucketsCmd) Run(c *console) error {
	var found api.DhtBuckets
	done, err := c.get("/api/dht/buckets", nil, &found, b.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "position %s\n%s\n\n", found.Position, lookupReason(found.Lookups, found.Roster, found.Size))
	var rows [][]string
	for _, one := range found.Items {
		var names []string
		for _, m := range one.Members {
			names = append(names, nodeName(m.Name, m.Id)+yesText(!m.Linked, " (not linked)"))
		}
		rows = append(rows, []string{strconv.Itoa(one.Bits), otherSide(found.Position, one.Bits), fmt.Sprintf("%d of %d", len(one.Members), found.K), strings.Join(names, ", ")})
	}
	if len(rows) == 0 {
		fmt.Fprintln(c.Stdout, "This node knows nobody yet.")
		return nil
	}
	return table(c.Stdout, []string{"BITS", "PREFIX", "FULL", "MEMBERS"}, rows)
}

// otherSide is how the positions of a bucket begin: as this node's, but for the last bit.
func otherSide(position string, shared int) string {
	b, err := hex.DecodeString(position)
	if err != nil || shared >= 8*len(b) {
		return "-"
	}
	const most = 16
	var text strings.Builder
	if shared > most {
		text.WriteString("…")
	}
	for i := max(shared-most, 0); i <= shared; i++ {
		bit := b[i/8] >> (7 - i%8) & 1
		if i == shared {
			bit ^= 1
		}
		text.WriteByte('0' + bit)
	}
	return text.String()
}
