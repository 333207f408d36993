package nat

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	at   = netip.MustParseAddrPort
	home = []netip.Addr{netip.MustParseAddr("192.168.1.2")}
)

func TestJudgeMapping(t *testing.T) {
	x, y, z := at("192.0.2.1:1000"), at("192.0.2.1:2000"), at("192.0.2.1:3000")
	none := netip.AddrPort{}
	seen := func(pairs ...string) (out []Sighting) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, Sighting{By: at(pairs[i]), At: at(pairs[i+1])})
		}
		return out
	}
	for name, tc := range map[string]struct {
		trial MappingTrial
		seen  []Sighting
		own   []netip.Addr
		want  Mapping
	}{
		"nothing":                      {want: ""},
		"own address":                  {trial: MappingTrial{x, x, x}, own: []netip.Addr{x.Addr()}, want: MappingNone},
		"own address, one member":      {trial: MappingTrial{x, none, none}, own: []netip.Addr{x.Addr()}, want: MappingNone},
		"the same everywhere":          {trial: MappingTrial{x, x, x}, want: MappingIndependent},
		"one address, the same":        {trial: MappingTrial{x, x, none}, want: MappingIndependent},
		"no second port, the same":     {trial: MappingTrial{x, none, x}, want: MappingIndependent},
		"another address":              {trial: MappingTrial{x, x, y}, want: MappingAddress},
		"all different":                {trial: MappingTrial{x, y, z}, want: MappingAddressPort},
		"one address, another port":    {trial: MappingTrial{x, y, none}, want: MappingAddressPort},
		"no second port, different":    {trial: MappingTrial{x, none, y}, want: MappingAddressPort},
		"only once":                    {trial: MappingTrial{x, none, none}, want: ""},
		"the p2p port, the same":       {seen: seen("198.51.100.1:1", "192.0.2.1:1", "198.51.100.2:1", "192.0.2.1:1"), want: MappingIndependent},
		"the p2p port, different":      {seen: seen("198.51.100.1:1", "192.0.2.1:1", "198.51.100.2:1", "192.0.2.1:2"), want: MappingAddressPort},
		"the p2p port, one address":    {seen: seen("198.51.100.1:1", "192.0.2.1:1", "198.51.100.1:2", "192.0.2.1:1"), want: ""},
		"the p2p port, two families":   {seen: seen("198.51.100.1:1", "192.0.2.1:1", "[2001:db8::1]:1", "[2001:db8::2]:1"), want: ""},
		"the p2p port, an own address": {seen: seen("198.51.100.1:1", "192.0.2.1:1"), own: []netip.Addr{x.Addr()}, want: MappingNone},
	} {
		if got := Judge(Observations{Mapping: tc.trial, Seen: tc.seen, Own: tc.own}).Mapping; got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestJudgeFiltering(t *testing.T) {
	x, own := at("192.0.2.1:1000"), []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	translated, plain := MappingTrial{x, x, x}, MappingTrial{x, x, x}
	for _, tc := range []struct {
		mapping                       MappingTrial
		own                           []netip.Addr
		control, otherPort, otherAddr Outcome
		want                          Filtering
	}{
		{translated, home, Came, Came, Came, FilteringIndependent},
		{translated, home, Came, Came, Silent, FilteringAddress},
		{translated, home, Came, Silent, Silent, FilteringAddressPort},
		{translated, home, Came, Silent, "", FilteringAddressPort},
		{translated, home, Came, Silent, Came, FilteringIndependent},
		{translated, home, Came, Came, "", FilteringUnknown},
		{translated, home, Came, "", Silent, FilteringUnknown},
		{translated, home, Came, "", Came, FilteringIndependent},
		{translated, home, Silent, Silent, Silent, FilteringUnknown},
		{translated, home, "", "", "", FilteringUnknown},
		{plain, own, Came, Came, Came, FilteringOpen},
		{plain, own, Came, Came, "", FilteringOpen},
		{plain, own, Came, Came, Silent, FilteringAddress},
		{plain, own, Came, Silent, Silent, FilteringAddressPort},
		{plain, own, Silent, Came, Came, FilteringUnknown},
	} {
		o := Observations{Mapping: tc.mapping, Own: tc.own, Filtering: FilteringTrial{tc.control, tc.otherPort, tc.otherAddr}}
		if got := Judge(o).Filtering; got != tc.want {
			t.Errorf("%+v: %q, want %q", tc, got, tc.want)
		}
	}
}

func TestJudgeReachable(t *testing.T) {
	seen, forwarded := at("192.0.2.1:1000"), at("192.0.2.1:4747")
	trials := map[Filtering]FilteringTrial{
		FilteringIndependent: {Came, Came, Came}, FilteringAddress: {Came, Came, Silent}, FilteringAddressPort: {Came, Silent, Silent}, FilteringUnknown: {},
	}
	for _, tc := range []struct {
		filter                 Filtering
		atForwarded, atSeen    Outcome
		want                   Truth
		external               netip.AddrPort
		wantNoForward          Truth // when nobody says that forwarded is
		wantExternalNoForwards netip.AddrPort
	}{
		{FilteringAddressPort, Came, Silent, Yes, forwarded, Yes, forwarded},
		{FilteringAddressPort, Silent, Silent, No, seen, No, seen},
		{FilteringAddress, Came, Came, Yes, forwarded, No, seen},
		{FilteringAddress, "", Came, No, seen, No, seen},
		{FilteringAddress, Silent, Came, No, seen, No, seen},
		{FilteringIndependent, "", Came, Yes, seen, Yes, seen},
		{FilteringIndependent, "", "", "", seen, "", seen},
		{FilteringUnknown, "", Came, "", seen, "", seen},
		{FilteringUnknown, Silent, Came, "", seen, "", seen},
		{FilteringUnknown, Came, Came, Yes, forwarded, "", seen},
		{FilteringUnknown, "", Silent, No, seen, No, seen},
	} {
		o := Observations{
			Own: home, Filtering: trials[tc.filter], Mapping: MappingTrial{seen, seen, seen}, Seen: []Sighting{{at("198.51.100.1:1"), seen}},
			Reach: []CallBack{{forwarded, tc.atForwarded}, {seen, tc.atSeen}}, PortMapping: PortMapping{External: forwarded},
		}
		if r := Judge(o); r.Reachable != tc.want || r.External != tc.external {
			t.Errorf("%+v: reachable %q at %v", tc, r.Reachable, r.External)
		}
		o.PortMapping, o.Announced = PortMapping{}, []netip.AddrPort{forwarded}
		if r := Judge(o); r.Reachable != tc.want || r.External != tc.external || !r.Manual {
			t.Errorf("announced, %+v: reachable %q at %v", tc, r.Reachable, r.External)
		}
		o.Announced = nil
		if r := Judge(o); r.Reachable != tc.wantNoForward || r.External != tc.wantExternalNoForwards {
			t.Errorf("not announced, %+v: reachable %q at %v", tc, r.Reachable, r.External)
		}
	}
}

func TestJudgeDoubleNAT(t *testing.T) {
	seen := []Sighting{{at("198.51.100.1:1"), at("192.0.2.1:1000")}}
	x := at("192.0.2.1:1000")
	for _, tc := range []struct {
		router string
		own    []netip.Addr
		scope  Scope
		seen   []Sighting
		want   Truth
	}{
		{"", home, ScopePublic, seen, ""},
		{"192.0.2.1", home, ScopePublic, seen, No},
		{"192.0.2.9", home, ScopePublic, seen, Yes},
		{"10.0.0.9", home, ScopePublic, seen, Yes},
		{"100.64.3.4", home, ScopePublic, seen, Yes},
		{"10.0.0.9", home, ScopePublic, nil, Yes},
		{"192.0.2.9", home, ScopePublic, nil, ""},
		{"10.0.0.9", home, ScopePrivate, nil, ""},
		{"", []netip.Addr{x.Addr()}, ScopePublic, seen, No},
	} {
		o := Observations{Own: tc.own, Scope: tc.scope, Seen: tc.seen, Mapping: MappingTrial{x, x, x}}
		if tc.router != "" {
			o.PortMapping.Router = netip.MustParseAddr(tc.router)
		}
		if got := Judge(o).DoubleNAT; got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

// TestAdvice: who cannot be reached is told what helps, in words that name the port.
func TestAdvice(t *testing.T) {
	x, y := at("192.0.2.1:1000"), at("192.0.2.1:2000")
	base := func(change func(*Observations)) Observations {
		o := Observations{
			At: noon, Own: home, Port: at("0.0.0.0:4747"), Linked: 2, Scope: ScopePublic, UDP: Came, TCP: Came, IPv4: Came,
			Seen: []Sighting{{at("198.51.100.1:1"), x}}, Mapping: MappingTrial{x, x, x}, Filtering: FilteringTrial{Came, Silent, Silent},
			Reach: []CallBack{{x, Silent}},
		}
		change(&o)
		return o
	}
	for name, tc := range map[string]struct {
		o    Observations
		want []string // parts, one of each sentence
	}{
		"port-restricted": {base(func(*Observations) {}), []string{"forward UDP and TCP port 4747 to this computer, or switch on UPnP"}},
		"symmetric":       {base(func(o *Observations) { o.Mapping.OtherPort = y }), []string{"Two such homes need a relay; forward UDP and TCP port 4747"}},
		"reached":         {base(func(o *Observations) { o.Reach[0].Outcome = Came }), nil},
		"firewall":        {base(func(o *Observations) { o.Own = []netip.Addr{x.Addr()} }), []string{"Open UDP and TCP port 4747"}},
		"no UDP":          {Observations{At: noon, Linked: 1, Scope: ScopePublic, UDP: Silent, TCP: Came, Port: at("0.0.0.0:4747")}, []string{"UDP is blocked"}},
		"double NAT":      {base(func(o *Observations) { o.PortMapping.Router = netip.MustParseAddr("10.0.0.7") }), []string{"Two routers in a row"}},
		"useless announcement": {base(func(o *Observations) {
			o.Announced = []netip.AddrPort{y}
			o.Reach = append(o.Reach, CallBack{y, Silent})
		}), []string{"192.0.2.1:2000 is announced but nothing arrives"}},
		"useless mapping": {base(func(o *Observations) {
			o.PortMapping = PortMapping{UPnP: Working, External: y}
			o.Reach = append(o.Reach, CallBack{y, Silent})
		}), []string{"promised to forward 192.0.2.1:2000"}},
		"alone":       {Observations{At: noon}, []string{"invite one"}},
		"not checked": {Observations{}, nil},
		"at home": {base(func(o *Observations) {
			o.Scope, o.Mapping, o.Reach = ScopePrivate, MappingTrial{at("192.168.1.2:1"), at("192.168.1.2:1"), netip.AddrPort{}}, nil
		}), []string{"Only members of the local network"}},
	} {
		got := Judge(tc.o).Advice
		if len(got) != len(tc.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range tc.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q does not say %q", name, got[i], want)
			}
		}
	}
}

// TestJudgeAnything: each report has all findings, each a sentence, whatever was
// observed; and what nobody tried is not claimed.
func TestJudgeAnything(t *testing.T) {
	outcome := rapid.SampledFrom([]Outcome{"", Came, Silent})
	verdict := rapid.SampledFrom([]Verdict{"", Absent, Refused, Working})
	addr := rapid.SampledFrom([]netip.AddrPort{{}, at("192.0.2.1:1"), at("192.0.2.1:2"), at("192.168.1.2:1"), at("[2001:db8::1]:1"), at("127.0.0.1:1")})
	rapid.Check(t, func(t *rapid.T) {
		o := Observations{
			Own: home, Port: at("0.0.0.0:4747"), Linked: rapid.IntRange(0, 2).Draw(t, "linked"),
			Scope: rapid.SampledFrom([]Scope{"", ScopePublic, ScopePrivate, ScopeLoopback}).Draw(t, "scope"),
			UDP:   outcome.Draw(t, "udp"), TCP: outcome.Draw(t, "tcp"), IPv4: outcome.Draw(t, "ipv4"), IPv6: outcome.Draw(t, "ipv6"),
			Mapping:     MappingTrial{addr.Draw(t, "first"), addr.Draw(t, "port"), addr.Draw(t, "addr")},
			Filtering:   FilteringTrial{outcome.Draw(t, "control"), outcome.Draw(t, "other port"), outcome.Draw(t, "other addr")},
			PortMapping: PortMapping{verdict.Draw(t, "upnp"), verdict.Draw(t, "pmp"), verdict.Draw(t, "pcp"), addr.Draw(t, "mapped"), addr.Draw(t, "router").Addr()},
			Relays:      []Relay{{Name: "nas", InUse: rapid.Bool().Draw(t, "in use")}},
		}
		if rapid.Bool().Draw(t, "checked") {
			o.At = noon
		}
		for range rapid.IntRange(0, 3).Draw(t, "calls") {
			o.Reach = append(o.Reach, CallBack{addr.Draw(t, "to"), outcome.Draw(t, "outcome")})
		}
		r := Judge(o)
		if len(r.Findings) != 11 || slices.ContainsFunc(r.Findings, func(f Finding) bool { return !strings.HasSuffix(f.Sentence, ".") }) {
			t.Fatalf("findings %+v", r.Findings)
		}
		if r.Filtering == "" || o.Filtering.Control != Came && r.Filtering != FilteringUnknown {
			t.Fatalf("filtering %q of %+v", r.Filtering, o.Filtering)
		}
		if came := slices.ContainsFunc(o.Reach, func(c CallBack) bool { return c.Outcome == Came }); r.Reachable == Yes && !came {
			t.Fatalf("reachable, and nothing came: %+v", o.Reach)
		}
		if r.Reachable == No && !slices.ContainsFunc(o.Reach, func(c CallBack) bool { return c.Outcome != "" }) {
			t.Fatal("not reachable, and nobody tried")
		}
	})
}
