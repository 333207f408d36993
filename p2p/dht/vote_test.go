package dht_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// voteOf makes the vote of somebody for a version under a sequence number, as it is on the wire.
func voteOf(t testing.TB, who p2p.Identity, network p2p.ID, h dht.Header, seq uint64) dht.Vote {
	h.Seq, h.Prepared, h.TTL, h.Protect, h.Owner = seq, true, 0, 0, nil
	header, err := wire.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	id := who.ID()
	return dht.Vote{Key: who.PublicKey(), Sig: who.Sign("shoal version vote", slices.Concat(network[:], id[:], header))}
}

// prepare prepares a version at a node, as mallory does, and returns what it has prepared and the
// vote for it.
func (h *hostile) prepare(to *testNode, r dht.Record) (dht.Record, dht.Vote) {
	h.t.Helper()
	r.Prepared, r.TTL = true, 10
	r = h.sign(h.mallory.identity, r)
	status, vote := h.ask(to, dht.Write{Record: r})
	if status != dht.StatusPrepared || vote == nil {
		h.t.Fatalf("prepare: %v, %v", status, vote)
	}
	return r, *vote
}

// ask sends one write, and returns the vote too.
func (h *hostile) ask(to *testNode, w dht.Write) (dht.Status, *dht.Vote) {
	h.t.Helper()
	resp, err := h.end.Call(h.ctx, to.member.ID, dht.ProtoPut, message(h.t, w))
	if err != nil {
		h.t.Fatal(err)
	}
	var said struct {
		Status dht.Status `cbor:"1,keyasint"`
		Vote   *dht.Vote  `cbor:"3,keyasint"`
	}
	if err := wire.ReadMsg(bytes.NewReader(resp), &said); err != nil {
		h.t.Fatal(err)
	}
	return said.Status, said.Vote
}

// confirmation changes the header of a prepared record so that it confirms it.
func (h *hostile) confirmation(prepared dht.Record) dht.Record {
	r := prepared
	r.Prepared, r.TTL, r.Value = false, 0, nil
	r.Seq++
	return h.sign(h.mallory.identity, r)
}

// keepers returns a location that mallory is to keep, and the two others that are.
func (h *hostile) keepers() (location p2p.Key, others []*testNode) {
	for i := 0; len(others) != 2; i++ {
		location, others = dht.KeyOf(fmt.Sprint(i)), nil
		for _, m := range h.nodes[0].table.Responsible(location) {
			if m.ID != h.mallory.member.ID {
				others = append(others, h.node(m.ID))
			}
		}
	}
	return location, others
}

