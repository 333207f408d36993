package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/server/api"
)

// maxHits is how many hits the API gives at once.
const maxHits = 200

// maxWords is how many words it gives at once.
const maxWords = 50

type searchCmd struct {
	Query   []string `arg:"" optional:"" name:"query" help:"What to find; typos are tolerated. In quotes: 'network OR \"peer to peer\" NOT draft', 'ext:pdf,odt size:>1mb modified:2025..2026'."`
	Filter  string   `help:"What must hold besides, such as 'type:pdf modified:2026'." placeholder:"CONDITIONS"`
	Sort    string   `default:"relevance" enum:"relevance,modified,size,name" help:"Which come first: relevance, modified, size or name."`
	Order   string   `default:"" enum:",asc,desc" help:"The other way round: asc or desc."`
	Facets  bool     `help:"Count the hits by type, folder, year and node."`
	Limit   int      `short:"n" default:"20" help:"Hits to show at most: 1 to 200."`
	Fuzz    string   `default:"auto" enum:"auto,0,1,2,3" help:"Edits allowed in a word: auto, 0, 1, 2 or 3."`
	Mode    string   `default:"keyword" enum:"keyword,similar" help:"keyword, or similar: also words that are up to 2 edits away, however short, or as many as --fuzz says."`
	Via     string   `default:"auto" enum:"auto,local,mesh,dht" help:"Whom to ask: auto, local (this node only), mesh, or dht (the table: what members have published)."`
	Plan    string   `default:"auto" enum:"auto,lists,sequential,parallel,pairs,dst,pht,buckets" help:"How, with --via dht: auto; for words lists, sequential, parallel or pairs; for a range of size, modified or a field the tree, dst or pht, or buckets, the simple partition."`
	Cursor  string   `help:"Continue a search: the answer's next." placeholder:"CURSOR"`
	Explain bool     `help:"Show how the answer came about."`
	Words   bool     `help:"Do not search, but show words of all members that the last one may be meant to be: shoal search --words netw."`
	JSON    bool     `name:"json" help:"Print the API's answer."`
}

// Run searches and prints the hits.
func (s searchCmd) Run(c *console) error {
	text := strings.TrimSpace(strings.Join(s.Query, " "))
	if text == "" && s.Filter == "" {
		return UsageError{"what for? e.g. shoal search netwrk"}
	}
	if s.Limit < 1 || s.Limit > maxHits {
		return UsageError{fmt.Sprintf("--limit %d: 1 to %d", s.Limit, maxHits)}
	}
	if s.Words {
		return s.complete(c, text)
	}
	q := url.Values{"q": {text}, "limit": {strconv.Itoa(s.Limit)}, "fuzz": {s.Fuzz}, "via": {s.Via}}
	for name, v := range map[string]string{"cursor": s.Cursor, "filter": s.Filter, "order": s.Order} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if s.Mode != "keyword" {
		q.Set("mode", s.Mode)
	}
	if s.Sort != "relevance" {
		q.Set("sort", s.Sort)
	}
	if s.Facets {
		q.Set("facets", "true")
	}
	if s.Plan != "auto" {
		q.Set("plan", s.Plan)
	}
	if s.Explain {
		q.Set("explain", "true")
	}
	var a api.SearchAnswer
	done, err := c.get("/api/search", q, &a, s.JSON)
	if err != nil {
		c.pointOut(err, map[string]string{"q": text, "filter": s.Filter})
		return err
	}
	if !done {
		if err := c.printAnswer(a); err != nil {
			return err
		}
		if len(a.Hits) == 0 && s.Via == "dht" {
			fmt.Fprintln(c.Stderr, unpublished)
		}
	}
	if a.Partial {
		return c.partial(a)
	}
	return nil
}

// complete shows words for the last one of a text.
func (s searchCmd) complete(c *console, text string) error {
	var a api.CompletionList
	done, err := c.get("/api/search/completions", url.Values{"q": {text}, "limit": {strconv.Itoa(min(s.Limit, maxWords))}}, &a, s.JSON)
	if done || err != nil {
		return err
	}
	if len(a.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No word of any member begins so, or is like it.")
		return nil
	}
	var rows [][]string
	for _, w := range a.Items {
		rows = append(rows, []string{oneLine(w.Word), "~" + strconv.Itoa(w.Documents), strconv.Itoa(w.Distance)})
	}
	return table(c.Stdout, []string{"WORD", "DOCUMENTS", "EDITS"}, rows)
}

// pointOut shows where in one of the texts that were asked the mistake is that err is
// about.
func (c *console) pointOut(err error, texts map[string]string) {
	var p *problem
	if !errors.As(err, &p) || p.Parameter == nil || p.Position == nil || len(*p.Position) != 2 {
		return
	}
	text := []rune(oneLine(texts[*p.Parameter]))
	start, end := (*p.Position)[0], (*p.Position)[1]
	if len(text) != utf8.RuneCountInString(texts[*p.Parameter]) || start < 0 || start >= end || end > len(text) {
		return // what cannot be shown as it is takes more room than it has characters
	}
	fmt.Fprintf(c.Stderr, "%s\n%s%s\n", string(text), strings.Repeat(" ", start), strings.Repeat("^", end-start))
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
	if len(lines) == 0 && a.NodesAnswered == a.NodesAsked {
		lines = append(lines, fmt.Sprintf("only the %s were asked that are linked: the network has more; shoal words finds what is published", count(a.NodesAsked, "node")))
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
	c.facets(&b, a, labels)
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

// facets prints how many hits have which property, if the answer says so.
func (c *console) facets(b *strings.Builder, a api.SearchAnswer, labels map[string]string) {
	if a.Facets == nil {
		return
	}
	for _, one := range []struct {
		name string
		list []api.FacetCount
	}{{"type", a.Facets.Type}, {"folder", a.Facets.Folder}, {"year", a.Facets.Year}, {"node", a.Facets.Node}} {
		if len(one.list) == 0 {
			continue
		}
		parts := make([]string, len(one.list))
		for i, v := range one.list {
			name := v.Value
			switch {
			case v.Name != nil:
				name = nodeName(*v.Name, v.Value)
			case one.name == "folder":
				name = cmp.Or(labels[v.Value], shortID(v.Value))
			}
			parts[i] = fmt.Sprintf("%s %d", oneLine(name), v.Count)
		}
		fmt.Fprintf(b, "%s: %s\n", one.name, strings.Join(parts, ", "))
	}
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
