package portmap

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// status says what the plan knows, with sentences for a person.
func (p *plan) status() Status {
	out := Status{Protocols: map[Protocol]State{}, Gateway: p.side.Gateway, Checked: p.checked}
	public, hinted := false, false
	for q, s := range p.seen {
		out.Protocols[protocols[q]] = s.State
		hinted = hinted || s.nested
		if s.external.IsValid() {
			out.DoubleNAT = out.DoubleNAT || nested(s.external)
			public = public || !nested(s.external)
		}
		if !out.External.IsValid() {
			out.External = s.external
		}
	}
	for i := range p.slots {
		if s := &p.slots[i]; s.held {
			out.Mappings = append(out.Mappings, s.m)
			out.External = s.m.External.Addr()
		}
	}
	out.DoubleNAT = out.DoubleNAT || hinted && !public
	out.Why = p.why(out)
	return out
}

// why returns the sentences of a status.
func (p *plan) why(s Status) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)+".") }
	switch {
	case p.sideWhy != "":
		say("There is no router to ask: %s", strings.TrimPrefix(p.sideWhy, "portmap: "))
		return out
	case p.probed.IsZero():
		say("The router has not been asked yet")
		return out
	}
	for _, m := range s.Mappings {
		what := strings.ToUpper(m.Proto)
		say("The router %s maps %s port %d to %s, by %s", s.Gateway, what, m.Internal, m.External, m.Protocol.name())
		if m.External.Port() != m.Internal {
			say("Outside, the %s port is %d instead of %d: the router chose it, or another computer has the other", what, m.External.Port(), m.Internal)
		}
		if m.Expires.IsZero() {
			say("The mapping for %s stays until it is removed, because the router keeps no time", what)
		}
	}
	for i, slot := range p.slots {
		if slot.held && slot.short > 0 {
			say("The router grants %s for only %s at a time, so that there may be gaps", strings.ToUpper(transports[i]), slot.short)
		}
		if !slot.held && len(s.Mappings) > 0 {
			say("%s is not mapped", strings.ToUpper(transports[i]))
		}
	}
	if len(s.Mappings) == 0 {
		all := true
		for _, q := range protocols {
			all = all && s.Protocols[q].Verdict == Absent
		}
		if all {
			say("The router %s speaks none of the protocols, or they are turned off in its settings", s.Gateway)
		} else {
			say("The router %s maps nothing", s.Gateway)
			for _, q := range protocols {
				if s.Protocols[q].Verdict == Refused {
					say("%s: %s", q.name(), s.Protocols[q].Why)
				}
			}
		}
	}
	switch {
	case s.DoubleNAT && s.External.IsValid():
		say("Double NAT: the router's own outside address %s is not a public one, so there is another NAT behind it, which is not asked", s.External)
	case s.DoubleNAT:
		say("Double NAT: the router's refusal is what one says that is itself behind a NAT, unless it is not connected at all")
	}
	return out
}

func (s Status) clone() Status {
	s.Protocols = maps.Clone(s.Protocols)
	s.Mappings = slices.Clone(s.Mappings)
	s.Why = slices.Clone(s.Why)
	return s
}

// same reports whether two statuses differ in times only.
func same(a, b Status) bool {
	a, b = a.clone(), b.clone()
	for _, s := range []*Status{&a, &b} {
		s.Checked = time.Time{}
		for i := range s.Mappings {
			if m := &s.Mappings[i]; !m.Expires.IsZero() {
				m.Expires = time.Unix(1, 0)
			}
		}
	}
	return reflect.DeepEqual(a, b)
}
