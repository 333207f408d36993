package command

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/search/query"
	"github.com/shoal-p2p/shoal/server/api"
)

// rangeCmd is everything about ordered indexes. Keys are whole numbers, sizes or times.
type rangeCmd struct {
	List   rangeListCmd   `cmd:"" aliases:"ls" help:"List the indexes of the network."`
	Make   rangeMakeCmd   `cmd:"" help:"Make an index, once for all members."`
	Put    rangePutCmd    `cmd:"" help:"Put a value at a key of an index, or many from a file."`
	Get    rangeGetCmd    `cmd:"" help:"Get the values from one key to another."`
	Remove rangeRemoveCmd `cmd:"" aliases:"rm" help:"Remove an entry."`
}

type rangeListCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run lists indexes.
func (l rangeListCmd) Run(c *console) error {
	var list api.RangeIndexList
	done, err := c.get("/api/ranges", nil, &list, l.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, `There are no indexes. "shoal range make NAME" makes one.`)
		return nil
	}
	var rows [][]string
	for _, x := range list.Items {
		rows = append(rows, []string{x.Name, fmt.Sprint("below 2^", x.Bits), strconv.Itoa(x.Capacity), viaText(x.Via)})
	}
	return table(c.Stdout, []string{"INDEX", "KEYS", "ROOM", "VIA"}, rows)
}

func viaText(all []api.RangeVia) string {
	var out []string
	for _, v := range all {
		out = append(out, string(v))
	}
	return strings.Join(out, ", ")
}

type rangeMakeCmd struct {
	Name     string   `arg:"" help:"The name of the index."`
	Bits     int      `placeholder:"N" help:"Keys are below 2^N (default: 53)."`
	LeafBits int      `placeholder:"N" help:"A leaf of the segment tree has 2^N keys (default: 1 key)."`
	Capacity int      `placeholder:"N" help:"How many entries a segment is to have (default: 64)."`
	Via      []string `placeholder:"WAY" enum:"dst,pht,buckets" help:"How entries are spread, one or more: a segment tree (dst), a prefix hash tree (pht, the default), equal buckets."`
	JSON     bool     `name:"json" help:"Print the API's answer."`
}

// Run makes an index.
func (m rangeMakeCmd) Run(c *console) error {
	body := api.RangeDefinition{Name: m.Name, Bits: given(m.Bits), LeafBits: given(m.LeafBits), Capacity: given(m.Capacity)}
	if len(m.Via) > 0 {
		via := make([]api.RangeVia, len(m.Via))
		for i, v := range m.Via {
			via[i] = api.RangeVia(v)
		}
		body.Via = &via
	}
	var x api.RangeIndex
	done, err := c.post("/api/ranges", body, &x, m.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "%s: keys below 2^%d, %d entries to a segment, via %s\n", x.Name, x.Bits, x.Capacity, viaText(x.Via))
	return nil
}

type rangePutCmd struct {
	Name  string        `arg:"" help:"The index."`
	Key   string        `arg:"" optional:"" help:"A whole number, a size such as 20mb, or a time such as 2026-01-31 or 2026-01-31T12:00:00Z (UTC)."`
	Value string        `arg:"" optional:"" help:"The value; @FILE is a file's content, - the standard input (default)."`
	ID    string        `name:"id" placeholder:"TEXT" help:"Which entry of the key (default: the value)."`
	TTL   time.Duration `name:"ttl" placeholder:"TIME" help:"How long it is kept, such as 90s or 24h (default: until it is removed)."`
	Lines string        `placeholder:"FILE" help:"Put many: a key, a blank and a value in each line of the file (- is the standard input)."`
	dhtShown
}

// insertAtOnce is how many entries one request puts.
const insertAtOnce = 2000

