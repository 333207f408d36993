package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/migrations"
)

// TestPragmas asks every connection of every pool, all held at once, what it
// really does: the driver has defaults of its own.
func TestPragmas(t *testing.T) {
	s := open(t, t.TempDir())
	for _, tc := range []struct {
		db     *DB
		pool   *sql.DB
		conns  int
		pragma map[string]string
	}{
		{s.state, s.state.writer, 1, map[string]string{"synchronous": "2", "query_only": "0", "cache_size": "-4096", "wal_autocheckpoint": "1000", "journal_size_limit": strconv.Itoa(8 << 20)}},
		{s.state, s.state.readers, 3, map[string]string{"synchronous": "2", "query_only": "1", "cache_size": "-2048"}},
		{s.dht, s.dht.writer, 1, map[string]string{"synchronous": "2", "query_only": "0", "cache_size": "-16384", "wal_autocheckpoint": "8000", "journal_size_limit": strconv.Itoa(16 << 20)}},
		{s.dht, s.dht.readers, 3, map[string]string{"synchronous": "2", "query_only": "1", "cache_size": "-2048"}},
		{s.index, s.index.writer, 1, map[string]string{"synchronous": "1", "query_only": "0", "cache_size": "-4096", "wal_autocheckpoint": "2000", "journal_size_limit": strconv.Itoa(16 << 20)}},
		{s.index, s.index.readers, 4, map[string]string{"synchronous": "1", "query_only": "1", "cache_size": "-2048"}},
	} {
		if got := tc.pool.Stats().MaxOpenConnections; got != tc.conns {
			t.Errorf("%s: pool of %d, want %d", tc.db.path, got, tc.conns)
		}
		for name, want := range map[string]string{
			"journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "5000",
			"cell_size_check": "1", "trusted_schema": "0", "temp_store": "2",
		} {
			tc.pragma[name] = want
		}
		for range tc.conns {
			c, err := tc.pool.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for name, want := range tc.pragma {
				var got string
				if err := c.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != want {
					t.Errorf("%s: %s = %q (%v), want %q", tc.db.path, name, got, err, want)
				}
			}
		}
	}
}

func TestWriteAllOrNothing(t *testing.T) {
	ctx := t.Context()
	d := open(t, t.TempDir()).state
	insert := func(tx *sql.Tx) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO node_setting VALUES ('k', 'v')`); err != nil {
			t.Error(err)
		}
	}
	own := errors.New("own")
	if err := d.Write(ctx, func(tx *sql.Tx) error { insert(tx); return own }); err != own {
		t.Errorf("error of fn: %v", err)
	}
	func() {
		defer func() { recover() }()
		d.Write(ctx, func(tx *sql.Tx) error { insert(tx); panic("broken") })
	}()
	cut, cancel := context.WithCancel(ctx)
	if err := d.Write(cut, func(tx *sql.Tx) error { insert(tx); cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if n := count(t, d); n != 0 {
		t.Errorf("%d rows of writes that failed", n)
	}
	if err := d.Write(ctx, func(tx *sql.Tx) error { insert(tx); return nil }); err != nil {
		t.Error(err)
	}
	if n := count(t, d); n != 1 {
		t.Errorf("%d rows of the write that succeeded", n)
	}
}

func count(t *testing.T, d *DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(q Queryer) error {
		return q.QueryRowContext(t.Context(), `SELECT count(*) FROM node_setting`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReadIsASnapshot(t *testing.T) {
	ctx := t.Context()
	s := open(t, t.TempDir())
	err := s.state.Read(ctx, func(q Queryer) error {
		var before, after int
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM node_setting`).Scan(&before); err != nil {
			return err
		}
		if err := s.SetSetting(ctx, "name", "alice"); err != nil { // does not wait for the reader
			return err
		}
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM node_setting`).Scan(&after); err != nil {
			return err
		}
		if before != 0 || after != 0 {
			t.Errorf("%d rows, then %d in one snapshot", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.state.Read(ctx, func(q Queryer) error {
		_, err := q.QueryContext(ctx, `DELETE FROM node_setting RETURNING key`)
		return err
	})
	if n := count(t, s.state); n != 1 {
		t.Errorf("a reader deleted: %v", err)
	}
}

func TestWriteWaitsForContext(t *testing.T) {
	d := open(t, t.TempDir()).state
	err := d.Write(t.Context(), func(*sql.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		return d.Write(ctx, func(*sql.Tx) error { return nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second writer: %v", err)
	}
}

// TestLogIsBounded lets a reader keep its snapshot, which stops every checkpoint,
// and then lets it go.
func TestLogIsBounded(t *testing.T) {
	ctx := t.Context()
	p := stateProfile
	p.logLimit = 1 << 20
	p.autoCheckpoint = 1 << 20 // never: SQLite restarts the log between readers, and here nothing else should
	d, err := openDB(ctx, t.TempDir(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	log := func() int64 {
		st, err := os.Stat(d.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	writes := func(n int) (largest int64) {
		for i := range n {
			if err := bulk(ctx, d, i); err != nil {
				t.Fatal(err)
			}
			largest = max(largest, log())
		}
		return largest
	}
	writes(1)
	err = d.Read(ctx, func(q Queryer) error {
		var rows int
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM bulk`).Scan(&rows)
		if largest := writes(40); largest < p.logLimit {
			t.Errorf("log of only %d bytes: the reader stopped nothing", largest)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	writes(40)
	if largest := writes(100); largest > 2*p.logLimit {
		t.Errorf("log of %d bytes, limit %d", largest, p.logLimit)
	}
	for name, want := range map[string]string{"busy_timeout": busyTimeout, "journal_mode": "wal"} {
		var got string
		if err := d.writer.QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != want {
			t.Errorf("afterwards %s = %s (%v)", name, got, err)
		}
	}
}

