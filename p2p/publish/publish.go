// Package publish keeps the documents of this node that all members may see at their words
// and numbers in the table (package keyword), so that they are found by who does not ask this
// node.
//
// It looks every few seconds at what there is, puts what is new or has changed, takes away what is
// gone, and puts everything again before its time is over: a node that is switched off is not
// found for longer than that. Where a document goes is noted in a [Store] before it is put, so that
// it is taken away from there, also by a node that was switched off when the document went.
package publish

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/query"
)

// Defaults of Options.
const (
	DefaultTTL    = 6 * time.Hour
	DefaultBudget = 150_000
	DefaultBytes  = 96 << 20
)

const (
	// look is how often the documents are looked at.
	look = 3 * time.Second
	// batchEntries and batchDocuments bound what is put at once.
	batchEntries   = 10_000
	batchDocuments = 100
	// retry is when documents are put again of which some words are kept by too few members.
	retry = 10 * time.Minute
	// pause is how long nothing is put, or taken away, after a failure.
	pause = time.Minute
	// titleWords is how many words of a title are put in pairs.
	titleWords = 8
	// similar is for how many edits words are put.
	similar = keyword.MaxSimilar
)

// Options of a Publisher.
type Options struct {
	Index *search.Index
	Words *keyword.Index
	Node  p2p.ID
	// Network is that in which the documents are; nil: it is always the same.
	Network func() p2p.ID
	// Open reports whether all members may see a folder, and who joins later too: whoever
	// comes gets a part of the table.
	Open func(folder string) bool
	// TTL is how long something is found that is not put again. 0: DefaultTTL.
	TTL time.Duration
	// Store keeps where documents are; nil: what was published before a restart stays until its
	// time is over, whatever becomes of it.
	Store Store
	// Off has everything taken away that was published, and nothing put.
	Off bool
	// Budget is at how many words, pairs of words and segments of trees documents are put, all together, and
	// Bytes what is written there: members keep only so much of one author, similar words and
	// what was removed besides. 0: DefaultBudget and DefaultBytes.
	Budget int
	Bytes  int64
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is logged
}

// Note is what stands at each word of a document: what an answer shows of it.
type Note struct {
	ID       string `json:"i"`
	Node     string `json:"n"`
	Title    string `json:"t,omitempty"`
	Folder   string `json:"f,omitempty"`
	Path     string `json:"p,omitempty"`
	Type     string `json:"k,omitempty"`
	Size     int64  `json:"s,omitempty"`
	Modified int64  `json:"m,omitempty"` // Unix seconds
	Words    int    `json:"w,omitempty"` // of the text
	// Numbers are those in fields of its own.
	Numbers map[string]float64 `json:"v,omitempty"`
}

// maxTime keeps times within what can be written, the years 1 to 9999, and beyond what files
// have.
const maxTime = 60_000_000_000

// The fields by whose numbers documents are found: their size in bytes, and when they were last
// changed in seconds since 1970. Those of their own are called as in queries, such as fields.year.
const (
	FieldSize     = "size"
	FieldModified = "modified"
)

// OwnKey is what stands for a number in a field of a document's own: the first half of what query.Order
// returns, in the order of numbers, from 0 to 2^32-1. Numbers that begin alike share it.
func OwnKey(order int64) int64 { return int64((uint64(order) ^ 1<<63) >> 32) }

// maxOwn is how many fields of its own a document is found by, and maxOwnName how long their names are
// at most: what is in a note costs that much at every word.
const (
	maxOwn     = 8
	maxOwnName = 32
)

// own returns the numbers in fields of a document's own by which it is found: of the first fields by
// name.
func own(d search.Document) (numbers map[string]float64, keys []keyword.Number) {
	for _, name := range slices.Sorted(maps.Keys(d.Fields)) {
		v := d.Fields[name]
		field, is := query.Of(name)
		if !v.IsNumber || !is || len(name) > maxOwnName || len(numbers) == maxOwn {
			continue
		}
		if numbers == nil {
			numbers = map[string]float64{}
		}
		numbers[name] = v.Number
		keys = append(keys, keyword.Number{Field: field, Value: OwnKey(query.Order(v.Number))})
	}
	return numbers, keys
}

