package exchange

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// PartsProtocol is the name of the streams by which who brings a large content learns what another
// member has of it. Who asks opens the stream and writes a partsHello; the other answers with a
// partsWelcome. If it is bringing that content too, it goes on with partsNews: first of all chunks that
// are there, then of those that come, until it has all or ends. These chunks are asked for on streams
// of FilesProtocol, with request.Sum.
const PartsProtocol = "folder-parts/1"

// partsHello asks who brings a content which chunks of it are there.
type partsHello struct {
	Folder  string `cbor:"1,keyasint"`
	Creator []byte `cbor:"2,keyasint"`
	Hash    []byte `cbor:"3,keyasint"` // of the content
	Path    string `cbor:"4,keyasint,omitempty"`
	Sum     []byte `cbor:"5,keyasint"` // see sumOf
}

// partsWelcome answers a partsHello.
type partsWelcome struct {
	Code  string `cbor:"1,keyasint,omitempty"` // empty: it is there, or on its way
	Whole bool   `cbor:"2,keyasint,omitempty"` // it is there; nothing follows
}

// partsNews tells of chunks that have come since the last one. None is told of twice.
type partsNews struct {
	// Runs are runs of chunks in ascending order: for each, as varints, how many chunks lie between the
	// end of the last one, or the begin of the content, and it, and how many it has besides its first.
	Runs []byte `cbor:"1,keyasint"`
}

// newsRuns is the most runs of a partsNews, which has then at most half of what a message may have.
const newsRuns = 4096

// sumOf is by what two members know that they bring a content by the same chunks: the BLAKE3-256 of
// all that a manifest says about them.
func sumOf(m *chunk.Manifest) (sum chunk.Hash) {
	h := blake3.New()
	root := m.Root()
	b := append(make([]byte, 0, 64), root[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Size()))
	for i := range m.Len() {
		_, _ = h.Write(b) // never fails (hash.Hash)
		c := m.Chunk(i)
		b = binary.BigEndian.AppendUint32(append(b[:0], c.Hash[:]...), uint32(c.Length))
	}
	_, _ = h.Write(b) // never fails (hash.Hash)
	h.Sum(sum[:0])
	return sum
}

// newsOf returns what tells of chunks, which ascend: in as many messages as are needed.
func newsOf(chunks []int32) (all []partsNews) {
	var n partsNews
	runs, end := 0, int32(0)
	for len(chunks) > 0 {
		k := 1
		for k < len(chunks) && chunks[k] == chunks[0]+int32(k) {
			k++
		}
		if runs == newsRuns {
			all, n, runs, end = append(all, n), partsNews{}, 0, 0
		}
		n.Runs = wire.AppendVarint(wire.AppendVarint(n.Runs, uint64(chunks[0]-end)), uint64(k-1))
		runs, end, chunks = runs+1, chunks[0]+int32(k), chunks[k:]
	}
	if runs > 0 {
		all = append(all, n)
	}
	return all
}

// parse returns the runs, all within a content of so many chunks. Errors: wire.ErrMalformed.
func (n partsNews) parse(chunks int) ([]assemble.Run, error) {
	var runs []assemble.Run
	end := 0
	for b := n.Runs; len(b) > 0; {
		gap, rest, err := wire.ReadVarint(b)
		var more uint64
		if err == nil {
			more, rest, err = wire.ReadVarint(rest)
		}
		if err == nil && (len(runs) == newsRuns || gap > chunk.MaxChunks || more > chunk.MaxChunks || end+int(gap)+int(more) >= chunks) {
			err = errors.New("there are not so many")
		}
		if err != nil {
			return nil, fmt.Errorf("exchange: chunks that have come: %w: %w", wire.ErrMalformed, err)
		}
		run := assemble.Run{First: end + int(gap), N: int(more) + 1}
		runs, end, b = append(runs, run), run.First+run.N, rest
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("exchange: chunks that have come: %w: none", wire.ErrMalformed)
	}
	return runs, nil
}
