package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/migrations"
)

// migrate brings the schema of d up to steps. Each step and the record that it
// was applied are one transaction, so a crash in between leaves a database that
// the next start continues with. A database that records a step which is not
// among steps was made by a newer program: ErrNewer, and nothing is changed.
func migrate(ctx context.Context, d *DB, steps []migrations.Migration, now time.Time) error {
	applied, err := applied(ctx, d)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(steps))
	for _, step := range steps {
		known[step.Name] = true
	}
	for name := range applied {
		if !known[name] {
			return fmt.Errorf("store: %s: %w: it records the step %s, which this program does not know: start the shoal that made it, or give --data another directory", d.path, ErrNewer, name)
		}
	}
	for _, step := range steps {
		if applied[step.Name] {
			continue
		}
		if err := apply(ctx, d, step, now); err != nil {
			return fmt.Errorf("store: %s: migration %s: %w", d.path, step.Name, err)
		}
	}
	return nil
}

// applied returns the names of the steps that d records.
func applied(ctx context.Context, d *DB) (map[string]bool, error) {
	names := make(map[string]bool)
	err := d.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			CREATE TABLE IF NOT EXISTS migration (
				name    TEXT PRIMARY KEY,
				applied INTEGER NOT NULL -- Unix seconds
			) STRICT, WITHOUT ROWID`)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT name FROM migration`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names[name] = true
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store: %s: read applied migrations: %w", d.path, err)
	}
	return names, nil
}

// apply runs one step and records it.
func apply(ctx context.Context, d *DB, step migrations.Migration, now time.Time) error {
	return d.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, step.SQL); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO migration (name, applied) VALUES (?, ?)`, step.Name, now.Unix())
		return err
	})
}