// ReadNote reads one; what somebody else made of it is an error.
func ReadNote(value []byte) (n Note, err error) {
	if err := json.Unmarshal(value, &n); err != nil {
		return n, fmt.Errorf("publish: note: %w", err)
	}
	if n.ID == "" || len(n.ID) > search.MaxID || len(n.Path) > search.MaxPath || len(n.Title) > 4*search.MaxTitle || n.Size < 0 || n.Words < 0 || len(value) > keyword.MaxValue || n.Modified < -maxTime || n.Modified > maxTime {
		return n, errors.New("publish: not a note of a document")
	}
	if _, err := p2p.ParseID(n.Node); err != nil {
		return n, fmt.Errorf("publish: note: %w", err)
	}
	return n, nil
}

// Status says how far a Publisher is.
type Status struct {
	Documents int // that all members may see
	Published int // of them
	Words     int // at which they are, together
	Skipped   int // beyond the budget
	Waiting   int // to be put, or put again
	Failed    string
	Last      time.Time // when something was put or taken away; zero: never
	TTL       time.Duration
}

// errTooLarge: a document of which not even the note fits.
var errTooLarge = errors.New("too large to be published")

// Publisher is the shell: Run owns what is published.
type Publisher struct {
	o Options

	mu     sync.Mutex // guards status
	status Status

	network   p2p.ID
	restored  bool                     // what was published before is known
	expired   []string                 // what is to be forgotten, as it went by itself
	published map[string]entry         // by document, what may be at some of its words among it
	skipped   map[string]search.Listed // what has no room, or cannot be put, as it is
	failed    string
	waitPut   time.Time // nothing is put, or taken away, before
	waitGone  time.Time
}

// entry is a document that is published.
type entry struct {
	listed  search.Listed
	terms   []byte // compressed, for when it is to be taken away: all at which it may be
	pairs   [][]string
	numbers []keyword.Number // likewise
	words   int              // what it takes of the budget
	bytes   int64
	due     time.Time // when it is put again
	ends    time.Time // when it is not there any more, unless it is put again
	whole   bool      // it is at all of its words
}

