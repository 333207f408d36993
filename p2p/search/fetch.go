package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// FetchProto is the call by which a document of another node is read.
const FetchProto = "document/1"

// pieceSize is how much of a compressed text travels in one message; the other
// fields of a document need at most maxFields and MaxPath beside it, and a forwarded call
// brings back 56 KiB.
const pieceSize = 18 << 10

// fetchRequest asks for a piece of a document.
type fetchRequest struct {
	ID     string `cbor:"1,keyasint"`
	Offset int    `cbor:"2,keyasint,omitempty"` // in the compressed text
}

// fetchResponse is that piece; everything else comes with the first one.
type fetchResponse struct {
	Title    string `cbor:"1,keyasint,omitempty"`
	Folder   string `cbor:"2,keyasint,omitempty"`
	Path     string `cbor:"3,keyasint,omitempty"`
	Type     string `cbor:"4,keyasint,omitempty"`
	Size     int64  `cbor:"5,keyasint,omitempty"`
	Modified int64  `cbor:"6,keyasint"` // with Length, tells versions of the document apart
	Fields   []byte `cbor:"7,keyasint,omitempty"`
	Length   int    `cbor:"8,keyasint"` // of the compressed text
	Piece    []byte `cbor:"9,keyasint,omitempty"`
}

// FetchHandler answers "document/1" to the member that asks.
func (x *Index) FetchHandler(ctx context.Context, from p2p.ID, b []byte) ([]byte, error) {
	var q fetchRequest
	if err := wire.Unmarshal(b, &q); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	if !validID(q.ID) || q.Offset < 0 {
		return nil, &p2p.CallError{Code: "malformed", Message: "search: document request out of bounds"}
	}
	r, err := x.store.Get(ctx, q.ID)
	if readable, all := x.seenBy(from); err == nil && !all && r.Folder != "" && !readable[r.Folder] {
		err = fmt.Errorf("search: document %.80q: %w", q.ID, ErrNotFound)
	}
	if errors.Is(err, ErrNotFound) {
		return nil, &p2p.CallError{Code: "not_found", Message: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	answer := fetchResponse{Modified: r.Modified.UnixNano(), Length: len(r.Text)}
	if q.Offset == 0 {
		answer.Title, answer.Folder, answer.Path, answer.Type = r.Title, r.Folder, r.Path, r.Type
		answer.Size, answer.Fields = r.Size, r.Fields
	}
	begin := min(q.Offset, len(r.Text))
	answer.Piece = r.Text[begin:min(begin+pieceSize, len(r.Text))]
	return wire.Marshal(answer)
}

// Fetch reads a document of the node from. Errors: ErrNotFound, and those of the
// Caller.
func Fetch(ctx context.Context, c p2p.Caller, from p2p.ID, id string) (Document, error) {
	d, err := fetch(ctx, c, from, id)
	if err != nil {
		return Document{}, fmt.Errorf("search: document %.80q of %s: %w", id, from.Short(), err)
	}
	return d, nil
}

// errChanged: the document was replaced while it was being read.
var errChanged = errors.New("it changes while it is read")

func fetch(ctx context.Context, c p2p.Caller, from p2p.ID, id string) (Document, error) {
	if !validID(id) {
		return Document{}, ErrNotFound
	}
	first, err := fetchPiece(ctx, c, from, fetchRequest{ID: id})
	if err != nil {
		return Document{}, err
	}
	text := first.Piece
	for len(text) < first.Length {
		next, err := fetchPiece(ctx, c, from, fetchRequest{ID: id, Offset: len(text)})
		if err != nil {
			return Document{}, err
		}
		if next.Modified != first.Modified || next.Length != first.Length {
			return Document{}, errChanged
		}
		text = append(text, next.Piece...)
	}
	return first.document(id, text)
}

func fetchPiece(ctx context.Context, c p2p.Caller, from p2p.ID, q fetchRequest) (fetchResponse, error) {
	b, err := wire.Marshal(q)
	if err != nil {
		return fetchResponse{}, err
	}
	b, err = c.Call(ctx, from, FetchProto, b)
	var refused *p2p.CallError
	if errors.As(err, &refused) && refused.Code == "not_found" {
		return fetchResponse{}, ErrNotFound
	}
	if err != nil {
		return fetchResponse{}, err
	}
	return decodeFetch(b, q)
}

// decodeFetch reads and bounds what a member answered to q: the piece is neither
// empty before the end nor beyond it.
func decodeFetch(b []byte, q fetchRequest) (fetchResponse, error) {
	var r fetchResponse
	if err := wire.Unmarshal(b, &r); err != nil {
		return r, err
	}
	left := r.Length - q.Offset
	if r.Length < 0 || r.Length > 2*MaxText || len(r.Piece) > max(left, 0) || len(r.Piece) == 0 && left > 0 {
		return r, fmt.Errorf("a piece of %d bytes at %d of %d", len(r.Piece), q.Offset, r.Length)
	}
	return r, nil
}

// document puts the answers together; what a member says about its document is
// held to the limits that hold here.
func (r *fetchResponse) document(id string, text []byte) (Document, error) {
	d := Document{
		ID: id, Title: r.Title, Folder: r.Folder, Path: r.Path, Type: r.Type,
		Size: r.Size, Modified: time.Unix(0, r.Modified).UTC(),
	}
	if len(r.Fields) > 0 {
		if err := json.Unmarshal(r.Fields, &d.Fields); err != nil {
			return d, fmt.Errorf("fields: %w", err)
		}
	}
	var c codec
	var err error
	if d.Text, err = c.expand(text); err != nil {
		return d, err
	}
	return d.check()
}
