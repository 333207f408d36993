package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/extract"
)

// unreadStore implements extract.Store in index.db: it goes with what is known of
// the files.
type unreadStore struct{ index *DB }

// Unread returns which files could not be read.
func (s *Store) Unread() extract.Store { return unreadStore{s.index} }

// Note implements extract.Store.
func (s unreadStore) Note(ctx context.Context, folder string, unread []extract.Unread, others []string) error {
	err := s.index.Write(ctx, func(tx *sql.Tx) error {
		for _, path := range others {
			if _, err := tx.ExecContext(ctx, `DELETE FROM unread WHERE folder = ? AND path = ?`, folder, path); err != nil {
				return err
			}
		}
		for _, u := range unread {
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO unread (folder, path, reason, detail, version) VALUES (?, ?, ?, ?, ?)`,
				folder, u.Path, string(u.Reason), u.Detail, u.Version)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: note %d unread files: %w", len(unread), err)
	}
	return nil
}

// Counts implements extract.Store.
func (s unreadStore) Counts(ctx context.Context) (map[string]map[extract.Reason]int, error) {
	counts := make(map[string]map[extract.Reason]int)
	err := eachRow(ctx, s.index, func(rows *sql.Rows) error {
		var folder string
		var why extract.Reason
		var n int
		if err := rows.Scan(&folder, &why, &n); err != nil {
			return err
		}
		if counts[folder] == nil {
			counts[folder] = make(map[extract.Reason]int)
		}
		counts[folder][why] = n
		return nil
	}, `SELECT folder, reason, count(*) FROM unread GROUP BY folder, reason`)
	if err != nil {
		return nil, fmt.Errorf("store: count unread files: %w", err)
	}
	return counts, nil
}

// List implements extract.Store.
func (s unreadStore) List(ctx context.Context, folder string, why extract.Reason, after string, limit int) ([]extract.Unread, error) {
	var list []extract.Unread
	err := eachRow(ctx, s.index, func(rows *sql.Rows) error {
		var u extract.Unread
		err := rows.Scan(&u.Path, &u.Reason, &u.Detail, &u.Version)
		list = append(list, u)
		return err
	}, `
		SELECT path, reason, detail, version FROM unread
		WHERE folder = ?1 AND path > ?2 AND (?3 = '' OR reason = ?3)
		ORDER BY path LIMIT ?4`, folder, after, string(why), limit)
	if err != nil {
		return nil, fmt.Errorf("store: list unread files: %w", err)
	}
	return list, nil
}

// Forget implements extract.Store.
func (s unreadStore) Forget(ctx context.Context, folder string) error {
	err := s.index.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM unread WHERE folder = ?`, folder)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: forget unread files: %w", err)
	}
	return nil
}

// Again implements extract.Store.
func (s unreadStore) Again(ctx context.Context, version int) (n int, err error) {
	err = s.index.Write(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `
			UPDATE file SET told = 0
			WHERE kind = 1 AND (folder, path) IN (
				SELECT file_folder.n, unread.path FROM unread JOIN file_folder ON file_folder.id = unread.folder
				WHERE unread.version <> ?)`, version)
		if err != nil {
			return err
		}
		changed, err := done.RowsAffected()
		n = int(changed)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("store: have unread files told again: %w", err)
	}
	return n, nil
}
