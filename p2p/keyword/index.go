package keyword

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// Limits.
const (
	MaxTerm  = 64   // letters of a word that can be found
	MaxTerms = 4096 // words of a document
	MaxPairs = 16   // words of a document that are put in pairs
	MaxQuery = 16   // words of a query
	MaxValue = 4 << 10
	// MaxSimilar is how many edits a word can be away in the table.
	MaxSimilar = 2
)

// DefaultCapacity is how many documents of a word are kept at one place.
const DefaultCapacity = 512

// Errors.
var (
	// ErrQuery: a question that cannot be asked.
	ErrQuery = errors.New("not a query for words")
	// ErrDocument: a document that cannot be put.
	ErrDocument = errors.New("not a document to publish")
)

// Options of an index.
type Options struct {
	Table ranges.Table
	Name  string
	// Capacity is how many documents of a word are kept at one place. 0: DefaultCapacity.
	Capacity int
	// Metric is that of similar words. The zero value: optimal string alignment.
	Metric fastss.Metric
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Index is one node's view of an index that all members share. Its methods may be used by
// several goroutines at once.
type Index struct {
	o Options

	mu    sync.Mutex // guards what follows
	known map[string]*ranges.Index
	words map[string]time.Time // that were put for similar ones, until when
}

// maxKnown bounds the memory for words.
const maxKnown = 16 << 10

// New returns the index of a name.
func New(o Options) *Index {
	o.Capacity = cmp.Or(o.Capacity, DefaultCapacity)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Index{o: o, known: map[string]*ranges.Index{}, words: map[string]time.Time{}}
}

// list returns the index of everything at one name.
func (x *Index) list(kind, name string) *ranges.Index {
	name = kind + "\x00" + x.o.Name + "\x00" + name
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.known[name]
	if l == nil {
		if len(x.known) >= maxKnown {
			clear(x.known)
		}
		// Most words have few documents: no more than the root is asked in vain.
		l = ranges.New(ranges.Options{Table: x.o.Table, Name: name, Scheme: pht.Tree{KeyBits: ranges.MaxBits}, Capacity: x.o.Capacity, Window: 1, Now: x.o.Now})
		x.known[name] = l
	}
	return l
}

// term returns the documents of a word.
func (x *Index) term(word string) *ranges.Index { return x.list("word", word) }

// pair returns the documents that have been put at two words together. The order does not
// matter, since the keys of both are combined by XOR.
func (x *Index) pair(a, b string) *ranges.Index {
	k, l := dht.KeyOf(a), dht.KeyOf(b)
	for i := range k {
		k[i] ^= l[i]
	}
	return x.list("pair", hex.EncodeToString(k[:]))
}

// residual returns the words of which deletions leave a text.
func (x *Index) residual(text string) *ranges.Index { return x.list("left", text) }

// Document is what is put at its words.
type Document struct {
	ID    string   // the same again replaces it
	Terms []string // distinct words, folded as those of queries are
	// Pairs are some of them, such as those of the title, of which each two are put together.
	Pairs []string
	Value []byte // what a query returns, at most MaxValue bytes
}

// entry returns what is put at each word. Documents are in the order of a hash, so that they
// are spread evenly, and equally at all words.
func (d Document) entry(ttl time.Duration) ranges.Entry {
	return ranges.Entry{Key: hashOf(d.ID), ID: d.ID, Value: d.Value, TTL: ttl}
}

func hashOf(text string) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:])
}

func (d Document) check() error {
	switch {
	case d.ID == "":
		return fmt.Errorf("%w: no ID", ErrDocument)
	case len(d.Value) > MaxValue:
		return fmt.Errorf("%w: %.100q: a value of %d bytes, at most %d", ErrDocument, d.ID, len(d.Value), MaxValue)
	case len(d.Terms) > MaxTerms || len(d.Pairs) > MaxPairs:
		return fmt.Errorf("%w: %.100q: %d words, at most %d; %d in pairs, at most %d", ErrDocument, d.ID, len(d.Terms), MaxTerms, len(d.Pairs), MaxPairs)
	}
	return nil
}

// Published says what became of documents.
type Published struct {
	Lists   int // words and pairs at which something was put
	Entries int // that were put there
	Words   int // that were put for similar ones
	Failed  int // entries that too few members keep
	Trace   dht.Trace
}