// New returns a Publisher; Run does the work.
func New(o Options) *Publisher {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.Bytes == 0 {
		o.Bytes = DefaultBytes
	}
	if o.Store == nil {
		o.Store = new(Memory)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Publisher{o: o, published: map[string]entry{}, skipped: map[string]search.Listed{}, status: Status{TTL: o.TTL}}
}

// Status returns how far it is.
func (p *Publisher) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Run publishes until ctx ends. What is published then stays until its time is over.
func (p *Publisher) Run(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if p.once(ctx) && ctx.Err() == nil {
			continue
		}
		if p.o.Off && p.restored && len(p.published) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// once brings what is published in line with what there is, for as long as that is known; more
// is true when it has not come to an end. What cannot be taken away does not keep others from
// being put, nor the reverse.
func (p *Publisher) once(ctx context.Context) (more bool) {
	network := p.network
	if p.o.Network != nil {
		network = p.o.Network()
	}
	if !p.restored || network != p.network {
		if err := p.restore(ctx, network); err != nil {
			if ctx.Err() == nil {
				p.o.Logger.Warn("no documents are published", "error", err)
				p.failed = err.Error()
				p.tell(0, 0)
			}
			return false
		}
	}
	began := p.o.Now()
	put, gone, open := p.plan()
	failed := func(wait *time.Time, err error) {
		if ctx.Err() == nil {
			p.o.Logger.Warn("not all documents are published", "error", err)
			*wait, p.failed = p.o.Now().Add(pause), err.Error()
		}
	}
	if began.Before(p.waitPut) {
		put = nil
	}
	if began.Before(p.waitGone) {
		gone = nil
	}
	waiting := len(put) + len(gone)
	if !began.Before(p.waitPut) && !began.Before(p.waitGone) {
		p.failed = ""
	}
	defer func() { p.tell(open, waiting) }()
	if err := p.save(ctx, p.expired); err != nil {
		failed(&p.waitGone, err)
	} else {
		p.expired = nil
	}
	for batch := range slices.Chunk(gone, batchDocuments) {
		if err := p.withdraw(ctx, batch); err != nil {
			failed(&p.waitGone, err)
			continue
		}
		waiting -= len(batch)
	}
	for len(put) > 0 {
		if p.o.Now().Sub(began) >= look {
			return true // somebody may not see something any more
		}
		n, err := p.publish(ctx, put)
		if err != nil {
			failed(&p.waitPut, err)
			return false
		}
		put = put[n:]
		waiting -= n
		p.tell(open, waiting)
	}
	return false
}

// plan decides what is to be put and what is to be taken away. Documents that fit no more are
// the newest: what is published stays.
func (p *Publisher) plan() (put []search.Listed, gone []string, open int) {
	now := p.o.Now()
	there := map[string]bool{}
	visible := map[string]bool{"": true}
	for _, d := range p.o.Index.List() {
		if p.o.Off {
			break
		}
		is, asked := visible[d.Folder]
		if !asked {
			is = p.o.Open(d.Folder)
			visible[d.Folder] = is
		}
		if !is {
			continue
		}
		there[d.ID] = true
		if p.skipped[d.ID] == d {
			continue
		}
		if e, ok := p.published[d.ID]; !ok || e.listed != d || !now.Before(e.due) {
			put = append(put, d)
		}
	}
	for id, e := range p.published {
		switch {
		case !there[id] && !now.Before(e.ends):
			delete(p.published, id) // it went by itself
			p.expired = append(p.expired, id)
		case !there[id]:
			gone = append(gone, id)
		}
	}
	for id := range p.skipped {
		if !there[id] {
			delete(p.skipped, id)
		}
	}
	slices.Sort(gone)
	slices.SortFunc(put, func(a, b search.Listed) int {
		if c := a.Modified.Compare(b.Modified); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return put, gone, len(there)
}

// tell sets the status.
func (p *Publisher) tell(open, waiting int) {
	words, whole := 0, 0
	for _, e := range p.published {
		words += e.words - len(e.numbers)*keyword.PerNumber
		if e.whole {
			whole++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status
	s.Documents, s.Published, s.Words, s.Waiting, s.Failed = open, whole, words, waiting, p.failed
	s.Skipped = len(p.skipped)
	if part := len(p.published) - whole; s.Failed == "" && part > 0 {
		s.Failed = fmt.Sprintf("%d documents are not yet, or no more, at all of their words", part)
	}
}

// used is what documents take of the budget.
func (p *Publisher) used() (words int, bytes int64) {
	for _, e := range p.published {
		words += e.words
		bytes += e.bytes
	}
	return words, bytes
}

// publish puts the first of some documents and returns how many it has dealt with. Before
// anything is put it is noted where it will be, so that it is taken away from there whatever
// happens.
func (p *Publisher) publish(ctx context.Context, some []search.Listed) (n int, err error) {
	var documents []keyword.Document
	var fresh []search.Listed
	visible := map[string]bool{"": true}
	size := 0
	words, bytes := p.used()
	for _, l := range some[:min(len(some), batchDocuments)] {
		if size > batchEntries {
			break
		}
		n++
		if _, asked := visible[l.Folder]; !asked {
			visible[l.Folder] = p.o.Open(l.Folder)
		}
		if !visible[l.Folder] {
			continue // it was when this was planned
		}
		d, err := p.document(ctx, l)
		switch {
		case errors.Is(err, search.ErrNotFound):
			continue // it went meanwhile
		case err != nil && !errors.Is(err, errTooLarge):
			return 0, err
		}
		old, had := p.published[l.ID]
		e := weigh(l, d)
		if err != nil || words-old.words+e.words > p.o.Budget || bytes-old.bytes+e.bytes > p.o.Bytes {
			p.o.Logger.Info("a document is not published", "document", l.ID, "path", l.Path, "error", err)
			if had {
				if err := p.withdraw(ctx, []string{l.ID}); err != nil {
					return 0, err
				}
				words, bytes = words-old.words, bytes-old.bytes
			}
			p.skipped[l.ID] = l
			continue
		}
		if err := p.replace(ctx, l, old, e, d); err != nil {
			return 0, err
		}
		words, bytes = words-old.words+e.words, bytes-old.bytes+e.bytes
		size += e.words
		documents, fresh = append(documents, d), append(fresh, l)
	}
	if len(documents) == 0 {
		return n, nil
	}
	ids := make([]string, len(fresh))
	for i := range fresh {
		ids[i] = fresh[i].ID
	}
	if err := p.save(ctx, ids); err != nil {
		return 0, err
	}
	done, err := p.o.Words.Publish(ctx, documents, similar, p.o.TTL)
	if err != nil {
		return 0, err
	}
	if done.Unlikely > 0 {
		p.o.Logger.Info("no room for similar words", "words", done.Unlikely)
	}
	now := p.o.Now()
	for i, d := range documents {
		e := p.published[fresh[i].ID]
		e.whole = !done.Incomplete[d.ID]
		e.due = now.Add(p.o.TTL / 2)
		if !e.whole {
			e.due = now.Add(min(retry, p.o.TTL/2))
		}
		p.published[fresh[i].ID] = e
	}
	p.touch()
	if err := p.save(ctx, ids); err != nil {
		return 0, err
	}
	return n, nil
}

// weigh returns what a document takes of the budget.
func weigh(l search.Listed, d keyword.Document) entry {
	e := entry{listed: l, words: d.Entries()}
	e.bytes = int64(e.words) * int64(len(d.Value))
	return e
}

// replace notes that a document is about to be at its words, and takes it away from those
// that it has no more. Until that is done it may be at both.
func (p *Publisher) replace(ctx context.Context, l search.Listed, old, e entry, d keyword.Document) error {
	before, err := unpack(old.terms)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, t := range d.Terms {
		has[t] = true
	}
	gone := slices.DeleteFunc(before, func(t string) bool { return has[t] })
	if e.terms, err = pack(slices.Concat(d.Terms, gone)); err != nil {
		return err
	}
	e.pairs = old.pairs
	if !slices.ContainsFunc(e.pairs, func(s []string) bool { return slices.Equal(s, d.Pairs) }) {
		e.pairs = append(slices.Clone(e.pairs), d.Pairs)
	}
	past := slices.DeleteFunc(slices.Clone(old.numbers), func(n keyword.Number) bool { return slices.Contains(d.Numbers, n) })
	e.numbers = slices.Concat(d.Numbers, past)
	e.ends = p.o.Now().Add(2 * p.o.TTL)
	p.published[l.ID] = e
	if len(gone) > 0 || len(e.pairs) > 1 || len(past) > 0 {
		from := keyword.Document{ID: p.name(l.ID), Terms: gone, Numbers: past}
		if err := p.away(ctx, from, e.pairs, d.Pairs); err != nil {
			return err
		}
	}
	if e.terms, err = pack(d.Terms); err != nil {
		return err
	}
	e.pairs, e.numbers = [][]string{d.Pairs}, d.Numbers
	p.published[l.ID] = e
	return nil
}

// away takes a document away from words and numbers, and from all pairs of each of several titles but
// those that one has which stays.
func (p *Publisher) away(ctx context.Context, d keyword.Document, titles [][]string, stays []string) error {
	documents := []keyword.Document{}
	for some := range slices.Chunk(d.Terms, keyword.MaxTerms) {
		documents = append(documents, keyword.Document{ID: d.ID, Terms: some})
	}
	for some := range slices.Chunk(d.Numbers, keyword.MaxNumbers) {
		documents = append(documents, keyword.Document{ID: d.ID, Numbers: some})
	}
	for _, title := range titles {
		for i, a := range title {
			for _, b := range title[:i] {
				if !slices.Contains(stays, a) || !slices.Contains(stays, b) {
					documents = append(documents, keyword.Document{ID: d.ID, Pairs: []string{a, b}})
				}
			}
		}
	}
	_, err := p.o.Words.Withdraw(ctx, documents)
	return err
}

func (p *Publisher) touch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Last = p.o.Now()
}

// name is a document's ID in the table: those of two nodes that have the same file are two.
func (p *Publisher) name(document string) string { return p.o.Node.String() + "/" + document }

// document returns what is put of a document.
func (p *Publisher) document(ctx context.Context, l search.Listed) (keyword.Document, error) {
	full, err := p.o.Index.Document(ctx, l.ID)
	if err != nil {
		return keyword.Document{}, err
	}
	numbers, keys := own(full)
	note, err := json.Marshal(Note{
		ID: l.ID, Node: p.o.Node.String(), Title: l.Title, Folder: l.Folder, Path: l.Path, Type: l.Type,
		Size: l.Size, Modified: l.Modified.Unix(), Words: l.Words, Numbers: numbers,
	})
	if err != nil {
		return keyword.Document{}, fmt.Errorf("publish: %s: %w", l.ID, err)
	}
	if len(note) > keyword.MaxValue {
		return keyword.Document{}, fmt.Errorf("publish: %s: a note of %d bytes, at most %d: %w", l.ID, len(note), keyword.MaxValue, errTooLarge)
	}
	name := path.Base(l.Path)
	title := distinct(l.Title+" "+name, titleWords)
	return keyword.Document{
		ID: p.name(l.ID), Terms: distinct(l.Title+"\n"+name+"\n"+full.Text, keyword.MaxTerms), Pairs: title, Value: note,
		Numbers: append(keys, keyword.Number{Field: FieldSize, Value: l.Size}, keyword.Number{Field: FieldModified, Value: l.Modified.Unix()}),
	}, nil
}

// distinct returns the first words of a text, each once.
func distinct(text string, most int) []string {
	var out []string
	seen := map[string]bool{}
	for t := range search.Tokens(text) {
		if len(out) == most {
			break
		}
		if !seen[t.Term] {
			seen[t.Term] = true
			out = append(out, t.Term)
		}
	}
	return out
}

// withdraw takes documents away that are gone.
func (p *Publisher) withdraw(ctx context.Context, ids []string) error {
	var documents []keyword.Document
	for _, id := range ids {
		e := p.published[id]
		e.whole = false
		p.published[id] = e
		terms, err := unpack(e.terms)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(terms, keyword.MaxTerms) {
			documents = append(documents, keyword.Document{ID: p.name(id), Terms: some})
		}
		for _, title := range e.pairs {
			documents = append(documents, keyword.Document{ID: p.name(id), Pairs: title})
		}
		for some := range slices.Chunk(e.numbers, keyword.MaxNumbers) {
			documents = append(documents, keyword.Document{ID: p.name(id), Numbers: some})
		}
	}
	if _, err := p.o.Words.Withdraw(ctx, documents); err != nil {
		return err
	}
	for _, id := range ids {
		delete(p.published, id)
	}
	clear(p.skipped) // there may be room now
	p.touch()
	return p.save(ctx, ids)
}

// pack and unpack keep words small.
func pack(terms []string) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("publish: pack words: %w", err)
	}
	if _, err := io.WriteString(w, strings.Join(terms, "\n")); err != nil {
		return nil, fmt.Errorf("publish: pack words: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("publish: pack words: %w", err)
	}
	return bytes.Clone(b.Bytes()), nil
}

func unpack(packed []byte) ([]string, error) {
	if packed == nil {
		return nil, nil
	}
	b, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, fmt.Errorf("publish: unpack words: %w", err)
	}
	if len(b) == 0 {
		return nil, nil
	}
	return strings.Split(string(b), "\n"), nil
}
