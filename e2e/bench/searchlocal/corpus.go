//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// corpus makes documents whose words follow each other as they do in prose: a chain in which
// the next word depends on the last one. Which documents they are depends on their numbers
// only.
type corpus struct {
	starts []string
	next   map[string][]string
	words  int
}

// newCorpus learns from the comments of Go sources.
func newCorpus(dir string, words int) (*corpus, error) {
	c := &corpus{next: make(map[string][]string), words: words}
	before := ""
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "tables") {
			return err
		}
		text, err := fs.ReadFile(os.DirFS(dir), path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			line, ok := strings.CutPrefix(strings.TrimSpace(line), "// ")
			if !ok {
				before = ""
				continue
			}
			for _, w := range strings.Fields(line) {
				if !isPlain(w) {
					continue
				}
				if before == "" {
					c.starts = append(c.starts, w)
				} else {
					c.next[before] = append(c.next[before], w)
				}
				before = w
			}
		}
		return nil
	})
	if err == nil && len(c.starts) == 0 {
		err = errors.New("no comments in Go sources")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return c, nil
}

// isPlain: both engines take such words apart in the same way.
func isPlain(w string) bool {
	w = strings.TrimRight(w, ".,;:!?")
	for i, r := range w {
		if r >= 'a' && r <= 'z' || i == 0 && r >= 'A' && r <= 'Z' {
			continue
		}
		return false
	}
	return w != ""
}

func (c *corpus) numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// text returns the words of a document. Some are names that nobody else has, as in real
// folders, where half of all different words are in one document.
func (c *corpus) text(number int) []string {
	rng := rand.New(rand.NewPCG(uint64(number), 7))
	n := c.words/4 + rng.IntN(c.words*3/2)
	words := make([]string, 0, n)
	w := ""
	for len(words) < n {
		if after := c.next[w]; len(after) > 0 && rng.IntN(40) > 0 {
			w = after[rng.IntN(len(after))]
		} else {
			w = c.starts[rng.IntN(len(c.starts))]
		}
		words = append(words, w)
		if rng.IntN(500) == 0 {
			words = append(words, name(rng))
		}
	}
	return words
}

// name makes up a word.
func name(rng *rand.Rand) string {
	const consonants, vowels = "bcdfghklmnprstvz", "aeiou"
	b := []byte{}
	for range 2 + rng.IntN(3) {
		b = append(b, consonants[rng.IntN(len(consonants))], vowels[rng.IntN(len(vowels))])
	}
	return string(b)
}

func (c *corpus) document(number int) search.Document {
	text := strings.Join(c.text(number), " ")
	title := clean(c.starts[number%len(c.starts)])
	return search.Document{
		ID: fmt.Sprintf("d%07d", number), Title: title, Folder: "f", Path: fmt.Sprintf("d%d/%s%d.txt", number%100, title, number),
		Type: search.TypeText, Size: int64(len(text)), Modified: time.Unix(int64(number)*1000, 0), Text: text,
	}
}

// clean returns a word as it is typed.
func clean(w string) string { return strings.ToLower(strings.Trim(w, ".,;:!?")) }

// different returns the words that others follow, each once.
func (c *corpus) different() []string {
	all := make([]string, 0, len(c.next))
	for w := range c.next {
		all = append(all, clean(w))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// question is a query, for shoal and for FTS5; fts is empty where that knows nothing like it.
type question struct {
	kind, shoal, fts string
	fuzz             int
}

// questions draws queries from documents, so that each finds something. The words of a kind are
// as frequent as words of texts are, but for the rare ones, which are as rare as different words
// are.
func (c *corpus) questions(documents, n int) []question {
	rng := rand.New(rand.NewPCG(1, 2))
	different := c.different()
	var all []question
	add := func(kind, shoal, fts string, fuzz int) {
		all = append(all, question{kind, shoal, fts, fuzz})
	}
	for range n {
		words := c.text(rng.IntN(documents))
		for i := range words {
			words[i] = clean(words[i])
		}
		at := rng.IntN(len(words) - 4)
		a, b, d := words[at], words[at+1], words[at+2]
		far := words[rng.IntN(len(words))]
		rare := different[rng.IntN(len(different))]
		add("one word", phraseOf(a), phraseOf(a), 0)
		add("rare word", phraseOf(rare), phraseOf(rare), 0)
		add("two words", phraseOf(a)+" AND "+phraseOf(far), phraseOf(a)+" AND "+phraseOf(far), 0)
		add("either word", phraseOf(rare)+" OR "+phraseOf(far), phraseOf(rare)+" OR "+phraseOf(far), 0)
		add("phrase of 2", phraseOf(a, b), phraseOf(a, b), 0)
		add("phrase of 3", phraseOf(a, b, d), phraseOf(a, b, d), 0)
		add("word, not word", phraseOf(a)+" NOT "+phraseOf(rare), phraseOf(a)+" NOT "+phraseOf(rare), 0)
		if len(rare) >= 4 {
			add("prefix of 4", rare[:4]+"*", rare[:4]+"*", 0)
		}
		long := rare
		for len(long) < 5 {
			long = different[rng.IntN(len(different))]
		}
		add("typo", mistyped(rng, long), "", search.Auto)
		add("as people type", a+" "+far+" "+long[:len(long)-1], "", search.Auto)
	}
	return all
}

// mistyped makes one edit in a word.
func mistyped(rng *rand.Rand, w string) string {
	i := rng.IntN(len(w) - 1)
	letter := string(rune('a' + rng.IntN(26)))
	switch rng.IntN(4) {
	case 0:
		return w[:i] + w[i+1:]
	case 1:
		return w[:i] + letter + w[i:]
	case 2:
		return w[:i] + letter + w[i+1:]
	}
	return w[:i] + string(w[i+1]) + string(w[i]) + w[i+2:]
}
