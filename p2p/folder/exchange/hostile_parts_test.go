package exchange

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// chunksFrom are the numbers of the chunks of a text from first to before end.
func chunksFrom(first, end int) (all []int32) {
	for i := first; i < end; i++ {
		all = append(all, int32(i))
	}
	return all
}

// tells answers who asks what is there with chunks of a content.
func tells(chunks []int32) func(h partsHello, conn net.Conn) error {
	return func(_ partsHello, conn net.Conn) error {
		err := wire.WriteMsg(conn, partsWelcome{})
		for _, news := range newsOf(chunks) {
			err = errors.Join(err, wire.WriteMsg(conn, news))
		}
		return err
	}
}

// hasAll answers who asks what is there that all is.
func hasAll(_ partsHello, conn net.Conn) error { return wire.WriteMsg(conn, partsWelcome{Whole: true}) }

// denies sends other bytes, and who asks then what the content is made of gets a code.
func denies(code string) func(m *mallory, q request, in *bufio.Reader, conn net.Conn) error {
	return func(_ *mallory, q request, in *bufio.Reader, conn net.Conn) error {
		if q.Manifest != nil {
			_, err := readGrowing(in, q.Manifest.Length)
			return errors.Join(err, wire.WriteMsg(conn, part{Code: code}))
		}
		for _, it := range q.Items {
			if err := answer(conn, part{Length: it.Length}, strings.Repeat("x", int(it.Length))); err != nil {
				return err
			}
		}
		return nil
	}
}

// Whatever a member says that it has of a content, the others bring it, and who does not bring what it
// has said is not asked again and again.
func TestHostileParts(t *testing.T) {
	text := noise(56, 16<<20)
	made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	n := made.Len()
	half := made.Chunk(n / 2).Offset
	raw := func(news ...partsNews) func(h partsHello, conn net.Conn) error {
		return func(h partsHello, conn net.Conn) error {
			err := tells(nil)(h, conn)
			for _, x := range news {
				err = errors.Join(err, wire.WriteMsg(conn, x))
			}
			return err
		}
	}
	twice := newsOf(chunksFrom(0, 3))[0]
	for _, row := range []struct {
		name   string
		parts  func(h partsHello, conn net.Conn) error
		files  func(m *mallory, q request, in *bufio.Reader, conn net.Conn) error // nil: honest
		greets int                                                                // how often it is asked at most what it has
		asked  int                                                                // for chunks
		helps  bool                                                               // it brings something
		saves  int64                                                              // bytes that it may bring before it is found out
	}{
		{name: "has all, honestly", parts: hasAll, greets: 1, asked: 1000, helps: true},
		{name: "is of an older version", greets: 1, asked: 1000, helps: true},
		{name: "has a half, honestly", parts: tells(chunksFrom(n/2, n)), files: func(m *mallory, q request, in *bufio.Reader, conn net.Conn) error {
			for _, it := range q.Items {
				if q.Sum == nil || it.Offset < half {
					t.Errorf("asked for what it has not said to have: %+v", q)
				}
			}
			return m.honest(q, in, conn)
		}, greets: 1, asked: 1000, helps: true},
		{name: "has nothing", parts: tells(nil), greets: 1},
		{name: "has nothing of what it says", parts: tells(chunksFrom(0, n)), files: func(m *mallory, q request, _ *bufio.Reader, conn net.Conn) error {
			for range q.Items {
				if err := wire.WriteMsg(conn, part{Code: codeNotHere}); err != nil {
					return err
				}
			}
			return nil
		}, greets: maxFailures, asked: maxFailures * segmentsPeer},
		{name: "sends other bytes", parts: tells(chunksFrom(0, n)), files: func(_ *mallory, q request, _ *bufio.Reader, conn net.Conn) error {
			for _, it := range q.Items {
				if err := answer(conn, part{Length: it.Length}, strings.Repeat("x", int(it.Length))); err != nil {
					return err
				}
			}
			return nil
		}, greets: 1, asked: segmentsPeer},
		{name: "sends other lengths", parts: tells(chunksFrom(0, n)), files: func(_ *mallory, q request, _ *bufio.Reader, conn net.Conn) error {
			return answer(conn, part{Length: 3}, "xxx")
		}, greets: 1, asked: segmentsPeer},
		{name: "sends other bytes, and then has nothing", parts: hasAll, files: denies(codeNotHere), greets: 1, asked: 2 * segmentsPeer},
		{name: "sends other bytes, and then is away", parts: hasAll, files: denies(codeNotReady), greets: 1, asked: 2 * segmentsPeer},
		{name: "sends other bytes, and does not know what they are", parts: hasAll, files: denies(codeNoManifest), greets: 1, asked: 2 * segmentsPeer},
		{name: "breaks off", parts: tells(chunksFrom(0, n)), files: func(*mallory, request, *bufio.Reader, net.Conn) error { return io.ErrUnexpectedEOF }, greets: 1, asked: segmentsPeer},
		{name: "tells twice", parts: raw(twice, twice, newsOf(chunksFrom(3, n))[0]), greets: 1, asked: segmentsPeer, saves: made.Chunk(3).Offset},
		{name: "tells of chunks that there are not", parts: raw(partsNews{Runs: []byte{0xff, 0xff, 0x7f, 1}}), greets: 1},
		{name: "tells of none", parts: raw(partsNews{}), greets: 1},
		{name: "tells nonsense", parts: raw(partsNews{Runs: []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")}), greets: 1},
		{name: "says nothing", parts: func(partsHello, net.Conn) error { return nil }, greets: 1, asked: 1000},
		{name: "refuses", parts: func(_ partsHello, conn net.Conn) error { return wire.WriteMsg(conn, partsWelcome{Code: "no"}) }, greets: 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			folders, err := folder.Open(folder.Options{})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c := newCircle(t, folders, 5*time.Millisecond, text, 2<<20, 2<<20)
				m := c.givers[1].mallory
				m.parts = row.parts
				if row.files != nil {
					m.files = func(q request, in *bufio.Reader, conn net.Conn) error { return row.files(m, q, in, conn) }
				}
				took, wire := c.bring(dir, text)
				m.mu.Lock()
				defer m.mu.Unlock()
				t.Logf("in %v; it was asked %d times what it has, and %d times for that", took, m.greets, len(m.asked))
				if m.greets == 0 || m.greets > row.greets || len(m.asked) > row.asked {
					t.Error("that is too often, or not at all")
				}
				if most := 8800 * time.Millisecond; took > most {
					t.Errorf("more than %v, in which another one brings it alone", most)
				}
				alone := 7900*time.Millisecond - time.Duration(float64(row.saves)/(2<<20)*float64(time.Second))
				if row.helps && len(m.asked) == 0 || took < alone && !row.helps && row.name != "says nothing" {
					t.Error("it has helped, or has not")
				}
				if wire > int64(len(text))*11/10 {
					t.Errorf("%d bytes came", wire)
				}
			})
		})
	}
}

