package command

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/server/api"
)

// unpublished is said where the table has nothing that was asked for.
const unpublished = "Nothing was found. Documents are found here that members have published: shoal serve --publish."

type wordsCmd struct {
	Query     []string `arg:"" optional:"" name:"word" help:"Words to find, all of them."`
	Any       bool     `help:"Any of the words."`
	Plan      string   `default:"auto" enum:"auto,lists,sequential,parallel,pairs" help:"How: lists, sequential or parallel (Bloom filters), pairs (XOR of keys), or auto (default)."`
	Similar   int      `placeholder:"N" help:"Words that are up to N edits away too: 1 or 2."`
	Limit     int      `short:"n" default:"20" help:"Hits to show at most: 1 to 1000."`
	Published bool     `help:"Show what this node keeps at its words."`
	Explain   bool     `help:"Show how the answer came about, and what it took."`
	JSON      bool     `name:"json" help:"Print the API's answer."`
}

// Run searches, or says what is published.
func (w wordsCmd) Run(c *console) error {
	if w.Published {
		return w.published(c)
	}
	text := strings.TrimSpace(strings.Join(w.Query, " "))
	if text == "" {
		return UsageError{"words: which ones? e.g. shoal words distributed table"}
	}
	if w.Limit < 1 || w.Limit > 1000 {
		return UsageError{fmt.Sprintf("words --limit %d: 1 to 1000", w.Limit)}
	}
	if w.Similar < 0 || w.Similar > 2 {
		return UsageError{fmt.Sprintf("words --similar %d: 0, 1 or 2", w.Similar)}
	}
	q := url.Values{"q": {text}, "limit": {strconv.Itoa(w.Limit)}, "plan": {w.Plan}, "similar": {strconv.Itoa(w.Similar)}}
	if w.Any {
		q.Set("any", "true")
	}
	var a api.WordsAnswer
	done, err := c.get("/api/words", q, &a, w.JSON)
	if done || err != nil {
		return err
	}
	if len(a.Hits) == 0 {
		fmt.Fprintln(c.Stderr, unpublished)
	}
	var rows [][]string
	for _, h := range a.Hits {
		where := h.Path
		if where == "" {
			where = h.Title
		}
		rows = append(rows, []string{oneLine(where), nodeName(h.NodeName, h.Node), strings.Join(h.Terms, " ")})
	}
	if len(rows) > 0 {
		if err := table(c.Stdout, []string{"DOCUMENT", "NODE", "AT"}, rows); err != nil {
			return err
		}
	}
	for _, t := range a.Terms {
		var similar []string
		for _, s := range t.Similar {
			similar = append(similar, s.Word)
		}
		if len(similar) > 0 {
			fmt.Fprintf(c.Stderr, "%s: also %s\n", t.Word, strings.Join(similar, ", "))
		}
		if t.Dropped {
			fmt.Fprintf(c.Stderr, "%s: left out, %d documents have it\n", t.Word, *t.Documents)
		}
	}
	if a.Truncated {
		fmt.Fprintf(c.Stderr, "There is more than is shown: %d were found.\n", a.Total)
	}
	if a.Partial {
		fmt.Fprintln(c.Stderr, "Some of those who keep a word could not be asked: this may not be all.")
	}
	if !w.Explain {
		return nil
	}
	fmt.Fprintf(c.Stdout, "\nplan %s\n", a.Plan)
	rows = nil
	for _, s := range a.Steps {
		filters := "-"
		if len(s.Filters) > 0 {
			sum := 0
			for _, n := range s.Filters {
				sum += n
			}
			filters = fmt.Sprintf("%d, %s", len(s.Filters), bytesText(int64(sum)))
		}
		rows = append(rows, []string{s.What, strconv.Itoa(s.Keys), strconv.Itoa(s.Rounds), strconv.Itoa(s.Messages), bytesText(int64(s.Bytes)), strconv.Itoa(s.Got), filters})
	}
	if err := table(c.Stdout, []string{"STEP", "KEYS", "ROUNDS", "MESSAGES", "BYTES", "ENTRIES", "FILTERS"}, rows); err != nil {
		return err
	}
	return c.tellSteps(a.Trace)
}

func (w wordsCmd) published(c *console) error {
	var p api.Published
	done, err := c.get("/api/words/published", nil, &p, w.JSON)
	if done || err != nil {
		return err
	}
	if !p.Enabled {
		fmt.Fprintln(c.Stdout, "This node publishes nothing; shoal serve --publish does.")
		return nil
	}
	fmt.Fprintf(c.Stdout, "published  %d of %s, at %s\n", p.Published, count(p.Documents, "document"), count(p.Words, "word"))
	if p.Waiting > 0 {
		fmt.Fprintf(c.Stdout, "waiting    %d\n", p.Waiting)
	}
	if p.Skipped > 0 {
		fmt.Fprintf(c.Stdout, "no room    %d\n", p.Skipped)
	}
	if p.Failed != nil {
		fmt.Fprintf(c.Stdout, "trouble    %s\n", oneLine(*p.Failed))
	}
	fmt.Fprintf(c.Stdout, "found for  %.0f hours when this node is gone\n", p.TtlS/3600)
	return nil
}
