package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"path"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ContentProtocol is the name of the streams over which files are read: the
// asker writes a Request; the answer is a header and then exactly the bytes that
// it announces. If the file changes while it is read, or cannot be read to the
// end, the stream is reset before its last byte, so that whoever has all bytes
// has those of one state of the file.
const ContentProtocol = "content/1"

// Limits of what is served at once.
const (
	maxServedPeer = 8
	maxServed     = 64
)

const (
	// requestWithin bounds the wait for a request.
	requestWithin = 10 * time.Second
	// stalledAfter is how long a peer may take none of the bytes offered.
	stalledAfter = time.Minute
	// sendBuffer is what is read from the disk at once.
	sendBuffer = 64 << 10
	// codeChanged resets a stream whose file has changed.
	codeChanged = 256
)

// Request asks for a file or a part of it.
type Request struct {
	Folder string `cbor:"1,keyasint"`
	Path   string `cbor:"2,keyasint"`
	Offset int64  `cbor:"3,keyasint,omitempty"`
	Length int64  `cbor:"4,keyasint,omitempty"` // 0: to the end
	IfHash []byte `cbor:"5,keyasint,omitempty"` // answer ErrChanged unless this is the content's hash
	Head   bool   `cbor:"6,keyasint,omitempty"` // the header only
}

// Header describes the file that a stream brings.
type Header struct {
	Size     int64 // of the whole file
	Modified time.Time
	Hash     Hash   // of the whole file; zero: not known at the moment
	Type     string // media type by the name; may be empty
	Length   int64  // of what follows
}

// reply is a header as it travels, or a refusal.
type reply struct {
	Code     string `cbor:"1,keyasint,omitempty"` // empty: granted
	Size     int64  `cbor:"2,keyasint,omitempty"`
	Modified int64  `cbor:"3,keyasint,omitempty"` // ns since 1970
	Hash     []byte `cbor:"4,keyasint,omitempty"`
	Type     string `cbor:"5,keyasint,omitempty"`
	Length   int64  `cbor:"6,keyasint,omitempty"`
}

// refusals are the codes of a reply. What is not in the table is "internal", so
// that no text about this computer leaves it.
var refusals = []struct {
	code string
	err  error
}{
	{"bad_path", ErrBadPath},
	{"not_found", ErrNotFound},
	{"forbidden", ErrForbidden},
	{"changed", ErrChanged},
	{"bad_range", ErrInvalid},
	{"busy", ErrBusy},
	{"unavailable", ErrUnavailable},
}

// ServeContent answers one stream of ContentProtocol that the peer of the link
// from has opened, and closes it.
func (s *Service) ServeContent(ctx context.Context, from p2p.Link, conn net.Conn) {
	defer conn.Close() // after a reset or the last byte it has nothing to say
	stop := context.AfterFunc(ctx, func() { abort(conn) })
	defer stop()
	if err := s.serve(ctx, from.Peer(), conn); err != nil {
		s.log.Debug("folder: content not served", "peer", from.Peer().Short(), "error", err)
		abort(conn)
	}
}

// abort ends a stream so that the other end cannot take it for complete.
func abort(conn net.Conn) {
	if r, ok := conn.(interface{ Reset(code uint64) error }); ok {
		if r.Reset(codeChanged) == nil {
			return
		}
	}
	_ = conn.Close() // it is broken: there is nobody to tell
}

func (s *Service) serve(ctx context.Context, from p2p.ID, conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(requestWithin)); err != nil {
		return err
	}
	var req Request
	if err := wire.ReadMsg(conn, &req); err != nil {
		return err
	}
	granted, body, err := s.grant(ctx, from, req)
	if err != nil {
		s.log.Debug("folder: content refused", "peer", from.Short(), "folder", req.Folder, "path", req.Path, "error", err)
		granted = refuse(err)
	} else {
		defer body.Close() // nothing was written
	}
	if err := conn.SetWriteDeadline(time.Now().Add(stalledAfter)); err != nil {
		return err
	}
	if err := wire.WriteMsg(conn, granted); err != nil || granted.Length == 0 {
		return err
	}
	return send(conn, body, granted.Length, func() bool { return s.options.Allowed(from, req.Folder) })
}

func refuse(err error) reply {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return reply{Code: r.code}
		}
	}
	return reply{Code: "internal"}
}

// send copies length bytes, or fails before the last. It asks from time to time whether it
// still may: to send a long file to a slow reader can take hours.
func send(conn net.Conn, body io.Reader, length int64, may func() bool) error {
	buf := make([]byte, min(sendBuffer, length))
	asked := time.Now()
	for sent := int64(0); sent < length; {
		n, err := body.Read(buf)
		if err != nil {
			return err
		}
		if now := time.Now(); now.Sub(asked) >= time.Second {
			if !may() {
				return ErrForbidden
			}
			asked = now
		}
		if err := conn.SetWriteDeadline(time.Now().Add(stalledAfter)); err != nil {
			return err
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return err
		}
		sent += int64(n)
	}
	return nil
}

// grant decides on a request and opens what it asks for.
func (s *Service) grant(ctx context.Context, from p2p.ID, req Request) (reply, io.ReadCloser, error) {
	if err := CheckPath(req.Path); err != nil {
		return reply{}, nil, err
	}
	// Before anything else, so that nobody learns which folders there are.
	if !IsID(req.Folder) || !s.options.Allowed(from, req.Folder) {
		return reply{}, nil, ErrForbidden
	}
	leave, ok := s.gate.enter(from)
	if !ok {
		return reply{}, nil, ErrBusy
	}
	f, err := s.openFile(ctx, req.Folder, req.Path)
	if err != nil {
		leave()
		return reply{}, nil, err
	}
	r, body, err := req.answer(f)
	if err != nil {
		leave()
		return reply{}, nil, err
	}
	return r, &leaving{body, leave}, nil
}

// answer takes f over.
func (req Request) answer(f *File) (reply, io.ReadCloser, error) {
	r := reply{Size: f.Size, Modified: nanoseconds(f.Modified), Type: mime.TypeByExtension(path.Ext(f.Path))}
	if f.Hash != (Hash{}) {
		r.Hash = f.Hash[:]
	}
	if len(req.IfHash) > 0 && string(req.IfHash) != string(r.Hash) {
		return reply{}, nil, errors.Join(ErrChanged, f.Close())
	}
	r.Length = req.Length
	if r.Length == 0 && req.Offset <= f.Size {
		r.Length = f.Size - req.Offset
	}
	body, err := f.Range(req.Offset, r.Length)
	if req.Head {
		r.Length = 0
	}
	return r, body, err
}

// leaving leaves the gate with the end of a file.
type leaving struct {
	io.ReadCloser
	leave func()
}

func (l *leaving) Close() error {
	l.leave()
	return l.ReadCloser.Close()
}

// gate bounds how much is served at once. The zero value works.
type gate struct {
	mu    sync.Mutex // guards all following fields
	peers map[p2p.ID]int
	total int
}

// enter lets a peer in if there is room. leave, called once, makes room again.
func (g *gate) enter(peer p2p.ID) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxServed || g.peers[peer] >= maxServedPeer {
		return nil, false
	}
	if g.peers == nil {
		g.peers = make(map[p2p.ID]int)
	}
	g.total++
	g.peers[peer]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.total--
		if g.peers[peer]--; g.peers[peer] == 0 {
			delete(g.peers, peer)
		}
	}, true
}

// String names a request in errors.
func (req Request) String() string {
	return fmt.Sprintf("%.100q of folder %.30q", req.Path, req.Folder)
}
