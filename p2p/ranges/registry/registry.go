// Package registry keeps the definitions of the network's ordered indexes in the table that
// has the indexes, so that all members spread and look for entries in the same way.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dst"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// Limits of a definition.
const (
	MaxName     = 100  // bytes
	MaxBits     = 53   // so that keys are whole numbers for everybody
	MaxCapacity = 1024 // entries of a segment
	MaxIndexes  = 4096 // that a list has
)

// Via says how entries are spread.
type Via string

// The ways.
const (
	ViaDST     Via = "dst"
	ViaPHT     Via = "pht"
	ViaBuckets Via = "buckets"
)

// Definition says what an index is like. All of it but the name may be left out.
type Definition struct {
	Name string `json:"name"`
	// Bits of keys, which are below 2^Bits. 0: MaxBits.
	Bits int `json:"bits"`
	// LeafBits: a leaf of the segment tree has 2^LeafBits keys.
	LeafBits int `json:"leaf_bits"`
	// Capacity is how many entries a segment is to have. 0: ranges.DefaultCapacity.
	Capacity int `json:"capacity"`
	// Via are the ways in which entries are spread, each of which can be asked. None: the
	// prefix hash tree.
	Via []Via `json:"via"`
}

// Errors.
var (
	// ErrNotFound: there is no such index.
	ErrNotFound = errors.New("no such index")
	// ErrExists: there is an index of that name which is another one.
	ErrExists = errors.New("there is an index of that name")
	// ErrInvalid: a definition that none can have.
	ErrInvalid = errors.New("not a definition of an index")
)

// normal fills in what was left out, and checks the rest.
func (d Definition) normal() (Definition, error) {
	if d.Bits == 0 {
		d.Bits = MaxBits
	}
	if d.Capacity == 0 {
		d.Capacity = ranges.DefaultCapacity
	}
	if len(d.Via) == 0 {
		d.Via = []Via{ViaPHT}
	}
	var wrong string
	switch {
	case d.Name == "." || d.Name == "..":
		wrong = "no address can end in that name"
	case d.Name == "" || len(d.Name) > MaxName || !utf8.ValidString(d.Name) || strings.ContainsFunc(d.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		wrong = fmt.Sprintf("a name is one line of 1 to %d bytes", MaxName)
	case d.Bits < 1 || d.Bits > MaxBits:
		wrong = fmt.Sprintf("keys have 1 to %d bits", MaxBits)
	case d.LeafBits < 0 || d.LeafBits > d.Bits:
		wrong = fmt.Sprintf("a leaf has 0 to %d bits of keys", d.Bits)
	case d.Capacity < 1 || d.Capacity > MaxCapacity:
		wrong = fmt.Sprintf("a segment has room for 1 to %d entries", MaxCapacity)
	}
	for i, v := range d.Via {
		if v != ViaDST && v != ViaPHT && v != ViaBuckets || slices.Contains(d.Via[:i], v) {
			wrong = "an index is kept via dst, pht, buckets or some of them, each once"
		}
	}
	if wrong != "" {
		return d, fmt.Errorf("index %.80q: %s: %w", d.Name, wrong, ErrInvalid)
	}
	return d, nil
}

// scheme returns the scheme of one of the ways.
func (d Definition) scheme(v Via) ranges.Scheme {
	switch v {
	case ViaDST:
		return dst.Tree{KeyBits: d.Bits, LeafBits: d.LeafBits}
	case ViaBuckets:
		return ranges.Buckets{KeyBits: d.Bits, Depth: min(d.Bits, bucketBits)}
	default:
		return pht.Tree{KeyBits: d.Bits}
	}
}

// bucketBits: there are 2^bucketBits buckets, of keys that have as many bits.
const bucketBits = 4

// same reports whether two definitions are of one index.
func (d Definition) same(o Definition) bool {
	return d.Name == o.Name && d.Bits == o.Bits && d.LeafBits == o.LeafBits && d.Capacity == o.Capacity && slices.Equal(d.Via, o.Via)
}

// Table is what a registry needs of a table.
type Table interface {
	ranges.Table
	Put(ctx context.Context, p dht.Put) (dht.PutResult, dht.Trace, error)
	Get(ctx context.Context, q dht.Query, o dht.ReadOptions) (dht.Found, dht.Trace, error)
}

// Registry is one node's view of the indexes. Its methods may be used by several goroutines
// at once.
type Registry struct {
	table Table
	now   func() time.Time

	mu   sync.Mutex // guards open
	open map[string]*Opened
}

// maxOpen bounds the memory for indexes that are used.
const maxOpen = 256

// New returns the registry of a table. now is the clock; nil: time.Now.
func New(table Table, now func() time.Time) *Registry {
	return &Registry{table: table, now: now, open: map[string]*Opened{}}
}

// Opened is an index that can be used.
type Opened struct {
	Definition
	by map[Via]*ranges.Index
}

// By returns the index as it is kept in one way; empty: the first. ok is false if it is
// not kept in that way.
func (o *Opened) By(v Via) (x *ranges.Index, way Via, ok bool) {
	if v == "" {
		v = o.Via[0]
	}
	x, ok = o.by[v]
	return x, v, ok
}

// Forget forgets what is known of indexes: the network is another one.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.open)
}

