package p2p

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The ID of RFC 8032's first test key, worked out with other programs
// (sha256sum, base32).
func TestIDKnownAnswer(t *testing.T) {
	identity, err := IdentityFromSeed(unhex(t, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(unhex(t, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
	if identity.ID() != ID(want) {
		t.Errorf("ID = %x, want %x", identity.ID(), want)
	}
	if s := identity.ID().String(); s != "eh7ddx5bksrgcytl7bkai36se4nxx3klnk7elksyq57pi74xeg4q" {
		t.Errorf("text form %s", s)
	}
}

func TestIDText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		got, err := ParseID(id.String())
		if err != nil || got != id {
			t.Fatalf("ParseID(%s) = %s, %v", id, got, err)
		}
		if len(id.String()) != 52 || id.Short() != id.String()[:12] {
			t.Fatalf("text forms %q, %q", id, id.Short())
		}
	})
	good := ID{1}.String()
	for _, bad := range []string{
		"", "x", good[:51], good + "a", strings.ToUpper(good), "1" + good[1:], " " + good[1:],
		good[:51] + "b", // the four unused bits are set: another spelling of the same ID
	} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) accepted", bad)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(ID{}.String())
	f.Add(strings.Repeat("7", 52))
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseID(text); err == nil && id.String() != text {
			t.Errorf("ParseID(%q) = %s", text, id)
		}
	})
}

// XOR is a metric with one point at every distance: identity, symmetry, the
// triangle inequality, and Distance(a, Distance(a, b)) = b.
func TestKeyDistance(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) Key { return Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		d := a.Distance(b)
		if d != b.Distance(a) || a.Distance(d) != b || (d == Key{}) != (a == b) {
			t.Fatalf("distance of %x and %x is %x", a, b, d)
		}
		n := a.CommonPrefixLen(b)
		for i := range n {
			if d[i/8]>>(7-i%8)&1 != 0 {
				t.Fatalf("bit %d differs within a common prefix of %d", i, n)
			}
		}
		if n < 256 && d[n/8]>>(7-n%8)&1 != 1 {
			t.Fatalf("bit %d does not differ", n)
		}
	})
	if got := (Key{}).CommonPrefixLen(Key{0, 0x10}); got != 11 {
		t.Errorf("common prefix = %d, want 11", got)
	}
	if (Key{1}).Compare(Key{0, 0xff}) <= 0 {
		t.Error("keys are not ordered as big-endian numbers")
	}
}

func TestSignContext(t *testing.T) {
	identity, err := NewIdentity(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	key := identity.PublicKey()
	sig := identity.Sign("shoal a", []byte("m"))
	if !Verify(key, "shoal a", []byte("m"), sig) {
		t.Error("own signature refused")
	}
	for name, ok := range map[string]bool{
		"other context":   Verify(key, "shoal b", []byte("m"), sig),
		"other message":   Verify(key, "shoal a", []byte("n"), sig),
		"shifted border":  Verify(key, "shoal", []byte(" a\x00m"), sig),
		"short signature": Verify(key, "shoal a", []byte("m"), sig[:63]),
		"no key":          Verify(nil, "shoal a", []byte("m"), sig),
	} {
		if ok {
			t.Errorf("%s: accepted", name)
		}
	}
	if again, err := IdentityFromSeed(identity.Seed()); err != nil || again.ID() != identity.ID() {
		t.Errorf("from seed: %v, %v", again.ID(), err)
	}
	if _, err := NewIdentity(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness: %v", err)
	}
	if _, err := IdentityFromSeed(make([]byte, 31)); err == nil {
		t.Error("short seed accepted")
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b := make([]byte, len(s)/2)
	for i := range b {
		for _, c := range []byte(s[2*i : 2*i+2]) {
			b[i] = b[i]<<4 | byte(strings.IndexByte("0123456789abcdef", c))
		}
	}
	return b
}