// TestHostileCoordinator: who confirms a version and cannot show that a majority has prepared it is
// refused, and named, and nobody sees the version.
func TestHostileCoordinator(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHostile(t, 20, dht.Options{})
		defer h.world.end()
		mallory, network := h.mallory.identity, p2p.ID{1}
		location, others := h.keepers()
		victim, honest := others[0], others[1].identity
		members := slices.Clone(h.members)
		slices.SortFunc(members, func(a, b dht.Member) int {
			return b.Position.Distance(location).Compare(a.Position.Distance(location))
		})
		far := []p2p.Identity{h.node(members[0].ID).identity, h.node(members[1].ID).identity}
		stranger, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{99}, 32))
		if err != nil {
			t.Fatal(err)
		}
		type attempt struct {
			prepared, confirm dht.Record
			vote              dht.Vote // of the victim
		}
		of := func(who p2p.Identity, a attempt) dht.Vote {
			return voteOf(t, who, network, a.prepared.Header, a.prepared.Seq)
		}
		quorum := func(a attempt, votes ...dht.Vote) *dht.Quorum {
			return &dht.Quorum{Seq: a.prepared.Seq, Votes: votes}
		}
		other := func(a attempt, change func(*dht.Header)) dht.Vote {
			changed := a.prepared.Header
			change(&changed)
			return voteOf(t, honest, network, changed, changed.Seq)
		}
		bare := func(q func(attempt) *dht.Quorum) func(attempt) dht.Write {
			return func(a attempt) dht.Write { return dht.Write{Record: a.confirm, Quorum: q(a)} }
		}
		whole := func(a attempt) dht.Record {
			r := a.confirm
			r.Value = a.prepared.Value
			return r
		}
		for i, c := range []struct {
			what string
			w    func(attempt) dht.Write
			want string
		}{
			{"no votes", func(a attempt) dht.Write { return dht.Write{Record: a.confirm} }, "no_quorum"},
			{"a put that does not say that it confirms", func(a attempt) dht.Write { return dht.Write{Record: whole(a)} }, "no_quorum"},
			{"a copy, it says", func(a attempt) dht.Write { return dht.Write{Record: whole(a), Repair: true} }, "no_quorum"},
			{"a copy, with one vote", func(a attempt) dht.Write {
				return dht.Write{Record: whole(a), Repair: true, Quorum: quorum(a, a.vote)}
			}, "no_quorum"},
			{"a quorum of nobody", bare(func(a attempt) *dht.Quorum { return quorum(a) }), "no_quorum"},
			{"its own vote", bare(func(a attempt) *dht.Quorum { return quorum(a, of(mallory, a)) }), "no_quorum"},
			{"its own vote twice", bare(func(a attempt) *dht.Quorum { return quorum(a, of(mallory, a), of(mallory, a)) }), "no_quorum"},
			{"the victim's vote twice", bare(func(a attempt) *dht.Quorum { return quorum(a, a.vote, a.vote) }), "no_quorum"},
			{"a stranger's vote", bare(func(a attempt) *dht.Quorum { return quorum(a, of(mallory, a), of(stranger, a)) }), "no_quorum"},
			{"votes of members who do not keep it", bare(func(a attempt) *dht.Quorum {
				return quorum(a, of(mallory, a), of(far[0], a), of(far[1], a))
			}), "no_quorum"},
			{"a vote for another version", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, other(a, func(o *dht.Header) { o.Version = dht.NewVersion(1, []byte("another")) }))
			}), "no_quorum"},
			{"a vote for another value", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, other(a, func(o *dht.Header) { o.Sum = dht.SumOf([]byte("another")) }))
			}), "no_quorum"},
			{"a vote for other parents", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, other(a, func(o *dht.Header) { o.Based = []dht.Version{dht.NewVersion(0, nil)} }))
			}), "no_quorum"},
			{"a vote at another name", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, other(a, func(o *dht.Header) { o.Content[31]++ }))
			}), "no_quorum"},
			{"a vote for another author", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, other(a, func(o *dht.Header) { o.Author = honest.PublicKey() }))
			}), "no_quorum"},
			{"a vote of an earlier try", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, other(a, func(o *dht.Header) { o.Seq-- }))
			}), "no_quorum"},
			{"the majority of an earlier try", bare(func(a attempt) *dht.Quorum {
				seq := a.prepared.Seq - 1
				all := []dht.Vote{
					voteOf(t, victim.identity, network, a.prepared.Header, seq), voteOf(t, honest, network, a.prepared.Header, seq),
				}
				return &dht.Quorum{Seq: seq, Votes: all}
			}), "no_quorum"},
			{"a vote in another network", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, voteOf(t, honest, p2p.ID{2}, a.prepared.Header, a.prepared.Seq))
			}), "no_quorum"},
			{"a forged signature", bare(func(a attempt) *dht.Quorum {
				v := of(honest, a)
				v.Sig[0]++
				return quorum(a, a.vote, v)
			}), "no_quorum"},
			{"its own signature with another's key", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, dht.Vote{Key: honest.PublicKey(), Sig: of(mallory, a).Sig})
			}), "no_quorum"},
			{"half a key", bare(func(a attempt) *dht.Quorum {
				return quorum(a, a.vote, dht.Vote{Key: honest.PublicKey()[:16], Sig: of(honest, a).Sig})
			}), "no_quorum"},
			{"too many votes", bare(func(a attempt) *dht.Quorum {
				return quorum(a, slices.Repeat([]dht.Vote{a.vote, of(honest, a)}, 20)...)
			}), "no_quorum"},
			{"a majority", bare(func(a attempt) *dht.Quorum { return quorum(a, a.vote, of(honest, a)) }), "ok"},
			{"a majority, and votes that do not count", bare(func(a attempt) *dht.Quorum {
				return quorum(a, of(stranger, a), a.vote, of(far[0], a), a.vote, of(mallory, a))
			}), "ok"},
			{"a copy with a majority", func(a attempt) dht.Write {
				return dht.Write{Record: whole(a), Repair: true, Quorum: quorum(a, a.vote, of(honest, a))}
			}, "ok"},
			{"a fork that says so", func(a attempt) dht.Write { return dht.Write{Record: a.confirm, Fork: true} }, "ok"},
		} {
			value := value(dht.Address{Location: location, Content: dht.KeyOf(fmt.Sprint("content ", i)), Version: dht.NewVersion(1, []byte(c.what))}, c.what, now())
			var a attempt
			a.prepared, a.vote = h.prepare(victim, value)
			a.confirm = h.confirmation(a.prepared)
			h.log.buf.Reset()
			if got := h.send(victim, c.w(a)); got[0] != c.want {
				t.Errorf("%s: %s, want %s", c.what, got[0], c.want)
			}
			seen := len(victim.get(dht.Query{Location: location, Contents: []p2p.Key{value.Content}})) > 0
			if refused := h.log.says("records refused", h.mallory.member.Name, "no_quorum"); refused != (c.want != "ok") || seen == refused {
				t.Errorf("%s: logged %v, seen %v", c.what, refused, seen)
			}
		}
		h.claimsNothing(t, victim, location)
	})
}

