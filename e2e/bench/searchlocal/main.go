//go:build unix

// Command searchlocal measures the search of one node over many documents: how fast they are
// indexed, how large the index is, how long queries take; and, if it is built with SQLite's
// full-text search, the same for that with the same text and queries.
//
//	go run -tags sqlite_fts5 ./e2e/bench/searchlocal [-documents N] [-words N] [-queries N] [-rounds N] [-only REGEXP]
//	go run ./e2e/bench/searchlocal -write DIR    # only the documents as files, and queries, for e2e/bench/page.mjs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/store"
)

func main() {
	documents := flag.Int("documents", 100_000, "documents")
	words := flag.Int("words", 500, "words of a document, on average")
	queries := flag.Int("queries", 300, "queries of each kind")
	prose := flag.String("prose", "", "Go sources, whose comments the text is made like (default: those of Go itself)")
	only := flag.String("only", "", "regular expression of the kinds of queries (default: all)")
	rounds := flag.Int("rounds", 1, "how often all queries are asked, after once to warm up; the median of each counts")
	profiles := flag.String("profiles", "", "directory for CPU profiles of indexing, opening and asking")
	write := flag.String("write", "", "an empty directory for the documents as files, and queries as people type them; nothing is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	kinds, err := regexp.Compile(*only)
	if err == nil {
		b := bench{documents: *documents, words: *words, queries: *queries, rounds: max(*rounds, 1), prose: *prose, kinds: kinds, profiles: *profiles}
		if *write != "" {
			err = b.write(ctx, *write)
		} else {
			err = b.measure(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "searchlocal:", err)
		os.Exit(1)
	}
}

// bench is what is measured.
type bench struct {
	documents, words, queries, rounds int
	prose                             string
	kinds                             *regexp.Regexp
	profiles                          string // a directory; empty: none are written
}

// profile writes what the processor does until the end of f.
func (b *bench) profile(name string, f func() error) (err error) {
	if b.profiles == "" {
		return f()
	}
	to, err := os.Create(filepath.Join(b.profiles, name+".pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := pprof.StartCPUProfile(to); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

// corpus learns from the sources.
func (b *bench) corpus(ctx context.Context) (*corpus, error) {
	prose := b.prose
	if prose == "" {
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return nil, fmt.Errorf("go env GOROOT: %w", err)
		}
		prose = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	return newCorpus(prose, b.words)
}

// write writes what others measure with.
func (b *bench) write(ctx context.Context, dir string) error {
	c, err := b.corpus(ctx)
	if err != nil {
		return err
	}
	return c.write(dir, b.documents, b.queries)
}

func (b *bench) measure(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "searchlocal")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := b.corpus(ctx)
	if err != nil {
		return err
	}
	asked := slices.DeleteFunc(c.questions(b.documents, b.queries), func(q question) bool { return !b.kinds.MatchString(q.kind) })
	fmt.Printf("%d documents, %d different words to begin with\n", b.documents, len(c.starts))

	before := heap()
	text := 0
	err = b.profile("index", func() (err error) {
		text, err = index(ctx, c, filepath.Join(dir, "node"), b.documents)
		return err
	})
	if err != nil {
		return err
	}
	var x *search.Index
	var s *store.Store
	err = b.profile("open", func() (err error) {
		x, s, err = reopen(ctx, filepath.Join(dir, "node"), text, before)
		return err
	})
	if err != nil {
		return err
	}
	var ours []answer
	err = b.profile("ask", func() (err error) {
		ours, err = ask(asked, b.rounds, func(q question) (int, error) {
			a, err := x.Query(ctx, search.Query{Text: q.shoal, Fuzz: q.fuzz})
			return a.Total, err
		})
		return err
	})
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	theirs, err := compare(c, filepath.Join(dir, "fts5.db"), b, asked)
	if err != nil {
		return err
	}
	report(asked, ours, theirs)
	return nil
}

// index indexes the documents as a node does, and returns the bytes of their texts.
func index(ctx context.Context, c *corpus, dir string, documents int) (text int, err error) {
	s, err := store.Open(ctx, dir, store.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := search.Open(ctx, s.Search())
	if err != nil {
		return 0, err
	}
	var clock stopwatch
	for batch := range slices.Chunk(c.numbers(documents), batchSize) {
		list := make([]search.Document, len(batch))
		for i, n := range batch {
			list[i] = c.document(n)
			text += len(list[i].Text)
		}
		clock.start()
		err := x.Put(ctx, list)
		clock.stop()
		if err != nil {
			return 0, err
		}
	}
	stats := x.Stats()
	mb := float64(text) / 1e6
	fmt.Printf("indexed %.0f MB in %.1f s, %.1f s of CPU: %.1f MB/s of a core\n", mb, clock.wall.Seconds(), clock.cpu.Seconds(), mb/clock.cpu.Seconds())
	fmt.Printf("words and places in memory: %.1f MB, %.1f %% of the text; %d different words\n",
		float64(stats.Postings)/1e6, 100*float64(stats.Postings)/float64(text), stats.Terms)
	return text, nil
}

// reopen opens the index again as at a node's next start; before that the heap had so many bytes.
func reopen(ctx context.Context, dir string, text int, before uint64) (*search.Index, *store.Store, error) {
	var clock stopwatch
	clock.start()
	s, err := store.Open(ctx, dir, store.Options{})
	if err != nil {
		return nil, nil, err
	}
	x, err := search.Open(ctx, s.Search())
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	clock.stop()
	all, stats := heap()-before, x.Stats()
	fmt.Printf("opened again in %.1f s, %.1f s of CPU; words and places %.1f MB, %.1f %% of the text; all that is in memory %.1f MB\n",
		clock.wall.Seconds(), clock.cpu.Seconds(), float64(stats.Postings)/1e6, 100*float64(stats.Postings)/float64(text), float64(all)/1e6)
	terms, words, texts, file, err := onDisk(filepath.Join(dir, "index.db"))
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	fmt.Printf("on disk: words and places %.1f MB and the list of all words %.1f MB, %.1f %% of the text; the texts themselves %.1f MB; index.db %.1f MB\n",
		float64(terms)/1e6, float64(words)/1e6, 100*float64(terms+words)/float64(text), float64(texts)/1e6, float64(file)/1e6)
	return x, s, nil
}

// batchSize is how many documents come at once.
const batchSize = 256

// heap returns the bytes that are in use.
func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// stopwatch adds up times.
type stopwatch struct {
	wall, cpu time.Duration
	began     time.Time
	used      time.Duration
}

func (s *stopwatch) start() { s.began, s.used = time.Now(), used() }

func (s *stopwatch) stop() {
	s.wall += time.Since(s.began)
	s.cpu += used() - s.used
}

// used returns the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// answer is what became of a question.
type answer struct {
	total     int
	took, cpu time.Duration
}

// ask asks all questions, once to warm up and then for real, so many times, of which the median
// counts.
func ask(all []question, rounds int, find func(question) (int, error)) ([]answer, error) {
	answers := make([]answer, len(all))
	took, cpu := make([][]time.Duration, len(all)), make([][]time.Duration, len(all))
	for round := range rounds + 1 {
		for i, q := range all {
			var clock stopwatch
			clock.start()
			total, err := find(q)
			clock.stop()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.shoal, err)
			}
			answers[i].total = total
			if round > 0 {
				took[i], cpu[i] = append(took[i], clock.wall), append(cpu[i], clock.cpu)
			}
		}
	}
	for i := range answers {
		slices.Sort(took[i])
		slices.Sort(cpu[i])
		answers[i].took, answers[i].cpu = took[i][rounds/2], cpu[i][rounds/2]
	}
	return answers, nil
}

// report prints each kind of question, and where the two engines do not find as many.
func report(all []question, ours, theirs []answer) {
	kinds := []string{}
	for _, q := range all {
		if !slices.Contains(kinds, q.kind) {
			kinds = append(kinds, q.kind)
		}
	}
	fmt.Printf("%-16s %9s %23s %23s | FTS5\n", "query", "documents", "p50, p99 ms", "of CPU")
	for _, kind := range kinds {
		var a, b []answer
		different := 0
		for i, q := range all {
			if q.kind != kind {
				continue
			}
			a = append(a, ours[i])
			if len(theirs) > 0 && q.fts != "" {
				b = append(b, theirs[i])
				if ours[i].total != theirs[i].total {
					different++
				}
			}
		}
		fmt.Printf("%-16s %s", kind, summary(a))
		if len(b) > 0 {
			fmt.Printf(" | %s", summary(b))
		}
		if different > 0 {
			fmt.Printf("  %d of %d find another number", different, len(a))
		}
		fmt.Println()
	}
}

// summary says how many documents were found on average, and how long that took.
func summary(all []answer) string {
	found := 0
	var took, cpu []time.Duration
	for _, a := range all {
		found += a.total
		took, cpu = append(took, a.took), append(cpu, a.cpu)
	}
	return fmt.Sprintf("%9d %11.2f %11.2f %11.2f %11.2f", found/len(all), at(took, 0.5), at(took, 0.99), at(cpu, 0.5), at(cpu, 0.99))
}

// at returns a quantile in milliseconds.
func at(all []time.Duration, q float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return float64(all[min(int(q*float64(len(all))), len(all)-1)].Microseconds()) / 1000
}

// phraseOf quotes words.
func phraseOf(words ...string) string { return `"` + strings.Join(words, " ") + `"` }
