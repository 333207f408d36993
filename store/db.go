package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
)

// Queryer reads. It is satisfied by *sql.Tx, so what reads a snapshot can also
// read inside a write.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// DB is one of a node's databases: any number of readers, each on a
// snapshot, beside at most one writer.
type DB struct {
	path    string
	profile profile
	writer  *sql.DB // exactly one connection
	readers *sql.DB

	checkpoint atomic.Int64 // the size of the log, in bytes, that forces a checkpoint
	damaged    atomic.Bool  // SQLite has reported corruption since the database was opened
}

// profile is how a database trades durability, memory and speed.
type profile struct {
	name           string // "state", "dht" or "index": the file's name and that of its migrations
	synchronous    string // FULL: a commit survives a power cut. NORMAL: it survives a crash of the process
	readers        int    // connections
	writeCache     int    // KiB of pages held by the writer
	readCache      int    // KiB of pages held by each reader
	autoCheckpoint int    // pages of 4 KiB in the log after which SQLite copies them back
	logLimit       int64  // bytes of log that are never exceeded by more than one transaction
}

var (
	// What cannot be computed again. Most of its rows are those of replicas, which are
	// read many at a time and all over.
	stateProfile = profile{
		name: "state", synchronous: "FULL", readers: 3,
		writeCache: 4 << 10, readCache: 2 << 10, autoCheckpoint: 1000, logLimit: 32 << 20,
	}
	// What other nodes have too. It has its own file, so that they do not wait for the
	// folders to be committed, nor the folders for them. Keys come in no order: the more
	// of the pages are in memory, and the more often a page is written before it is copied
	// back, the better.
	dhtProfile = profile{
		name: "dht", synchronous: "FULL", readers: 3,
		writeCache: 16 << 10, readCache: 2 << 10, autoCheckpoint: 8000, logLimit: 64 << 20,
	}
	// What a scan of the folders builds again. Queries of the search index come
	// several at a time, and its batches are large.
	indexProfile = profile{
		name: "index", synchronous: "NORMAL", readers: 4,
		writeCache: 4 << 10, readCache: 2 << 10, autoCheckpoint: 2000, logLimit: 64 << 20,
	}
)

// idle is how long a reader keeps its connection, and with it its page cache,
// without being asked.
const idle = time.Minute

// busyTimeout is how many milliseconds a connection waits for a file lock. Within
// the process only one writes, so what it waits for is a person's sqlite3 shell.
const busyTimeout = "5000"

// openDB opens the connections to dir's database of profile p. It creates the
// file if there is none; the schema is migrate's.
func openDB(ctx context.Context, dir string, p profile) (*DB, error) {
	d := &DB{path: filepath.Join(dir, p.name+".db"), profile: p}
	d.checkpoint.Store(p.logLimit)
	// SQLite would create the file with 0644; the log and its index take the
	// mode of the file.
	if err := private(d.path); err != nil {
		return nil, fmt.Errorf("store: %s: %w", d.path, err)
	}
	d.writer = sql.OpenDB(connector{d.source("immediate", p.writeCache, 48), p})
	d.writer.SetMaxOpenConns(1)
	d.readers = sql.OpenDB(connector{d.source("deferred", p.readCache, 32) + "&_query_only=1", p})
	d.readers.SetMaxOpenConns(p.readers)
	d.readers.SetMaxIdleConns(p.readers)
	d.readers.SetConnMaxIdleTime(idle)
	// The writer first: only it may turn the log on.
	if err := errors.Join(d.writer.PingContext(ctx), d.readers.PingContext(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("store: open %s: %w", d.path, err), d.closeConnections())
	}
	return d, nil
}

// source is the data source name of a connection. Everything that decides over
// durability is said here, because the driver's defaults are weaker.
func (d *DB) source(lock string, cache, statements int) string {
	q := url.Values{
		"_busy_timeout":    {busyTimeout},
		"_cache_size":      {strconv.Itoa(-cache)},
		"_foreign_keys":    {"1"},
		"_journal_mode":    {"WAL"},
		"_stmt_cache_size": {strconv.Itoa(statements)},
		"_synchronous":     {d.profile.synchronous},
		"_txlock":          {lock},
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(d.path), RawQuery: q.Encode()}).String()
}

// connector makes connections whose pragmas are set before anything uses them.
type connector struct {
	source  string
	profile profile
}

func (c connector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		for _, pragma := range []string{
			"wal_autocheckpoint = " + strconv.Itoa(c.profile.autoCheckpoint),
			"journal_size_limit = " + strconv.FormatInt(c.profile.logLimit/4, 10), // what is kept of the file once its content is copied back
			"cell_size_check = ON", // notices damaged pages before they are used
			"trusted_schema = OFF", // a damaged or planted schema calls no functions
			"temp_store = MEMORY",  // no copy of private data outside the directory
		} {
			if _, err := conn.Exec("PRAGMA "+pragma, nil); err != nil {
				return fmt.Errorf("pragma %s: %w", pragma, err)
			}
		}
		return nil
	}}
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.source) }