// That a member sends something else, and does not say then what the content is made of, is about the
// member: it does not have the content brought otherwise.
func TestDeniedManifest(t *testing.T) {
	text := noise(65, 2<<20)
	folders, err := folder.Open(folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := newCircle(t, folders, 5*time.Millisecond, text, 2<<20)
		m := c.givers[0].mallory
		m.parts = hasAll
		m.files = func(q request, in *bufio.Reader, conn net.Conn) error { return denies(codeNoManifest)(m, q, in, conn) }
		if _, err := c.try(dir, text); !errors.Is(err, errOther) || errors.Is(err, errNoManifest) {
			t.Errorf("%v, not that something else was sent", err)
		}
	})
}

// When nobody is left who has all, what the others have comes, and nobody is waited for for ever who
// has nothing more.
func TestPartsStarve(t *testing.T) {
	text := noise(62, 8<<20)
	made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := folder.Open(folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := newCircle(t, folders, 5*time.Millisecond, text, 256<<10, 4<<20)
		goes(c.givers[0])
		half := made.Len() / 2
		c.givers[1].parts = tells(chunksFrom(half, made.Len()))
		began := time.Now()
		x, err := c.try(dir, text)
		took := time.Since(began)
		if !errors.Is(err, errLeft) {
			t.Errorf("%v in the end, not that something is left", err)
		}
		if patience := c.f.r.s.o.Times.Stalled; took < patience/4 || took > patience/2 {
			t.Errorf("it took %v", took)
		}
		if done, most := x.t.done.Load(), int64(len(text)); done < most/2 || done == most {
			t.Errorf("%d bytes of %d came", done, most)
		}
		// What is here is kept, and gone on with when somebody has the rest.
		c.givers[1].parts = tells(chunksFrom(0, made.Len()))
		c.bring(dir, text)
	})
}