// claimsNothing: what is no confirmation needs no votes.
func (h *hostile) claimsNothing(t *testing.T, victim *testNode, location p2p.Key) {
	place := func(text string) dht.Record {
		return value(dht.Address{Location: location, Content: dht.KeyOf(text), Version: dht.NewVersion(1, []byte(text))}, text, now())
	}
	if got := h.send(victim, dht.Write{Record: h.sign(h.mallory.identity, place("plain"))}); got[0] != "ok" {
		t.Errorf("a put of a version: %v", got)
	}
	says := h.sign(h.mallory.identity, place("said"))
	prepared := says.Header
	prepared.Seq--
	q := dht.Quorum{Seq: prepared.Seq, Votes: []dht.Vote{voteOf(t, h.mallory.identity, p2p.ID{1}, prepared, prepared.Seq)}}
	if got := h.send(victim, dht.Write{Record: says, Quorum: &q}); got[0] != "no_quorum" {
		t.Errorf("a confirmation, it says, of what is not prepared here: %v", got)
	}
	if got := h.send(victim, dht.Write{Record: says, Repair: true, Quorum: &q}); got[0] != "ok" {
		t.Errorf("a copy of what is not prepared here: %v", got)
	}
	author := h.nodes[0].identity
	theirs := place("somebody else's")
	theirs.Prepared, theirs.TTL = true, 5
	confirmed := place("somebody else's")
	confirmed.Seq = theirs.Seq + 1
	if got := h.send(victim, dht.Write{Record: h.sign(author, theirs)}, dht.Write{Record: h.sign(author, confirmed), Repair: true}); !slices.Equal(got, []string{"ok_prepared", "ok"}) {
		t.Errorf("a copy of somebody else's: %v", got)
	}
	// Looking at votes has an end: of one message so many are looked at.
	r, vote := h.prepare(victim, place("many"))
	many := slices.Repeat([]dht.Write{{Record: h.confirmation(r), Quorum: &dht.Quorum{Seq: r.Seq, Votes: []dht.Vote{vote}}}}, 100)
	good := many[0]
	good.Quorum = &dht.Quorum{Seq: r.Seq, Votes: []dht.Vote{vote, voteOf(t, h.mallory.identity, p2p.ID{1}, r.Header, r.Seq)}}
	if got := h.send(victim, append(many, good)...); got[100] != "no_quorum" {
		t.Errorf("after a hundred: %s", got[100])
	}
	if got := h.send(victim, good); got[0] != "ok" {
		t.Errorf("alone: %s", got[0])
	}
}

