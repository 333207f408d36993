// Package publish keeps the documents of this node that all members may see at their words
// in the table (package keyword), so that they are found by who does not ask this node.
//
// It looks now and then at what there is, puts what is new or has changed, takes away what is
// gone, and puts everything again before its time is over: a node that is switched off is not
// found for longer than that.
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
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// Defaults of Options.
const (
	DefaultTTL    = 6 * time.Hour
	DefaultBudget = 200_000
)

const (
	// look is how often the documents are looked at.
	look = 3 * time.Second
	// batchEntries and batchDocuments bound what is put at once.
	batchEntries   = 10_000
	batchDocuments = 100
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
	// Open reports whether all members may see a folder.
	Open func(folder string) bool
	// TTL is how long something is found that is not put again. 0: DefaultTTL.
	TTL time.Duration
	// Budget is at how many words documents are put, all together: members keep only so much
	// of one author. 0: DefaultBudget.
	Budget int
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
}

// ReadNote reads one; what somebody else made of it is an error.
func ReadNote(value []byte) (n Note, err error) {
	if err := json.Unmarshal(value, &n); err != nil {
		return n, fmt.Errorf("publish: note: %w", err)
	}
	if n.ID == "" || len(n.ID) > search.MaxID || len(n.Path) > search.MaxPath || len(n.Title) > 4*search.MaxTitle || n.Size < 0 || n.Words < 0 {
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

	published map[string]entry         // by document
	skipped   map[string]search.Listed // what has no room, or cannot be put, as it is
}

// entry is a document that is published.
type entry struct {
	listed search.Listed
	terms  []byte // compressed, for when it is to be taken away
	words  int
	due    time.Time // when it is put again
}

// New returns a Publisher; Run does the work.
func New(o Options) *Publisher {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
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
	wait := time.Time{} // after a failure
	for {
		if now := p.o.Now(); !now.Before(wait) {
			if err := p.once(ctx); err != nil && ctx.Err() == nil {
				p.o.Logger.Warn("not all documents are published", "error", err)
				wait = now.Add(time.Minute)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// once brings what is published in line with what there is.
func (p *Publisher) once(ctx context.Context) (err error) {
	put, gone, open := p.plan()
	defer func() { p.tell(open, len(put)+len(gone), err) }()
	for batch := range slices.Chunk(gone, batchDocuments) {
		if err = p.withdraw(ctx, batch); err != nil {
			return err
		}
		gone = gone[len(batch):]
	}
	for len(put) > 0 {
		n, err := p.publish(ctx, put)
		if err != nil {
			return err
		}
		put = put[n:]
		p.tell(open, len(put), nil)
	}
	return nil
}

// plan decides what is to be put and what is to be taken away. Documents that fit no more are
// the newest: what is published stays.
func (p *Publisher) plan() (put []search.Listed, gone []string, open int) {
	now := p.o.Now()
	there := map[string]bool{}
	visible := map[string]bool{"": true}
	for _, d := range p.o.Index.List() {
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
	for id := range p.published {
		if !there[id] {
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
func (p *Publisher) tell(open, waiting int, err error) {
	words := 0
	for _, e := range p.published {
		words += e.words
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status
	s.Documents, s.Published, s.Words, s.Waiting, s.Failed = open, len(p.published), words, waiting, ""
	s.Skipped = len(p.skipped)
	if err != nil {
		s.Failed = err.Error()
	}
}

// used is at how many words documents are.
func (p *Publisher) used() (n int) {
	for _, e := range p.published {
		n += e.words
	}
	return n
}

// publish puts the first of some documents and returns how many it has dealt with.
func (p *Publisher) publish(ctx context.Context, some []search.Listed) (n int, err error) {
	var documents []keyword.Document
	var fresh []search.Listed
	size, used := 0, p.used()
	for _, l := range some[:min(len(some), batchDocuments)] {
		if size > batchEntries {
			break
		}
		n++
		d, err := p.document(ctx, l)
		switch {
		case errors.Is(err, search.ErrNotFound):
			continue // it went meanwhile
		case errors.Is(err, errTooLarge):
			p.o.Logger.Info("a document is not published", "document", l.ID, "path", l.Path, "error", err)
			p.skipped[l.ID] = l
			continue
		case err != nil:
			return 0, err
		}
		old, had := p.published[l.ID]
		weight := len(d.Terms) + len(d.Pairs)*len(d.Pairs)/2
		if !had && used+weight > p.o.Budget {
			p.skipped[l.ID] = l
			continue
		}
		if had {
			// Words that it has no more are not to lead to it.
			if err := p.forget(ctx, l.ID, old, d.Terms); err != nil {
				return 0, err
			}
			used -= old.words
		}
		used += weight
		size += weight
		documents, fresh = append(documents, d), append(fresh, l)
	}
	if len(documents) == 0 {
		return n, nil
	}
	done, err := p.o.Words.Publish(ctx, documents, similar, p.o.TTL)
	if err != nil {
		return 0, err
	}
	if done.Failed > 0 {
		return 0, fmt.Errorf("publish: %d of %d entries are kept by too few members", done.Failed, done.Entries)
	}
	now := p.o.Now()
	for i, d := range documents {
		terms, err := pack(d.Terms)
		if err != nil {
			return 0, err
		}
		p.published[fresh[i].ID] = entry{listed: fresh[i], terms: terms, words: len(d.Terms) + len(d.Pairs)*len(d.Pairs)/2, due: now.Add(p.o.TTL / 2)}
	}
	p.touch()
	return n, nil
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
	note, err := json.Marshal(Note{
		ID: l.ID, Node: p.o.Node.String(), Title: l.Title, Folder: l.Folder, Path: l.Path, Type: l.Type,
		Size: l.Size, Modified: l.Modified.Unix(), Words: l.Words,
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

// forget takes a document away from words that it has no more.
func (p *Publisher) forget(ctx context.Context, id string, old entry, now []string) error {
	terms, err := unpack(old.terms)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, t := range now {
		has[t] = true
	}
	terms = slices.DeleteFunc(terms, func(t string) bool { return has[t] })
	if len(terms) == 0 {
		return nil
	}
	_, err = p.o.Words.Withdraw(ctx, []keyword.Document{{ID: p.name(id), Terms: terms}})
	return err
}

// withdraw takes documents away that are gone.
func (p *Publisher) withdraw(ctx context.Context, ids []string) error {
	var documents []keyword.Document
	for _, id := range ids {
		e := p.published[id]
		terms, err := unpack(e.terms)
		if err != nil {
			return err
		}
		name := path.Base(e.listed.Path)
		documents = append(documents, keyword.Document{ID: p.name(id), Terms: terms, Pairs: distinct(e.listed.Title+" "+name, titleWords)})
	}
	if _, err := p.o.Words.Withdraw(ctx, documents); err != nil {
		return err
	}
	for _, id := range ids {
		delete(p.published, id)
	}
	clear(p.skipped) // there may be room now
	p.touch()
	return nil
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
	b, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, fmt.Errorf("publish: unpack words: %w", err)
	}
	if len(b) == 0 {
		return nil, nil
	}
	return strings.Split(string(b), "\n"), nil
}
