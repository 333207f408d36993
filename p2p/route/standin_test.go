package route

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// owned is a node that gives snapshots, and a clock.
type owned struct {
	Member
	by  p2p.Identity
	t   *testing.T
	now time.Time
}

func newOwned(t *testing.T, seed byte) owned {
	t.Helper()
	identity, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return owned{Member{ID: identity.ID(), Key: identity.PublicKey()}, identity, t, time.Unix(1_800_000_000, 0)}
}

// snapshot signs one that is so much older than the clock.
func (o owned) snapshot(age time.Duration, known ...p2p.ID) (number uint64, raw []byte) {
	o.t.Helper()
	number = uint64(o.now.Add(-age).UnixMicro())
	raw, err := Snapshot{number, known}.seal(o.by, testNetwork)
	if err != nil {
		o.t.Fatal(err)
	}
	return number, raw
}

func codeOf(err error) string {
	if refused, ok := errors.AsType[*p2p.CallError](err); ok {
		return refused.Code
	}
	return ""
}

// What is not signed by its node, for this network, on this day, and within the bounds is no snapshot.
func TestSnapshotIsRefused(t *testing.T) {
	o, other := newOwned(t, 1), newOwned(t, 2)
	known := []p2p.ID{{1}, {2}, {3}}
	number, raw := o.snapshot(0, known...)
	s, err := openSnapshot(raw, o.Key, testNetwork, o.now)
	if err != nil || s.Number != number || !slices.Equal(s.Known, known) {
		t.Fatalf("%+v: %v", s, err)
	}
	many := make([]p2p.ID, MaxKnown+1)
	for i := range many {
		many[i] = p2p.ID{byte(i), 1}
	}
	if _, b := o.snapshot(0, many...); len(b) > maxSnapshot {
		t.Errorf("the largest one has %d bytes", len(b))
	} else if s, err := openSnapshot(b, o.Key, testNetwork, o.now); err != nil || len(s.Known) != MaxKnown {
		t.Errorf("the largest one has %d members: %v", len(s.Known), err)
	}
	signed := func(change func(*signedSnapshot), after bool) []byte {
		in := signedSnapshot{Number: number, Known: slices.Concat(known[0][:], known[1][:])}
		if !after {
			change(&in)
		}
		in.Sig = o.by.Sign(snapshotContext, in.message(testNetwork))
		if after {
			change(&in)
		}
		b, err := wire.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for what, b := range map[string][]byte{
		"one member changed":   signed(func(s *signedSnapshot) { s.Known[3]++ }, true),
		"one member left out":  signed(func(s *signedSnapshot) { s.Known = s.Known[:idSize] }, true),
		"another number":       signed(func(s *signedSnapshot) { s.Number++ }, true),
		"a member and a half":  signed(func(s *signedSnapshot) { s.Known = s.Known[:idSize+9] }, false),
		"too many members":     signed(func(s *signedSnapshot) { s.Known = make([]byte, (MaxKnown+1)*idSize) }, false),
		"of the day before":    signed(func(s *signedSnapshot) { s.Number -= uint64(maxSkew / time.Microsecond) }, false),
		"of tomorrow":          signed(func(s *signedSnapshot) { s.Number += uint64(maxSkew / time.Microsecond) }, false),
		"the largest number":   signed(func(s *signedSnapshot) { s.Number = 1<<64 - 1 }, false),
		"no signature":         signed(func(s *signedSnapshot) { s.Sig = nil }, true),
		"something else":       {0xa0},
		"more than fits":       append(slices.Clone(raw), make([]byte, maxSnapshot)...),
		"another context":      signed(func(s *signedSnapshot) { s.Sig = o.by.Sign(answerContext, s.message(testNetwork)) }, true),
		"signed by another":    signed(func(s *signedSnapshot) { s.Sig = other.by.Sign(snapshotContext, s.message(testNetwork)) }, true),
		"for another network":  signed(func(s *signedSnapshot) { s.Sig = o.by.Sign(snapshotContext, s.message(p2p.ID{9})) }, true),
		"with something added": append(slices.Clone(raw), 0),
	} {
		if s, err := openSnapshot(b, o.Key, testNetwork, o.now); err == nil {
			t.Errorf("%s: taken for %+v", what, s)
		}
	}
	if _, err := openSnapshot(make([]byte, maxSnapshot+1), o.Key, testNetwork, o.now); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("too long to be read: %v", err)
	}
	if _, err := openSnapshot(raw, other.Key, testNetwork, o.now); err == nil {
		t.Error("taken for another member's")
	}
	if _, err := openSnapshot(raw, o.Key, p2p.ID{1}, o.now); err == nil {
		t.Error("taken in another network")
	}
}

