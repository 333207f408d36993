package dht

import "slices"

// Select returns what a query asks of this cell, in the order that it wants. That the
// name is one that it asks for has been found out by the store, and the limit is for
// whoever puts cells together. With Bare the records have no values.
//
// Heads are the versions that no other version replaces, of those that can be seen: what
// is prepared, removed or expired replaces nothing. What is prepared or removed is no
// head itself, but comes along if the query wants it. With VersionFrom or VersionTo the
// versions between them are meant, heads or not.
func (c *Cell) Select(q Query, now int64) []Held {
	var marks []bool
	if !q.Versions && q.VersionFrom.IsZero() && q.VersionTo.IsZero() && len(c.Records) > 1 {
		marks = c.replaced(now)
	}
	var out []Held
	for i, h := range c.Records {
		switch {
		case !h.live(now),
			h.Prepared && !q.Prepared,
			h.Kind == KindTombstone && !q.Tombstones,
			marks != nil && marks[i] && h.Kind == KindValue && !h.Prepared,
			h.Version.Compare(q.VersionFrom) < 0,
			!q.VersionTo.IsZero() && h.Version.Compare(q.VersionTo) > 0:
			continue
		}
		if q.Bare {
			h.Value = nil
		}
		out = append(out, h)
	}
	if q.Descending {
		slices.Reverse(out)
	}
	return out
}
