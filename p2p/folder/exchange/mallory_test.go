package exchange

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/pack"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// mallory speaks the protocols by hand.
type mallory struct {
	t           *testing.T
	town        *town
	victim      *keeper
	identity    p2p.Identity
	incarnation uint64
	link        p2p.Link

	mu    sync.Mutex // guards all following fields
	made  uint64     // events
	upto  uint64
	pages [][]byte // sent on the first stream; nil at the end
	more  chan struct{}
	text  map[reconcile.Hash]string
	// files answers a request; nil: honestly.
	files  func(q request, in *bufio.Reader, conn net.Conn) error
	parts  func(h partsHello, conn net.Conn) error // nil: as one of an older version
	asked  []request
	greets int // how often it was asked what it has
	codec  pack.Codec
	hellos int
	after  uint64 // what the last hello asked for
}

// invade links a member, or a stranger, to a victim.
func (w *town) invade(t *testing.T, victim *keeper, member bool) *mallory {
	t.Helper()
	m := &mallory{
		t: t, town: w, victim: victim, identity: w.newcomer(t, member), incarnation: 5,
		more: make(chan struct{}, 1), text: map[reconcile.Hash]string{},
	}
	victim.ready()
	tr := w.transport(t, m.identity, nil)
	var err error
	m.link, err = tr.Dial(t.Context(), p2p.Contact{PublicKey: victim.identity.PublicKey()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			proto, conn, err := m.link.Accept(ctx)
			if err != nil {
				return
			}
			wg.Go(func() {
				stop := context.AfterFunc(ctx, func() { reset(conn) })
				defer stop()
				switch proto {
				case IndexProtocol:
					m.serveIndex(ctx, conn)
				case PartsProtocol:
					m.serveParts(conn)
				default:
					m.serveFiles(conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = m.link.Close()
		wg.Wait()
	})
	return m
}

func (m *mallory) id() p2p.ID { return m.identity.ID() }

func (m *mallory) serveIndex(ctx context.Context, conn net.Conn) {
	var h hello
	in := bufio.NewReader(conn)
	if wire.ReadMsg(in, &h) != nil {
		return
	}
	m.mu.Lock()
	m.hellos++
	mine := m.hellos
	m.after = h.After
	m.mu.Unlock()
	if wire.WriteMsg(conn, welcome{Incarnation: m.incarnation, Last: 1 << 40}) != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, in) // acks
	}()
	defer func() {
		reset(conn)
		<-gone
	}()
	for {
		m.mu.Lock()
		if m.hellos != mine {
			m.mu.Unlock()
			m.wake() // the newer stream
			return
		}
		pages := m.pages
		m.pages = nil
		m.mu.Unlock()
		for _, p := range pages {
			if _, err := conn.Write(p); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-gone:
			return
		case <-m.more:
		}
	}
}

// streams is how often the victim has asked for entries.
func (m *mallory) streams() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hellos
}

func (m *mallory) serveParts(conn net.Conn) {
	defer reset(conn)
	m.mu.Lock()
	tell := m.parts
	m.greets++
	m.mu.Unlock()
	var h partsHello
	if tell == nil || wire.ReadMsg(bufio.NewReader(conn), &h) != nil {
		return
	}
	if tell(h, conn) == nil {
		_, _ = io.Copy(io.Discard, conn) // until the victim ends it
	}
}

func (m *mallory) serveFiles(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		var q request
		if wire.ReadMsg(in, &q) != nil {
			_ = conn.Close() // the victim reads what was written, or not
			return
		}
		m.mu.Lock()
		answer := m.files
		m.asked = append(m.asked, q)
		m.mu.Unlock()
		if answer == nil {
			answer = m.honest
		}
		if q.Packed {
			p := &packing{Conn: conn, w: pack.NewWriter(conn, &m.codec)}
			if err := answer(q, in, p); errors.Join(err, p.w.Flush()) != nil {
				reset(conn)
				return
			}
			continue
		}
		if answer(q, in, conn) != nil {
			reset(conn)
			return
		}
	}
}

// packing packs what is written to a stream.
type packing struct {
	net.Conn
	w *pack.Writer
}

func (p *packing) Write(b []byte) (int, error) { return p.w.Write(b) }

