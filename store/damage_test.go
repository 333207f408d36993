package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDamagedIndexIsRebuilt(t *testing.T) {
	testRebuilt(t, "index.db", func(s *Store) *DB { return s.index })
}

func TestDamagedDHTIsRebuilt(t *testing.T) {
	testRebuilt(t, "dht.db", func(s *Store) *DB { return s.dht })
}

func testRebuilt(t *testing.T, file string, of func(*Store) *DB) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir)
			path := filepath.Join(dir, file)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			unclean(t, dir)
			old := path + ".corrupt-20200101T000000Z"
			if err := os.WriteFile(old, []byte("older"), 0o600); err != nil {
				t.Fatal(err)
			}
			now := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
			s, err := Open(t.Context(), dir, Options{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if index := file == "index.db"; s.Rebuilt() != index {
				t.Errorf("%s was damaged, and index.db is rebuilt: %v", file, !index)
			}
			if _, err := os.Stat(path + ".corrupt-20300506T070809Z"); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("older copy kept: %v", err)
			}
			if name, _, err := s.Setting(t.Context(), "name"); name != "alice" || err != nil {
				t.Errorf("state: %q, %v", name, err)
			}
			if err := bulk(t.Context(), of(s), 1); err != nil {
				t.Error(err)
			}
			// What is only in state.db goes on as before.
			if first, err := s.DHT().NextSeq(t.Context(), 0, 1); err != nil || first <= 7 {
				t.Errorf("sequence number %d (%v), and 7 was used", first, err)
			}
		})
	}
}

func TestDamagedStateIsRefused(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir)
			path := filepath.Join(dir, "state.db")
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			unclean(t, dir)
			for range 2 { // a refusal must not look like an orderly end
				_, err = Open(t.Context(), dir, Options{})
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") {
					t.Fatalf("Open: %v", err)
				}
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("the damaged file was changed")
			}
		})
	}
}

// damages are ways in which a database file goes bad.
var damages = map[string]func(path string) error{
	"not a database": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("no ", 5000)), 0o600) },
	"overwritten pages": func(path string) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		junk := []byte(strings.Repeat("\xff", 4096))
		for off := st.Size() / 2 &^ 4095; off < st.Size(); off += 4096 {
			if _, err := f.WriteAt(junk, off); err != nil {
				return err
			}
		}
		return nil
	},
}

// fill makes a store with some pages in all databases.
func fill(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	_, err := s.DHT().NextSeq(t.Context(), 7, 1)
	err = errors.Join(err,
		s.SetSetting(t.Context(), "name", "alice"),
		bulk(t.Context(), s.state, 1), bulk(t.Context(), s.dht, 1), bulk(t.Context(), s.index, 1), s.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// unclean makes the next Open believe that nobody closed dir.
func unclean(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
