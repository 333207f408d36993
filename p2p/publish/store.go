package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// Record is what a Store keeps of a document that is published. What Entry says is the business
// of Publisher.
type Record struct {
	Document string
	Network  p2p.ID // in which it is published
	Entry    []byte
}

// Store keeps where documents are published, so that they can be taken away from there after a
// restart. Package publishtest holds the tests of what is promised here.
type Store interface {
	// Load returns all records, by document.
	Load(ctx context.Context) ([]Record, error)
	// Save keeps records, replacing those of the same documents, and forgets those of gone;
	// unknown ones are no error. All of it is durable when it returns, or none.
	Save(ctx context.Context, put []Record, gone []string) error
}

// Memory is a Store that lasts as long as the process. The zero value is empty.
type Memory struct {
	mu      sync.Mutex
	records map[string]Record
}

// Load implements Store.
func (m *Memory) Load(context.Context) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Record
	for _, r := range m.records {
		r.Entry = bytes.Clone(r.Entry)
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.Document, b.Document) })
	return all, nil
}

// Save implements Store.
func (m *Memory) Save(_ context.Context, put []Record, gone []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[string]Record{}
	}
	for _, r := range put {
		r.Entry = bytes.Clone(r.Entry)
		m.records[r.Document] = r
	}
	for _, id := range gone {
		delete(m.records, id)
	}
	return nil
}

// noted is an entry as it is kept.
type noted struct {
	Listed search.Listed `json:"listed"`
	Terms  []byte        `json:"terms"`
	Pairs  [][]string    `json:"pairs"`
	// Numbers: records of before there were any have none, and what they are of is at none.
	Numbers []keyword.Number `json:"numbers,omitempty"`
	Words   int              `json:"words"`
	Bytes   int64            `json:"bytes"`
	Due     time.Time        `json:"due"`
	Ends    time.Time        `json:"ends"`
	Whole   bool             `json:"whole"`
}

// save keeps what is known of documents, or that nothing is.
func (p *Publisher) save(ctx context.Context, ids []string) error {
	var put []Record
	var gone []string
	for _, id := range ids {
		e, ok := p.published[id]
		if !ok {
			gone = append(gone, id)
			continue
		}
		b, err := json.Marshal(noted{e.listed, e.terms, e.pairs, e.numbers, e.words, e.bytes, e.due, e.ends, e.whole})
		if err != nil {
			return fmt.Errorf("publish: note %s: %w", id, err)
		}
		put = append(put, Record{Document: id, Network: p.network, Entry: b})
	}
	if len(ids) == 0 {
		return nil
	}
	if err := p.o.Store.Save(ctx, put, gone); err != nil {
		return fmt.Errorf("publish: note where %d documents are: %w", len(ids), err)
	}
	return nil
}

// restore reads what was published in a network before this program started. What was published
// in others is forgotten: nobody is left there who could be asked to take it away.
func (p *Publisher) restore(ctx context.Context, network p2p.ID) error {
	records, err := p.o.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("publish: what was published before: %w", err)
	}
	now := p.o.Now()
	found := map[string]entry{}
	var gone []string
	for _, r := range records {
		var n noted
		if err := json.Unmarshal(r.Entry, &n); err != nil || r.Network != network || n.Listed.ID != r.Document {
			gone = append(gone, r.Document)
			continue
		}
		// A clock that was wrong does not keep anything from being put again.
		found[r.Document] = entry{
			listed: n.Listed, terms: n.Terms, pairs: n.Pairs, numbers: n.Numbers, words: n.Words, bytes: n.Bytes, whole: n.Whole,
			due: earlier(n.Due, now.Add(p.o.TTL/2)), ends: earlier(n.Ends, now.Add(2*p.o.TTL)),
		}
	}
	if len(gone) > 0 {
		if err := p.o.Store.Save(ctx, nil, gone); err != nil {
			return fmt.Errorf("publish: forget another network: %w", err)
		}
	}
	p.published, p.network, p.restored = found, network, true
	clear(p.skipped)
	p.waitPut, p.waitGone = time.Time{}, time.Time{}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