// location is where definitions are kept: the content key is the hash of the name.
var location = dht.KeyOf("range indexes")

// Define makes an index. That it is there already, and the same, is no error.
func (r *Registry) Define(ctx context.Context, d Definition) (*Opened, error) {
	d, err := d.normal()
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("index %q: %w", d.Name, err)
	}
	result, _, err := r.table.Put(ctx, dht.Put{Address: dht.Address{Location: location, Content: dht.KeyOf(d.Name)}, Value: value, Absent: true})
	if err != nil {
		return nil, fmt.Errorf("index %q: %w", d.Name, err)
	}
	switch {
	case result.Stored():
		return r.keep(d), nil
	case result.Status != dht.StatusNotAbsent:
		return nil, fmt.Errorf("index %q: %s: %w", d.Name, result.Status, dht.ErrNoReplica)
	}
	there, err := r.find(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	if !there.same(d) {
		return nil, fmt.Errorf("index %q: keys of %d bits, leaves of %d, %d entries, via %v: %w", d.Name, there.Bits, there.LeafBits, there.Capacity, there.Via, ErrExists)
	}
	return r.keep(there), nil
}

// Open returns an index. Errors: ErrNotFound.
func (r *Registry) Open(ctx context.Context, name string) (*Opened, error) {
	r.mu.Lock()
	o := r.open[name]
	r.mu.Unlock()
	if o != nil {
		return o, nil
	}
	d, err := r.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.keep(d), nil
}

// keep remembers an index that is used. Definitions never change.
func (r *Registry) keep(d Definition) *Opened {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.open[d.Name]; o != nil {
		return o
	}
	if len(r.open) >= maxOpen {
		clear(r.open)
	}
	o := &Opened{Definition: d, by: map[Via]*ranges.Index{}}
	for _, v := range d.Via {
		o.by[v] = ranges.New(ranges.Options{Table: r.table, Name: d.Name, Scheme: d.scheme(v), Capacity: d.Capacity, Now: r.now})
	}
	r.open[d.Name] = o
	return o
}

// maxPages bounds how often it is asked for a list.
const maxPages = 128

// find asks the table for a definition.
func (r *Registry) find(ctx context.Context, name string) (Definition, error) {
	f, _, err := r.table.Get(ctx, dht.Query{Location: location, Contents: []p2p.Key{dht.KeyOf(name)}}, dht.ReadOptions{})
	if err != nil {
		return Definition{}, fmt.Errorf("index %q: %w", name, err)
	}
	for _, d := range definitions(f.Records) {
		if d.Name == name {
			return d, nil
		}
	}
	return Definition{}, fmt.Errorf("index %.100q: %w", name, ErrNotFound)
}

// List returns the definitions of all indexes, or MaxIndexes of them, by name.
func (r *Registry) List(ctx context.Context) ([]Definition, error) {
	var all []Definition
	q := dht.Query{Location: location}
	for range maxPages {
		f, _, err := r.table.Get(ctx, q, dht.ReadOptions{})
		if err != nil {
			return nil, fmt.Errorf("list indexes: %w", err)
		}
		all = append(all, definitions(f.Records)...)
		if f.Until == nil || len(all) >= MaxIndexes {
			break
		}
		// An answer over other members has hardly room for a hundred.
		q.From = *f.Until
		for i := len(q.From) - 1; i >= 0; i-- {
			if q.From[i]++; q.From[i] != 0 {
				break
			}
		}
	}
	all = all[:min(len(all), MaxIndexes)]
	slices.SortFunc(all, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// definitions reads records. What is no definition is not there.
func definitions(records []dht.Copy) (out []Definition) {
	for _, c := range records {
		var d Definition
		if json.Unmarshal(c.Value, &d) != nil || dht.KeyOf(d.Name) != c.Content {
			continue
		}
		if d, err := d.normal(); err == nil {
			out = append(out, d)
		}
	}
	return out
}