func TestMigrateInOrderOnce(t *testing.T) {
	ctx := t.Context()
	d, err := openDB(ctx, t.TempDir(), stateProfile)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	now := time.Unix(1e9, 0)
	steps := []migrations.Migration{
		{Name: "0001_state_a.sql", SQL: `CREATE TABLE a (n INTEGER); INSERT INTO a VALUES (1);`},
		{Name: "0002_state_b.sql", SQL: `INSERT INTO a SELECT n + 1 FROM a`},
		{Name: "0003_state_c.sql", SQL: `INSERT INTO a SELECT n + 2 FROM a; INSERT INTO missing VALUES (1)`},
	}
	err = migrate(ctx, d, steps, now)
	if err == nil || !strings.Contains(err.Error(), "0003_state_c.sql") {
		t.Fatalf("broken step: %v", err)
	}
	sum := func() (n int) {
		if err := d.writer.QueryRow(`SELECT sum(n) FROM a`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := sum(); got != 3 {
		t.Errorf("sum %d after two steps and half a third, want 3", got)
	}
	steps[2].SQL = `INSERT INTO a SELECT n + 2 FROM a`
	for range 2 {
		if err := migrate(ctx, d, steps, now); err != nil {
			t.Fatal(err)
		}
		if got := sum(); got != 10 {
			t.Errorf("sum %d after three steps, want 10", got)
		}
	}
	var applied int64
	if err := d.writer.QueryRow(`SELECT min(applied) FROM migration`).Scan(&applied); err != nil || applied != now.Unix() {
		t.Errorf("applied at %d (%v)", applied, err)
	}
}

func TestNewerSchemaRefused(t *testing.T) {
	for _, database := range []string{"state", "dht", "index"} {
		dir := t.TempDir()
		s := open(t, dir)
		d := map[string]*DB{"state": s.state, "dht": s.dht, "index": s.index}[database]
		err := d.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT INTO migration VALUES (?, 0)`, "9999_"+database+"_future.sql")
			return err
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), dir, Options{})
		if !errors.Is(err, ErrNewer) {
			t.Fatalf("newer %s: %v", database, err)
		}
		for _, want := range []string{d.path, "9999_" + database + "_future.sql", "--data"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
}
