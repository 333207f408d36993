package keyword

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
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
	// MaxAtOnce is how many entries are put at once.
	MaxAtOnce = 16 << 10
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
	// Similar is how many entries this node keeps for similar words at most: a word has as
	// many as texts are left of it, such as 46 where it has nine letters. What is found by
	// nobody who mistypes it is counted. 0: DefaultSimilar.
	Similar int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Small reports whether the network is so small that buckets are kept. Nil: it is.
	Small func() bool
}

// DefaultSimilar is well below what members keep of one author.
const DefaultSimilar = 150_000

// Index is one node's view of an index that all members share. Its methods may be used by
// several goroutines at once.
type Index struct {
	o Options

	mu    sync.Mutex // guards what follows
	known map[string]*ranges.Index
	words map[string]put // for similar ones
	left  int            // entries of these
}

// put is a word that was put for similar ones.
type put struct {
	again, ends time.Time // when it is to be put again, and when it is not there any more
	entries     int
}

// maxKnown bounds the memory for words.
const maxKnown = 16 << 10

// New returns the index of a name.
func New(o Options) *Index {
	o.Capacity = cmp.Or(o.Capacity, DefaultCapacity)
	o.Similar = cmp.Or(o.Similar, DefaultSimilar)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Small == nil {
		o.Small = func() bool { return true }
	}
	return &Index{o: o, known: map[string]*ranges.Index{}, words: map[string]put{}}
}

// Forget forgets what was put and what is known: the network is another one.
func (x *Index) Forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.known)
	clear(x.words)
	x.left = 0
}

// list returns the index of everything at one name.
func (x *Index) list(kind, name string) *ranges.Index {
	// Most words have few documents: no more than the root is asked in vain.
	return x.open(kind+"\x00"+x.o.Name+"\x00"+name, ranges.Options{Scheme: pht.Tree{KeyBits: ranges.MaxBits}, Capacity: x.o.Capacity, Window: 1})
}

// open returns the index of a name, which has always the same options.
func (x *Index) open(name string, o ranges.Options) *ranges.Index {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.known[name]
	if l == nil {
		if len(x.known) >= maxKnown {
			clear(x.known)
		}
		o.Table, o.Name, o.Now = x.o.Table, name, x.o.Now
		l = ranges.New(o)
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
	// Numbers are those by which it is found in ranges; of a field there can be several.
	Numbers []Number
	Value   []byte // what a query returns, at most MaxValue bytes
}

// Entries is at how many places a document is, at most.
func (d Document) Entries() int {
	return len(d.Terms) + len(d.Pairs)*(len(d.Pairs)-1)/2 + len(d.Numbers)*PerNumber
}

// entry returns what is put at a key of a list.
func (d Document) entry(key uint64, ttl time.Duration) ranges.Entry {
	return ranges.Entry{Key: key, ID: d.ID, Value: d.Value, TTL: ttl}
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
	case len(d.Terms) > MaxTerms || len(d.Pairs) > MaxPairs || len(d.Numbers) > MaxNumbers:
		return fmt.Errorf("%w: %.100q: %d words, at most %d; %d in pairs, at most %d; %d numbers, at most %d",
			ErrDocument, d.ID, len(d.Terms), MaxTerms, len(d.Pairs), MaxPairs, len(d.Numbers), MaxNumbers)
	}
	return nil
}

// Published says what became of documents.
type Published struct {
	Lists   int // words and pairs at which something was put
	Entries int // that were put there
	Words   int // that were put for similar ones
	Failed  int // entries that too few members keep
	// Incomplete are the IDs of documents that have some of these.
	Incomplete map[string]bool
	Unlikely   int // words without room for similar ones (Options.Similar)
	Trace      dht.Trace
}

// Publish puts documents at their words, for so long; 0: until they are withdrawn. MaxAtOnce
// entries go in one message to each member and round. Similar words are found for k edits, at most
// MaxSimilar; 0: none.
func (x *Index) Publish(ctx context.Context, documents []Document, k int, ttl time.Duration) (Published, error) {
	p := Published{Incomplete: map[string]bool{}}
	fresh := map[string]bool{}
	for _, d := range documents {
		if err := d.check(); err != nil {
			return p, err
		}
	}
	s := sending{x: x, lists: map[*ranges.Index]*pending{}}
	failed := map[string]bool{} // words
	different := map[string]bool{}
	for _, d := range documents {
		for list, key := range x.listsOf(d, x.o.Small()) {
			different[list.Name()] = true
			if err := s.add(ctx, list, d.entry(key, ttl), p.Incomplete); err != nil {
				return p, fmt.Errorf("keyword: publish %d documents: %w", len(documents), err)
			}
		}
		for _, word := range d.Terms {
			if usable(word) {
				fresh[word] = true
			}
		}
	}
	var news []string
	news, p.Unlikely = x.unknown(fresh, k)
	for _, word := range news {
		for _, text := range fastss.Residuals(word, edits(word, k)) {
			e := ranges.Entry{Key: hashOf(word), ID: word, Value: []byte(word), TTL: ttl}
			if err := s.add(ctx, x.residual(text), e, failed); err != nil {
				return p, fmt.Errorf("keyword: publish %d documents: %w", len(documents), err)
			}
		}
	}
	err := s.flush(ctx)
	p.Lists, p.Words, p.Entries, p.Failed, p.Trace = len(different), len(news), s.entries, s.refused, s.trace
	if err != nil {
		return p, fmt.Errorf("keyword: publish %d documents: %w", len(documents), err)
	}
	x.remember(news, failed, k, ttl)
	return p, nil
}