// A relay takes the newest snapshot of each client and answers from it, as long as it is fresh, the
// node is there or was a moment ago, and is a client.
func TestStandIns(t *testing.T) {
	ss := standIns{}
	o := newOwned(t, 1)
	number, raw := o.snapshot(0, p2p.ID{1})
	older, replayed := o.snapshot(time.Minute, p2p.ID{2})
	q := standInRequest{For: o.ID}

	if _, err := ss.take(o.Member, testNetwork, raw, false, o.now); codeOf(err) != codeNoClient || len(ss) > 0 {
		t.Errorf("of somebody who is no client: %v", err)
	}
	if _, err := ss.take(newOwned(t, 2).Member, testNetwork, raw, true, o.now); codeOf(err) != codeMalformed || len(ss) > 0 {
		t.Errorf("another client's: %v", err)
	}
	if _, err := ss.answer(q, true, 0, o.now); codeOf(err) != codeNoStand {
		t.Errorf("without a snapshot: %v", err)
	}
	if got, err := ss.take(o.Member, testNetwork, raw, true, o.now); err != nil || got != number {
		t.Fatalf("%d: %v", got, err)
	}
	if got, err := ss.take(o.Member, testNetwork, replayed, true, o.now); err != nil || got != number || got == older {
		t.Errorf("an older one: %d, %v", got, err)
	}
	o.now = o.now.Add(time.Millisecond)
	_, hasty := o.snapshot(0, p2p.ID{3})
	if _, err := ss.take(o.Member, testNetwork, hasty, true, o.now); codeOf(err) != codeTooSoon {
		t.Errorf("one after a millisecond: %v", err)
	}
	o.now = o.now.Add(12*time.Second - time.Millisecond)
	for what, test := range map[string]struct {
		q    standInRequest
		gone time.Duration
		want standInResponse
	}{
		"who has none":   {q, 0, standInResponse{Snapshot: raw, Number: number, Age: 12_000}},
		"who has it":     {standInRequest{For: o.ID, Have: number}, 0, standInResponse{Number: number, Age: 12_000}},
		"who has an old": {standInRequest{For: o.ID, Have: older}, 0, standInResponse{Snapshot: raw, Number: number, Age: 12_000}},
		"a ping":         {standInRequest{For: o.ID, Ping: true}, 0, standInResponse{Number: number, Age: 12_000}},
		"just gone":      {q, 1, standInResponse{Snapshot: raw, Number: number, Age: 12_000, Gone: 1}},
		"gone":           {q, SnapshotGone, standInResponse{Snapshot: raw, Number: number, Age: 12_000, Gone: 30_000}},
	} {
		a, err := ss.answer(test.q, true, test.gone, o.now)
		if err != nil || !bytes.Equal(a.Snapshot, test.want.Snapshot) || a.Number != test.want.Number || a.Age != test.want.Age || a.Gone != test.want.Gone {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
	if ss[o.ID].asked != 6 {
		t.Errorf("answered from %d times", ss[o.ID].asked)
	}
	if _, err := ss.answer(q, true, SnapshotGone+1, o.now); codeOf(err) != codeUnreachable {
		t.Errorf("gone for too long: %v", err)
	}
	if _, err := ss.answer(q, true, 0, o.now.Add(SnapshotAge)); codeOf(err) != codeNoStand || len(ss) > 0 {
		t.Errorf("too old: %v", err)
	}
	take := func(o owned, known ...p2p.ID) error {
		_, raw := o.snapshot(0, known...)
		_, err := ss.take(o.Member, testNetwork, raw, true, o.now)
		return err
	}
	if err := take(o, p2p.ID{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := ss.answer(q, false, 0, o.now); codeOf(err) != codeNoClient || len(ss) > 0 {
		t.Errorf("no client any more: %v", err)
	}
	if err := take(o, p2p.ID{1}); err != nil {
		t.Fatal(err)
	}
	_, onItsWay := o.snapshot(0, p2p.ID{1})
	o.now = o.now.Add(time.Microsecond)
	if err := take(o); err != nil || ss[o.ID].kept() {
		t.Errorf("it takes back what it has said: %v", err)
	}
	if _, err := ss.take(o.Member, testNetwork, onItsWay, true, o.now); err != nil || ss[o.ID].kept() {
		t.Errorf("what it sent before arrives after: %v", err)
	}
	if _, err := ss.answer(q, true, 0, o.now); codeOf(err) != codeNoStand {
		t.Errorf("taken back: %v", err)
	}
	o.now = o.now.Add(time.Microsecond)
	if err := take(o, p2p.ID{1}); err != nil || !ss[o.ID].kept() {
		t.Errorf("it has started again: %v", err)
	}
	o.now = o.now.Add(time.Microsecond)
	if err := take(o); err != nil {
		t.Fatal(err)
	}
	for i := range maxStandIns { // the last one takes the place of what was taken back
		if err := take(newOwned(t, byte(100+i)), p2p.ID{1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := take(newOwned(t, 99), p2p.ID{1}); codeOf(err) != codeBusy {
		t.Errorf("one too many: %v", err)
	}
	late := newOwned(t, 99)
	late.now = late.now.Add(SnapshotAge + time.Second)
	if err := take(late, p2p.ID{1}); err != nil || len(ss) != 1 {
		t.Errorf("those that are too old are not forgotten: %d, %v", len(ss), err)
	}
}

// Who asks a relay believes the node, not the relay.
func TestHeld(t *testing.T) {
	o, other := newOwned(t, 1), newOwned(t, 2)
	h := held{}
	number, raw := o.snapshot(time.Second, p2p.ID{1})
	older, old := o.snapshot(time.Minute, p2p.ID{2})
	_, empty := o.snapshot(0)
	_, others := other.snapshot(0, p2p.ID{7})
	good := standInResponse{Snapshot: raw, Number: number, Age: 1000}
	for what, a := range map[string]standInResponse{
		"none at all":             {Number: number},
		"another's":               {Snapshot: others, Number: number},
		"another number":          {Snapshot: raw, Number: number + 1},
		"one that was taken back": {Snapshot: empty, Number: uint64(o.now.UnixMicro())},
		"too old, as it says":     {Snapshot: raw, Number: number, Age: uint64(SnapshotAge/time.Millisecond) + 1},
		"gone for too long":       {Snapshot: raw, Number: number, Gone: uint64(SnapshotGone/time.Millisecond) + 1},
		"an age that overflows":   {Snapshot: raw, Number: number, Age: 1<<64 - 1},
	} {
		if s, err := h.accept(o.Member, testNetwork, a, o.now); err == nil || len(h) > 0 {
			t.Errorf("%s: %+v", what, s)
		}
	}
	s, err := h.accept(o.Member, testNetwork, good, o.now)
	if err != nil || s.Known[0] != (p2p.ID{1}) {
		t.Fatalf("%+v: %v", s, err)
	}
	if s, err := h.accept(o.Member, testNetwork, standInResponse{Number: number}, o.now); err != nil || s.Number != number {
		t.Errorf("the one that is known: %+v, %v", s, err)
	}
	if _, err := h.accept(o.Member, testNetwork, standInResponse{Number: number}, o.now.Add(maxSkew)); err == nil {
		t.Error("a relay shows the same one for a day")
	}
	if _, err := h.accept(o.Member, testNetwork, standInResponse{Snapshot: old, Number: older}, o.now); codeOf(err) != codeSeen {
		t.Errorf("an older one: %v", err)
	}
	for i := range 2 * maxHeld {
		id := p2p.ID{byte(i), byte(i >> 8), 1}
		h[id] = Snapshot{}
		if _, err := h.accept(o.Member, testNetwork, good, o.now); err != nil {
			t.Fatal(err)
		}
		delete(h, o.ID)
	}
	if len(h) > maxHeld {
		t.Errorf("%d are kept", len(h))
	}
}

// A relay is asked where that is shorter than to ask its client.
func TestInPlaceOf(t *testing.T) {
	relays := []p2p.ID{{1}, {2}, {3}}
	to := func(id p2p.ID) reach { return []reach{unlinked, straight, relayed}[id[0]-1] }
	for member, want := range map[reach][]p2p.ID{
		straight: nil,
		relayed:  {{2}},
		unlinked: {{2}, {3}},
	} {
		if got := inPlaceOf(member, relays, to); !slices.Equal(got, want) {
			t.Errorf("reach %d: %v, want %v", member, got, want)
		}
	}
	if got := inPlaceOf(unlinked, relays[:1], to); !slices.Equal(got, relays[:1]) {
		t.Errorf("a relay without a link: %v", got)
	}
	if got := inPlaceOf(relayed, relays[:1], to); got != nil {
		t.Errorf("a link to it, and none to its relay: %v", got)
	}
}

// sheltered is a town in which home 1 is reached through home 4 alone: asker 7, its relay 4, home 1.
func sheltered(t *testing.T) (w *town, c *Contacts) {
	t.Helper()
	w = newTown(t, 8)
	w.road(7, 4, 1)
	w.road(1, 0)
	w.road(1, 2)
	relay, home := w.homes[4].self, w.homes[1].self
	for _, h := range w.homes {
		h.o.Relays = func(id p2p.ID) []p2p.ID {
			if id == home {
				return []p2p.ID{relay}
			}
			return nil
		}
	}
	w.homes[4].o.Client = func(id p2p.ID) (time.Duration, bool) {
		_, err := w.homes[4].to(id)
		if err != nil {
			return time.Second, id == home
		}
		return 0, id == home
	}
	c = NewContacts(ContactsOptions{
		Router: w.homes[1].Router, Large: func() bool { return false }, Relays: func() []p2p.ID { return []p2p.ID{relay} },
	})
	return w, c
}

// A lookup asks the relay of a node that it cannot reach otherwise; the node hears nothing of it.
func TestRelayAnswersLookup(t *testing.T) {
	w, c := sheltered(t)
	asker, relay, home := w.homes[7], w.homes[4], w.homes[1]
	ask := func(o LookupOptions) Asked {
		t.Helper()
		var of Asked
		o.Want = 3
		f, err := asker.Find(t.Context(), p2p.Key{}, o, func(a Asked) {
			if a.ID == home.self {
				of = a
			}
		})
		if err != nil || len(f.Members) != 3 || f.Members[0].ID != w.homes[0].self {
			t.Fatalf("%+v: %v", f, err)
		}
		return of
	}
	count := 0
	home.o.Heard = func(Member) { count++ }
	if a := ask(LookupOptions{}); !a.By.Relay.IsZero() || a.Hops != 2 || count == 0 {
		t.Fatalf("without a snapshot: %+v", a)
	}
	c.give(t.Context())
	if g := c.Given()[relay.self]; g.Known != 3 || g.At.IsZero() {
		t.Fatalf("given: %+v", g)
	}
	count = 0
	a := ask(LookupOptions{})
	if a.By.Relay != relay.self || a.By.Gone != 0 || a.By.Age > time.Minute || a.Via != relay.self || a.Hops != 1 || len(a.Heard) != 3 || a.Err != nil {
		t.Errorf("%+v", a)
	}
	if whole := a.In; whole < 100 || ask(LookupOptions{}).In >= whole {
		t.Errorf("the same snapshot comes again: %d bytes", whole)
	}
	if err := asker.Ping(t.Context(), w.all[home.self]); err != nil {
		t.Errorf("ping: %v", err)
	}
	if count > 0 {
		t.Errorf("the node was asked %d times itself", count)
	}
	if kept := relay.StandsIn()[home.self]; kept.Known != 3 || kept.Asked != 3 {
		t.Errorf("the relay: %+v", kept)
	}
	asker.ask(home, "calls go on") // through the relay, as before
	if a := ask(LookupOptions{InPerson: true}); !a.By.Relay.IsZero() || a.Hops != 2 || count == 0 {
		t.Errorf("in person: %+v", a)
	}

	count = 0
	around := NewContacts(ContactsOptions{Router: asker.Router, Large: func() bool { return true }})
	if around.refresh(t.Context()); count == 0 {
		t.Error("who looks around itself is not heard of by those around it")
	}

	// Who is no member, and this node itself, are not among those that it names.
	w.revoke(w.homes[2])
	_, s, err := asker.heldOf(home.self)
	if err != nil || len(s.Known) != 3 {
		t.Fatalf("%+v: %v", s, err)
	}
	if members, strangers := nearest(s, p2p.Key{}, 8, asker.o.Member, relay.self); len(members) != 1 || strangers != 1 {
		t.Errorf("%v, and %d strangers", members, strangers)
	}

	// Its computer is switched off: for a moment the relay says since when.
	gone := 5 * time.Second
	relay.o.Client = func(id p2p.ID) (time.Duration, bool) { return gone, id == home.self }
	if a := ask(LookupOptions{}); a.By.Gone != gone || a.Err != nil {
		t.Errorf("just gone: %+v", a)
	}
	delete(relay.links, home.self)
	if err := asker.Ping(t.Context(), w.all[home.self]); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("ping of one that is gone: %v", err)
	}
	gone = SnapshotGone + 1
	a = asker.find(t.Context(), Asked{Member: w.all[home.self]}, findRequest{}, nil, false)
	if !errors.Is(a.Err, p2p.ErrUnreachable) || !a.By.Relay.IsZero() || len(relay.StandsIn()) > 0 {
		t.Errorf("gone for too long: %+v", a)
	}
}

// What a node has said is taken back when it goes, and a relay that it has no more is forgotten.
func TestWithdraw(t *testing.T) {
	w, c := sheltered(t)
	relay, home := w.homes[4], w.homes[1]
	c.give(t.Context())
	first := relay.standIns[home.self].s.Number
	c.give(t.Context())
	if got := relay.standIns[home.self].s.Number; got != first {
		t.Error("the same is given again at once")
	}
	c.Withdraw(t.Context())
	c.give(t.Context())
	if len(relay.StandsIn()) > 0 || len(c.Given()) > 0 {
		t.Error("it is still there")
	}
}

// heldOf is what a node has of another one's snapshots.
func (r *Router) heldOf(id p2p.ID) (p2p.ID, Snapshot, error) {
	r.stand.Lock()
	defer r.stand.Unlock()
	s, ok := r.held[id]
	if !ok {
		return id, s, p2p.ErrUnreachable
	}
	return id, s, nil
}

// A relay that lies, hangs or has nothing costs a moment: then the node is asked itself. And a
// snapshot that somebody sends who is no client is not kept.
func TestRelayGames(t *testing.T) {
	w, c := sheltered(t)
	asker, relay, home := w.homes[7], w.homes[4], w.homes[1]
	c.give(t.Context())
	thief := NewContacts(ContactsOptions{
		Router: asker.Router, Large: func() bool { return false }, Relays: func() []p2p.ID { return []p2p.ID{relay.self} },
	})
	thief.give(t.Context())
	if kept := relay.StandsIn(); len(kept) != 1 || len(thief.Given()) > 0 {
		t.Errorf("of somebody who is no client: %v", kept)
	}
	req, err := wire.Marshal(findRequest{})
	if err != nil {
		t.Fatal(err)
	}
	forged := newOwned(t, 99)
	forged.now = time.Now()
	number, raw := forged.snapshot(0, p2p.ID{1})
	for what, play := range map[string]Handler{
		"forged": func(context.Context, p2p.ID, []byte) ([]byte, error) {
			return wire.Marshal(standInResponse{Snapshot: raw, Number: number})
		},
		"malformed": func(context.Context, p2p.ID, []byte) ([]byte, error) { return []byte{0xff}, nil },
		"refused":   func(context.Context, p2p.ID, []byte) ([]byte, error) { return nil, errors.New("no") },
		"silent": func(ctx context.Context, _ p2p.ID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		was := relay.handlers[StandInProtocol]
		relay.handlers[StandInProtocol] = play
		a := asker.find(t.Context(), Asked{Member: w.all[home.self]}, findRequest{}, req, false)
		if a.Err != nil || !a.By.Relay.IsZero() || a.Hops != 2 {
			t.Errorf("%s: %+v", what, a)
		}
		relay.handlers[StandInProtocol] = was
	}
}

// A node whose clock was put back is told so, and gives its next snapshot a larger number.
func TestClockWasPutBack(t *testing.T) {
	w, c := sheltered(t)
	relay, home := w.homes[4], w.homes[1]
	ahead := uint64(time.Now().Add(time.Hour).UnixMicro())
	raw, err := Snapshot{ahead, []p2p.ID{{1}}}.seal(home.identity, testNetwork)
	if err != nil {
		t.Fatal(err)
	}
	relay.standIns, relay.held, relay.snapshotsOf = standIns{}, held{}, testNetwork
	if _, err := relay.standIns.take(w.all[home.self], testNetwork, raw, true, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.give(t.Context())
	if got := relay.standIns[home.self].s; got.Number != ahead+1 || len(got.Known) != 3 {
		t.Errorf("number %d after %d", got.Number, ahead)
	}
}

func FuzzOpenSnapshot(f *testing.F) {
	identity := mustIdentity(f)
	now := time.Unix(1_800_000_000, 0)
	raw, err := Snapshot{uint64(now.UnixMicro()), []p2p.ID{{1}, {2}}}.seal(identity, testNetwork)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := openSnapshot(b, identity.PublicKey(), testNetwork, now)
		if err != nil {
			return
		}
		if len(s.Known) > MaxKnown || !plausible(s.Number, now) {
			t.Fatalf("out of bounds: %d members, number %d", len(s.Known), s.Number)
		}
		again, err := s.seal(identity, testNetwork)
		if err != nil || !bytes.Equal(again, b) { // ed25519 and the encoding are deterministic
			t.Fatalf("made up: %x, %v", b, err)
		}
	})
}