// Run puts entries.
func (p rangePutCmd) Run(c *console) error {
	switch {
	case p.Lines != "" && p.Key != "":
		return UsageError{"range put: a key or --lines, not both"}
	case p.Lines != "":
		return p.many(c)
	case p.Key == "":
		return UsageError{"range put: at which key? Or many: --lines FILE"}
	}
	key, _, err := rangeKeys(p.Key)
	if err != nil {
		return UsageError{"range put: " + err.Error()}
	}
	value, err := c.value(p.Value)
	if err != nil {
		return err
	}
	e := api.RangeEntry{Key: key, Id: given(p.ID), TtlS: ttlSeconds(p.TTL)}
	e.Value, e.ValueBase64 = textOrBase64(value)
	var got api.RangeInserted
	done, err := c.post(rangePath(p.Name), api.RangeInsert{Entries: []api.RangeEntry{e}}, &got, p.JSON)
	if done || err != nil {
		return err
	}
	for _, v := range got.Items[0].Via {
		text := "at " + segmentsText(v.At)
		if len(v.Full) > 0 {
			text += "; no room at " + segmentsText(v.Full)
		}
		fmt.Fprintf(c.Stdout, "%s: %s\n", v.Via, text)
	}
	fmt.Fprintf(c.Stdout, "entry %s\n", got.Items[0].Entry)
	if p.Trace {
		return c.tellSteps(got.Trace)
	}
	return nil
}

// many puts the lines of a file.
func (p rangePutCmd) many(c *console) error {
	in, closeInput, err := c.input(p.Lines)
	if err != nil {
		return err
	}
	defer closeInput()
	var entries []api.RangeEntry
	stored, rounds, messages := 0, 0, 0
	flush := func() error {
		if len(entries) == 0 {
			return nil
		}
		var got api.RangeInserted
		if _, err := c.post(rangePath(p.Name), api.RangeInsert{Entries: entries}, &got, p.JSON); err != nil {
			return err
		}
		stored, rounds, messages = stored+got.Stored, rounds+got.Trace.Rounds, messages+got.Trace.Messages
		for _, item := range got.Items {
			if item.Status != "ok" {
				fmt.Fprintf(c.Stderr, "key %d: %s\n", item.Key, item.Status)
			}
		}
		entries = entries[:0]
		return nil
	}
	n := 0 // entries
	for at := 1; ; at++ {
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := err != nil
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			n++
			word, value, _ := strings.Cut(strings.TrimLeft(line, " \t"), " ")
			if tab := strings.IndexByte(line, '\t'); tab >= 0 {
				word, value = strings.TrimSpace(line[:tab]), line[tab+1:]
			}
			key, _, err := rangeKeys(word)
			if err != nil {
				if before := n - 1 - len(entries); before > 0 && !p.JSON {
					err = fmt.Errorf("%w; of the %s before it %d are stored", err, number(before, "entry", "entries"), stored)
				}
				return fmt.Errorf("line %d: %w", at, err)
			}
			entries = append(entries, api.RangeEntry{Key: key, Value: &value, Id: given(p.ID), TtlS: ttlSeconds(p.TTL)})
		}
		if last || len(entries) == insertAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
		if last {
			break
		}
	}
	if !p.JSON {
		fmt.Fprintf(c.Stdout, "%d of %s stored, in %s and %s\n", stored, number(n, "entry", "entries"), count(rounds, "round"), count(messages, "message"))
	}
	if stored < n && !p.JSON {
		return fmt.Errorf("%d entries were not stored", n-stored)
	}
	return nil
}

type rangeGetCmd struct {
	Name       string `arg:"" help:"The index."`
	Range      string `arg:"" optional:"" help:"FROM..TO, FROM.., ..TO or one key (default: all); keys as for put."`
	Via        string `placeholder:"WAY" enum:",dst,pht,buckets" default:"" help:"Ask in this way: dst, pht or buckets (default: the index's first)."`
	Limit      int    `default:"100" placeholder:"N" help:"At most so many entries, up to 4096 (default: 100)."`
	Descending bool   `help:"From the last to the first."`
	After      string `placeholder:"ENTRY" help:"Go on after this entry."`
	Entries    bool   `help:"Print which entry each is, for remove and --after."`
	dhtShown
}

