package command

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestServersOfOnesOwn(t *testing.T) {
	s := Serve{
		STUN:       []string{"stun.example", "192.0.2.1:5000", "stun:[2001:db8::1]:7", "2001:db8::2"},
		Rendezvous: []string{"meet.example", "192.0.2.1:7"},
		TURN:       []string{"bob:se:cr@et@turn.example", "turn:a:b@192.0.2.1:5349?transport=tcp"},
	}
	stun, err := s.STUNServers()
	if want := []string{"stun.example:3478", "192.0.2.1:5000", "[2001:db8::1]:7", "[2001:db8::2]:3478"}; err != nil || !slices.Equal(stun, want) {
		t.Errorf("%q, %v", stun, err)
	}
	meetings, err := s.Meetings()
	if want := []string{"meet.example:4747", "192.0.2.1:7"}; err != nil || !slices.Equal(meetings, want) {
		t.Errorf("%q, %v", meetings, err)
	}
	turn, err := s.TURNServers()
	want := []TURNServer{{"turn.example:3478", "bob", "se:cr@et", false}, {"192.0.2.1:5349", "a", "b", true}}
	if err != nil || !slices.Equal(turn, want) {
		t.Errorf("%v, %v", turn, err)
	}
}

func TestServersThatCannotBe(t *testing.T) {
	var usage UsageError
	for _, text := range []string{"", ":7", "a b", "a/b", "host:port:1:x y"} {
		if _, err := (Serve{STUN: []string{text}}).STUNServers(); !errors.As(err, &usage) {
			t.Errorf("--stun %q: %v", text, err)
		}
	}
	for _, text := range []string{"", "host", "user@host", "user:@host", ":secret@host", "user:secret@", "user:secret@host?transport=tls", "user:secret@host:nope"} {
		_, err := (Serve{TURN: []string{text}}).TURNServers()
		if !errors.As(err, &usage) {
			t.Errorf("--turn %q: %v", text, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
