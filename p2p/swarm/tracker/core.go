package tracker

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Told says who has said that somebody is a source.
type Told string

// Who says so, the most certain first.
const (
	TellsItself  Told = "itself"
	TellsTracker Told = "tracker" // what another tracker was told by the source
	TellsTable   Told = "table"   // a record that the source has signed
)

// Bounds of what is known, whatever others say.
const (
	maxSources  = 1024    // of a seed
	maxAll      = 100_000 // sources of all seeds together
	maxTexts    = 4       // of a seed, that differ in what matters
	maxTextsOf  = 8 << 20 // bytes of texts that one member has brought
	maxTextsAll = 64 << 20
	maxGone     = 1024 // of a seed: those of whom hearsay is not believed
)

// missed is how long a source is left alone at first that was asked for nothing, and longest at most.
const (
	missedFirst   = 15 * time.Second
	missedLongest = 5 * time.Minute
)

// core is what a tracker knows. Its methods take the time as an argument, and return the seeds of
// which the sources have changed.
type core struct {
	self     p2p.ID
	seeds    map[seed.ID]*entry
	accounts map[p2p.ID]*account
	meters   map[p2p.ID]*meter
	count    int // sources of all seeds
	bytes    int // of all texts
	swept    time.Time
	dirty    dirty
}

// entry is a seed.
type entry struct {
	id      seed.ID
	since   time.Time
	texts   []*text // in the order in which they came
	sources map[p2p.ID]*source
	gone    map[p2p.ID]time.Time // until when hearsay of them is not believed
	shown   [2]int               // how many have all of it and a part, as events have said
}

// text is what somebody says a seed is. What a seed's ID does not prove, its length above all, can be
// a lie: texts that differ in that are kept side by side.
type text struct {
	what  what
	seed  seed.Seed // without the list of pieces; only the name if brief
	raw   []byte    // canonical; nil if brief
	first time.Time
	by    p2p.ID // who has brought it
	lies  bool   // somebody here has found out that it is wrong
}

// what is in which texts of a seed must agree to be the same.
type what struct {
	size  int64
	list  chunk.Hash
	brief bool // only the size is known
}

// source is somebody who has a seed.
type source struct {
	have     Have
	up, down uint32 // KiB per second
	wants    bool
	told     Told
	version  uint64    // of the announcement
	swept    uint64    // the account's sweep in which it came
	account  *account  // of a source that says so itself, which ends with it; else nil
	ends     time.Time // of hearsay
	text     *text     // nil: it was not told
	misses   int
	missed   time.Time // it is left alone until then
}

// account is what a member has said of itself.
type account struct {
	epoch, seq uint64
	sum        uint64
	sweep      uint64 // grows with each update that says everything
	sweeping   bool   // such an update has begun
	seeds      map[seed.ID]struct{}
	bytes      int // of texts
	ends       time.Time
	refused    bool // there was no room for some of it, so that the sums differ
}

func newCore(self p2p.ID) *core {
	c := &core{self: self}
	c.clear()
	return c
}

// clear forgets everything.
func (c *core) clear() {
	c.seeds, c.accounts, c.meters = map[seed.ID]*entry{}, map[p2p.ID]*account{}, map[p2p.ID]*meter{}
	c.count, c.bytes, c.dirty = 0, 0, dirty{cleared: true}
}

// mix is the part that one announcement has in a sum.
func mix(id seed.ID, version uint64) uint64 {
	var b [40]byte
	copy(b[:], id[:])
	binary.BigEndian.PutUint64(b[32:], version)
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(h[:])
}

