package exchange

import (
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Limits of what is told of refusals: whoever sends nonsense all the time must not fill
// the log, and drive everything else out of the list of events.
const (
	maxRefusals  = 100 // of one member, within refusalsIn
	refusalsIn   = time.Minute
	maxRefusedAt = 300 // bytes of a path
)

// tally counts what was told of a member.
type tally struct {
	since time.Time
	told  int
}

// another reports whether one more refusal is told, and whether it is the last one for
// the time being.
func (t *tally) another(now time.Time) (tell, last bool) {
	if now.Sub(t.since) > refusalsIn {
		t.since, t.told = now, 0
	}
	t.told++
	return t.told <= maxRefusals, t.told == maxRefusals
}

// report tells people what was refused, and of whom.
func (r *runner) report(refused []replica.Refusal) {
	for _, x := range refused {
		t := r.refusals[x.Member]
		if t == nil {
			t = &tally{}
			r.refusals[x.Member] = t
		}
		tell, last := t.another(time.Now())
		if !tell {
			continue
		}
		path := cut(x.Path, maxRefusedAt)
		r.s.log.Warn("folder: refused a change", "folder", r.label, "member", x.Member.Short(), "path", path, "why", x.Why)
		r.s.o.Publish.Emit(Refused{ID: r.id, Member: x.Member, Path: path, Why: x.Why})
		if last {
			r.s.log.Warn("folder: more changes of a member are refused than are named", "folder", r.label, "member", x.Member.Short())
		}
	}
}

// cut makes s fit to be shown.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