func (m *mallory) honest(q request, in *bufio.Reader, conn net.Conn) error {
	var text string
	var ok bool
	for _, it := range q.Items {
		if len(it.Hash) > 0 {
			m.mu.Lock()
			text, ok = m.text[reconcile.Hash(it.Hash)]
			m.mu.Unlock()
		}
		switch {
		case !ok:
			if err := wire.WriteMsg(conn, part{Code: codeNotHere}); err != nil {
				return err
			}
		case q.Manifest != nil:
			return m.tellManifest(q, in, conn, text)
		case q.Gaps != nil:
			return m.tellGaps(q, in, conn, text)
		default:
			some := text[it.Offset:]
			if it.Length > 0 {
				some = some[:it.Length]
			}
			if err := answer(conn, part{Length: int64(len(some))}, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellManifest answers with the manifest of a text.
func (m *mallory) tellManifest(q request, in *bufio.Reader, conn net.Conn, text string) error {
	of, err := readGrowing(in, q.Manifest.Length)
	if err != nil {
		return err
	}
	outline, err := chunk.ParseOutline(of)
	if err != nil {
		return err
	}
	made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
	if err != nil {
		return err
	}
	b := made.Difference(outline)
	return answer(conn, part{Length: int64(len(b))}, string(b))
}

// tellGaps answers with the delta of parts of a text.
func (m *mallory) tellGaps(q request, in *bufio.Reader, conn net.Conn, text string) error {
	sig, err := q.Gaps.readTable(in)
	if err != nil {
		return err
	}
	var parts []assemble.Extent
	for _, s := range q.Gaps.Spans {
		parts = append(parts, assemble.Extent(s))
	}
	if err := wire.WriteMsg(conn, part{}); err != nil {
		return err
	}
	from := assemble.Reader(strings.NewReader(text), parts)
	_, err = delta.EncodeWith(conn, sig, from, assemble.Size(parts), delta.EncodeOptions{Bare: true})
	return err
}

// lie has requests answered otherwise.
func (m *mallory) lie(f func(q request, in *bufio.Reader, conn net.Conn) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files = f
}

func (m *mallory) next() reconcile.Dot {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	return reconcile.Dot{Member: m.id(), Incarnation: m.incarnation, Counter: m.made}
}

func hashText(text string) reconcile.Hash { return blake3.Sum256([]byte(text)) }

// file is a new file of mallory's.
func (m *mallory) file(parent reconcile.EntryID, name, text string) reconcile.Entry {
	m.mu.Lock()
	m.text[hashText(text)] = text
	m.mu.Unlock()
	d := m.next()
	v := reconcile.Vector{d}
	return reconcile.Entry{
		ID: reconcile.EntryID(d), Kind: reconcile.KindFile,
		Places: []reconcile.Place{{Dot: d, Vector: v, Spot: reconcile.Spot{Parent: parent, Name: name}}},
		Contents: []reconcile.Content{{
			Dot: d, Vector: v, Made: d, Hash: hashText(text), Size: int64(len(text)), Mode: 0o644, Modified: time.Now().UnixNano(),
		}},
	}
}

func (m *mallory) directory(parent reconcile.EntryID, name string) reconcile.Entry {
	e := m.file(parent, name, "")
	e.Kind = reconcile.KindDir
	e.Contents[0].Hash, e.Contents[0].Modified, e.Contents[0].Mode = reconcile.Hash{}, 0, 0o755
	return e
}

// with changes the only content of an entry.
func with(e reconcile.Entry, change func(c *reconcile.Content)) reconcile.Entry {
	e.Contents = []reconcile.Content{e.Contents[0]}
	change(&e.Contents[0])
	return e
}

// edited is a later content of an entry, or its end.
func (m *mallory) edited(e reconcile.Entry, text string, deleted bool) reconcile.Entry {
	m.mu.Lock()
	m.text[hashText(text)] = text
	m.mu.Unlock()
	d := m.next()
	old := e.Contents[0]
	c := old
	c.Dot, c.Vector, c.Deleted = d, old.Vector.Bump(d), deleted
	if deleted {
		for _, p := range e.Places {
			c.Seen = c.Seen.Merge(p.Vector)
		}
	} else {
		c.Made, c.Parent, c.Hash, c.Size = d, old.Hash, hashText(text), int64(len(text))
	}
	e.Contents = []reconcile.Content{c}
	return e
}

// claim says, signed, that so many events were made.
func (m *mallory) claim(d reconcile.Dot) replica.Claim {
	return replica.Claim{Dot: d, Sig: m.identity.Sign(claimContext, claimMessage(m.town.id, m.victim.folder.ID, d))}
}

func (m *mallory) all() replica.Claim {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.claim(reconcile.Dot{Member: m.id(), Incarnation: m.incarnation, Counter: m.made})
}

// send puts a page on the stream that the victim reads.
func (m *mallory) send(p page) {
	m.t.Helper()
	m.mu.Lock()
	m.upto += uint64(len(p.entries)) + 1
	p.upto = m.upto
	m.mu.Unlock()
	b, err := appendPage(nil, p)
	if err != nil {
		m.t.Fatal(err)
	}
	m.sendRaw(b)
}

// tell sends entries with an honest claim.
func (m *mallory) tell(entries ...reconcile.Entry) {
	m.t.Helper()
	m.send(page{claims: []replica.Claim{m.all()}, entries: entries})
}

func (m *mallory) sendRaw(b []byte) {
	m.mu.Lock()
	m.pages = append(m.pages, b)
	m.mu.Unlock()
	m.wake()
}

func (m *mallory) wake() {
	select {
	case m.more <- struct{}{}:
	default:
	}
}

// ask opens a stream of contents, and returns the answer to a request.
func (m *mallory) ask(q request, after []byte) (part, []byte, error) {
	conn, err := m.link.Open(m.t.Context(), FilesProtocol)
	if err != nil {
		return part{}, nil, err
	}
	defer reset(conn)
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return part{}, nil, err
	}
	if err := wire.WriteMsg(conn, q); err != nil {
		return part{}, nil, err
	}
	if _, err := conn.Write(after); err != nil {
		return part{}, nil, err
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := c.CloseWrite(); err != nil {
			return part{}, nil, err
		}
	}
	in := bufio.NewReader(conn)
	var p part
	if err := wire.ReadMsg(in, &p); err != nil {
		return p, nil, err
	}
	b, err := io.ReadAll(in)
	return p, b, err
}

// welcome asks for the folder, and returns the answer.
func (m *mallory) welcome(id string, creator p2p.ID) (welcome, *bufio.Reader, net.Conn, error) {
	conn, err := m.link.Open(m.t.Context(), IndexProtocol)
	if err != nil {
		return welcome{}, nil, nil, err
	}
	m.t.Cleanup(func() { reset(conn) })
	var w welcome
	if err := wire.WriteMsg(conn, hello{Folder: id, Creator: creator[:]}); err != nil {
		return w, nil, nil, err
	}
	in := bufio.NewReader(conn)
	return w, in, conn, wire.ReadMsg(in, &w)
}

// netConn is net.Conn: a shorter name for the functions of tests.
type netConn = net.Conn