// TestOneVote: a replica that has voted for a version does not vote for another of the same parents,
// in whatever way that is brought.
func TestOneVote(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHostile(t, 20, dht.Options{})
		defer h.world.end()
		location, others := h.keepers()
		record := func(who p2p.Identity, text string, more uint64, prepared bool) dht.Record {
			r := value(dht.Address{Location: location, Version: dht.NewVersion(1, []byte(text))}, text, now()+more)
			if r.Prepared = prepared; prepared {
				r.TTL = 10
			}
			return h.sign(who, r)
		}
		mallory := h.mallory.identity
		one := record(h.nodes[0].identity, "one", 1000, true)
		copied, plain := record(mallory, "two", 0, true), record(mallory, "three", 0, false)
		for _, c := range []struct {
			what  string
			w     dht.Write
			want  dht.Status
			votes bool
		}{
			{"the first", dht.Write{Record: one}, dht.StatusPrepared, true},
			{"the first again, the answer was lost", dht.Write{Record: one}, dht.StatusUnchanged, true},
			{"another one", dht.Write{Record: copied}, dht.StatusFork, false},
			{"a fork", dht.Write{Record: copied, Fork: true}, dht.StatusFork, false},
			{"a copy", dht.Write{Record: copied, Repair: true}, dht.StatusPrepared, false},
			{"what has come as a copy", dht.Write{Record: copied}, dht.StatusUnchanged, false},
			{"a later one", dht.Write{Record: record(mallory, "two", 10, true)}, dht.StatusFork, false},
			{"the first again, beside a copy", dht.Write{Record: one}, dht.StatusUnchanged, false},
			{"a fork that everybody sees", dht.Write{Record: plain, Fork: true}, dht.StatusOK, false},
		} {
			status, vote := h.ask(others[0], c.w)
			if status != c.want || (vote != nil) != c.votes {
				t.Errorf("%s: %s, voted %v, want %s and %v", c.what, status, vote != nil, c.want, c.votes)
			}
		}
	})
}

// TestQuorumOfFew: where there are fewer members than a name is to have replicas, a majority is one
// of those that the replica sees.
func TestQuorumOfFew(t *testing.T) {
	for _, replicas := range []int{1, 3, 6} {
		for n := 1; n <= 5; n++ {
			inBubble(t, func(t *testing.T) {
				log := &logged{}
				w := newWorld(t, n, lan, dht.Options{Replicas: replicas, Logger: slog.New(slog.NewTextHandler(log, nil))})
				defer w.end()
				name := at("story").Name()
				for i, word := range []string{"one", "two"} {
					if _, _, err := w.nodes[i%n].table.VPut(t.Context(), appending(name, word)); err != nil {
						t.Errorf("%d replicas, %d nodes: %v", replicas, n, err)
					}
				}
				if heads := w.nodes[0].heads(name); len(heads) != 1 || len(heads[0]) != 2 {
					t.Errorf("%d replicas, %d nodes: %q", replicas, n, heads)
				}
				if log.says("refused") {
					t.Errorf("%d replicas, %d nodes: %s", replicas, n, log.buf.String())
				}
			})
		}
	}
	for _, c := range []struct {
		nodes, replicas, votes int
		want                   string
	}{
		{2, 3, 1, "no_quorum"},
		{2, 3, 2, "ok"},
		{5, 5, 2, "no_quorum"},
		{5, 5, 3, "ok"},
		{5, 1, 1, "ok"},
		{3, 20, 1, "no_quorum"},
		{3, 20, 2, "ok"},
	} {
		inBubble(t, func(t *testing.T) {
			h := newHostile(t, c.nodes, dht.Options{Replicas: c.replicas})
			defer h.world.end()
			victim := h.nodes[0]
			var location p2p.Key
			for i := 0; location == (p2p.Key{}); i++ {
				if l := dht.KeyOf(fmt.Sprint(i)); victim.table.Responsible(l)[0].ID == victim.member.ID {
					location = l
				}
			}
			r, _ := h.prepare(victim, value(dht.Address{Location: location, Version: dht.NewVersion(1, []byte("x"))}, "x", now()))
			q := dht.Quorum{Seq: r.Seq}
			for _, n := range h.nodes[:c.votes] {
				q.Votes = append(q.Votes, voteOf(t, n.identity, p2p.ID{1}, r.Header, r.Seq))
			}
			if got := h.send(victim, dht.Write{Record: h.confirmation(r), Quorum: &q}); got[0] != c.want {
				t.Errorf("%d votes of %d members, %d replicas: %s, want %s", c.votes, c.nodes, c.replicas, got[0], c.want)
			}
		})
	}
}

