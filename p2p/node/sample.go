package node

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/search"
)

//go:embed samples/*.md
var samples embed.FS

// Samples returns the sample documents: two dozen short texts, most of them
// about how networks without servers work. Their ids are always the same.
func Samples() ([]search.Document, error) {
	names, err := fs.Glob(samples, "samples/*.md")
	if err != nil {
		return nil, fmt.Errorf("node: samples: %w", err)
	}
	var docs []search.Document
	for _, name := range names {
		text, err := samples.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("node: samples: %w", err)
		}
		title, body, _ := strings.Cut(string(text), "\n")
		docs = append(docs, search.Document{
			ID:       "sample-" + strings.TrimSuffix(strings.TrimPrefix(name, "samples/"), ".md"),
			Title:    strings.TrimPrefix(title, "# "),
			Text:     strings.TrimSpace(body),
			Type:     search.TypeDocument,
			Size:     int64(len(text)),
			Modified: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
		})
	}
	return docs, nil
}

// AddSamples publishes the sample documents on this node and returns how many
// there are. Doing it again changes nothing.
func (n *Node) AddSamples(ctx context.Context) (int, error) {
	docs, err := Samples()
	if err != nil {
		return 0, err
	}
	if err := n.Publish(ctx, docs); err != nil {
		return 0, err
	}
	return len(docs), nil
}
