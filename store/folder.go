package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
)

// folderStore keeps the registry of folders in state.db and what is in them in
// index.db.
type folderStore struct{ state, index *DB }

// Folder returns the store of shared folders.
func (s *Store) Folder() folder.Store { return folderStore{s.state, s.index} }

// Folders implements folder.Registry.
func (f folderStore) Folders(ctx context.Context) ([]folder.Record, error) {
	var all []folder.Record
	err := f.state.Read(ctx, func(q Queryer) error {
		rows, err := q.QueryContext(ctx, `
			SELECT id, label, path, access, created, paused, marked, inode, creator, grants
			FROM folder ORDER BY created, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r folder.Record
			var created, inode int64
			var creator, grants sql.RawBytes
			if err := rows.Scan(&r.ID, &r.Label, &r.Path, &r.Access, &created, &r.Paused, &r.Marked, &inode, &creator, &grants); err != nil {
				return err
			}
			var err error
			if r.Grants, err = p2p.UnpackGrants(grants); err != nil {
				return fmt.Errorf("folder %s: %w", r.ID, err)
			}
			copy(r.Creator[:], creator)
			r.Created, r.Inode = time.UnixMilli(created).UTC(), uint64(inode)
			all = append(all, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store: folders: %w", err)
	}
	return all, nil
}

// SaveFolder implements folder.Registry.
func (f folderStore) SaveFolder(ctx context.Context, r folder.Record) error {
	var creator []byte
	if !r.Creator.IsZero() {
		creator = r.Creator[:]
	}
	err := f.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO folder (id, label, path, access, created, paused, marked, inode, creator, grants)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET
				label = excluded.label, path = excluded.path, access = excluded.access, created = excluded.created,
				paused = excluded.paused, marked = excluded.marked, inode = excluded.inode, creator = excluded.creator,
				grants = excluded.grants`,
			r.ID, r.Label, r.Path, r.Access, r.Created.UnixMilli(), r.Paused, r.Marked, int64(r.Inode), creator, r.Grants.Pack())
		return err
	})
	if err != nil {
		return fmt.Errorf("store: save folder %s: %w", r.ID, err)
	}
	return nil
}

// deleteAtOnce is how many rows of a folder one transaction deletes, so that
// others can write in between.
const deleteAtOnce = 10_000

// DeleteFolder implements folder.Registry. The record goes last: after a crash
// before that, the folder is there and is scanned again.
func (f folderStore) DeleteFolder(ctx context.Context, id string) error {
	for more := true; more; {
		err := f.index.Write(ctx, func(tx *sql.Tx) error {
			deleted, err := tx.ExecContext(ctx, `
				DELETE FROM file WHERE (folder, path) IN (
					SELECT folder, path FROM file
					WHERE folder = (SELECT n FROM file_folder WHERE id = ?) LIMIT ?)`, id, deleteAtOnce)
			if err != nil {
				return err
			}
			n, err := deleted.RowsAffected()
			if more = n == deleteAtOnce; more || err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `DELETE FROM file_folder WHERE id = ?`, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("store: delete files of folder %s: %w", id, err)
		}
	}
	err := f.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM folder WHERE id = ?`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: delete folder %s: %w", id, err)
	}
	return nil
}
