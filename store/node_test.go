package store

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestIdentityIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	seed := strings.Repeat("s", 32)
	s, err := Open(t.Context(), dir, Options{Rand: strings.NewReader(seed)})
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Seed(), []byte(seed)) {
		t.Error("not of the given randomness")
	}
	again, err := s.Identity(t.Context())
	if err != nil || again.ID() != first.ID() {
		t.Errorf("second call: %v, %v", again.ID(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	later, err := open(t, dir).Identity(t.Context())
	if err != nil || later.ID() != first.ID() {
		t.Errorf("next start: %v, %v", later.ID(), err)
	}
}

func TestIdentityWithoutRandomness(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	s, err := Open(t.Context(), dir, Options{Rand: iotest.ErrReader(broken)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if id, err := s.Identity(t.Context()); !errors.Is(err, broken) || !id.IsZero() {
		t.Errorf("Identity = %v, %v", id, err)
	}
}

func TestSetting(t *testing.T) {
	ctx := t.Context()
	s := open(t, t.TempDir())
	if v, ok, err := s.Setting(ctx, "name"); v != "" || ok || err != nil {
		t.Errorf("unset: %q, %v, %v", v, ok, err)
	}
	for _, value := range []string{"alice", "", "bob"} {
		if err := s.SetSetting(ctx, "name", value); err != nil {
			t.Fatal(err)
		}
		if v, ok, err := s.Setting(ctx, "name"); v != value || !ok || err != nil {
			t.Errorf("set %q: %q, %v, %v", value, v, ok, err)
		}
	}
}
