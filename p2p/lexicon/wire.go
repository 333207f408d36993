package lexicon

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Proto is the call by which a member is asked for its words.
const Proto = "vocabulary/1"

// Bounds of messages, of one vocabulary, and of all.
const (
	MaxWords = 100_000 // of one member

	maxChunks = 8192 // of a vocabulary
	// maxListed is the number of chunks that one answer names: of a vocabulary with more, the
	// rest comes with the next ones.
	maxListed = 2048
	// maxWanted is how many chunks are asked for at once, and maxServed how many bytes of
	// packed chunks an answer has.
	maxWanted = 256
	maxServed = 48 << 10

	maxDocuments = 1 << 30
)

// request asks what has changed since a version, or for chunks.
type request struct {
	Since []byte   `cbor:"1,keyasint,omitempty"` // the version that the asker has; none: nothing
	Skip  int      `cbor:"2,keyasint,omitempty"` // with At: chunks of the answer that came already
	At    []byte   `cbor:"3,keyasint,omitempty"` // the version that the answers before were about
	Want  [][]byte `cbor:"4,keyasint,omitempty"` // chunks
}

// response tells how to come to a version, or brings chunks.
type response struct {
	Version   []byte   `cbor:"1,keyasint,omitempty"`
	All       bool     `cbor:"2,keyasint,omitempty"` // New has all chunks, not only those since
	New       [][]byte `cbor:"3,keyasint,omitempty"`
	Gone      [][]byte `cbor:"4,keyasint,omitempty"`
	More      bool     `cbor:"5,keyasint,omitempty"` // there are more of New and Gone
	Documents int      `cbor:"6,keyasint,omitempty"`
	Cut       bool     `cbor:"7,keyasint,omitempty"` // rare words are left out
	// Chunks are those that were wanted, as far as they are there still and fit, each with its
	// length, and all of them packed (RFC 1951) or not, as the first byte says.
	Chunks []byte `cbor:"8,keyasint,omitempty"`
}

// versionOf returns the version of which these are the chunks, in no certain order.
func versionOf(chunks []chunkID) chunkID {
	sorted := slices.Clone(chunks)
	slices.SortFunc(sorted, func(a, b chunkID) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, c := range sorted {
		_, _ = h.Write(c[:]) // never fails
	}
	return chunkID(h.Sum(nil)[:])
}

// idsOf reads names of chunks.
func idsOf(list [][]byte) ([]chunkID, error) {
	ids := make([]chunkID, len(list))
	for i, b := range list {
		if len(b) != len(chunkID{}) {
			return nil, fmt.Errorf("lexicon: a name of %d bytes", len(b))
		}
		ids[i] = chunkID(b)
	}
	return ids, nil
}

func (q *request) check() error {
	switch {
	case len(q.Since) != 0 && len(q.Since) != len(chunkID{}) || len(q.At) != 0 && len(q.At) != len(chunkID{}):
		return errors.New("lexicon: request: not a version")
	case q.Skip < 0 || q.Skip > 2*maxChunks || len(q.Want) > maxWanted:
		return errors.New("lexicon: request: out of bounds")
	}
	return nil
}

func (r *response) check() error {
	switch {
	case len(r.Version) != len(chunkID{}):
		return errors.New("lexicon: answer: not a version")
	case len(r.New)+len(r.Gone) > maxListed || r.Documents < 0 || r.Documents > maxDocuments:
		return errors.New("lexicon: answer: out of bounds")
	case r.More && len(r.New)+len(r.Gone) == 0:
		return errors.New("lexicon: answer: more of nothing")
	}
	return nil
}

// What packed chunks begin with. Up to plainBytes are not worth the memory of packing.
const (
	asItIs     = 0
	deflated   = 1
	plainBytes = 16 << 10
)

// packer keeps what packing needs until the next garbage collection: it is most of a megabyte.
type packer struct{ writers sync.Pool } // of *flate.Writer

// pack packs chunks, as many as fit, and says how many these are.
func (p *packer) pack(chunks [][]byte) (packed []byte, n int, err error) {
	if len(chunks) == 0 {
		return nil, 0, nil
	}
	size := 0
	for _, c := range chunks {
		size += len(c)
	}
	if size <= plainBytes {
		packed = append(packed, asItIs)
		for _, c := range chunks {
			packed = append(binary.AppendUvarint(packed, uint64(len(c))), c...)
		}
		return packed, len(chunks), nil
	}
	w, _ := p.writers.Get().(*flate.Writer)
	if w == nil {
		if w, err = flate.NewWriter(nil, flate.DefaultCompression); err != nil {
			return nil, 0, fmt.Errorf("lexicon: pack: %w", err)
		}
	}
	defer p.writers.Put(w)
	for n = len(chunks); ; n /= 2 {
		var b bytes.Buffer
		b.WriteByte(deflated)
		w.Reset(&b)
		for _, c := range chunks[:n] {
			if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(c))), c...)); err != nil {
				return nil, 0, fmt.Errorf("lexicon: pack: %w", err)
			}
		}
		if err := w.Close(); err != nil {
			return nil, 0, fmt.Errorf("lexicon: pack: %w", err)
		}
		if b.Len() <= maxServed || n <= 1 {
			return b.Bytes(), n, nil
		}
	}
}

// unpack returns at most maxWanted chunks; more, or longer ones, are an error.
func unpack(packed []byte) (chunks [][]byte, err error) {
	if len(packed) == 0 {
		return nil, nil
	}
	const most = maxWanted * (maxChunkBytes + 3)
	b := packed[1:]
	switch packed[0] {
	case asItIs:
	case deflated:
		if b, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), most+1)); err != nil {
			return nil, fmt.Errorf("lexicon: unpack: %w", err)
		}
	default:
		return nil, errors.New("lexicon: unpack: packed in no known way")
	}
	for len(b) > 0 {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > maxChunkBytes || uint64(len(b)-n) < length || len(chunks) == maxWanted {
			return nil, errors.New("lexicon: unpack: too much")
		}
		chunks = append(chunks, b[n:n+int(length)])
		b = b[n+int(length):]
	}
	return chunks, nil
}