// sending puts entries at lists, a bounded number at once.
type sending struct {
	x     *Index
	lists map[*ranges.Index]*pending
	order []*ranges.Index
	n     int

	entries, refused int
	trace            dht.Trace
}

// pending is what is to be put at a list.
type pending struct {
	entries []ranges.Entry
	failed  map[string]bool // IDs of those that too few members keep
}

func (s *sending) add(ctx context.Context, l *ranges.Index, e ranges.Entry, failed map[string]bool) error {
	if s.lists[l] == nil {
		s.lists[l] = &pending{failed: failed}
		s.order = append(s.order, l)
	}
	s.lists[l].entries = append(s.lists[l].entries, e)
	s.entries++
	if s.n++; s.n < MaxAtOnce {
		return nil
	}
	return s.flush(ctx)
}

func (s *sending) flush(ctx context.Context) error {
	batches := make([]ranges.Batch, len(s.order))
	for i, l := range s.order {
		batches[i] = ranges.Batch{Index: l, Entries: s.lists[l].entries}
	}
	lists := s.lists
	s.order, s.n, s.lists = nil, 0, map[*ranges.Index]*pending{}
	results, trace, err := ranges.InsertAll(ctx, s.x.o.Table, batches)
	s.trace.Add(trace)
	if err != nil {
		return err
	}
	for i, list := range results {
		for j, r := range list {
			if !r.Status.Stored() {
				s.refused++
				lists[batches[i].Index].failed[batches[i].Entries[j].ID] = true
			}
		}
	}
	return nil
}

// listsOf yields the lists of a document, and its key there: those of its words, of its pairs,
// of its numbers. At words documents are in the order of a hash, so that they are spread evenly,
// and equally at all words.
func (x *Index) listsOf(d Document, buckets bool) iter.Seq2[*ranges.Index, uint64] {
	return func(yield func(*ranges.Index, uint64) bool) {
		hash := hashOf(d.ID)
		for _, word := range d.Terms {
			if usable(word) && !yield(x.term(word), hash) {
				return
			}
		}
		for i, a := range d.Pairs {
			for _, b := range d.Pairs[:i] {
				if a != b && usable(a) && usable(b) && !yield(x.pair(a, b), hash) {
					return
				}
			}
		}
		for _, n := range d.Numbers {
			for _, tree := range Trees {
				if tree == TreeBuckets && !buckets {
					continue
				}
				if !yield(x.number(n.Field, tree), KeyOf(n.Value)) {
					return
				}
			}
		}
	}
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

// unknown returns the words that this node has not put lately for similar ones, and how many
// of them there is no room for.
func (x *Index) unknown(words map[string]bool, k int) (out []string, noRoom int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.o.Now()
	for word, p := range x.words {
		if !now.Before(p.ends) {
			x.left -= p.entries
			delete(x.words, word)
		}
	}
	room := x.o.Similar - x.left
	for _, word := range slices.Sorted(maps.Keys(words)) {
		switch p, known := x.words[word]; {
		case edits(word, k) == 0 || known && now.Before(p.again):
			continue
		case !known:
			n := len(fastss.Residuals(word, edits(word, k)))
			if n > room {
				noRoom++
				continue
			}
			room -= n
		}
		out = append(out, word)
	}
	return out, noRoom
}

// remember remembers that words have been put, for half of their time; those that failed are
// put again by who publishes next.
func (x *Index) remember(words []string, failed map[string]bool, k int, ttl time.Duration) {
	again, ends := ttl/2, ttl
	if ttl == 0 {
		again, ends = 12*time.Hour, dht.MaxTTL
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.o.Now()
	for _, word := range words {
		p := put{again: now.Add(again), ends: now.Add(ends), entries: len(fastss.Residuals(word, edits(word, k)))}
		if failed[word] {
			p.again = now
		}
		x.left += p.entries - x.words[word].entries
		x.words[word] = p
	}
}

// Withdraw takes documents away from their words and numbers, from as many of them as can be asked. Words stay known for similar ones, until
// nobody has put them for as long as they last.
func (x *Index) Withdraw(ctx context.Context, documents []Document) (dht.Trace, error) {
	var trace dht.Trace
	var removals []ranges.Removal
	for _, d := range documents {
		if err := d.check(); err != nil {
			return trace, err
		}
		for list, key := range x.listsOf(d, true) {
			removals = append(removals, ranges.Removal{Index: list, Place: d.entry(key, 0).Place()})
		}
	}
	var first error
	for some := range slices.Chunk(removals, MaxAtOnce) {
		more, err := ranges.RemoveAll(ctx, x.o.Table, some)
		trace.Add(more)
		if first == nil && err != nil {
			first = fmt.Errorf("keyword: withdraw %d documents: %w", len(documents), err)
		}
	}
	return trace, first
}
