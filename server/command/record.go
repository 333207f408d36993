package command

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

// keptBy says who has a record.
func keptBy(replicas []api.DhtReplica, copies int) string {
	var have, not []string
	for _, r := range replicas {
		switch string(r.Status) {
		case dht.StatusOK.String(), dht.StatusUnchanged.String(), dht.StatusPrepared.String():
			have = append(have, nodeName(r.Name, r.Id))
		default:
			not = append(not, nodeName(r.Name, r.Id)+" ("+string(r.Status)+")")
		}
	}
	text := number(copies, "copy", "copies") + " at " + strings.Join(have, ", ")
	if not != nil {
		text += "; not at " + strings.Join(not, ", ")
	}
	return text
}

func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// writeRaw writes the bytes of the only value.
func (c *console) writeRaw(f api.DhtFound) error {
	if len(f.Items) != 1 {
		return fmt.Errorf("there are %d values, not one: name it with --content", len(f.Items))
	}
	b, err := valueOf(f.Items[0])
	if err == nil {
		_, err = c.Stdout.Write(b)
	}
	return err
}

func valueOf(r api.DhtRecord) ([]byte, error) {
	switch {
	case r.ValueBase64 != nil:
		return *r.ValueBase64, nil
	case r.Value != nil:
		return []byte(*r.Value), nil
	}
	return nil, errors.New("the record has no value")
}

func (c *console) tellFound(f api.DhtFound, trace bool) error {
	if len(f.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing is there.")
	} else if err := c.tellRecords(f.Items); err != nil {
		return err
	}
	if f.More {
		fmt.Fprintln(c.Stderr, "There are more: --limit, or --from the last content key on.")
	}
	for _, r := range f.Replicas {
		if r.Error != nil {
			fmt.Fprintf(c.Stderr, "%s could not be asked: %s\n", nodeName(r.Name, r.Id), oneLine(*r.Error))
		}
	}
	if trace {
		return c.tellSteps(f.Trace)
	}
	return nil
}

// noKey is the key that was not given.
var noKey = strings.Repeat("0", 64)

func shortKey(k string) string {
	if k == noKey {
		return "-"
	}
	return k[:12]
}

func (c *console) tellRecords(items []api.DhtRecord) error {
	var rows [][]string
	for _, r := range items {
		rows = append(rows, []string{shortKey(r.Domain), shortKey(r.Content), orDash(zeroOf(r.Version)), bytesText(int64(r.Size)), recordLeft(r), nodeName(r.AuthorName, r.Author), protectText(r), shownValue(r)})
	}
	return table(c.Stdout, []string{"DOMAIN", "CONTENT", "VERSION", "SIZE", "LEFT", "AUTHOR", "PROTECTED", "VALUE"}, rows)
}

// protectText says what a record protects, and for whom.
func protectText(r api.DhtRecord) string {
	if len(r.Protect) == 0 {
		return "-"
	}
	text := strings.Join(r.Protect, ",")
	if r.Owner != nil && r.OwnerName != nil {
		text += " of " + nodeName(*r.OwnerName, *r.Owner)
	}
	return text
}

func recordLeft(r api.DhtRecord) string {
	if r.LeftS == nil {
		return "-"
	}
	return time.Duration(*r.LeftS * float64(time.Second)).Round(time.Second).String()
}

// shownValueLength is how much of a value a list shows.
const shownValueLength = 60

func shownValue(r api.DhtRecord) string {
	switch {
	case r.Kind == api.Tombstone:
		return "(removed)"
	case r.Value != nil:
		text := []rune(*r.Value)
		if len(text) > shownValueLength {
			return string(text[:shownValueLength]) + "…"
		}
		return string(text)
	case r.ValueBase64 != nil:
		return fmt.Sprintf("(bytes, %x…)", (*r.ValueBase64)[:min(8, len(*r.ValueBase64))])
	default:
		return ""
	}
}

// tellSteps prints a trace.
func (c *console) tellSteps(t api.DhtTrace) error {
	var rows [][]string
	for _, s := range t.Steps {
		name := s.To
		if s.ToName != nil {
			name = nodeName(*s.ToName, s.To)
		}
		if s.To == s.From {
			name += " (itself)"
		}
		rows = append(rows, []string{strconv.Itoa(s.Round), s.Operation, name, strconv.Itoa(s.Items), strconv.Itoa(s.BytesOut), strconv.Itoa(s.BytesIn), fmt.Sprintf("%.1f", s.TookMs), s.Outcome})
	}
	if err := table(c.Stdout, []string{"ROUND", "WHAT", "TO", "ITEMS", "OUT", "IN", "MS", "OUTCOME"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "%s, %s, %s, %.1f ms\n", count(t.Rounds, "round"), count(t.Messages, "message"), bytesText(int64(t.Bytes)), t.TookMs)
	return nil
}