// Who has all and cannot let others have it for a moment is asked again soon, also while others bring a
// part of it.
func TestAwayForAMoment(t *testing.T) {
	text := noise(68, 8<<20)
	made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := folder.Open(folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{codeNotReady, codePaused} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			c := newCircle(t, folders, 5*time.Millisecond, text, 2<<20, 2<<20)
			away, began := c.givers[0].mallory, time.Now()
			away.parts = hasAll
			away.files = func(q request, in *bufio.Reader, conn net.Conn) error {
				if time.Since(began) > time.Second/2 {
					return away.honest(q, in, conn)
				}
				for range q.Items {
					if err := wire.WriteMsg(conn, part{Code: code}); err != nil {
						return err
					}
				}
				return nil
			}
			c.givers[1].parts = tells(chunksFrom(0, made.Len()/2))
			if took, _ := c.bring(dir, text); took > 6*time.Second {
				t.Errorf("%s: it took %v", code, took)
			}
		})
	}
}

// What all members together have comes, also where of no portion one of them has all.
func TestPartsOfPortions(t *testing.T) {
	text := noise(66, 4<<20)
	made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := folder.Open(folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := newCircle(t, folders, 5*time.Millisecond, text, 4<<20, 4<<20, 4<<20)
		for k, g := range c.givers {
			var has []int32
			for i := k; i < made.Len(); i += len(c.givers) {
				has = append(has, int32(i))
			}
			g.parts = tells(has)
		}
		if took, wire := c.bring(dir, text); took > 2*lagging || wire > int64(len(text))*11/10 {
			t.Errorf("it took %v and %d bytes", took, wire)
		}
	})
}

// askParts asks the victim what it has of a content, and returns what it says and is told first.
func (m *mallory) askParts(h partsHello) (w partsWelcome, news partsNews, err error) {
	conn, err := m.link.Open(m.t.Context(), PartsProtocol)
	if err != nil {
		return w, news, err
	}
	defer reset(conn)
	if err := errors.Join(conn.SetDeadline(time.Now().Add(20*time.Second)), wire.WriteMsg(conn, h)); err != nil {
		return w, news, err
	}
	in := bufio.NewReader(conn)
	if err := wire.ReadMsg(in, &w); err != nil || w.Code != "" || w.Whole {
		return w, news, err
	}
	return w, news, wire.ReadMsg(in, &news)
}

