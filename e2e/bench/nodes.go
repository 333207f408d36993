package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// start measures the time from exec to the first 200 of /healthz.
func start(ctx context.Context, b *bench) error {
	var took []time.Duration
	for range 15 {
		p, t, err := b.node(ctx, "start")
		if err != nil {
			return err
		}
		took = append(took, t)
		if err := p.stop(); err != nil {
			return err
		}
	}
	report("start to healthz, empty data directory", "median %v, worst of %d %v", quantile(took, .5).Round(time.Millisecond), len(took), quantile(took, 1).Round(time.Millisecond))
	return nil
}

// idle measures what a node with two peers and nothing to do costs.
func idle(ctx context.Context, b *bench) error {
	nodes, err := b.network(ctx, 3)
	if err != nil {
		return err
	}
	const settle, window = 20 * time.Second, 60 * time.Second
	time.Sleep(settle)
	before, err := cpu(nodes[0].cmd.Process.Pid)
	if err != nil {
		return err
	}
	time.Sleep(window)
	after, err := cpu(nodes[0].cmd.Process.Pid)
	if err != nil {
		return err
	}
	mib, err := rss(nodes[0].cmd.Process.Pid)
	if err != nil {
		return err
	}
	report("idle with 2 peers, resident memory", "%.1f MiB", mib)
	report("idle with 2 peers, share of a core", "%.2f %% over %v", 100*float64(after-before)/float64(window), window)
	return stopAll(nodes)
}

// vocabulary is 30,000 words of two to four syllables; the n-th is drawn with a
// probability proportional to 1/n, as in natural text.
func vocabulary(r *rand.Rand) func() string {
	syllables := strings.Fields("ba be bi bo bu da de di do du fa fe fi fo ga ge go ha he hi ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi za ze zo")
	words := make([]string, 30_000)
	for i := range words {
		for range 2 + r.IntN(3) {
			words[i] += syllables[r.IntN(len(syllables))]
		}
	}
	zipf := rand.NewZipf(r, 1.07, 2, uint64(len(words)-1))
	return func() string { return words[zipf.Uint64()] }
}

