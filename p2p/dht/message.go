package dht

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// The protocols of a table. A message is a row of items, each as wire.WriteMsg writes
// it: of a request to put, writes; of its answer, results; and so on.
const (
	ProtoPut  = "dht-put/1"
	ProtoGet  = "dht-get/1"
	ProtoSync = "dht-sync/1"
)

// MaxItems is how many writes or queries one message may carry.
const MaxItems = 4096

// room stands before the items of a request whose answer can be long: how many bytes of it
// will arrive.
type room struct {
	Bytes int `cbor:"1,keyasint"`
	Alone int `cbor:"2,keyasint,omitempty"` // if there is one record only; 0: no more than otherwise
}

// bytes returns how many bytes an answer may have.
func (r room) bytes() int { return min(max(r.Bytes, maxCall), maxAnswer) }

// alone returns how many bytes an answer with one record may have.
func (r room) alone() int { return max(r.bytes(), min(r.Alone, maxAlone)) }

// maxAnswer bounds an answer, whatever room is offered.
const maxAnswer = 4 << 20

// beginRequest begins a request whose answer has so much room.
func beginRequest(bytes int) ([]byte, error) { return appendItem(nil, room{bytes, maxAlone}) }

// readRequest reads such a request.
func readRequest[T any](message []byte) (offered room, items []T, err error) {
	r := newItemReader(message)
	if err := r.read(&offered); err != nil {
		return offered, nil, err
	}
	items, err = readRest[T](r)
	return offered, items, err
}

// result is what one replica says of one write.
type result struct {
	Status Status `cbor:"1,keyasint"`
	Seq    uint64 `cbor:"2,keyasint,omitempty"` // of the record that is there, where ours is stale
	Vote   *Vote  `cbor:"3,keyasint,omitempty"` // for a version that is prepared now
}

// answer is what one replica has for one query: an answer, then so many records, then so
// many edges: of names whose heads are returned, the versions behind them.
type answer struct {
	Records int    `cbor:"1,keyasint,omitempty"`
	Edges   int    `cbor:"2,keyasint,omitempty"`
	More    bool   `cbor:"3,keyasint,omitempty"` // there are more than fit
	Status  Status `cbor:"4,keyasint,omitempty"` // StatusOK, or why there is nothing
	Cut     bool   `cbor:"5,keyasint,omitempty"` // more would fit an answer that can be longer
	Count   int    `cbor:"6,keyasint,omitempty"` // of values, where only that is asked for
	// Summary is the filter that was asked for.
	Summary *bloom.Filter `cbor:"7,keyasint,omitempty"`
}

// copied is a record of an answer.
type copied struct {
	Record Record  `cbor:"1,keyasint"`
	Left   uint64  `cbor:"2,keyasint,omitempty"` // milliseconds that it has to live; 0: no end
	Base   []byte  `cbor:"3,keyasint,omitempty"` // the sum of the value that Delta is to
	Delta  []byte  `cbor:"4,keyasint,omitempty"` // instead of the value of the record
	Quorum *Quorum `cbor:"5,keyasint,omitempty"` // see Write
}

// appendItem appends an item to a message.
func appendItem(b []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	if err := wire.WriteMsg(buf, v); err != nil {
		return b, err
	}
	return buf.Bytes(), nil
}

// itemReader reads a message item by item.
type itemReader struct {
	r     *bytes.Reader
	items int
}

func newItemReader(message []byte) *itemReader { return &itemReader{r: bytes.NewReader(message)} }

// more reports whether something is left.
func (r *itemReader) more() bool { return r.r.Len() > 0 }

// read reads the next item into v.
func (r *itemReader) read(v any) error {
	if r.items == maxRead {
		return fmt.Errorf("dht: message of more than %d items: %w", maxRead, p2p.ErrTooLarge)
	}
	r.items++
	err := wire.ReadMsg(r.r, v)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("dht: message: %w", ErrMalformed)
	}
	return err
}

// maxRead bounds the items of an answer: each query has one, and its records.
const maxRead = 16 * MaxItems

// readItems reads a message of at most MaxItems items of one type.
func readItems[T any](message []byte) ([]T, error) {
	return readRest[T](newItemReader(message))
}

// readRest reads what is left.
func readRest[T any](r *itemReader) ([]T, error) {
	var out []T
	for r.more() {
		if len(out) == MaxItems {
			return nil, fmt.Errorf("dht: message of more than %d items: %w", MaxItems, p2p.ErrTooLarge)
		}
		var v T
		if err := r.read(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