// Read calls fn with a snapshot of the database: everything fn reads is of one
// moment, and writers do not wait for it. Keep it short, since the log cannot
// shrink while it lasts. The error of fn is returned as it is.
func (d *DB) Read(ctx context.Context, fn func(q Queryer) error) error {
	tx, err := d.readers.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: read %s: %w", d.path, d.note(err))
	}
	defer tx.Rollback() // nothing was written: there is nothing to lose
	return d.note(fn(tx))
}

// query calls each for the rows of one query. A single statement has a snapshot of its
// own, without the cost of a transaction around it. It is short, and runs to its end even
// if ctx ends: to watch for that costs more than most queries.
func (d *DB) query(ctx context.Context, each func(*sql.Rows) error, query string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rows, err := d.readers.QueryContext(context.WithoutCancel(ctx), query, args...)
	if err != nil {
		return d.note(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return d.note(err)
		}
	}
	return d.note(rows.Err())
}

// Write calls fn inside the only write transaction and commits when fn returns
// nil; otherwise, also when fn panics or ctx ends, nothing has happened. When it
// returns nil the change is as durable as the database's profile says. The error
// of fn is returned as it is, but see note. A Write inside fn would wait for itself.
// Many small statements in fn are best run with a context that does not end: to watch for
// that costs more than they do.
func (d *DB) Write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: write %s: %w", d.path, d.note(err))
	}
	defer tx.Rollback() // without effect after the commit
	if err := fn(tx); err != nil {
		return d.note(err)
	}
	if err := tx.Commit(); err != nil {
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			err = ctx.Err() // it was rolled back when ctx ended, and says only that it is over
		}
		return fmt.Errorf("store: commit %s: %w", d.path, d.note(err))
	}
	d.bound(ctx)
	return nil
}

// bound copies the log back when it has outgrown its limit. SQLite does so by
// itself at autoCheckpoint, but only as far as the oldest reader permits: readers
// that take turns without a gap would let the log grow for ever. Here new readers
// wait until the log is empty.
func (d *DB) bound(ctx context.Context) {
	log, err := os.Stat(d.path + "-wal")
	if err != nil || log.Size() <= d.checkpoint.Load() {
		return
	}
	if d.empty(ctx) {
		d.checkpoint.Store(d.profile.logLimit)
		return
	}
	// A reader held out. The next writes must not each wait for it.
	d.checkpoint.Store(log.Size() + d.profile.logLimit)
}

// empty copies the log back and truncates it, waiting for readers only a moment,
// and reports whether that was enough.
func (d *DB) empty(ctx context.Context) bool {
	c, err := d.writer.Conn(ctx)
	if err != nil {
		return false
	}
	defer c.Close()
	var busy, pages, copied int
	_, err = c.ExecContext(ctx, "PRAGMA busy_timeout = 250")
	if err == nil {
		err = c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &copied)
	}
	if _, restore := c.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout = "+busyTimeout); restore != nil {
		return false
	}
	return err == nil && busy == 0
}

// note remembers a report of corruption, so that the next start looks closer, and says
// in the system's words that a disk is full or does not work: nobody but this package
// knows those of SQLite.
func (d *DB) note(err error) error {
	if isCorrupt(err) {
		d.damaged.Store(true)
	}
	var e sqlite3.Error
	if errors.As(err, &e) {
		switch e.Code {
		case sqlite3.ErrFull:
			return fmt.Errorf("%w: %s: %w", err, d.path, syscall.ENOSPC)
		case sqlite3.ErrIoErr:
			return fmt.Errorf("%w: %s: %w", err, d.path, syscall.EIO)
		}
	}
	return err
}

// check reads every page and tells whether SQLite finds them sound.
func (d *DB) check(ctx context.Context) error {
	var verdict string
	if err := d.writer.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

// Close ends all connections; the last one copies the log back.
func (d *DB) close() error {
	if err := d.closeConnections(); err != nil {
		return fmt.Errorf("store: close %s: %w", d.path, err)
	}
	return nil
}

func (d *DB) closeConnections() error {
	// Readers first: the last connection to go takes the log along.
	return errors.Join(d.readers.Close(), d.writer.Close())
}

// errDamaged is what check reports of a database that SQLite can open but whose
// pages contradict each other.
var errDamaged = errors.New("damaged")

// isCorrupt reports whether err says that a database file is not sound.
func isCorrupt(err error) bool {
	var e sqlite3.Error
	return errors.Is(err, errDamaged) ||
		errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB)
}
