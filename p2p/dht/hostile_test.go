package dht_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// What a hostile member puts on the wire.
type (
	wireResult struct {
		Status uint8  `cbor:"1,keyasint"`
		Seq    uint64 `cbor:"2,keyasint,omitempty"`
	}
	wireAnswer struct {
		Records int           `cbor:"1,keyasint,omitempty"`
		Edges   int           `cbor:"2,keyasint,omitempty"`
		More    bool          `cbor:"3,keyasint,omitempty"`
		Status  uint8         `cbor:"4,keyasint,omitempty"`
		Count   int           `cbor:"6,keyasint,omitempty"`
		Summary *bloom.Filter `cbor:"7,keyasint,omitempty"`
	}
	wireCopied struct {
		Record dht.Record `cbor:"1,keyasint"`
		Left   uint64     `cbor:"2,keyasint,omitempty"`
	}
	wireRoom struct {
		Bytes int `cbor:"1,keyasint"`
	}
	wireView struct {
		Roster   []byte `cbor:"1,keyasint"`
		Alive    []byte `cbor:"2,keyasint"`
		Replicas int    `cbor:"3,keyasint"`
	}
	wirePart struct {
		Prefix []byte `cbor:"1,keyasint,omitempty"`
		Sums   []byte `cbor:"2,keyasint"`
	}
	wireList struct {
		Prefix    []byte `cbor:"1,keyasint,omitempty"`
		Only      bool   `cbor:"2,keyasint,omitempty"`
		Locations []byte `cbor:"3,keyasint,omitempty"`
	}
	wireLocated struct {
		Location p2p.Key `cbor:"1,keyasint"`
		From     p2p.Key `cbor:"2,keyasint"`
		To       p2p.Key `cbor:"3,keyasint"`
		Hashes   []byte  `cbor:"4,keyasint,omitempty"`
	}
	wireSync struct {
		View    *wireView     `cbor:"1,keyasint,omitempty"`
		Parts   []wirePart    `cbor:"2,keyasint,omitempty"`
		Lists   []wireList    `cbor:"3,keyasint,omitempty"`
		Records []wireLocated `cbor:"4,keyasint,omitempty"`
	}
	wireSyncAnswer struct {
		Stale   bool                `cbor:"1,keyasint,omitempty"`
		Parts   []wirePartAnswer    `cbor:"2,keyasint,omitempty"`
		Lists   []wireListAnswer    `cbor:"3,keyasint,omitempty"`
		Records []wireLocatedAnswer `cbor:"4,keyasint,omitempty"`
	}
	wirePartAnswer struct {
		Mask   uint16   `cbor:"1,keyasint,omitempty"`
		Counts []uint32 `cbor:"2,keyasint,omitempty"`
	}
	wireListAnswer struct {
		Differ []byte `cbor:"1,keyasint,omitempty"`
	}
	wireLocatedAnswer struct {
		Missing []uint32 `cbor:"1,keyasint,omitempty"`
		Copies  int      `cbor:"2,keyasint,omitempty"`
		More    bool     `cbor:"3,keyasint,omitempty"`
	}
)

