package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// The packed forms of addresses, see migration 0013. behind is larger than any byte that
// a part begins with: an address with it is behind all that begin like it.
const (
	zeroPart  = 1
	wholePart = 2
	behind    = 3
)

// appendKey appends a domain or a content.
func appendKey(b []byte, k *p2p.Key) []byte {
	if *k == (p2p.Key{}) {
		return append(b, zeroPart)
	}
	return append(append(b, wholePart), k[:]...)
}

// packDomain returns the packed form of a name's location and domain.
func packDomain(n *dht.Name) []byte {
	b := make([]byte, 0, len(n.Location)+1+len(n.Domain))
	return appendKey(append(b, n.Location[:]...), &n.Domain)
}

// packName returns the packed form of a name.
func packName(n *dht.Name) []byte {
	b := make([]byte, 0, len(n.Location)+2+len(n.Domain)+len(n.Content)+2+len(dht.Version{}))
	b = appendKey(append(b, n.Location[:]...), &n.Domain)
	return appendKey(b, &n.Content)
}

// packAddress returns the packed form of a version of a name of which name is the packed
// form.
func packAddress(name []byte, v *dht.Version) []byte {
	b := append(make([]byte, 0, len(name)+1+len(v)), name...)
	if v.IsZero() {
		return append(b, zeroPart)
	}
	return append(append(b, wholePart), v[:]...)
}

// after returns what is behind everything that begins with b.
func after(b []byte) []byte { return append(b[:len(b):len(b)], behind) }

// errUnreadable: a row of dht.db that this program has not written. As every row is
// checked by its author's signature when it is sent, it is not worth more than a word.
var errUnreadable = errors.New("unreadable record")

// contentOf returns the content of a packed address.
func contentOf(at []byte) (content p2p.Key, err error) {
	b, err := cutKey(at, len(content), nil)
	if err == nil {
		_, err = cutKey(b, 0, &content)
	}
	return content, err
}

// cutKey skips bytes, and then takes the key that follows.
func cutKey(b []byte, skip int, k *p2p.Key) (rest []byte, err error) {
	var none p2p.Key
	if k == nil {
		k = &none
	}
	switch {
	case len(b) > skip && b[skip] == zeroPart:
		return b[skip+1:], nil
	case len(b) > skip+len(k) && b[skip] == wholePart:
		return b[skip+1+copy(k[:], b[skip+1:]):], nil
	}
	return nil, fmt.Errorf("%w: address %x", errUnreadable, b)
}

// packProof returns the packed form of a proof: its numbers and byte strings, each with its
// length before it.
func packProof(p *dht.Proof) []byte {
	b := make([]byte, 0, 4*binary.MaxVarintLen32+len(p.Sig)+len(p.Path))
	b = binary.AppendUvarint(b, uint64(p.Index))
	b = binary.AppendUvarint(b, uint64(p.Count))
	b = append(binary.AppendUvarint(b, uint64(len(p.Sig))), p.Sig...)
	return append(binary.AppendUvarint(b, uint64(len(p.Path))), p.Path...)
}

// unpackProof is the inverse. What it returns are parts of b.
func unpackProof(b []byte) (p dht.Proof, err error) {
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			err, b = errUnreadable, nil
			return 0
		}
		b = b[size:]
		return n
	}
	cut := func() []byte {
		n := number()
		if n > uint64(len(b)) {
			err, b = errUnreadable, nil
			return nil
		}
		s := b[:n:n]
		b = b[n:]
		return s
	}
	p.Index, p.Count = uint32(number()), uint32(number())
	p.Sig = cut()
	if p.Path = cut(); len(p.Path) == 0 {
		p.Path = nil
	}
	if len(b) > 0 {
		err = errUnreadable
	}
	return p, err
}

// unpackHeld returns a record from its columns.
func unpackHeld(expires int64, header, proof, value []byte) (h dht.Held, err error) {
	if err = wire.Unmarshal(header, &h.Header); err != nil {
		return h, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if h.Proof, err = unpackProof(proof); err != nil {
		return h, fmt.Errorf("%w: proof of %d bytes", err, len(proof))
	}
	h.Expires, h.Value = expires, value
	return h, nil
}