// corpus writes n text files of about size bytes and returns how many bytes they
// have together. Each of the words is in one of the files.
func corpus(dir string, n, size int, seed uint64, words []string) (int64, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	word := vocabulary(rand.New(rand.NewPCG(1, seed)))
	var total int64
	for i := range n {
		var text strings.Builder
		fmt.Fprintf(&text, "# %s %s\n\n", word(), word())
		for text.Len() < size {
			text.WriteString(word())
			if text.Len()%80 < 8 {
				text.WriteString(".\n")
			} else {
				text.WriteByte(' ')
			}
		}
		if i < len(words) {
			text.WriteString(words[i])
		}
		total += int64(text.Len())
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%04d.md", word(), i)), []byte(text.String()), 0o644); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// searchable has a new node share a folder, and returns how long it takes until all of its
// files can be found, and how many MiB the node has then.
func searchable(ctx context.Context, b *bench, name, dir string, files int) (took time.Duration, mib float64, err error) {
	p, _, err := b.node(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := p.call(ctx, "POST", "/api/folders", map[string]string{"path": dir}, nil); err != nil {
		return 0, 0, err
	}
	if err := p.until(ctx, "indexing", func(s status) bool { return s.Documents == files }); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if mib, err = rss(p.cmd.Process.Pid); err != nil {
		return 0, 0, err
	}
	return took, mib, p.stop()
}

// index measures how fast a folder of text becomes searchable.
func index(ctx context.Context, b *bench) error {
	dir := filepath.Join(b.dir, "index-corpus")
	const files, size = 4000, 8 << 10
	total, err := corpus(dir, files, size, 7, nil)
	if err != nil {
		return err
	}
	took, mib, err := searchable(ctx, b, "index", dir, files)
	if err != nil {
		return err
	}
	report(fmt.Sprintf("indexing %d files, %.1f MB of text", files, float64(total)/1e6), "%.1f MB/s, %v; then %.0f MiB resident", float64(total)/1e6/took.Seconds(), took.Round(time.Millisecond), mib)
	return nil
}

// documents measures how fast a folder of small office documents becomes searchable,
// each of which a child has to unpack.
func documents(ctx context.Context, b *bench) error {
	const files, size = 10_000, 2 << 10
	texts, dir := filepath.Join(b.dir, "document-texts"), filepath.Join(b.dir, "document-corpus")
	total, err := corpus(texts, files, size, 11, nil)
	if err != nil {
		return err
	}
	if err := pack(texts, dir); err != nil {
		return err
	}
	took, mib, err := searchable(ctx, b, "documents", dir, files)
	if err != nil {
		return err
	}
	report(fmt.Sprintf("indexing %d docx files, %.1f MB of text", files, float64(total)/1e6), "%.0f files/s, %.1f MB/s, %v; then %.0f MiB resident",
		files/took.Seconds(), float64(total)/1e6/took.Seconds(), took.Round(time.Millisecond), mib)
	return nil
}

// pack makes a docx of each text of a directory.
func pack(texts, dir string) error {
	entries, err := os.ReadDir(texts)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(texts, e.Name()))
		if err != nil {
			return err
		}
		var file, body bytes.Buffer
		body.WriteString(`<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>`)
		for line := range strings.Lines(string(text)) {
			body.WriteString("<w:p><w:r><w:t>")
			if err := xml.EscapeText(&body, []byte(line)); err != nil {
				return err
			}
			body.WriteString("</w:t></w:r></w:p>")
		}
		body.WriteString("</w:body></w:document>")
		z := zip.NewWriter(&file)
		w, err := z.Create("word/document.xml")
		if err == nil {
			_, err = w.Write(body.Bytes())
		}
		if err == nil {
			err = z.Close()
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, e.Name()+".docx"), file.Bytes(), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// searching measures 50 searches a second over three nodes with 2,000 documents
// each: half of the queries exact, half with a typo.
func searching(ctx context.Context, b *bench) error {
	nodes, err := b.network(ctx, 3)
	if err != nil {
		return err
	}
	const files, rate, seconds = 2000, 50, 30
	words := []string{"network", "harbour", "transformation", "lighthouse", "symphony", "cartography", "mountain", "keyboard"}
	for i, p := range nodes {
		dir := filepath.Join(b.dir, fmt.Sprintf("search-corpus-%d", i))
		if _, err := corpus(dir, files, 4<<10, uint64(i), words); err != nil {
			return err
		}
		if err := p.call(ctx, "POST", "/api/folders", map[string]string{"path": dir}, nil); err != nil {
			return err
		}
	}
	for _, p := range nodes {
		if err := p.until(ctx, "indexing", func(s status) bool { return s.Documents == files }); err != nil {
			return err
		}
	}
	draw := vocabulary(rand.New(rand.NewPCG(1, 0)))
	queries := []string{"netwrk", "harbor", "trasformation", "lighthuose", "symphny", "cartograpy", "mountian", "keybord"}
	for range 2 * len(queries) {
		queries = append(queries, draw()+" "+draw())
	}
	queries = append(queries, words...)
	took, err := load(ctx, nodes[0], queries, rate, rate*seconds)
	if err != nil {
		return err
	}
	report(fmt.Sprintf("search, 3 nodes × %d documents, %d/s", files, rate), "p50 %.1f ms, p99 %.1f ms, worst %.1f ms of %d",
		ms(quantile(took, .5)), ms(quantile(took, .99)), ms(quantile(took, 1)), len(took))
	return stopAll(nodes)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// load sends n queries at a rate per second, whether earlier ones are answered or
// not, and returns how long each took.
func load(ctx context.Context, p *process, queries []string, rate, n int) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	errs := make([]error, n)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var wg sync.WaitGroup
	for i := range n {
		<-tick.C
		wg.Go(func() {
			began := time.Now()
			errs[i] = ask(ctx, client, p.url+"/api/search?q="+url.QueryEscape(queries[i%len(queries)]))
			took[i] = time.Since(began)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