// message writes items as they are in a message.
func message(t testing.TB, items ...any) []byte {
	var b bytes.Buffer
	for _, item := range items {
		if err := wire.WriteMsg(&b, item); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// logged is what tables have logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// says reports whether a line has all words.
func (l *logged) says(words ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

// hostile is a network of which one member, mallory, does what it wants.
type hostile struct {
	*world
	mallory *testNode
	end     *sim.CallEnd
	log     *logged
}

func newHostile(t *testing.T, n int, o dht.Options) *hostile {
	h := &hostile{log: &logged{}}
	o.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	h.world = newWorld(t, n, lan, o)
	h.mallory = h.nodes[n-1]
	h.mallory.crash()
	h.answer(func(context.Context, p2p.ID, string, []byte) ([]byte, error) { return nil, p2p.ErrUnreachable })
	return h
}

// answer sets how mallory answers.
func (h *hostile) answer(f sim.AnswerCall) { h.end = h.calls.Add(h.mallory.member.ID, f) }

// sign signs a record.
func (h *hostile) sign(who p2p.Identity, r dht.Record) dht.Record {
	all := []dht.Record{r}
	dht.Sign(who, p2p.ID{1}, all)
	return all[0]
}

// send sends writes to a node, and returns the statuses in words.
func (h *hostile) send(to *testNode, writes ...dht.Write) []string {
	h.t.Helper()
	items := make([]any, len(writes))
	for i, w := range writes {
		items[i] = w
	}
	resp, err := h.end.Call(h.ctx, to.member.ID, dht.ProtoPut, message(h.t, items...))
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for r := bytes.NewReader(resp); r.Len() > 0; {
		var one wireResult
		if err := wire.ReadMsg(r, &one); err != nil {
			h.t.Fatal(err)
		}
		out = append(out, dht.Status(one.Status).String())
	}
	return out
}

func now() uint64 { return uint64(time.Now().UnixMicro()) }

// value returns an unsigned record.
func value(a dht.Address, text string, seq uint64) dht.Record {
	return dht.Record{Header: dht.Header{Address: a, Seq: seq}, Value: []byte(text)}
}

// TestHostileWrites: what no honest member writes is refused with a status, and who has sent it
// is named.
func TestHostileWrites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHostile(t, 20, dht.Options{Quota: dht.Usage{Records: 30, Bytes: 1 << 20}})
		defer h.world.end()
		victim := h.nodes[0]
		var a dht.Address // where the victim is a replica
		for i := 0; a == (dht.Address{}); i++ {
			if try := at(fmt.Sprint(i)); victim.table.Responsible(try.Location)[0].ID == victim.member.ID {
				a = try
			}
		}
		var far dht.Address // where it is none by far
		members := slices.Clone(h.members)
		for i := 0; far == (dht.Address{}); i++ {
			try := at(fmt.Sprint(i))
			slices.SortFunc(members, func(a, b dht.Member) int {
				return a.Position.Distance(try.Location).Compare(b.Position.Distance(try.Location))
			})
			if members[len(members)-1].ID == victim.member.ID {
				far = try
			}
		}
		mallory := h.mallory.identity
		day := uint64((24 * time.Hour).Microseconds())
		sub := func(content string) dht.Address { b := a; b.Content = dht.KeyOf(content); return b }
		version := func(n uint64) dht.Address { b := sub("version"); b.Version = dht.NewVersion(n, []byte("x")); return b }
		forged := h.sign(mallory, value(a, "forged", now()))
		forged.Author = h.nodes[1].identity.PublicKey()
		other := h.sign(mallory, value(a, "one", now()))
		other.Value = []byte("two")
		short := value(a, "short", now()-4*day)
		short.TTL = 10
		owned := value(a, "owned", now())
		owned.Owner = mallory.PublicKey()
		large := value(a, "", now())
		large.Value = make([]byte, dht.MaxValue+1)
		outsider, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{99}, 32))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			w    dht.Write
			want string
		}{
			{"somebody else's signature", dht.Write{Record: forged}, "bad_signature"},
			{"another value", dht.Write{Record: other}, "malformed"},
			{"the owner of nothing", dht.Write{Record: h.sign(mallory, owned)}, "malformed"},
			{"a large value", dht.Write{Record: h.sign(mallory, large)}, "malformed"},
			{"the largest sequence number", dht.Write{Record: h.sign(mallory, value(a, "last", math.MaxUint64))}, "from_the_future"},
			{"the largest one, as a copy", dht.Write{Record: h.sign(mallory, value(a, "last", math.MaxUint64)), Repair: true}, "from_the_future"},
			{"two days ahead", dht.Write{Record: h.sign(mallory, value(a, "last", now()+2*day))}, "from_the_future"},
			{"a clock that is hours ahead", dht.Write{Record: h.sign(mallory, value(sub("ahead"), "ahead", now()+day/2))}, "ok"},
			{"a clock that is hours behind", dht.Write{Record: h.sign(mallory, value(sub("behind"), "behind", now()-day/2))}, "ok"},
			{"the largest version", dht.Write{Record: h.sign(mallory, value(version(math.MaxUint64), "x", now())), Fork: true}, "from_the_future"},
			{"a large version", dht.Write{Record: h.sign(mallory, value(version(1<<62), "x", now())), Repair: true}, "from_the_future"},
			{"what has ended days ago", dht.Write{Record: h.sign(mallory, short), Repair: true}, "expired"},
			{"nobody's record", dht.Write{Record: h.sign(outsider, value(sub("outsider"), "x", now()))}, "bad_signature"},
			{"somebody else's place", dht.Write{Record: h.sign(mallory, value(far, "far", now()))}, "not_responsible"},
		} {
			if got := h.send(victim, c.w); got[0] != c.want {
				t.Errorf("%s: %s, want %s", c.what, got[0], c.want)
			}
			if c.want != "ok" && !h.log.says("records refused", h.mallory.member.Name, c.want) {
				t.Errorf("%s: not logged", c.what)
			}
		}
		// The address is not blocked, and versions go on.
		if r := h.nodes[1].put(dht.Put{Address: a, Value: []byte("good")}); r.Status != dht.StatusOK || r.Copies != 3 {
			t.Errorf("an honest put: %v, %d copies", r.Status, r.Copies)
		}
		r, _, err := h.nodes[1].table.VPut(h.ctx, dht.VPut{Name: version(0).Name(), Update: func([]dht.Copy) ([]byte, error) { return []byte("v"), nil }})
		if err != nil || r.Version.Number() != 1 {
			t.Errorf("an honest version: %v, %v", r.Version, err)
		}
		// A record that was put, replayed when another one has replaced it.
		old := h.sign(mallory, value(sub("replay"), "old", now()))
		recent := h.sign(mallory, value(sub("replay"), "new", now()+1))
		if got := h.send(victim, dht.Write{Record: old}, dht.Write{Record: recent}, dht.Write{Record: old}); !slices.Equal(got, []string{"ok", "ok", "stale"}) {
			t.Errorf("a replay: %v", got)
		}
		h.quotas(t, victim, a)
		h.floods(t, victim, a)
	})
}

