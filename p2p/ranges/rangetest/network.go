// Package rangetest has a distributed table that is none: one store that counts what a
// network of so many nodes would have had to send.
package rangetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Network implements ranges.Table. All replicas always agree.
type Network struct {
	now    func() time.Time
	author []byte

	mu       sync.Mutex // guards what follows
	ring     []p2p.Key  // positions of nodes
	replicas int
	places   map[p2p.Key]*[2]domain // by location
	seq      uint64
	puts     map[p2p.Key]int // requests to put something, by location
	before   func(op string) // is called before each operation
	refusing map[p2p.Key]bool
	closed   map[p2p.Key]bool
}

// domain is the records of a location's domain, in the order of content keys.
type domain struct {
	name    p2p.Key
	records []dht.Held
}

// New returns a network of nodes of which each record is kept by so many.
func New(nodes, replicas int, now func() time.Time) *Network {
	n := &Network{now: now, author: make([]byte, 32), replicas: min(replicas, nodes), places: map[p2p.Key]*[2]domain{}, puts: map[p2p.Key]int{}, refusing: map[p2p.Key]bool{}, closed: map[p2p.Key]bool{}}
	for i := range nodes {
		n.ring = append(n.ring, sha256.Sum256(binary.BigEndian.AppendUint64([]byte("node"), uint64(i))))
	}
	slices.SortFunc(n.ring, p2p.Key.Compare)
	return n
}

// Clear forgets everything.
func (n *Network) Clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.places)
}

// By has the network take what comes from now on for somebody's.
func (n *Network) By(author byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.author = bytes.Repeat([]byte{author}, 32)
}

// Refuse has those who keep a location take nothing; what is there is served.
func (n *Network) Refuse(location p2p.Key, refuse bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed[location] = refuse
}

