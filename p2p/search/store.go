package search

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Record is a document as a Store keeps it. What Fields, Terms and Text hold is
// the business of Index alone.
type Record struct {
	ID       string
	Title    string
	Folder   string
	Path     string
	Type     string
	Size     int64
	Modified time.Time // to the nanosecond, UTC
	Fields   []byte
	Terms    []byte // the words and where they occur
	Text     []byte // compressed
}

// Store keeps the documents of an Index. Package searchtest holds the tests of
// what is promised here. Methods may be called by several goroutines at once.
type Store interface {
	// Put keeps records, replacing those of the same ID: all those with a folder
	// or none of them, and all those without one or none, also when the process
	// is killed meanwhile. Those without are durable when Put returns, because
	// they are nowhere else; the others may be lost at any time, but then what
	// is known of their folders is lost with them.
	//
	// words, if there are any, are a pack of words that the records with a folder use: it is kept
	// if they are, and lost only with all that were kept at the same time or later.
	Put(ctx context.Context, records []Record, words []byte) error
	// Words calls each with every pack of words, in the order in which they were kept, until it
	// returns an error, which Words returns. A pack is valid until each returns.
	Words(ctx context.Context, each func(pack []byte) error) error
	// SetWords keeps packs in place of all that there were, or changes nothing.
	SetWords(ctx context.Context, packs [][]byte) error
	// Remove forgets documents, as Put keeps them; unknown IDs are no error.
	Remove(ctx context.Context, ids []string) error
	// Load calls each with every record, but without Text, until it
	// returns an error, which Load returns. Terms are valid until each returns.
	// What each does must not change the store.
	Load(ctx context.Context, each func(Record) error) error
	// Get returns the whole record of id; ErrNotFound if there is none.
	Get(ctx context.Context, id string) (Record, error)
	// Terms returns the Terms of those ids that there are.
	Terms(ctx context.Context, ids []string) (map[string][]byte, error)
	// Texts returns the Text of those ids that there are.
	Texts(ctx context.Context, ids []string) (map[string][]byte, error)
}

// Memory is a Store that lasts as long as the process. The zero value is empty.
type Memory struct {
	mu      sync.RWMutex
	records map[string]Record
	words   [][]byte
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return new(Memory) }

// Put implements Store.
func (s *Memory) Put(_ context.Context, records []Record, words []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(words) > 0 {
		s.words = append(s.words, bytes.Clone(words))
	}
	if s.records == nil {
		s.records = make(map[string]Record)
	}
	for _, r := range records {
		s.records[r.ID] = r.clone()
	}
	return nil
}

// Words implements Store.
func (s *Memory) Words(_ context.Context, each func(pack []byte) error) error {
	s.mu.RLock()
	words := s.words
	s.mu.RUnlock()
	for _, pack := range words {
		if err := each(bytes.Clone(pack)); err != nil {
			return err
		}
	}
	return nil
}

// SetWords implements Store.
func (s *Memory) SetWords(_ context.Context, packs [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = make([][]byte, len(packs))
	for i, pack := range packs {
		s.words[i] = bytes.Clone(pack)
	}
	return nil
}

// Remove implements Store.
func (s *Memory) Remove(_ context.Context, ids []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.records, id)
	}
	return nil
}

// Load implements Store. The order is that of the IDs.
func (s *Memory) Load(ctx context.Context, each func(Record) error) error {
	s.mu.RLock()
	records := slices.SortedFunc(maps.Values(s.records), func(a, b Record) int { return strings.Compare(a.ID, b.ID) })
	s.mu.RUnlock()
	for _, r := range records {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Text = nil
		r.Fields, r.Terms = bytes.Clone(r.Fields), bytes.Clone(r.Terms)
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// Get implements Store.
func (s *Memory) Get(_ context.Context, id string) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.records[id]
	if !ok {
		return Record{}, fmt.Errorf("search: document %.80q: %w", id, ErrNotFound)
	}
	return r.clone(), nil
}

// Terms implements Store.
func (s *Memory) Terms(_ context.Context, ids []string) (map[string][]byte, error) {
	return s.collect(ids, func(r Record) []byte { return r.Terms }), nil
}

// Texts implements Store.
func (s *Memory) Texts(_ context.Context, ids []string) (map[string][]byte, error) {
	return s.collect(ids, func(r Record) []byte { return r.Text }), nil
}

func (s *Memory) collect(ids []string, of func(Record) []byte) map[string][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := make(map[string][]byte, len(ids))
	for _, id := range ids {
		if r, ok := s.records[id]; ok {
			found[id] = bytes.Clone(of(r))
		}
	}
	return found
}

func (r Record) clone() Record {
	r.Fields, r.Terms, r.Text = bytes.Clone(r.Fields), bytes.Clone(r.Terms), bytes.Clone(r.Text)
	return r
}
