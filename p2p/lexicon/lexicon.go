package lexicon

import (
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// Bounds of what is known of all other members together.
const (
	maxUnion = 300_000 // different words
	maxBytes = 8 << 20 // of chunks
)

// Lexicon is the words that other members have told, all together. Its methods may be called by
// several goroutines at once. The zero value knows nothing.
type Lexicon struct {
	union, bytes int // maxUnion and maxBytes, but for tests

	mu      sync.RWMutex       // guards all following fields
	words   *fastss.Vocabulary // counts are of documents, about; nil: none
	chunks  map[chunkID]*chunk
	members map[p2p.ID]*known
	size    int // bytes of chunks
}

// chunk is kept once, for all members that have it.
type chunk struct {
	data    []byte
	words   int
	members int
}

// known is what is known of a member's words.
type known struct {
	version   chunkID
	chunks    []chunkID // that the version is made of
	kept      []chunkID // of them: those that have come, and that there was room for
	documents int
	cut       bool // there are words that it does not tell
}

// whole reports whether all is known that a member tells.
func (k *known) whole() bool { return len(k.kept) == len(k.chunks) }

// Status says how much a Lexicon knows.
type Status struct {
	Members int // that have told their words
	Words   int // different ones
	Bytes   int // of what they were told in
	Cut     bool
}

// Status returns the present sizes.
func (l *Lexicon) Status() Status {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := Status{Members: len(l.members), Bytes: l.size}
	if l.words != nil {
		s.Words = l.words.Len()
	}
	for _, m := range l.members {
		s.Cut = s.Cut || m.cut || !m.whole()
	}
	return s
}

// Documents returns how many documents all members that have told their words have together.
func (l *Lexicon) Documents() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := 0
	for _, m := range l.members {
		n += m.documents
	}
	return n
}

// Find returns a word with the number of documents that have it, about, each counted once for
// each member; false if nobody has told it.
func (l *Lexicon) Find(word string) (documents int, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.words == nil {
		return 0, false
	}
	m, ok := l.words.Find(word)
	return m.Count, ok
}

// Prefix returns the words that begin with something, in the order of the alphabet; their
// counts are of documents, about.
func (l *Lexicon) Prefix(prefix string) []fastss.Match {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.words == nil {
		return nil
	}
	return slices.Collect(l.words.Prefix(prefix))
}

// Within returns the words that are at most so many edits away.
func (l *Lexicon) Within(word string, edits int) []fastss.Match {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.words == nil {
		return nil
	}
	return l.words.Within(word, edits)
}

// has reports whether a chunk need not be fetched.
func (l *Lexicon) has(id chunkID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.chunks[id] != nil
}

// full reports whether there may be no room for a chunk.
func (l *Lexicon) full() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.words != nil && !l.room(maxChunkBytes)
}

// room reports whether there is room for any chunk of so many bytes. The caller holds mu.
func (l *Lexicon) room(size int) bool {
	union, bytes := l.union, l.bytes
	if union == 0 {
		union, bytes = maxUnion, maxBytes
	}
	return l.size+size <= bytes && l.words.Len()+longestChunk <= union
}

// learn replaces what is known of a member by now, of whose chunks fetched has those that
// nobody had told before. What is in neither, or has no room, is left out. Each of fetched is
// what its name says, and can be read.
func (l *Lexicon) learn(id p2p.ID, now known, fetched map[chunkID][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.members == nil {
		l.words, l.chunks, l.members = &fastss.Vocabulary{Unindexed: true}, map[chunkID]*chunk{}, map[p2p.ID]*known{}
	}
	had := map[chunkID]bool{}
	stays := distinct(now.chunks)
	if k := l.members[id]; k != nil {
		had = distinct(k.kept)
		for _, c := range k.kept {
			if !stays[c] {
				l.release(c)
			}
		}
	}
	words := 0
	now.kept = nil
	for _, c := range now.chunks {
		if !had[c] && (words > MaxWords+MaxWords/8 || !l.take(c, fetched[c])) {
			continue
		}
		now.kept = append(now.kept, c)
		words += l.chunks[c].words
	}
	l.members[id] = &now
}

// take adds the words of a chunk for one more member, and reports whether there was room. The
// caller holds mu.
func (l *Lexicon) take(id chunkID, data []byte) bool {
	c := l.chunks[id]
	if c == nil {
		if data == nil || !l.room(len(data)) {
			return false
		}
		c = &chunk{data: slices.Clone(data)}
		l.chunks[id] = c
		l.size += len(data)
	}
	c.members++
	c.words = 0
	_ = read(c.data, func(e entry) { // it was read before
		l.words.Add(e.word, documentsOf(e.class))
		c.words++
	})
	return true
}

// release takes the words of a chunk away for one member. The caller holds mu.
func (l *Lexicon) release(id chunkID) {
	c := l.chunks[id]
	_ = read(c.data, func(e entry) { l.words.Remove(e.word, documentsOf(e.class)) }) // it was read before
	if c.members--; c.members == 0 {
		l.size -= len(c.data)
		delete(l.chunks, id)
	}
}

// forget drops what is known of members that are no longer.
func (l *Lexicon) forget(stays func(p2p.ID) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, k := range l.members {
		if stays(id) {
			continue
		}
		for _, c := range k.kept {
			l.release(c)
		}
		delete(l.members, id)
	}
}

// of returns what is known of a member.
func (l *Lexicon) of(id p2p.ID) known {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if k := l.members[id]; k != nil {
		return *k
	}
	return known{}
}
