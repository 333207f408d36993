package member

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

func sample() Invitation {
	relay := p2p.Contact{PublicKey: person("relay").PublicKey(), Addrs: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:4747")}}
	return Invitation{
		Network: person("network").ID(),
		Inviter: p2p.Contact{
			PublicKey: person("ann").PublicKey(), Name: "Ann's laptop", Relays: []p2p.ID{relay.ID()},
			Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.168.178.20:4747"), netip.MustParseAddrPort("203.0.113.9:4747")},
		},
		Relays: []p2p.Contact{relay}, ID: [16]byte{1, 2, 3}, Secret: Secret{4, 5, 6},
		Role: RoleMember, Expires: time.Unix(1_900_000_000, 0).UTC(),
	}
}

var sameAddr = cmpopts.EquateComparable(netip.AddrPort{})

func TestInvitationForms(t *testing.T) {
	inv := sample()
	link := inv.Link("http://localhost:8080")
	if len(link) > 400 {
		t.Errorf("%d characters: too long to type", len(link))
	}
	_, payload, _ := strings.Cut(link, "#join=")
	for _, text := range []string{
		link, inv.Link(""), inv.Link("http://192.0.2.1:9000/"), payload, " \n" + link + "\n",
		"https://node.example/#join=" + payload, "HTTP://LOCALHOST:8080/#join=" + payload, "shoal://join#" + payload,
	} {
		got, err := ParseInvitation(text)
		if err != nil {
			t.Errorf("%.40s…: %v", text, err)
			continue
		}
		if diff := cmp.Diff(inv, got, sameAddr, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%.40s… (-want +got):\n%s", text, diff)
		}
	}
	admin := inv
	admin.Role = RoleAdmin
	if got, err := ParseInvitation(admin.Link("")); err != nil || got.Role != RoleAdmin {
		t.Errorf("role %s, %v", got.Role, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", inv, inv, inv.Secret, inv.Secret); strings.Contains(text, "4 5 6") || strings.Contains(text, "0x4, 0x5") {
		t.Errorf("the secret prints itself: %s", text)
	}
}

func TestMalformedInvitations(t *testing.T) {
	link := sample().Link("http://localhost:8080")
	_, payload, _ := strings.Cut(link, "#join=")
	tests := map[string]string{
		"empty": "", "words": "hello world", "another link": "http://localhost:8080/", "another scheme": "ftp://localhost/#join=" + payload,
		"cut off": link[:len(link)-1], "cut in the middle": link[:len(link)/2], "longer": link + "A",
		"padded": link + "=", "a letter changed": strings.Replace(link, payload[10:12], "zz", 1), "too long": strings.Repeat("A", maxInviteText+1),
		"checksum only": "AAAA", "shoal without join": "shoal://x#" + payload,
	}
	for name, text := range tests {
		if _, err := ParseInvitation(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range payload {
		changed := []byte(payload)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		if inv, err := ParseInvitation(string(changed)); err == nil {
			t.Fatalf("character %d changed and not noticed: %+v", i, inv)
		}
	}
}

func TestInvitationBodies(t *testing.T) {
	tests := map[string]func(*Invitation){
		"no inviter":   func(inv *Invitation) { inv.Inviter.PublicKey = nil },
		"no relay key": func(inv *Invitation) { inv.Relays[0].PublicKey = nil },
		"unspecified":  func(inv *Invitation) { inv.Inviter.Addrs = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1")} },
		"port 0":       func(inv *Invitation) { inv.Relays[0].Addrs = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")} },
		"zone": func(inv *Invitation) {
			inv.Inviter.Addrs = []netip.AddrPort{netip.MustParseAddrPort("[fe80::1%eth0]:1")}
		},
	}
	for name, change := range tests {
		inv := sample()
		change(&inv)
		if _, err := ParseInvitation(inv.Link("")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInvitationWithoutIDHasNoSecret: the ID of zeros stands for none.
func TestInvitationWithoutIDHasNoSecret(t *testing.T) {
	inv := sample()
	body := mustMarshal(invitationBody{
		Version: invitationVersion, Network: inv.Network[:], Inviter: contactBody{Key: inv.Inviter.PublicKey},
		ID: make([]byte, 16), Secret: inv.Secret[:], Expires: 1,
	})
	if _, err := ParseInvitation(seal(body)); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v", err)
	}
}

func TestKeysAreApart(t *testing.T) {
	inv := sample()
	pass := inv.Pass()
	proof := joinProof(inv.Network, inv.ID, inv.Secret, [32]byte{1}, person("bob").PublicKey())
	for name, other := range map[string][]byte{
		"binding": joinProof(inv.Network, inv.ID, inv.Secret, [32]byte{2}, person("bob").PublicKey()),
		"joiner":  joinProof(inv.Network, inv.ID, inv.Secret, [32]byte{1}, person("eve").PublicKey()),
		"network": joinProof(p2p.ID{}, inv.ID, inv.Secret, [32]byte{1}, person("bob").PublicKey()),
		"invite":  joinProof(inv.Network, [16]byte{}, inv.Secret, [32]byte{1}, person("bob").PublicKey()),
		"pass":    pass.Key[:],
	} {
		if string(other) == string(proof) {
			t.Errorf("the proof does not depend on the %s", name)
		}
	}
}

func TestInviteOptions(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := Open(Options{Identity: person("ann"), Name: "ann", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []InviteOptions{{Expires: -1}, {Expires: MaxExpiry + 1}, {MaxUses: -1}, {MaxUses: MaxUses + 1}, {Role: "king"}} {
		if _, err := s.Invite(o); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	inv, err := s.Invite(InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !inv.Expires.Equal(now.Add(24*time.Hour)) || inv.Role != RoleMember || s.Invites()[0].MaxUses != 1 {
		t.Errorf("%+v", inv)
	}
	now = inv.Expires.Add(keepExpired + time.Second)
	if _, err := s.Invite(InviteOptions{}); err != nil || len(s.Invites()) != 1 {
		t.Errorf("%v: %d invitations: the old one is not forgotten", err, len(s.Invites()))
	}
	for range maxInvites - 1 {
		if _, err := s.Invite(InviteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Invite(InviteOptions{}); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
}

func TestAnyInvitationComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inv := sample()
		copy(inv.Secret[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "secret"))
		inv.Inviter.Name = CleanName(rapid.String().Draw(t, "name"))
		inv.Inviter.Addrs, inv.Relays, inv.Inviter.Relays = nil, nil, nil
		for range rapid.IntRange(0, maxInviteAddrs).Draw(t, "addresses") {
			ip := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.ByteRange(1, 200), 16, 16).Draw(t, "ip")))
			inv.Inviter.Addrs = append(inv.Inviter.Addrs, netip.AddrPortFrom(ip, rapid.Uint16Range(1, 65535).Draw(t, "port")))
		}
		got, err := ParseInvitation(inv.Link(""))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(inv, got, sameAddr, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func FuzzParseInvitation(f *testing.F) {
	f.Add(sample().Link(""))
	f.Add(sample().Link("http://localhost:8080"))
	f.Add("shoal://join#oA")
	f.Fuzz(func(t *testing.T, text string) {
		inv, err := ParseInvitation(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := ParseInvitation(inv.Link(""))
		if err != nil {
			t.Fatalf("%+v does not come back: %v", inv, err)
		}
		if again.Network != inv.Network || again.Secret != inv.Secret || !again.Expires.Equal(inv.Expires) {
			t.Errorf("%+v came back as %+v", inv, again)
		}
	})
}

// FuzzInvitationBody goes past the checksum.
func FuzzInvitationBody(f *testing.F) {
	payload, err := sample().payload()
	if err != nil {
		f.Fatal(err)
	}
	raw, err := payloadEncoding.DecodeString(payload)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:len(raw)-checksumSize])
	f.Fuzz(func(t *testing.T, body []byte) {
		inv, err := parseInvitation(seal(body))
		if err == nil && (len(inv.Relays) > maxInviteRelays || len(inv.Inviter.PublicKey) != 32) {
			t.Errorf("%+v", inv)
		}
		if err != nil {
			return
		}
		again, err := ParseInvitation(inv.Link(""))
		if err != nil || again.Network != inv.Network || again.ID != inv.ID || again.Secret != inv.Secret || !again.Expires.Equal(inv.Expires) {
			t.Errorf("%+v came back as %+v, %v", inv, again, err)
		}
	})
}
