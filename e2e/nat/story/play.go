//go:build linux

package story

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// patience is how long a story waits for what it says.
const patience = 40 * time.Second

// player plays one story.
type player struct {
	l   *lab.Lab
	n   *lab.Network
	say func(string)
}

// Play plays a story in l and tells it to say, line by line. The error says which line
// was not so.
func Play(l *lab.Lab, lines []Line, say func(string)) error {
	p := &player{l: l, say: say}
	for _, line := range lines {
		if line.Verb == "" {
			say("| " + line.Text)
			continue
		}
		say(strings.Join(append([]string{line.Verb}, line.Args...), " "))
		if err := p.do(line); err != nil {
			return fmt.Errorf("line %d, %s: %w", line.Number, line.Verb, err)
		}
	}
	return nil
}

func (p *player) do(line Line) error {
	a := line.Args
	switch line.Verb {
	case "public":
		for _, name := range a {
			if _, err := p.l.Public(name, 11+len(p.l.Hosts())); err != nil {
				return err
			}
		}
		return nil
	case "join":
		var hosts []*lab.Host
		for _, name := range a {
			hosts = append(hosts, p.l.Host(name))
		}
		var err error
		p.n, err = lab.Join(hosts...)
		return err
	case "home", "router":
		nat, err := kindOf(strings.Join(a[1:], " "))
		if err != nil {
			return err
		}
		if line.Verb == "router" {
			return p.l.Host(a[0]).Router.Set(lab.Rules{NAT: nat})
		}
		_, err = p.l.Home(a[0], nat)
		return err
	case "finds":
		return p.finds(p.l.Host(a[0]), a[1], a[2])
	case "linked":
		return p.linked(a[0], a[1], a[2])
	case "instead":
		return p.instead(p.l.Host(a[0]), p.l.Host(a[1]))
	}
	return p.ladder(p.l.Host(a[0]), p.l.Host(a[1]), a[2:])
}

func kindOf(name string) (lab.NAT, error) {
	for _, n := range lab.NATs() {
		if string(n) == name {
			return n, nil
		}
	}
	return "", fmt.Errorf("there is no NAT %q", name)
}

// wait asks again and again until it is so.
func wait(so func() (string, bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		is, ok, err := so()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("it is %s", is)
		}
	}
}

func (p *player) finds(h *lab.Host, field, want string) error {
	return wait(func() (string, bool, error) {
		var report map[string]json.RawMessage
		if err := h.Call("GET", "/api/network", nil, &report); err != nil {
			return "", false, err
		}
		is := strings.Trim(string(report[field]), `"`)
		return is, is == want, nil
	})
}

func (p *player) linked(a, b, kind string) error {
	return wait(func() (string, bool, error) {
		pair := p.n.Pair(a, b)
		if !pair.Linked() {
			return "not linked", false, nil
		}
		return pair.AB.Path.Kind + " and " + pair.BA.Path.Kind, pair.AB.Path.Kind == kind && pair.BA.Path.Kind == kind, nil
	})
}

// instead has the first look up who is near the second, whose relay answers in its place.
func (p *player) instead(from, to *lab.Host) error {
	return wait(func() (string, bool, error) {
		var at struct{ Position string }
		if err := to.Call("GET", "/api/dht/buckets", nil, &at); err != nil {
			return "", false, err
		}
		var lookup struct {
			Asked []struct {
				ID      string
				Name    string
				Named   []string
				Error   string
				StandIn *struct {
					Name  string
					AgeMs float64 `json:"age_ms"`
				} `json:"stand_in"`
			}
		}
		if err := from.Call("GET", "/api/dht/lookup?key=hex:"+at.Position, nil, &lookup); err != nil {
			return "", false, err
		}
		for _, a := range lookup.Asked {
			switch {
			case a.ID != to.ID:
				continue
			case a.StandIn == nil:
				return "asked itself " + a.Error, false, nil
			}
			p.say(fmt.Sprintf("    %s was answered for by relay %s, from a snapshot of %.0f s ago with %d members", a.Name, a.StandIn.Name, a.StandIn.AgeMs/1000, len(a.Named)))
			return "", len(a.Named) > 0, nil
		}
		return "not asked", false, nil
	})
}

// ladder tells what the first end did to reach the second, and looks for the steps.
func (p *player) ladder(from, to *lab.Host, want []string) error {
	return wait(func() (string, bool, error) {
		var path struct {
			Here struct {
				Trace struct {
					Steps []struct {
						At   float64 `json:"at_ms"`
						Kind string
						Text string
					}
				}
			}
		}
		if err := from.Call("GET", "/api/peers/"+to.ID+"/path", nil, &path); err != nil {
			return "", false, err
		}
		var kinds []string
		for _, s := range path.Here.Trace.Steps {
			kinds = append(kinds, s.Kind)
		}
		if missing := inOrder(want, kinds); missing != "" {
			return fmt.Sprintf("without %q: %s", missing, strings.Join(kinds, " ")), false, nil
		}
		for _, s := range path.Here.Trace.Steps {
			p.say(fmt.Sprintf("    %8.1f ms  %s", s.At, s.Text))
		}
		return "", true, nil
	})
}