// quotas: neither values nor tombstones nor records of invented authors fill a disk.
func (h *hostile) quotas(t *testing.T, victim *testNode, a dht.Address) {
	count := func(write func(i int) dht.Write) map[string]int {
		statuses := map[string]int{}
		for i := range 100 {
			for _, s := range h.send(victim, write(i)) {
				statuses[s]++
			}
		}
		return statuses
	}
	place := func(i int) dht.Address { b := a; b.Content = dht.KeyOf(fmt.Sprint("quota ", i)); return b }
	if got := count(func(i int) dht.Write {
		return dht.Write{Record: h.sign(h.mallory.identity, value(place(i), "x", now()))}
	}); got["ok"] > 30 || got["quota"] < 70 {
		t.Errorf("values: %v", got)
	}
	if got := count(func(i int) dht.Write {
		r := dht.Record{Header: dht.Header{Address: place(1000 + i), Seq: now(), Kind: dht.KindTombstone}}
		return dht.Write{Record: h.sign(h.mallory.identity, r)}
	}); got["ok"] > 30 || got["quota"] < 70 {
		t.Errorf("tombstones: %v", got)
	}
	if got := count(func(i int) dht.Write {
		who, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{byte(i), 1}, 16))
		if err != nil {
			t.Fatal(err)
		}
		return dht.Write{Record: h.sign(who, value(place(2000+i), "x", now())), Repair: true}
	}); got["ok"] > 30 || got["quota"] < 70 {
		t.Errorf("records of invented authors: %v", got)
	}
	if !h.log.says("records refused", h.mallory.member.Name, "quota") {
		t.Error("not logged")
	}
}