// Before has f called before each operation of the table, without any lock held.
func (n *Network) Before(f func(op string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = f
}

// Fail has those who keep a location answer nothing, or answer again.
func (n *Network) Fail(location p2p.Key, fails bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refusing[location] = fails
}

// Puts returns how many records were put at each location.
func (n *Network) Puts() map[p2p.Key]int { return n.puts }

// keepers adds those who keep a location to a set.
func (n *Network) keepers(location p2p.Key, into map[p2p.Key]bool) {
	i, _ := slices.BinarySearchFunc(n.ring, location, p2p.Key.Compare)
	for j := range n.replicas {
		into[n.ring[(i+j)%len(n.ring)]] = true
	}
}

// trace returns what asking about locations takes.
func (n *Network) trace(locations func(yield func(p2p.Key) bool)) dht.Trace {
	to := map[p2p.Key]bool{}
	for l := range locations {
		n.keepers(l, to)
	}
	return dht.Trace{Rounds: 1, Messages: len(to)}
}

// at returns a domain of a location, and makes it if it is not there.
func (n *Network) at(location, name p2p.Key) *domain {
	p := n.places[location]
	if p == nil {
		p = new([2]domain)
		n.places[location] = p
	}
	for i := range p {
		if d := &p[i]; d.records == nil || d.name == name {
			d.name = name
			return d
		}
	}
	panic("rangetest: a location with three domains")
}

func (n *Network) begin(op string) {
	n.mu.Lock()
	before := n.before
	n.mu.Unlock()
	if before != nil {
		before(op)
	}
	n.mu.Lock()
}

// MultiGet implements ranges.Table.
func (n *Network) MultiGet(_ context.Context, queries []dht.Query, _ dht.ReadOptions) ([]dht.Found, dht.Trace, error) {
	n.begin("get")
	defer n.mu.Unlock()
	out := make([]dht.Found, len(queries))
	for i, q := range queries {
		status := dht.StatusOK
		if n.refusing[q.Location] {
			status = dht.StatusFailed
		}
		out[i] = dht.Found{Query: q, Replicas: []dht.Answered{{Status: status}}}
		if status == dht.StatusOK {
			n.read(q, &out[i])
		}
	}
	return out, n.trace(func(yield func(p2p.Key) bool) {
		for _, q := range queries {
			if !yield(q.Location) {
				return
			}
		}
	}), nil
}

// read answers a query.
func (n *Network) read(q dht.Query, f *dht.Found) {
	limit := q.Limit
	if limit == 0 {
		limit = dht.MaxResults
	}
	records := n.at(q.Location, q.Domain).records
	var summed []p2p.Key
	defer func() {
		if q.Summary > 0 {
			f.Summary = bloom.New(len(summed), float64(q.Summary))
			for _, k := range summed {
				f.Summary.Add(k)
			}
		}
	}()
	take := func(h dht.Held) bool {
		left := time.Duration(0)
		if h.Expires != 0 {
			left = time.Duration(h.Expires-n.now().UnixMilli()) * time.Millisecond
		}
		passes := true
		for _, list := range q.Where {
			passes = passes && slices.ContainsFunc(list, func(f bloom.Filter) bool { return f.Has(h.Content) })
		}
		switch {
		case !passes, h.Kind != dht.KindValue || h.Expires != 0 && left <= 0:
			return true
		case len(f.Records) == limit || f.Count == limit:
			f.More = true
			if n := len(f.Records); n > 0 {
				f.Until = &f.Records[n-1].Content
			}
			return false
		case q.Count:
			f.Count++
			return true
		case q.Summary > 0:
			f.Count++
			summed = append(summed, h.Content)
			return true
		}
		if q.Bare {
			h.Value = nil
		}
		f.Records = append(f.Records, dht.Copy{Record: h.Record, Left: left})
		return true
	}
	search := func(k p2p.Key) (int, bool) {
		return slices.BinarySearchFunc(records, k, func(h dht.Held, k p2p.Key) int { return h.Content.Compare(k) })
	}
	if len(q.Contents) > 0 {
		for _, k := range q.Contents {
			if i, ok := search(k); ok && !take(records[i]) {
				return
			}
		}
		return
	}
	from, _ := search(q.From)
	to := len(records)
	if q.To != nil {
		var ok bool
		if to, ok = search(*q.To); ok {
			to++
		}
	}
	some := records[from:max(from, to)]
	for i := range some {
		if q.Descending {
			i = len(some) - 1 - i
		}
		if !take(some[i]) {
			return
		}
	}
}

// MultiPut implements ranges.Table.
func (n *Network) MultiPut(_ context.Context, puts []dht.Put) ([]dht.PutResult, dht.Trace, error) {
	n.begin("put")
	defer n.mu.Unlock()
	out := make([]dht.PutResult, len(puts))
	for i, p := range puts {
		out[i] = dht.PutResult{Status: dht.StatusFailed}
		if n.refusing[p.Location] || n.closed[p.Location] {
			continue
		}
		n.seq = max(n.seq+1, uint64(n.now().UnixMicro()))
		n.puts[p.Location]++
		h := dht.Header{Address: p.Address, Seq: n.seq, Size: uint32(len(p.Value)), TTL: uint32(p.TTL / time.Second), Author: n.author}
		held := dht.Held{Record: dht.Record{Header: h, Value: p.Value}}
		if p.TTL > 0 {
			held.Expires = n.now().Add(p.TTL).UnixMilli()
		}
		n.keep(held)
		out[i] = dht.PutResult{Header: h, Status: dht.StatusOK}
	}
	return out, n.trace(func(yield func(p2p.Key) bool) {
		for _, p := range puts {
			if !yield(p.Location) {
				return
			}
		}
	}), nil
}

// keep keeps a record in place of the one at its address.
func (n *Network) keep(h dht.Held) {
	d := n.at(h.Location, h.Domain)
	i, ok := slices.BinarySearchFunc(d.records, h.Content, func(o dht.Held, k p2p.Key) int { return o.Content.Compare(k) })
	if ok {
		d.records[i] = h
	} else {
		d.records = slices.Insert(d.records, i, h)
	}
}

// MultiRemove implements ranges.Table.
func (n *Network) MultiRemove(ctx context.Context, queries []dht.Query) ([]dht.Copy, []dht.PutResult, dht.Trace, error) {
	found, trace, err := n.MultiGet(ctx, queries, dht.ReadOptions{})
	if err != nil {
		return nil, nil, trace, err
	}
	var copies []dht.Copy
	var headers []dht.Header
	for _, f := range found {
		for _, c := range f.Records {
			copies, headers = append(copies, c), append(headers, c.Header)
		}
	}
	if len(headers) == 0 {
		return nil, nil, trace, nil
	}
	results, more, err := n.RemoveUnchanged(ctx, headers)
	trace.Add(more)
	return copies, results, trace, err
}

// RemoveUnchanged implements ranges.Table.
func (n *Network) RemoveUnchanged(_ context.Context, records []dht.Header) ([]dht.PutResult, dht.Trace, error) {
	n.begin("remove")
	defer n.mu.Unlock()
	out := make([]dht.PutResult, len(records))
	for i, h := range records {
		out[i] = dht.PutResult{Header: h, Status: dht.StatusStale}
		d := n.at(h.Location, h.Domain)
		j, ok := slices.BinarySearchFunc(d.records, h.Content, func(o dht.Held, k p2p.Key) int { return o.Content.Compare(k) })
		if ok && d.records[j].Seq == h.Seq && !n.refusing[h.Location] && !n.closed[h.Location] {
			d.records[j].Kind = dht.KindTombstone
			out[i].Status = dht.StatusOK
		}
	}
	return out, n.trace(func(yield func(p2p.Key) bool) {
		for _, h := range records {
			if !yield(h.Location) {
				return
			}
		}
	}), nil
}
