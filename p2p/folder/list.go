package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ListProtocol is the name of the calls by which a member reads the entries of a
// folder that another one shares.
const ListProtocol = "entries/1"

// maxListed bounds the entries of one answer: their paths are at most 4 KiB, and
// an answer is cut where it would get longer than maxListedBytes of them.
const (
	maxListed      = 200
	maxListedBytes = 40 << 10
)

// listRequest asks for entries; see Service.Entries.
type listRequest struct {
	Folder string `cbor:"1,keyasint"`
	Prefix string `cbor:"2,keyasint,omitempty"`
	Cursor string `cbor:"3,keyasint,omitempty"`
	Limit  int    `cbor:"4,keyasint"`
}

// listResponse is a page of entries.
type listResponse struct {
	Entries []listed `cbor:"1,keyasint"`
	Next    string   `cbor:"2,keyasint,omitempty"`
}

// listed is an entry as it travels.
type listed struct {
	Path     string `cbor:"1,keyasint"`
	Dir      bool   `cbor:"2,keyasint,omitempty"`
	Size     int64  `cbor:"3,keyasint,omitempty"`
	Modified int64  `cbor:"4,keyasint"` // ns since 1970
	Mode     uint32 `cbor:"5,keyasint"`
	Hash     []byte `cbor:"6,keyasint,omitempty"`
}

// HandleList answers a call of ListProtocol to the member that asks, whichever way it has come.
func (s *Service) HandleList(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
	var r listRequest
	if err := wire.Unmarshal(req, &r); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: "not a request for entries"}
	}
	if !s.options.Allowed(from, r.Folder) {
		return nil, &p2p.CallError{Code: "forbidden", Message: ErrForbidden.Error()}
	}
	entries, next, err := s.Entries(ctx, r.Folder, r.Prefix, r.Cursor, min(r.Limit, maxListed))
	if errors.Is(err, ErrNotFound) {
		return nil, &p2p.CallError{Code: "not_found", Message: "no such folder"}
	}
	if err != nil {
		return nil, err
	}
	return wire.Marshal(pack(entries, next))
}

// pack makes an answer of as many of the entries as it can hold.
func pack(entries []Entry, next string) listResponse {
	r := listResponse{Next: next}
	bytes := 0
	for i, e := range entries {
		if bytes += len(e.Path) + 80; bytes > maxListedBytes && i > 0 {
			r.Next = entries[i-1].Path
			break
		}
		l := listed{Path: e.Path, Dir: e.Kind == KindDir, Size: e.Size, Modified: e.Modified.UnixNano(), Mode: uint32(e.Mode.Perm())}
		if e.Hash != (Hash{}) {
			l.Hash = e.Hash[:]
		}
		r.Entries = append(r.Entries, l)
	}
	return r
}

// FetchEntries reads entries of a folder that the member from
// shares; see Service.Entries. It may return fewer than limit although more follow.
// Errors: ErrNotFound, ErrForbidden, and those of the caller.
func FetchEntries(ctx context.Context, c p2p.Caller, from p2p.ID, id, prefix, cursor string, limit int) ([]Entry, string, error) {
	entries, next, err := fetchEntries(ctx, c, from, listRequest{Folder: id, Prefix: prefix, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, "", fmt.Errorf("folder: entries of %.30q from %s: %w", id, from.Short(), err)
	}
	return entries, next, nil
}

func fetchEntries(ctx context.Context, c p2p.Caller, from p2p.ID, r listRequest) ([]Entry, string, error) {
	req, err := wire.Marshal(r)
	if err != nil {
		return nil, "", err
	}
	b, err := c.Call(ctx, from, ListProtocol, req)
	var refused *p2p.CallError
	if errors.As(err, &refused) {
		for _, known := range refusals {
			if refused.Code == known.code {
				return nil, "", known.err
			}
		}
	}
	if err != nil {
		return nil, "", err
	}
	var page listResponse
	if err := wire.Unmarshal(b, &page); err != nil {
		return nil, "", err
	}
	return page.entries(r)
}

// entries checks what a peer has answered to req.
func (page listResponse) entries(req listRequest) ([]Entry, string, error) {
	if len(page.Entries) > req.Limit {
		return nil, "", fmt.Errorf("%d entries, asked for %d", len(page.Entries), req.Limit)
	}
	var out []Entry
	after := req.Cursor
	for _, l := range page.Entries {
		if err := CheckPath(l.Path); err != nil {
			return nil, "", err
		}
		if l.Path <= after || !strings.HasPrefix(l.Path, req.Prefix) || l.Size < 0 || len(l.Hash) != 0 && len(l.Hash) != len(Hash{}) {
			return nil, "", fmt.Errorf("entry %.100q is out of order, not asked for or not valid", l.Path)
		}
		after = l.Path
		e := Entry{Path: l.Path, Kind: KindFile, Size: l.Size, Modified: time.Unix(0, l.Modified).UTC(), Mode: fs.FileMode(l.Mode).Perm()}
		if l.Dir {
			e.Kind = KindDir
		}
		copy(e.Hash[:], l.Hash)
		out = append(out, e)
	}
	// Without entries it would be the cursor that was asked with, for ever.
	if page.Next != "" && (len(page.Entries) == 0 || page.Next != after) {
		return nil, "", fmt.Errorf("cursor %.100q is not the last entry", page.Next)
	}
	return out, page.Next, nil
}