// floods: messages that are too much are refused as such.
func (h *hostile) floods(t *testing.T, victim *testNode, a dht.Address) {
	good := h.sign(h.mallory.identity, value(a, "x", now()))
	bad := good
	bad.Proof.Sig = slices.Clone(bad.Proof.Sig)
	bad.Proof.Sig[0]++
	writes := make([]dht.Write, dht.MaxItems)
	for i := range writes {
		writes[i].Record = bad
		writes[i].Record.Seq += uint64(i)
	}
	for i, s := range h.send(victim, writes...) {
		if s != "bad_signature" {
			t.Fatalf("write %d: %s", i, s)
		}
	}
	if got := h.send(victim, append(writes, dht.Write{Record: good})...); !strings.HasPrefix(got[0], "malformed") {
		t.Errorf("too many writes: %.60s", got[0])
	}
	view := func(alive ...byte) *wireView { return &wireView{Roster: make([]byte, 8), Alive: alive, Replicas: 3} }
	sums := make([]byte, 256)
	for _, c := range []struct {
		what, proto string
		req         []byte
		refused     bool
	}{
		{"nothing but noise", dht.ProtoPut, []byte{0, 0, 0, 1, 0xff}, true},
		{"half an item", dht.ProtoPut, message(t, dht.Write{Record: good})[:40], true},
		{"an item that says it is large", dht.ProtoGet, []byte{0xff, 0xff, 0xff, 0xff, 0}, true},
		{"a query for too many records", dht.ProtoGet, message(t, wireRoom{1 << 30}, dht.Query{Limit: dht.MaxResults + 1}), true},
		{"contents out of order", dht.ProtoGet, message(t, wireRoom{1 << 30}, dht.Query{Contents: []p2p.Key{{2}, {1}}}), true},
		{"a view of members that there are not", dht.ProtoSync, message(t, wireRoom{}, wireSync{View: view(1, 2, 3, 4, 5, 6, 7, 8), Parts: []wirePart{{Sums: sums}}}), false},
		{"no view", dht.ProtoSync, message(t, wireRoom{}, wireSync{Parts: []wirePart{{Sums: sums}}}), true},
		{"a million replicas", dht.ProtoSync, message(t, wireRoom{}, wireSync{View: &wireView{Roster: make([]byte, 8), Replicas: 1 << 20}}), true},
		{"digits that are none", dht.ProtoSync, message(t, wireRoom{}, wireSync{View: view(1), Parts: []wirePart{{Prefix: []byte{16}, Sums: sums}}}), true},
		{"a part below all keys", dht.ProtoSync, message(t, wireRoom{}, wireSync{View: view(1), Parts: []wirePart{{Prefix: make([]byte, 64), Sums: sums}}}), true},
		{"too many lists", dht.ProtoSync, message(t, wireRoom{}, wireSync{Lists: make([]wireList, 129)}), true},
		{"to go through all locations many times", dht.ProtoSync, message(t, wireRoom{}, wireSync{Lists: []wireList{{Only: true}, {Only: true}}}), true},
		{"one location many times", dht.ProtoSync, message(t, wireRoom{}, wireSync{Records: make([]wireLocated, 2)}), true},
		{"half a hash", dht.ProtoSync, message(t, wireRoom{}, wireSync{Records: []wireLocated{{Hashes: make([]byte, 9)}}}), true},
		{"two requests", dht.ProtoSync, message(t, wireRoom{}, wireSync{}, wireSync{}), true},
	} {
		_, err := h.end.Call(h.ctx, victim.member.ID, c.proto, c.req)
		coded := (*p2p.CallError)(nil)
		if is := errors.As(err, &coded) && coded.Code == "malformed"; is != c.refused {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if !h.log.says("request refused", h.mallory.member.Name, "malformed") {
		t.Error("not logged")
	}
}

// TestLyingReplica: one of three replicas answers what it likes, and readers get what the honest
// ones have.
func TestLyingReplica(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHostile(t, 6, dht.Options{})
		defer h.world.end()
		var name dht.Name
		reader := h.nodes[0]
		for i := 0; name == (dht.Name{}); i++ {
			if l := dht.KeyOf(fmt.Sprint(i)); reader.table.Responsible(l)[0].ID == h.mallory.member.ID {
				name.Location = l
			}
		}
		version := func(text string) dht.VPutResult {
			r, _, err := reader.table.VPut(h.ctx, dht.VPut{Name: name, Update: func([]dht.Copy) ([]byte, error) { return []byte(text), nil }})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		version("one")
		head := version("two")
		mallory := h.mallory.identity
		forge := func(change func(*dht.Record)) []any {
			r := h.sign(mallory, value(name.At(dht.NewVersion(3, []byte("three"))), "three", now()))
			change(&r)
			return []any{wireAnswer{Records: 1, Status: 1}, wireCopied{Record: r}}
		}
		resigned := func(change func(*dht.Record)) []any {
			return forge(func(r *dht.Record) { change(r); *r = h.sign(mallory, *r) })
		}
		edge := dht.Header{Address: name.At(dht.NewVersion(4, nil)), Based: []dht.Version{head.Version}, Author: mallory.PublicKey(), Seq: now()}
		for _, c := range []struct {
			what   string
			answer []any
			named  bool // it is an answer that no honest member gives
		}{
			{"nothing", []any{wireAnswer{Status: 1}}, false},
			{"an error that there is not", []any{wireAnswer{Status: 200}}, false},
			{"no answer at all", nil, true},
			{"somebody else's signature", forge(func(r *dht.Record) { r.Author = reader.identity.PublicKey() }), true},
			{"another value", forge(func(r *dht.Record) { r.Value = []byte("three!") }), true},
			{"what nobody asked for", resigned(func(r *dht.Record) { r.Location = p2p.Key{1} }), true},
			{"what is not confirmed", resigned(func(r *dht.Record) { r.Prepared, r.TTL = true, 5 }), true},
			{"the largest number", resigned(func(r *dht.Record) { r.Seq = math.MaxUint64 }), true},
			{"the largest version", resigned(func(r *dht.Record) { r.Version = dht.NewVersion(math.MaxUint64, r.Value) }), true},
			{"what has ended", resigned(func(r *dht.Record) { r.TTL, r.Seq = 1, 1 }), true},
			{"more than it says", append(forge(func(*dht.Record) {}), wireAnswer{}), true},
			{"fewer than it says", []any{wireAnswer{Records: 3, Status: 1}}, true},
			{"more than all", []any{wireAnswer{Records: math.MaxInt32, Status: 1}}, true},
			{"a head replaced by a version that nobody signed", []any{wireAnswer{Edges: 1, Status: 1}, wireCopied{Record: dht.Record{Header: edge, Proof: dht.Proof{Sig: make([]byte, 64), Count: 1}}}}, false},
		} {
			h.answer(func(_ context.Context, _ p2p.ID, proto string, _ []byte) ([]byte, error) {
				if proto == dht.ProtoGet {
					return message(t, c.answer...), nil
				}
				return nil, p2p.ErrUnreachable
			})
			h.log.buf.Reset()
			if got := reader.get(dht.Query{Location: name.Location}); !slices.Equal(got, []string{"two"}) {
				t.Errorf("%s: got %q", c.what, got)
			}
			if c.named != h.log.says("answer not believed", h.mallory.member.Name) {
				t.Errorf("%s: logged %v", c.what, !c.named)
			}
		}
		// A remaining time that is longer than all is no longer than the record says.
		a := dht.Address{Location: name.Location, Content: p2p.Key{1}}
		long := value(a, "long", now())
		long.TTL = 60
		long = h.sign(mallory, long)
		h.answer(func(context.Context, p2p.ID, string, []byte) ([]byte, error) {
			return message(t, wireAnswer{Records: 1, Status: 1}, wireCopied{Record: long, Left: math.MaxUint64}), nil
		})
		f, _, err := reader.table.Get(h.ctx, dht.Query{Location: a.Location, Contents: []p2p.Key{a.Content}}, dht.ReadOptions{})
		if err != nil || len(f.Records) != 1 || f.Records[0].Left != time.Minute {
			t.Errorf("%v, %v", f.Records, err)
		}
	})
}

// TestForgedFilters: one of three replicas makes up the Bloom filter that it is asked for. What the
// others have is in the filter that comes out, whatever that is; what is no filter is not believed.
func TestForgedFilters(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHostile(t, 6, dht.Options{})
		defer h.world.end()
		reader := h.nodes[0]
		var location p2p.Key
		for i := 0; location == (p2p.Key{}); i++ {
			if l := dht.KeyOf(fmt.Sprint(i)); reader.table.Responsible(l)[0].ID == h.mallory.member.ID {
				location = l
			}
		}
		const n = 100
		var puts []dht.Put
		for i := range n {
			puts = append(puts, dht.Put{Address: dht.Address{Location: location, Content: dht.KeyOf(fmt.Sprint("content", i))}, Value: []byte("x")})
		}
		if _, _, err := reader.table.MultiPut(h.ctx, puts); err != nil {
			t.Fatal(err)
		}
		filter := func(k, size int, fill byte) *bloom.Filter {
			return &bloom.Filter{K: k, Bits: bytes.Repeat([]byte{fill}, size)}
		}
		for what, lie := range map[string]wireAnswer{
			"nothing is there":    {Status: 1, Count: 0, Summary: filter(3, 64, 0)},
			"everything is there": {Status: 1, Count: n, Summary: filter(1, 8, 0xff)},
			"no filter":           {Status: 1, Count: n},
			"no bits":             {Status: 1, Count: n, Summary: filter(3, 0, 0)},
			"no power of two":     {Status: 1, Count: n, Summary: filter(3, 48, 0)},
			"no bits of a key":    {Status: 1, Count: n, Summary: filter(0, 64, 0)},
			"all bits of a key":   {Status: 1, Count: n, Summary: filter(1<<30, 64, 0)},
			"a negative count":    {Status: 1, Count: -1, Summary: filter(3, 64, 0)},
			"a count beyond all":  {Status: 1, Count: math.MaxInt32, Summary: filter(3, 64, 0)},
			"records besides":     {Status: 1, Records: 1, Count: n, Summary: filter(3, 64, 0)},
		} {
			h.answer(func(_ context.Context, _ p2p.ID, proto string, _ []byte) ([]byte, error) {
				if proto == dht.ProtoGet {
					return message(t, lie), nil
				}
				return nil, p2p.ErrUnreachable
			})
			f, _, err := reader.table.Get(h.ctx, dht.Query{Location: location, Summary: 10}, dht.ReadOptions{})
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			missing := 0
			for _, p := range puts {
				if !f.Summary.Has(p.Address.Content) {
					missing++
				}
			}
			if missing > 0 || f.Count < n || f.Count > dht.MaxResults {
				t.Errorf("%s: %d of %d are not in the filter, %d counted", what, missing, n, f.Count)
			}
		}
	})
}

