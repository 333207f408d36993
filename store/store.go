// Package store keeps a node's state in a directory: state.db for what nobody
// else has, dht.db for what other nodes have too, index.db for what can be computed
// again, all SQLite.
//
// It implements the Store interfaces that the packages under p2p declare, one
// file per noun with the SQL beside the function that uses it; the tables are
// explained in package migrations.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/migrations"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Errors of Open that callers tell apart.
var (
	// ErrInUse: another node uses the directory; the message names it.
	ErrInUse = errors.New("in use by another node")
	// ErrNewer: a newer program has made the databases.
	ErrNewer = errors.New("made by a newer version")
	// ErrUnusable: the directory cannot be written; the message says what to do.
	ErrUnusable = errors.New("not usable")
	// ErrDamaged: state.db is not sound; the message says what to do. A damaged
	// index.db or dht.db is no error: it is set aside and built again.
	ErrDamaged = errors.New("damaged")
)

// Options configure Open. The zero value works.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // of the node's identity; nil: crypto/rand.Reader
	Logger *slog.Logger     // nil: discard
}

// Store is an open data directory. Its methods may be used by several
// goroutines at once.
type Store struct {
	dir       string
	options   Options
	lock      *lockFile
	state     *DB
	registers *registerStore
	dht       *DB
	index     *DB
	rebuilt   bool

	table *dhtStore // in dht

	closing sync.Once
	closed  error
}

// Open makes dir the data directory of this process: it creates dir (0700) and
// the databases (0600) if need be, corrects permissions that are wider, and
// brings the schema up to date.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: data directory: %w", err)
	}
	if err := prepare(dir); err != nil {
		return nil, err
	}
	l, err := lock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, options: o, lock: l}
	if err := s.open(ctx); err != nil {
		// The databases were not found sound: the next start must check them too.
		return nil, errors.Join(err, l.release(false))
	}
	return s, nil
}

