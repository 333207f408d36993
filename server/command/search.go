package command

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/server/api"
)

// maxHits is how many hits the API gives at once.
const maxHits = 200

type searchCmd struct {
	Query   []string `arg:"" optional:"" name:"query" help:"Words to find; typos are tolerated."`
	Limit   int      `short:"n" default:"20" help:"Hits to show at most: 1 to 200."`
	Fuzz    string   `default:"auto" enum:"auto,0,1,2,3" help:"Edits allowed in a word: auto, 0, 1, 2 or 3."`
	Via     string   `default:"auto" enum:"auto,local,mesh" help:"Whom to ask: auto, local (this node only) or mesh."`
	Cursor  string   `help:"Continue a search: the answer's next." placeholder:"CURSOR"`
	Explain bool     `help:"Show how the answer came about."`
	JSON    bool     `name:"json" help:"Print the API's answer."`
}

// Run searches and prints the hits.
func (s searchCmd) Run(c *console) error {
	text := strings.TrimSpace(strings.Join(s.Query, " "))
	if text == "" {
		return UsageError{"what for? e.g. shoal search netwrk"}
	}
	if s.Limit < 1 || s.Limit > maxHits {
		return UsageError{fmt.Sprintf("--limit %d: 1 to %d", s.Limit, maxHits)}
	}
	q := url.Values{"q": {text}, "limit": {strconv.Itoa(s.Limit)}, "fuzz": {s.Fuzz}, "via": {s.Via}}
	if s.Cursor != "" {
		q.Set("cursor", s.Cursor)
	}
	if s.Explain {
		q.Set("explain", "true")
	}
	var a api.SearchAnswer
	done, err := c.get("/api/search", q, &a, s.JSON)
	if err != nil {
		return err
	}
	if !done {
		if err := c.printAnswer(a); err != nil {
			return err
		}
	}
	if a.Partial {
		return c.partial(a)
	}
	return nil
}

// partial returns an error that names the nodes which did not answer, in as few
// words as tell whether to wait, to switch a computer on, or to look further.
func (c *console) partial(a api.SearchAnswer) error {
	off, silent := c.missing(a)
	var lines []string
	if len(off) > 0 {
		lines = append(lines, notSearched(off, "is off", "are off"))
	}
	if len(silent) > 0 {
		lines = append(lines, notSearched(silent, "did not answer", "did not answer"))
	}
	if len(lines) == 0 {
		lines = append(lines, fmt.Sprintf("%d of %s answered", a.NodesAnswered, count(a.NodesAsked, "node")))
	}
	return outcome{errPartial, fmt.Sprintf("%s (exit %d)", strings.Join(lines, "\n"), ExitPartial)}
}

// missing names the nodes that gave no answer: those without a link, and the rest.
func (c *console) missing(a api.SearchAnswer) (off, silent []string) {
	var peers api.PeerList
	// Without that list all that is known is that they did not answer.
	_, err := c.get("/api/peers", nil, &peers, false)
	for _, n := range a.Nodes {
		if n.Error == "" {
			continue
		}
		unlinked := slices.ContainsFunc(peers.Items, func(p api.Peer) bool { return p.Id == n.Node && !p.Connected && !p.Through })
		if err == nil && unlinked {
			off = append(off, nodeName(n.NodeName, n.Node))
		} else {
			silent = append(silent, nodeName(n.NodeName, n.Node))
		}
	}
	return off, silent
}

func notSearched(names []string, does, do string) string {
	if len(names) == 1 {
		return fmt.Sprintf("%s %s: its files were not searched", names[0], does)
	}
	return fmt.Sprintf("%s %s: their files were not searched", enumerate(names), do)
}

func (c *console) printAnswer(a api.SearchAnswer) error {
	var b strings.Builder
	for _, k := range a.Corrections {
		fmt.Fprintf(&b, "showing %s for %s\n", oneLine(k.To), oneLine(k.From))
	}
	labels := c.labels(a.Hits)
	hits, also := once(a.Hits)
	a.Total -= len(a.Hits) - len(hits)
	a.Hits = hits
	for i, h := range a.Hits {
		where := place(h, labels)
		if len(also[i]) > 0 {
			where += ", also on " + enumerate(also[i])
		}
		fmt.Fprintf(&b, "%s\n  %s\n", c.style.title(oneLine(h.Title)), oneLine(where))
		if snippet := c.style.highlight(h.Snippet); snippet != "" {
			fmt.Fprintf(&b, "  %s\n", snippet)
		}
	}
	fmt.Fprintf(&b, "%s, %s asked, %.0f ms\n", shown(a), count(a.NodesAsked, "node"), a.TookMs)
	c.explain(&b, a)
	_, err := fmt.Fprint(c.Stdout, b.String())
	return err
}

// once returns what several nodes have once, this node's if it has it, and the names of the
// others that have the same.
func once(all []api.Hit) (hits []api.Hit, also [][]string) {
	type file struct {
		id, folder, path string
		size             int64
		modified         int64
	}
	at := map[file]int{}
	for _, h := range all {
		key := file{h.Id, h.Folder, h.Path, h.Size, h.Modified.UnixNano()}
		i, known := at[key]
		if !known {
			at[key] = len(hits)
			hits, also = append(hits, h), append(also, nil)
			continue
		}
		if h.Local {
			h, hits[i] = hits[i], h
		}
		also[i] = append(also[i], nodeName(h.NodeName, h.Node))
	}
	return hits, also
}

// shown says how much of what was found is above.
func shown(a api.SearchAnswer) string {
	switch {
	case len(a.Hits) == 0:
		return "no hits"
	case a.Total > len(a.Hits):
		return fmt.Sprintf("%d of %s", len(a.Hits), count(a.Total, "hit"))
	case a.Truncated:
		return "the best " + count(len(a.Hits), "hit")
	}
	return count(len(a.Hits), "hit")
}

// explain prints what each node did and the trace, if the answer has one.
func (c *console) explain(b *strings.Builder, a api.SearchAnswer) {
	if a.Trace == nil {
		return
	}
	for _, n := range a.Nodes {
		fmt.Fprintf(b, "%s: %s in %.1f ms %s\n", nodeName(n.NodeName, n.Node), count(n.Hits, "hit"), n.TookMs, oneLine(n.Error))
	}
	for _, e := range *a.Trace {
		data, err := json.Marshal(e.Data)
		if err != nil {
			continue // it was JSON a moment ago
		}
		fmt.Fprintf(b, "%s %s\n", oneLine(e.Topic), asciiControls(data))
	}
}

// labels asks for the names of the folders that hits lie in. Without them the
// IDs do.
func (c *console) labels(hits []api.Hit) map[string]string {
	labels := make(map[string]string)
	for _, h := range hits {
		if h.Folder == "" {
			continue
		}
		var list api.FolderList
		if _, err := c.get("/api/folders", nil, &list, false); err != nil {
			return labels
		}
		for _, f := range list.Items {
			labels[f.Id] = f.Label
		}
		return labels
	}
	return labels
}

// place says where a hit is.
func place(h api.Hit, labels map[string]string) string {
	where := nodeName(h.NodeName, h.Node)
	if h.Folder == "" {
		return where
	}
	folder := labels[h.Folder]
	if folder == "" {
		folder = shortID(h.Folder)
	}
	return where + "  " + folder + "/" + h.Path
}

// nodeName is the name of a node, or what people see of its ID.
func nodeName(name, id string) string {
	if name != "" {
		return oneLine(name)
	}
	return oneLine(shortID(id))
}