// TestEndlessComparison: a member with which comparisons would never end, or which is slow, keeps
// others from nothing.
func TestEndlessComparison(t *testing.T) {
	everything := func(parts int) wireSyncAnswer {
		a := wireSyncAnswer{}
		for range parts {
			p := wirePartAnswer{Mask: 0xffff, Counts: make([]uint32, 16)}
			for i := range p.Counts {
				p.Counts[i] = math.MaxUint32
			}
			a.Parts = append(a.Parts, p)
		}
		return a
	}
	read := func(t *testing.T, req []byte) (r wireSync) {
		items := bytes.NewReader(req)
		var room wireRoom
		if err := errors.Join(wire.ReadMsg(items, &room), wire.ReadMsg(items, &r)); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		what   string
		answer func(t *testing.T, h *hostile, r wireSync) (any, []any)
		named  bool
	}{
		{"everything differs, at all depths", func(_ *testing.T, _ *hostile, r wireSync) (any, []any) {
			return everything(len(r.Parts)), nil
		}, true},
		{"a list of all locations differs", func(_ *testing.T, _ *hostile, r wireSync) (any, []any) {
			a := wireSyncAnswer{}
			for range r.Parts {
				a.Parts = append(a.Parts, wirePartAnswer{Mask: 1, Counts: []uint32{1}})
			}
			for range r.Lists {
				a.Lists = append(a.Lists, wireListAnswer{Differ: make([]byte, 32*1000)})
			}
			return a, nil
		}, true},
		{"copies that nobody asked for", func(_ *testing.T, h *hostile, r wireSync) (any, []any) {
			a := wireSyncAnswer{}
			for range r.Parts {
				a.Parts = append(a.Parts, wirePartAnswer{Mask: 1, Counts: []uint32{1}})
			}
			for range r.Lists {
				a.Lists = append(a.Lists, wireListAnswer{Differ: make([]byte, 32)})
			}
			var copies []any
			for range r.Records {
				a.Records = append(a.Records, wireLocatedAnswer{Copies: 1})
				copies = append(copies, wireCopied{Record: h.sign(h.mallory.identity, value(at("elsewhere"), "x", now()))})
			}
			return a, copies
		}, true},
		{"always one copy more", func(_ *testing.T, h *hostile, r wireSync) (any, []any) {
			a := wireSyncAnswer{}
			for range r.Parts {
				a.Parts = append(a.Parts, wirePartAnswer{Mask: 1, Counts: []uint32{1}})
			}
			for range r.Lists {
				a.Lists = append(a.Lists, wireListAnswer{Differ: make([]byte, 32)})
			}
			var copies []any
			for range r.Records {
				a.Records = append(a.Records, wireLocatedAnswer{Copies: 1, More: true})
				copies = append(copies, wireCopied{Record: h.sign(h.mallory.identity, value(dht.Address{Content: dht.KeyOf(time.Now().String())}, "x", now()))})
			}
			return a, copies
		}, false},
		{"no answer to what was asked", func(*testing.T, *hostile, wireSync) (any, []any) { return everything(200), nil }, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHostile(t, 4, dht.Options{})
				defer h.world.end()
				time.Sleep(5 * time.Second)
				a := at("greeting")
				h.nodes[0].put(dht.Put{Address: a, Value: []byte("hello")})
				h.nodes[1].crash()
				h.nodes[1].store = dht.NewMemory()
				calls := 0
				h.answer(func(_ context.Context, _ p2p.ID, proto string, req []byte) ([]byte, error) {
					if proto != dht.ProtoSync {
						return nil, p2p.ErrUnreachable
					}
					calls++
					head, copies := c.answer(t, h, read(t, req))
					return message(t, append([]any{head}, copies...)...), nil
				})
				h.nodes[1].start()
				time.Sleep(3 * time.Minute)
				if !slices.Equal(h.nodes[1].get(dht.Query{Location: a.Location}), []string{"hello"}) {
					t.Error("the record has gone")
				}
				if n := h.copies(a, "hello"); n != min(3, len(h.nodes)-1) {
					t.Errorf("%d copies among the honest", n)
				}
				t.Logf("%d requests to mallory", calls)
				if calls > 20*256*len(h.nodes) {
					t.Errorf("%d requests to mallory", calls)
				}
				if c.named && !h.log.says("answer not believed", h.mallory.member.Name) {
					t.Error("not logged")
				}
			})
		})
	}
}