// open opens the databases. On error none is left open.
func (s *Store) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeAll())
		}
	}()
	for _, p := range []profile{stateProfile, dhtProfile, indexProfile} {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := narrow(filepath.Join(s.dir, p.name+".db"+suffix)); err != nil {
				s.options.Logger.Warn("store: permissions cannot be narrowed", "error", err)
			}
		}
	}
	s.state, err = s.openSound(ctx, stateProfile)
	if isCorrupt(err) {
		return fmt.Errorf("store: %s: %w: restore it from a backup, or move it away to start as a new node: %w", filepath.Join(s.dir, "state.db"), ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	if s.dht, _, err = s.openAnyway(ctx, dhtProfile); err != nil {
		return err
	}
	if s.index, s.rebuilt, err = s.openAnyway(ctx, indexProfile); err != nil {
		return err
	}
	s.registers = &registerStore{db: s.state}
	s.table = newDHTStore(s.dht, s.state)
	if err := s.table.open(ctx); err != nil {
		return fmt.Errorf("store: open %s: %w", s.dht.path, err)
	}
	// The identity and everything it signs hang on the databases' names.
	return syncDir(s.dir)
}

// openAnyway is openSound for a database that may be lost: one that is damaged is set
// aside, and rebuilt is true.
func (s *Store) openAnyway(ctx context.Context, p profile) (d *DB, rebuilt bool, err error) {
	d, err = s.openSound(ctx, p)
	if !isCorrupt(err) {
		return d, false, err
	}
	s.options.Logger.Warn("store: "+p.name+".db is damaged and is built again", "error", err)
	if err := setAside(s.dir, p.name, s.options.Now()); err != nil {
		return nil, false, err
	}
	d, err = s.openSound(ctx, p)
	return d, true, err
}

// closeAll closes those databases that are open.
func (s *Store) closeAll() error {
	var errs []error
	for _, d := range []*DB{s.state, s.dht, s.index} {
		if d != nil {
			errs = append(errs, d.close())
		}
	}
	return errors.Join(errs...)
}

// openSound opens one database with its schema up to date and, if nobody closed
// it in order last time, reads it all first.
func (s *Store) openSound(ctx context.Context, p profile) (*DB, error) {
	steps, err := migrations.For(p.name)
	if err != nil {
		return nil, err
	}
	d, err := openDB(ctx, s.dir, p)
	if err != nil {
		return nil, err
	}
	if s.lock.unclean {
		err = d.check(ctx)
	}
	if err == nil {
		err = migrate(ctx, d, steps, s.options.Now())
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// Dir returns the absolute path of the data directory.
func (s *Store) Dir() string { return s.dir }

// State returns the database of what cannot be computed again.
func (s *Store) State() *DB { return s.state }

// DHT returns the store of the node's part of the distributed table.
func (s *Store) DHT() dht.Store { return s.table }

// Index returns the database of what a scan builds again.
func (s *Store) Index() *DB { return s.index }

// Rebuilt reports whether Open found index.db damaged and made a new one.
func (s *Store) Rebuilt() bool { return s.rebuilt }

// Close writes everything out and gives the directory free. Reads and writes
// that still run end first; later ones fail. A second Close does nothing.
func (s *Store) Close() error {
	s.closing.Do(func() {
		err := errors.Join(s.table.close(context.Background()), s.closeAll())
		sound := err == nil
		for _, d := range []*DB{s.state, s.dht, s.index} {
			sound = sound && !d.damaged.Load()
		}
		s.closed = errors.Join(err, s.lock.release(sound))
	})
	return s.closed
}

// prepare creates the directory, or makes an existing one private. One that
// holds other things but no databases stays as it is, since others may rely on
// it (/tmp is such a directory); the files in it are private all the same.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unusable(dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return unusable(dir, err)
	}
	_, err = os.Lstat(filepath.Join(dir, stateProfile.name+".db"))
	if err != nil && len(entries) > 0 {
		return nil
	}
	// Who may write but does not own the directory cannot change its mode.
	if err := narrow(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
		return unusable(dir, err)
	}
	return nil
}

// narrow takes the permissions of everybody but the owner from path, if it exists.
func narrow(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSymlink != 0 || st.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return os.Chmod(path, st.Mode().Perm()&0o700)
}

// private creates an empty file that only its owner can read, unless path exists.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// unusable explains why dir does not serve and what would help.
func unusable(dir string, err error) error {
	help := "give --data another directory"
	switch {
	case errors.Is(err, fs.ErrPermission):
		help = fmt.Sprintf("as administrator `mkdir -p %[3]s && chown -R %[1]d:%[2]d %[3]s` (for a container: the directory mounted there), or give --data another directory", os.Getuid(), os.Getgid(), dir)
	case errors.Is(err, syscall.EROFS):
		help = "it is mounted read-only: mount it writable, or give --data another directory"
	case errors.Is(err, syscall.ENOTDIR):
		help = "a file is in the way: give --data another path"
	case errors.Is(err, syscall.ENOSPC):
		help = "the disk is full"
	}
	return fmt.Errorf("store: data directory %s: %w: %w: %s", dir, ErrUnusable, err, help)
}

// setAside renames a damaged NAME.db to NAME.db.corrupt-TIME, so that what
// happened can be looked at. Only the latest is kept: the file can be large.
func setAside(dir, name string, now time.Time) error {
	path := filepath.Join(dir, name+".db")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("store: set %s aside: %w", path, err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), filepath.Base(path)+".corrupt-") {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("store: set %s aside: %w", path, err)
		}
	}
	aside := path + ".corrupt-" + now.UTC().Format("20060102T150405Z")
	// The log before the file: if we stop in between, an old file without its
	// log is set aside next time, never a new file with an old log.
	if err := os.Rename(path+"-wal", aside+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: set %s aside: %w", path, err)
	}
	if err := os.Remove(path + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: set %s aside: %w", path, err)
	}
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("store: set %s aside: %w", path, err)
	}
	return syncDir(dir)
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("store: sync %s: %w", dir, err)
	}
	return nil
}