// update takes what a member says of itself. The error is a refusal.
func (c *core) update(now time.Time, from p2p.ID, u *update) (updated, []seed.ID, error) {
	answer := updated{TTL: uint32(TTL / time.Second), Every: uint32(Every / time.Second)}
	if err := u.check(); err != nil {
		return answer, nil, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	a := c.accounts[from]
	if a != nil && a.epoch == u.Epoch && u.Seq <= a.seq {
		return answer, nil, nil // it was overtaken, or is sent again
	}
	var changed changes
	if a != nil && a.epoch != u.Epoch {
		// Another run: what it had then it has to say again, but if it says all of it now, those who
		// ask meanwhile still find it.
		a.epoch = u.Epoch
		if !u.First {
			c.drop(now, from, a, &changed)
			a = nil
		}
	}
	if u.End {
		if a != nil {
			c.bury(now, from, a)
			c.drop(now, from, a, &changed)
		}
		return answer, changed.list(), nil
	}
	if a == nil {
		a = &account{epoch: u.Epoch, seeds: map[seed.ID]struct{}{}}
		c.accounts[from] = a
	}
	a.seq = u.Seq
	a.ends = now.Add(TTL)
	if u.First {
		a.sweep++
		a.sweeping, a.refused = true, false
	}
	for i := range u.Has {
		if err := c.announce(now, from, a, &u.Has[i], &changed); err != nil {
			a.refused = true
			if e := c.seeds[u.Has[i].ID]; e != nil {
				c.tidy(now, e)
			}
		}
	}
	for _, id := range u.Gone {
		c.withdraw(now, from, a, id, &changed)
	}
	if len(u.Has)+len(u.Gone) > 0 || u.First {
		c.dirty.member(from)
	} else {
		c.dirty.renew(from)
	}
	if u.More {
		return answer, changed.list(), nil
	}
	if a.sweeping {
		a.sweeping = false
		for id := range a.seeds {
			if e := c.seeds[id]; e.sources[from].swept != a.sweep {
				c.withdraw(now, from, a, id, &changed)
			}
		}
	}
	answer.Again = !a.refused && (a.sum != u.Sum || len(a.seeds) != int(u.Count))
	return answer, changed.list(), nil
}

// announce takes one announcement. The error says why it is not believed or has no room.
func (c *core) announce(now time.Time, from p2p.ID, a *account, n *announcement, changed *changes) error {
	h, err := n.Have.unpack()
	if err != nil {
		return err
	}
	e := c.seeds[n.ID]
	var old *source
	if e != nil {
		old = e.sources[from]
	}
	mine := old != nil && old.told == TellsItself
	if !mine && from != c.self && len(a.seeds) >= MaxSeeds {
		return fmt.Errorf("more than %d seeds of one member: %w", MaxSeeds, p2p.ErrTooLarge)
	}
	e, err = c.entry(now, n.ID)
	if err != nil {
		return err
	}
	if old == nil && !c.room(e) {
		return fmt.Errorf("more sources than there is room for: %w", p2p.ErrTooLarge)
	}
	s := &source{have: h, up: n.Up, down: n.Down, wants: n.Wants && !h.All, told: TellsItself, account: a, version: n.Version, swept: a.sweep}
	if old != nil {
		s.misses, s.missed, s.text = old.misses, old.missed, old.text
	}
	if len(n.Text) > 0 || n.Name != "" {
		t, err := c.describe(now, from, a, e, n)
		if err != nil {
			return err
		}
		s.text = t
	}
	if s.text != nil && !s.text.what.brief && !h.All && (h.Count > s.text.seed.Count() || len(h.Runs) > 0 && h.Runs[len(h.Runs)-1].First >= s.text.seed.Count()) {
		return fmt.Errorf("%d pieces of %d: %w", h.Count, s.text.seed.Count(), errHave)
	}
	if mine {
		a.sum ^= mix(n.ID, old.version)
	}
	a.sum ^= mix(n.ID, s.version)
	a.seeds[n.ID] = struct{}{}
	if old == nil {
		c.count++
	}
	e.sources[from] = s
	delete(e.gone, from)
	c.dirty.source(n.ID, from)
	if !mine || !old.have.Equal(h) || old.wants != s.wants || old.up != s.up || old.text != s.text {
		changed.add(n.ID)
	}
	return nil
}

// entry returns what is known of a seed, which may be nothing yet.
func (c *core) entry(now time.Time, id seed.ID) (*entry, error) {
	e := c.seeds[id]
	if e != nil {
		return e, nil
	}
	if c.count >= maxAll || len(c.seeds) >= maxAll {
		return nil, fmt.Errorf("more than %d sources: %w", maxAll, p2p.ErrTooLarge)
	}
	e = &entry{id: id, since: now, sources: map[p2p.ID]*source{}, gone: map[p2p.ID]time.Time{}}
	c.seeds[id] = e
	return e, nil
}

// room makes room for one more source of a seed, if need be in place of hearsay.
func (c *core) room(e *entry) bool {
	if c.count < maxAll && len(e.sources) < maxSources {
		return true
	}
	for id, s := range e.sources {
		if s.told != TellsItself {
			delete(e.sources, id)
			c.count--
			return true
		}
	}
	return false
}

// describe returns the text that goes with an announcement: one that is known, or a new one.
func (c *core) describe(now time.Time, from p2p.ID, a *account, e *entry, n *announcement) (*text, error) {
	t := &text{first: now, by: from}
	if len(n.Text) > 0 {
		s, err := readText(n.ID, n.Text)
		if err != nil {
			return nil, err
		}
		t.seed, t.raw = s, s.Text()
		t.what = what{size: s.Size, list: s.List}
	} else {
		if n.Size < 0 || len(n.Name) > maxName {
			return nil, fmt.Errorf("a seed of %d bytes: %w", n.Size, wire.ErrMalformed)
		}
		t.seed.Name, t.seed.Size = CleanName(n.Name), n.Size
		t.what = what{size: n.Size, brief: true}
	}
	for _, old := range e.texts {
		if old.what == t.what {
			return old, nil
		}
	}
	if len(e.texts) >= maxTexts {
		// One that nobody stands for any more gives way.
		i := slices.IndexFunc(e.texts, func(t *text) bool { return e.support(t) == 0 })
		if i < 0 {
			return nil, fmt.Errorf("more than %d descriptions of a seed: %w", maxTexts, p2p.ErrTooLarge)
		}
		c.forgetText(e, i)
	}
	if a.bytes+len(t.raw) > maxTextsOf || c.bytes+len(t.raw) > maxTextsAll {
		return nil, fmt.Errorf("more texts than there is room for: %w", p2p.ErrTooLarge)
	}
	e.texts = append(e.texts, t)
	a.bytes += len(t.raw)
	c.bytes += len(t.raw)
	c.dirty.text(e.id)
	return t, nil
}

// forgetText forgets a text of a seed.
func (c *core) forgetText(e *entry, i int) {
	t := e.texts[i]
	for _, s := range e.sources {
		if s.text == t {
			s.text = nil
		}
	}
	c.bytes -= len(t.raw)
	if a := c.accounts[t.by]; a != nil {
		a.bytes = max(a.bytes-len(t.raw), 0)
	}
	e.texts = slices.Delete(e.texts, i, i+1)
	c.dirty.text(e.id)
}

// readText reads the text of a seed that has to have an ID.
func readText(id seed.ID, raw []byte) (seed.Seed, error) {
	s, err := seed.Parse(raw)
	if err != nil {
		return s, fmt.Errorf("tracker: text of seed %s: %w", id.Short(), err)
	}
	if s.ID() != id {
		return s, fmt.Errorf("tracker: text of seed %s: it is that of %s: %w", id.Short(), s.ID().Short(), wire.ErrMalformed)
	}
	return s, nil
}

// support counts the sources that have told a text themselves.
func (e *entry) support(t *text) (n int) {
	for _, s := range e.sources {
		if s.text == t && s.told == TellsItself {
			n++
		}
	}
	return n
}

// candidates returns the texts of a seed, the likeliest first: those that most sources stand for, and
// of them the one that came first; those that were refuted last.
func (e *entry) candidates() []*text {
	out := slices.Clone(e.texts)
	slices.SortStableFunc(out, func(a, b *text) int {
		return cmp.Or(rank(a.lies)-rank(b.lies), rank(a.what.brief)-rank(b.what.brief), e.support(b)-e.support(a))
	})
	return out
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// withdraw forgets a seed of a member, which says so.
func (c *core) withdraw(now time.Time, from p2p.ID, a *account, id seed.ID, changed *changes) {
	e := c.seeds[id]
	if e == nil {
		return
	}
	if len(e.gone) < maxGone {
		e.gone[from] = now.Add(TTL) // no other tracker believes it for longer
	}
	if _, is := a.seeds[id]; is {
		a.sum ^= mix(id, e.sources[from].version)
		delete(a.seeds, id)
	}
	c.remove(now, e, from, changed)
}

// bury notes that hearsay of a member is about the past.
func (c *core) bury(now time.Time, from p2p.ID, a *account) {
	for id := range a.seeds {
		if e := c.seeds[id]; len(e.gone) < maxGone {
			e.gone[from] = now.Add(TTL)
		}
	}
}

// remove forgets a source.
func (c *core) remove(now time.Time, e *entry, from p2p.ID, changed *changes) {
	if e.sources[from] != nil {
		delete(e.sources, from)
		c.count--
		changed.add(e.id)
		c.dirty.source(e.id, from)
	}
	c.tidy(now, e)
}

// tidy forgets a seed of which nothing is known any more.
func (c *core) tidy(now time.Time, e *entry) {
	for id, until := range e.gone {
		if !until.After(now) {
			delete(e.gone, id)
		}
	}
	if len(e.sources) > 0 {
		return
	}
	for len(e.texts) > 0 {
		c.forgetText(e, len(e.texts)-1)
	}
	if len(e.gone) == 0 {
		delete(c.seeds, e.id)
	}
}

// drop forgets all that a member has said of itself.
func (c *core) drop(now time.Time, from p2p.ID, a *account, changed *changes) {
	delete(c.accounts, from)
	c.dirty.member(from)
	for id := range a.seeds {
		c.remove(now, c.seeds[id], from, changed)
	}
}

// unlinked forgets what a member has said whose link has ended.
func (c *core) unlinked(now time.Time, from p2p.ID) []seed.ID {
	var changed changes
	if a := c.accounts[from]; a != nil && from != c.self {
		c.drop(now, from, a, &changed)
	}
	return changed.list()
}

// heard takes what another tracker or the table says of a source.
type heard struct {
	id       p2p.ID
	have     Have
	up, down uint32
	wants    bool
	left     time.Duration
}

// hear takes hearsay: it ends soon, it never replaces what a source says itself, and it is not
// believed of somebody who has just said the contrary, or was not there. What a tracker says is newer
// than what is in the table.
func (c *core) hear(now time.Time, id seed.ID, told Told, of []heard) []seed.ID {
	var changed changes
	e, err := c.entry(now, id)
	if err != nil {
		return nil
	}
	for _, h := range of {
		old := e.sources[h.id]
		if h.id == c.self || h.left <= 0 || e.gone[h.id].After(now) || old != nil && old.told.doubt() < told.doubt() && c.left(now, h.id, old) > 0 {
			continue
		}
		ends := now.Add(min(h.left, TTL))
		if old == nil && !c.room(e) {
			break
		}
		if old == nil {
			c.count++
			changed.add(id)
			old = &source{}
		} else if !old.have.Equal(h.have) {
			changed.add(id)
		}
		e.sources[h.id] = &source{have: h.have, up: h.up, down: h.down, wants: h.wants, told: told, ends: ends, misses: old.misses, missed: old.missed}
	}
	c.tidy(now, e)
	return changed.list()
}

// denied takes what a record says that its source has signed: that it has the seed no more, so that
// what the record said before is over.
func (c *core) denied(now time.Time, id seed.ID, of p2p.ID) []seed.ID {
	var changed changes
	e := c.seeds[id]
	if e == nil {
		return nil
	}
	if s := e.sources[of]; s != nil && s.told == TellsTable {
		c.remove(now, e, of, &changed)
	}
	return changed.list()
}

// miss leaves a source alone for a while that was asked and had nothing, or was not there.
func (c *core) miss(now time.Time, id seed.ID, of p2p.ID) []seed.ID {
	e := c.seeds[id]
	if e == nil || e.sources[of] == nil {
		return nil
	}
	s := e.sources[of]
	if now.Sub(s.missed) > missedLongest {
		s.misses = 0
	}
	s.missed = now.Add(min(missedFirst<<min(s.misses, 10), missedLongest))
	s.misses++
	if s.told != TellsItself && len(e.gone) < maxGone {
		e.gone[of] = s.missed
	}
	return []seed.ID{id}
}

// refute notes that a text of a seed is a lie: those who stand for it are no sources.
func (c *core) refute(now time.Time, id seed.ID, s seed.Seed) []seed.ID {
	e := c.seeds[id]
	if e == nil {
		return nil
	}
	for _, t := range e.texts {
		if t.what.size != s.Size || !t.what.brief && t.what.list != s.List {
			continue
		}
		t.lies = true
		for of, src := range e.sources {
			if src.text == t && of != c.self {
				c.miss(now, id, of)
				src.missed = now.Add(missedLongest)
			}
		}
	}
	return []seed.ID{id}
}

// sweepEvery is how often it is looked for hearsay that has ended. It is not returned before that.
const sweepEvery = 5 * time.Second

// expire forgets what has ended.
func (c *core) expire(now time.Time) []seed.ID {
	var changed changes
	for id, a := range c.accounts {
		if id != c.self && !a.ends.After(now) {
			c.drop(now, id, a, &changed)
		}
	}
	if now.Sub(c.swept) < sweepEvery {
		return changed.list()
	}
	c.swept = now
	for _, e := range c.seeds {
		for id, s := range e.sources {
			if s.told != TellsItself && !s.ends.After(now) {
				c.remove(now, e, id, &changed)
			}
		}
		if len(e.gone) > 0 {
			c.tidy(now, e)
		}
	}
	for id, m := range c.meters {
		if m.full(now) {
			delete(c.meters, id)
		}
	}
	return changed.list()
}

// alive reports whether a source holds and is not left alone.
func (c *core) alive(now time.Time, id p2p.ID, s *source) bool {
	return c.left(now, id, s) > 0 && !s.missed.After(now)
}

// left is how long what is said of a source holds.
func (c *core) left(now time.Time, id p2p.ID, s *source) time.Duration {
	switch {
	case s.account == nil:
		return s.ends.Sub(now)
	case id == c.self:
		return TTL
	}
	return s.account.ends.Sub(now)
}

// changes are the seeds whose sources have changed, each once.
type changes struct{ ids map[seed.ID]struct{} }

func (c *changes) add(id seed.ID) {
	if c.ids == nil {
		c.ids = map[seed.ID]struct{}{}
	}
	c.ids[id] = struct{}{}
}

func (c *changes) list() []seed.ID {
	out := make([]seed.ID, 0, len(c.ids))
	for id := range c.ids {
		out = append(out, id)
	}
	slices.SortFunc(out, compareSeeds)
	return out
}

func compareSeeds(a, b seed.ID) int { return bytes.Compare(a[:], b[:]) }

// maxName bounds the names of seeds.
const maxName = seed.MaxName

// CleanName makes a name that somebody else has given fit to be shown: control characters and those
// that turn the direction of writing round, with which a name can look like another one, are left out.
func CleanName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\uFFFD', r < ' ', r >= 0x7f && r < 0xa0, r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	for len(clean) > maxName {
		runes := []rune(clean)
		clean = string(runes[:len(runes)-1])
	}
	return clean
}