// TestWrongClock: a member whose clock is years ahead, or was, or is years behind, can write all
// the same: replicas say what their clocks say.
func TestWrongClock(t *testing.T) {
	for _, years := range []time.Duration{-20, 5} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, 5, lan, dht.Options{})
			defer w.end()
			n := w.nodes[4]
			n.crash()
			n.clock = years * 365 * 24 * time.Hour
			n.start()
			for i := range 2 {
				text := fmt.Sprint("hello ", i)
				a := at(text)
				r := n.put(dht.Put{Address: a, Value: []byte(text), TTL: time.Hour})
				if !r.Stored() || w.nodes[0].get(dht.Query{Location: a.Location}) == nil {
					t.Errorf("%d years: %v", years, r)
				}
				n.crash()
				n.clock = 0
				n.start()
				w.changed()
				time.Sleep(10 * time.Second)
				if got := n.get(dht.Query{Location: a.Location}); !slices.Equal(got, []string{text}) || w.copies(a, text) != 3 {
					t.Errorf("%d years: %q, %d copies", years, got, w.copies(a, text))
				}
			}
		})
	}
}

// TestManyAuthors: in an open network whoever is many authors does not fill the disk, and leaves room for
// who has little. In a closed one each may have what he may.
func TestManyAuthors(t *testing.T) {
	for _, open := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			const each, total = 30, 300
			h := newHostile(t, 20, dht.Options{
				Quota: dht.Usage{Records: each, Bytes: 1 << 20}, Total: dht.Usage{Records: total, Bytes: 8 << 20}, Open: func() bool { return open },
			})
			defer h.world.end()
			victim := h.nodes[0]
			var a dht.Address
			for i := 0; a == (dht.Address{}); i++ {
				if try := at(fmt.Sprint(i)); victim.table.Responsible(try.Location)[0].ID == victim.member.ID {
					a = try
				}
			}
			var took []int
			for i, author := range h.nodes[1:] {
				n := 0
				for j := range each + 5 {
					b := a
					b.Content = dht.KeyOf(fmt.Sprint(i, "/", j))
					if h.send(victim, dht.Write{Record: h.sign(author.identity, value(b, "x", now()))})[0] == "ok" {
						n++
					}
				}
				took = append(took, n)
			}
			sum, last := 0, took[len(took)-1]
			for _, n := range took {
				sum += n
			}
			switch {
			case took[0] != each:
				t.Errorf("open: %v, the first author has %d", open, took[0])
			case !open && (last != each || sum != each*len(took)):
				t.Errorf("in a closed network they have %v", took)
			case open && (sum >= total || last == 0):
				t.Errorf("in an open network they have %v, %d of %d", took, sum, total)
			}
		})
	}
}
