package tracker

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Listed is a seed that somebody has.
type Listed struct {
	ID      seed.ID
	Name    string // untrusted, but fit to be shown; empty: nobody has said
	Size    int64  // bytes; -1: nobody has said
	Whole   int    // sources that have all of it
	Partial int    // sources that have a part, or want one
	Own     bool   // this node is one of them
	Legacy  bool   // it is known by MD5 sums
	Since   time.Time
	// Hearsay: this node knows of it only what other trackers have said.
	Hearsay bool
}

// ListOptions say what is listed.
type ListOptions struct {
	Query string // words that all are in the name, or the beginning of the ID; case does not matter
	After string // where the page before has ended
	Limit int    // 0: 100
}

// list returns seeds by name.
func (c *core) list(now time.Time, o ListOptions) (page []Listed, next string) {
	words := strings.Fields(strings.ToLower(o.Query))
	limit := o.Limit
	if limit <= 0 {
		limit = maxListed
	}
	type row struct {
		Listed
		key string
	}
	var rows []row
	for _, e := range c.seeds {
		l, ok := c.listed(now, e)
		if !ok || !l.matches(words) {
			continue
		}
		if key := l.key(); key > o.After {
			rows = append(rows, row{l, key})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.key, b.key) })
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].key
	}
	for _, r := range rows {
		page = append(page, r.Listed)
	}
	return page, next
}

// listed returns what is known of a seed; ok is false if nobody has it now.
func (c *core) listed(now time.Time, e *entry) (l Listed, ok bool) {
	l = Listed{ID: e.id, Size: -1, Since: e.since}
	for id, s := range e.sources {
		switch {
		case !c.alive(now, id, s):
			continue
		case s.have.All:
			l.Whole++
		default:
			l.Partial++
		}
		l.Own = l.Own || id == c.self
	}
	if all := e.candidates(); len(all) > 0 {
		l.Name, l.Size, l.Legacy = CleanName(all[0].seed.Name), all[0].seed.Size, all[0].seed.Legacy != nil
	}
	return l, l.Whole+l.Partial > 0
}

func (l Listed) matches(words []string) bool {
	name, id := strings.ToLower(l.Name), l.ID.String()
	for _, w := range words {
		if !strings.Contains(name, w) && !strings.HasPrefix(id, w) {
			return false
		}
	}
	return true
}

// key is where a seed stands in the list: by its name, without regard to case, then by its ID. It is
// hexadecimal, so that any text can carry it.
func (l Listed) key() string {
	return hex.EncodeToString(bytes.Join([][]byte{[]byte(strings.ToLower(l.Name)), l.ID[:8]}, []byte{0}))
}