// What is here of a content that is coming gets who may have the folder and asks by the same chunks, and
// of that only what is here.
func TestPartsAreServed(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	text := noise(57, 4<<20)
	made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	begun := []byte(text)
	clear(begun[2<<20:])
	if err := os.WriteFile(filepath.Join(victim.dir, begunName(text)), begun, 0o600); err != nil {
		t.Fatal(err)
	}
	honest.limits.Set(link.Rates{Up: 64 << 10}) // it takes half a minute
	honest.write("big.bin", text)
	h, sum, creator := hashText(text), sumOf(made), victim.identity.ID()
	hello := partsHello{Folder: victim.folder.ID, Creator: creator[:], Hash: h[:], Sum: sum[:]}
	var news partsNews
	victim.await("a half of it at the victim", func() bool {
		var w partsWelcome
		w, news, err = m.askParts(hello)
		return err == nil && w == (partsWelcome{})
	})
	runs, err := news.parse(made.Len())
	if err != nil || runs[0].First != 0 || runs[0].N < made.Find(2<<20)-1 || runs[0].N > made.Len()*3/4 {
		t.Fatalf("%v are said to be there, %v", runs, err)
	}
	there, gone := made.Chunk(3), made.Chunk(made.Len()-1)
	q := request{Folder: victim.folder.ID, Creator: creator[:], Sum: sum[:], Items: []item{{Hash: h[:], Offset: there.Offset, Length: int64(there.Length)}}}
	if p, b, err := m.ask(q, nil); err != nil || p.Code != "" || string(b) != text[there.Offset:][:there.Length] {
		t.Fatalf("%+v and %d bytes came of what is there, %v", p, len(b), err)
	}
	refused := func(name, code string, change func(q *request)) {
		t.Helper()
		bad := q
		bad.Items = slices.Clone(q.Items)
		change(&bad)
		if p, b, err := m.ask(bad, nil); err != nil && !errors.Is(err, io.EOF) && bad.Manifest == nil || p.Code != code || len(b) > 0 {
			t.Errorf("%s: %+v, %d bytes, %v", name, p, len(b), err)
		}
	}
	other := hashText("other")
	refused("by other chunks", codeNotHere, func(q *request) { q.Sum = other[:] })
	refused("by no chunks", codeNotHere, func(q *request) { q.Sum = nil })
	refused("of another content", codeNotHere, func(q *request) { q.Items[0].Hash = other[:] })
	refused("of no content", codeNotHere, func(q *request) { q.Items[0].Hash = nil })
	refused("what is missing", codeNotHere, func(q *request) { q.Items[0].Offset, q.Items[0].Length = gone.Offset, int64(gone.Length) })
	refused("more than is there", codeNotHere, func(q *request) { q.Items[0].Length = gone.Offset })
	refused("all", codeNotHere, func(q *request) { q.Items[0].Offset, q.Items[0].Length = 0, 0 })
	refused("outside", codeNotHere, func(q *request) { q.Items[0].Offset = 1 << 40 })
	refused("what it is made of", codeNotHere, func(q *request) { q.Manifest = &outlined{} })
	for name, row := range map[string]struct {
		code   string
		change func(h *partsHello)
	}{
		"another sum":     {codeNotHere, func(h *partsHello) { h.Sum = other[:] }},
		"another content": {codeNotHere, func(h *partsHello) { h.Hash = other[:] }},
		"no sum":          {codeMalformed, func(h *partsHello) { h.Sum = nil }},
		"no content":      {codeMalformed, func(h *partsHello) { h.Hash = nil }},
		"another folder":  {codeNotKept, func(h *partsHello) { h.Folder = "x" }},
		"another creator": {codeNotKept, func(h *partsHello) { h.Creator = other[:] }},
	} {
		bad := hello
		row.change(&bad)
		if w, _, err := m.askParts(bad); err != nil || w != (partsWelcome{Code: row.code}) {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	m.town.let(m.id(), Access{})
	refused("without right", codeNotKept, func(*request) {})
	if w, _, err := m.askParts(hello); err != nil || w != (partsWelcome{Code: codeNotKept}) {
		t.Errorf("without right: %+v, %v", w, err)
	}
	m.town.let(m.id(), Access{Read: true, Write: true})
	honest.limits.Set(link.Rates{})
	victim.await("the file", victim.has("big.bin", text))
	victim.await("that it says so", func() bool {
		w, _, err := m.askParts(hello)
		return err == nil && w == (partsWelcome{Whole: true})
	})
}

// What was copied from another folder is not told or given to who may not read that.
func TestPartsOfOtherFolders(t *testing.T) {
	t.Parallel()
	a, b := p2p.ID{1}, p2p.ID{2}
	f := idle(1, 8<<20)
	x := f.large[0]
	f.r.s.o.Access = func(id string, _, who p2p.ID) Access { return Access{Read: id != "secret" || who == b} }
	u, _ := taking(noise(58, 1<<20))
	u.f, u.x = f, x
	u.foreign = []*runner{newRunner(f.r.s, folder.Folder{ID: "secret"})}
	f.share(u)
	if got, _ := f.shared(x.want.Hash, u.sum[:], a); got != nil {
		t.Error("who may not read the other folder gets what is of it")
	}
	if got, wanted := f.shared(x.want.Hash, u.sum[:], b); got != u || !wanted {
		t.Error("who may read all gets nothing")
	}
	f.unshare(u)
	if got, wanted := f.shared(x.want.Hash, u.sum[:], b); got != nil || !wanted {
		t.Error("what has ended is given")
	}
	f.finish(x, replica.ErrNotFound)
	if _, wanted := f.shared(x.want.Hash, u.sum[:], b); wanted {
		t.Error("what is not wanted any more is said to come")
	}
}

// Who may not read the other folder any more is asked for nothing more either.
func TestPartsOfOtherFoldersNoMore(t *testing.T) {
	t.Parallel()
	f := idle(1, 8<<20)
	may := true
	f.r.s.o.Access = func(id string, _, _ p2p.ID) Access { return Access{Read: id != "secret" || may} }
	u, _ := taking(noise(67, 1<<20))
	u.f, u.x = f, f.large[0]
	u.foreign = []*runner{newRunner(f.r.s, folder.Folder{ID: "secret"})}
	l := quietLink{linkOf{id: p2p.ID{1}}}
	s := u.portions.join(l, segmentsPeer)
	m := &member{link: l, s: s, again: time.Now()}
	c := &crowd{u: u, ctx: t.Context(), members: map[p2p.Link]*member{l: m}}
	may = false
	c.look()
	if !s.gone || m.unwatch != nil {
		t.Error("it is asked for chunks, or what it has")
	}
	m.s = nil
	if c.join(m); m.streams > 0 || c.live > 0 || len(u.portions.senders) > 0 {
		t.Error("it is asked again")
	}
}
