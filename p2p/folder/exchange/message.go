package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// IndexProtocol is the name of the streams that carry entries. Who wants them opens
// the stream and writes a hello; the other answers with a welcome and then, for as long
// as the stream lasts, with pages; acks go the other way.
const IndexProtocol = "folder/1"

// hello asks for a folder's entries.
type hello struct {
	Folder  string `cbor:"1,keyasint"`
	Creator []byte `cbor:"2,keyasint"`
	// Incarnation and After say from where: a number of that incarnation.
	Incarnation uint64 `cbor:"3,keyasint,omitempty"`
	After       uint64 `cbor:"4,keyasint,omitempty"`
}

// welcome answers a hello.
type welcome struct {
	Code        string `cbor:"1,keyasint,omitempty"` // empty: granted
	Incarnation uint64 `cbor:"2,keyasint,omitempty"`
	Last        uint64 `cbor:"3,keyasint,omitempty"` // number of the newest entry
}

// ack tells how far the entries of the other are on the disk of who sends it.
type ack struct {
	Applied uint64 `cbor:"1,keyasint"`
}

// Codes of a welcome.
const (
	codeNotKept   = "not_kept"  // the folder is not here, or another one of that ID, or not for you
	codeNotReady  = "not_ready" // it is being looked at; ask again
	codePaused    = "paused"    // a person there has paused it
	codeMalformed = "malformed" // not a hello
)

// Limits of a page.
const (
	maxPage        = 1 << 20 // bytes
	maxPageEntries = 4096
	maxPageNodes   = 65536
	pageEntries    = 512 // entries that are sent at once
)

// page is a piece of an index.
//
// Its form: length (4 bytes, big-endian), then varints and bytes: upto; number of
// nodes, each a member (32 bytes) and an incarnation (8 bytes); number of claims, each
// a dot and 64 bytes; number of entries, each the dot that is its ID, and its packed form
// behind its length. A dot is the number of a node, from 1, and a counter.
type page struct {
	upto    uint64
	claims  []replica.Claim
	entries []reconcile.Entry
}

// nodes is the table of a page. It implements replica.Actors.
type nodes struct {
	list  []reconcile.Dot
	known map[reconcile.Dot]int
}

var errNode = errors.New("no such member in the page")

// Number implements replica.Actors.
func (n *nodes) Number(member p2p.ID, incarnation uint64) (int, error) {
	d := reconcile.Dot{Member: member, Incarnation: incarnation}
	if i, ok := n.known[d]; ok {
		return i, nil
	}
	if n.known == nil {
		n.known = map[reconcile.Dot]int{}
	}
	n.list = append(n.list, d)
	n.known[d] = len(n.list)
	return len(n.list), nil
}

// Actor implements replica.Actors.
func (n *nodes) Actor(i int) (p2p.ID, uint64, error) {
	if i < 1 || i > len(n.list) {
		return p2p.ID{}, 0, errNode
	}
	return n.list[i-1].Member, n.list[i-1].Incarnation, nil
}

func (n *nodes) appendDot(b []byte, d reconcile.Dot) []byte {
	i, _ := n.Number(d.Member, d.Incarnation) // never fails
	return wire.AppendVarint(wire.AppendVarint(b, uint64(i)), d.Counter)
}

// appendPage appends the form of p.
func appendPage(b []byte, p page) ([]byte, error) {
	var n nodes
	var claims, entries []byte
	for _, c := range p.claims {
		claims = append(n.appendDot(claims, c.Dot), c.Sig...)
	}
	for _, e := range p.entries {
		packed, err := replica.PackEntry(&n, e)
		if err != nil {
			return nil, fmt.Errorf("exchange: page: %w", err)
		}
		entries = n.appendDot(entries, reconcile.Dot(e.ID))
		entries = append(wire.AppendVarint(entries, uint64(len(packed))), packed...)
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = wire.AppendVarint(b, p.upto)
	b = wire.AppendVarint(b, uint64(len(n.list)))
	for _, d := range n.list {
		b = append(b, d.Member[:]...)
		b = binary.BigEndian.AppendUint64(b, d.Incarnation)
	}
	b = append(wire.AppendVarint(b, uint64(len(p.claims))), claims...)
	b = append(wire.AppendVarint(b, uint64(len(p.entries))), entries...)
	size := len(b) - start - 4
	if size > maxPage {
		return nil, fmt.Errorf("exchange: page of %d bytes: %w", size, p2p.ErrTooLarge)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(size))
	return b, nil
}

// readPage reads a page. At the end of the stream the error is io.EOF itself.
func readPage(r *bufio.Reader) (page, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return page{}, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxPage {
		return page{}, fmt.Errorf("exchange: page of %d bytes: %w", size, p2p.ErrTooLarge)
	}
	// What is allocated grows with what arrives.
	b, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && len(b) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return page{}, fmt.Errorf("exchange: page: %w", err)
	}
	return parsePage(b)
}

// parsePage reads the form of a page without its length.
func parsePage(b []byte) (page, error) {
	d := decoder{b: b}
	p := page{upto: d.varint()}
	var n nodes
	for range d.count(maxPageNodes, 40) {
		var at reconcile.Dot
		copy(at.Member[:], d.bytes(32))
		at.Incarnation = d.uint64()
		n.list = append(n.list, at)
	}
	dot := func() reconcile.Dot {
		member, incarnation, err := n.Actor(int(min(d.varint(), 1<<31)))
		if err != nil {
			d.fail(err)
		}
		return reconcile.Dot{Member: member, Incarnation: incarnation, Counter: d.varint()}
	}
	for range d.count(replica.MaxClaims, 66) {
		c := replica.Claim{Dot: dot()}
		c.Sig = append(c.Sig, d.bytes(64)...)
		p.claims = append(p.claims, c)
	}
	for range d.count(maxPageEntries, 4) {
		id := reconcile.EntryID(dot())
		packed := d.bytes(int(min(d.varint(), maxPage)))
		if d.err != nil {
			break
		}
		e, err := replica.UnpackEntry(&n, id, packed)
		if err != nil {
			d.fail(err)
		}
		p.entries = append(p.entries, e)
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail(errors.New("bytes after the end"))
	}
	if d.err != nil {
		return page{}, fmt.Errorf("exchange: page: %w: %w", wire.ErrMalformed, d.err)
	}
	return p, nil
}

// decoder reads from b until something is wrong with it.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.b = err, nil
	}
}

func (d *decoder) varint() uint64 {
	n, rest, err := wire.ReadVarint(d.b)
	if err != nil {
		d.fail(err)
		return 0
	}
	d.b = rest
	return n
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.fail(io.ErrUnexpectedEOF)
		return make([]byte, min(n, 64))
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.bytes(8)) }

// count reads how many things of at least size bytes follow.
func (d *decoder) count(most, size int) int {
	n := d.varint()
	if n > uint64(most) || n*uint64(size) > uint64(len(d.b)) {
		d.fail(fmt.Errorf("%d items in %d bytes", n, len(d.b)))
		return 0
	}
	return int(n)
}
