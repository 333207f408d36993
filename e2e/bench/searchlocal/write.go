//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// typed is a query as a person types it, a letter at a time.
type typed struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// write makes the documents files in the directory files of dir, as a folder has them, and
// queries.json beside it, in turn of each kind.
func (c *corpus) write(dir string, documents, queries int) error {
	for i := range 100 {
		if err := os.MkdirAll(filepath.Join(dir, "files", fmt.Sprintf("d%d", i)), 0o755); err != nil {
			return err
		}
	}
	for n := range documents {
		d := c.document(n)
		path := filepath.Join(dir, "files", filepath.FromSlash(d.Path))
		err := os.WriteFile(path, []byte(d.Text), 0o644)
		if err = errors.Join(err, os.Chtimes(path, d.Modified, d.Modified)); err != nil {
			return err
		}
	}
	b, err := json.Marshal(c.typed(documents, queries))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "queries.json"), b, 0o644)
}

// typed draws n queries of each kind from documents.
func (c *corpus) typed(documents, n int) []typed {
	rng := rand.New(rand.NewPCG(5, 8))
	different := c.different()
	rare := func() string {
		for {
			if w := different[rng.IntN(len(different))]; len(w) >= 5 {
				return w
			}
		}
	}
	var all []typed
	for range n {
		words := c.text(rng.IntN(documents))
		word := func() string { return clean(words[rng.IntN(len(words))]) }
		all = append(all,
			typed{"a word", word()},
			typed{"a rare word", rare()},
			typed{"a typo", mistyped(rng, rare())},
			typed{"two words and one with a typo", word() + " " + word() + " " + mistyped(rng, rare())},
		)
	}
	return all
}