// Run asks for a range.
func (g rangeGetCmd) Run(c *console) error {
	q := url.Values{"limit": {strconv.Itoa(g.Limit)}}
	from, to, isRange := strings.Cut(g.Range, "..")
	if !isRange {
		to = from
	}
	for name, text := range map[string]string{"from": from, "to": to} {
		if text == "" {
			continue
		}
		key, last, err := rangeKeys(text)
		if err != nil {
			return UsageError{"range get: " + err.Error()}
		}
		if name == "to" {
			key = last
		}
		q.Set(name, strconv.FormatInt(key, 10))
	}
	for name, text := range map[string]string{"via": g.Via, "after": g.After} {
		if text != "" {
			q.Set(name, text)
		}
	}
	if g.Descending {
		q.Set("descending", "true")
	}
	var a api.RangeAnswer
	done, err := c.get(rangePath(g.Name), q, &a, g.JSON)
	if done || err != nil {
		return err
	}
	if len(a.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing is there.")
	}
	var rows [][]string
	for _, e := range a.Items {
		value := "(no text)"
		if e.Value != nil {
			value = oneLine(*e.Value)
		}
		row := []string{strconv.FormatInt(e.Key, 10), value, nodeName(e.AuthorName, e.Author)}
		if g.Entries {
			row = append(row, e.Entry)
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		if err := table(c.Stdout, []string{"KEY", "VALUE", "AUTHOR", "ENTRY"}[:len(rows[0])], rows); err != nil {
			return err
		}
	}
	if a.Next != nil {
		fmt.Fprintf(c.Stderr, "There is more: --after %s\n", *a.Next)
	}
	if a.Partial {
		fmt.Fprintln(c.Stderr, "Some of those who keep a part could not be asked: this may not be all.")
	}
	if !g.Trace {
		return nil
	}
	rows = nil
	for _, s := range a.Segments {
		rows = append(rows, []string{strconv.Itoa(s.Round), fmt.Sprintf("[%d..%d]", s.From, s.To), number(s.Entries, "entry", "entries"), strings.TrimSpace(yesText(s.Full, "full: ask below ") + yesText(s.Mended, "full no more ") + yesText(s.Failed, "not reached"))})
	}
	fmt.Fprintln(c.Stdout)
	if err := table(c.Stdout, []string{"ROUND", "SEGMENT", "HAS", ""}, rows); err != nil {
		return err
	}
	return c.tellSteps(a.Trace)
}

type rangeRemoveCmd struct {
	Name  string `arg:"" help:"The index."`
	Entry string `arg:"" help:"The entry, as \"shoal range get --entries\" prints it."`
}

// Run removes an entry.
func (r rangeRemoveCmd) Run(c *console) error {
	_, err := c.call(http.MethodDelete, rangePath(r.Name)+"/"+url.PathEscape(r.Entry), nil, nil)
	return err
}

func rangePath(name string) string { return "/api/ranges/" + url.PathEscape(name) }

func segmentsText(all []api.RangeSegment) string {
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("[%d..%d]", s.From, s.To))
	}
	return strings.Join(out, " ")
}

// rangeKeys reads a key: a whole number, or a size or time as searches have them. A time is in
// seconds since 1970 and stands for all that it names: a day from first to last.
func rangeKeys(text string) (first, last int64, err error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, n, nil
	}
	if from, to, ok := query.Span(text); ok && from.Unix() >= 0 {
		return from.Unix(), to.Unix(), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && at.Unix() >= 0 { // of another zone
		return at.Unix(), at.Unix(), nil
	}
	if n, ok := query.Size(text); ok {
		return n, n, nil
	}
	return 0, 0, fmt.Errorf("key %.40q: want a whole number, a size such as 20mb, or a time such as 2026-01-31", text)
}