// Publish puts documents at their words, for so long; 0: until they are withdrawn. All go in
// one message to each member and round. Similar words are found for k edits, at most
// MaxSimilar; 0: none.
func (x *Index) Publish(ctx context.Context, documents []Document, k int, ttl time.Duration) (Published, error) {
	lists := map[*ranges.Index][]ranges.Entry{}
	var order []*ranges.Index
	add := func(l *ranges.Index, e ranges.Entry) {
		if lists[l] == nil {
			order = append(order, l)
		}
		lists[l] = append(lists[l], e)
	}
	var p Published
	fresh := map[string]bool{}
	for _, d := range documents {
		if err := d.check(); err != nil {
			return p, err
		}
		e := d.entry(ttl)
		for _, word := range d.Terms {
			if usable(word) {
				add(x.term(word), e)
				fresh[word] = true
			}
		}
		for i, a := range d.Pairs {
			for _, b := range d.Pairs[:i] {
				if a != b && usable(a) && usable(b) {
					add(x.pair(a, b), e)
				}
			}
		}
	}
	p.Lists = len(order)
	news := x.unknown(fresh, k)
	for _, word := range news {
		e := ranges.Entry{Key: hashOf(word), ID: word, Value: []byte(word), TTL: ttl}
		for _, text := range fastss.Residuals(word, edits(word, k)) {
			add(x.residual(text), e)
		}
	}
	p.Words = len(news)
	batches := make([]ranges.Batch, len(order))
	for i, l := range order {
		batches[i] = ranges.Batch{Index: l, Entries: lists[l]}
		p.Entries += len(lists[l])
	}
	results, trace, err := ranges.InsertAll(ctx, x.o.Table, batches)
	p.Trace = trace
	if err != nil {
		return p, fmt.Errorf("keyword: publish %d documents: %w", len(documents), err)
	}
	for _, list := range results {
		for _, r := range list {
			if !r.Status.Stored() {
				p.Failed++
			}
		}
	}
	if p.Failed == 0 {
		x.remember(news, ttl)
	}
	return p, nil
}

// usable reports whether a word can be looked for. What is longer is found by nobody, and not
// by half of its letters.
func usable(word string) bool {
	return word != "" && len(word) <= 4*MaxTerm && utf8.RuneCountInString(word) <= MaxTerm && utf8.ValidString(word)
}

// edits returns how many letters of a word may be deleted: of a short one few are left.
func edits(word string, k int) int {
	switch n := utf8.RuneCountInString(word); {
	case n <= 3:
		return 0
	case n <= 5:
		return min(k, 1)
	default:
		return min(k, MaxSimilar)
	}
}

// unknown returns the words that this node has not put lately for similar ones.
func (x *Index) unknown(words map[string]bool, k int) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.o.Now()
	var out []string
	for word := range words {
		if edits(word, k) > 0 && !now.Before(x.words[word]) {
			out = append(out, word)
		}
	}
	slices.Sort(out)
	return out
}

// remember remembers that words have been put, for half of their time.
func (x *Index) remember(words []string, ttl time.Duration) {
	if ttl == 0 {
		ttl = 24 * time.Hour
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.words) > 16*maxKnown {
		clear(x.words)
	}
	until := x.o.Now().Add(ttl / 2)
	for _, word := range words {
		x.words[word] = until
	}
}

// Withdraw takes documents away from their words. Words stay known for similar ones, until
// nobody has put them for as long as they last.
func (x *Index) Withdraw(ctx context.Context, documents []Document) (dht.Trace, error) {
	var trace dht.Trace
	var removals []ranges.Removal
	for _, d := range documents {
		if err := d.check(); err != nil {
			return trace, err
		}
		place := d.entry(0).Place()
		for _, word := range d.Terms {
			if usable(word) {
				removals = append(removals, ranges.Removal{Index: x.term(word), Place: place})
			}
		}
		for i, a := range d.Pairs {
			for _, b := range d.Pairs[:i] {
				if a != b && usable(a) && usable(b) {
					removals = append(removals, ranges.Removal{Index: x.pair(a, b), Place: place})
				}
			}
		}
	}
	trace, err := ranges.RemoveAll(ctx, x.o.Table, removals)
	if err != nil {
		return trace, fmt.Errorf("keyword: withdraw %d documents: %w", len(documents), err)
	}
	return trace, nil
}