// TestLyingVoter: a replica that says that it has prepared a version, and does not sign that, is not
// counted, and named.
func TestLyingVoter(t *testing.T) {
	type prepared struct {
		Status uint8     `cbor:"1,keyasint"`
		Vote   *dht.Vote `cbor:"3,keyasint,omitempty"`
	}
	inBubble(t, func(t *testing.T) {
		h := newHostile(t, 3, dht.Options{})
		defer h.world.end()
		for what, vote := range map[string]func(h dht.Header) prepared{
			"no vote": func(dht.Header) prepared { return prepared{Status: uint8(dht.StatusPrepared)} },
			"a vote for something else": func(header dht.Header) prepared {
				v := voteOf(t, h.mallory.identity, p2p.ID{1}, header, header.Seq+1)
				return prepared{uint8(dht.StatusPrepared), &v}
			},
			"somebody else's vote": func(header dht.Header) prepared {
				v := voteOf(t, h.nodes[0].identity, p2p.ID{1}, header, header.Seq)
				return prepared{uint8(dht.StatusPrepared), &v}
			},
			"a vote though it refuses": func(header dht.Header) prepared {
				v := voteOf(t, h.mallory.identity, p2p.ID{1}, header, header.Seq+1)
				return prepared{uint8(dht.StatusFork), &v}
			},
		} {
			h.log.buf.Reset()
			h.answer(func(_ context.Context, _ p2p.ID, proto string, req []byte) ([]byte, error) {
				switch proto {
				case dht.ProtoGet:
					return message(t, wireAnswer{Status: uint8(dht.StatusOK)}), nil
				case dht.ProtoPut:
					var w dht.Write
					if err := wire.ReadMsg(bytes.NewReader(req), &w); err != nil {
						return nil, err
					}
					return message(t, vote(w.Record.Header)), nil
				}
				return nil, p2p.ErrUnreachable
			})
			r, _, err := h.nodes[0].table.VPut(h.ctx, appending(at(what).Name(), "word"))
			if err != nil || r.Copies < 2 { // of the confirmation it may say what it likes
				t.Errorf("%s: %d copies, %v", what, r.Copies, err)
			}
			named := h.log.says("answer not believed", h.mallory.member.Name, "vote")
			if named == strings.Contains(what, "refuses") || h.log.says("refused") {
				t.Errorf("%s: logged %s", what, h.log.buf.String())
			}
			h.nodes[1].crash()
			if r, _, err := h.nodes[0].table.VPut(h.ctx, appending(at(what).Name(), "alone")); err == nil || errors.Is(err, dht.ErrNoQuorum) {
				t.Errorf("%s, and nobody else is there: %v, %v", what, r.Status, err)
			}
			h.nodes[1].start()
		}
	})
}

// TestLostConfirmation: where the confirmation was lost, the copy that the author brings a moment later,
// when it reads, has the votes with it.
func TestLostConfirmation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log := &logged{}
		w := newWorld(t, 10, lan, dht.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		defer w.end()
		name := at("story").Name()
		near := w.nodes[0].table.Responsible(name.Location)
		last, author := w.node(near[2].ID), w.other(near)
		author.crash()
		var mu sync.Mutex
		prepared := 0
		w.options.Publish = func(e p2p.Event) {
			s, is := e.(dht.Step)
			if !is || s.From != author.member.ID || s.Operation != "prepare" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if prepared++; prepared == 3 {
				w.calls.Crash(last.member.ID)
				last.stop()
			}
		}
		author.start()
		r, _, err := author.table.VPut(t.Context(), appending(name, "word"))
		if err != nil || r.Copies < 2 {
			t.Fatalf("%d copies, %v", r.Copies, err)
		}
		last.start()
		has := func() int { return w.has(name.At(r.Version), "word")[slices.Index(w.nodes, last)] }
		if has() != 0 {
			t.Error("it was not lost")
		}
		author.get(dht.Query{Location: name.Location})
		time.Sleep(500 * time.Millisecond) // comparisons begin later
		if has() != 1 {
			t.Error("the copy was not taken")
		}
		if log.says("no_quorum") {
			t.Error(log.buf.String())
		}
	})
}

// TestManyAppenders: twenty append to one value at once, and no replica takes any of them for a liar.
func TestManyAppenders(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log := &logged{}
		w := newWorld(t, 30, lan, dht.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		defer w.end()
		name := at("story").Name()
		words := strings.Fields(strings.Repeat("word ", 20))
		for i := range words {
			words[i] += fmt.Sprint(i)
		}
		acked, unknown := w.appendAll(name, w.nodes[:20], words, false)
		heads := w.nodes[25].heads(name)
		if len(heads) != 1 || len(unknown) > 0 || len(acked) < 15 {
			t.Fatalf("%d acknowledged, of %d nobody knows, heads %q", len(acked), len(unknown), heads)
		}
		slices.Sort(acked)
		slices.Sort(heads[0])
		if !slices.Equal(heads[0], acked) {
			t.Errorf("head %q, acknowledged %q", heads[0], acked)
		}
		if log.says("no_quorum") || log.says("not believed") {
			t.Error(log.buf.String())
		}
	})
}
