package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// searchStore implements search.Store in index.db.
type searchStore struct{ db *DB }

// Search returns the documents that the node can find.
func (s *Store) Search() search.Store { return searchStore{s.index} }

// Put implements search.Store.
func (s searchStore) Put(ctx context.Context, records []search.Record) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for i := range records {
			if err := putDocument(ctx, tx, &records[i]); err != nil {
				return fmt.Errorf("%s: %w", records[i].ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: put %d documents: %w", len(records), err)
	}
	return nil
}

func putDocument(ctx context.Context, tx *sql.Tx, r *search.Record) error {
	var number int64
	err := tx.QueryRowContext(ctx, `
		INSERT INTO search_document (id, title, folder, path, type, size, modified, fields, terms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET
			title = excluded.title, folder = excluded.folder, path = excluded.path, type = excluded.type,
			size = excluded.size, modified = excluded.modified, fields = excluded.fields, terms = excluded.terms
		RETURNING number`,
		r.ID, r.Title, r.Folder, r.Path, r.Type, r.Size, r.Modified.UnixNano(), r.Fields, notNull(r.Terms)).Scan(&number)
	if err != nil {
		return err
	}
	if len(r.Text) == 0 {
		_, err = tx.ExecContext(ctx, `DELETE FROM search_text WHERE number = ?`, number)
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO search_text (number, text) VALUES (?, ?)
		ON CONFLICT (number) DO UPDATE SET text = excluded.text`, number, r.Text)
	return err
}

// notNull returns b as a value that is not NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Remove implements search.Store.
func (s searchStore) Remove(ctx context.Context, ids []string) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `DELETE FROM search_document WHERE id = ?`, id); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: remove %d documents: %w", len(ids), err)
	}
	return nil
}

// Load implements search.Store.
func (s searchStore) Load(ctx context.Context, each func(search.Record) error) error {
	return s.db.Read(ctx, func(q Queryer) error {
		rows, err := q.QueryContext(ctx, `
			SELECT id, title, folder, path, type, size, modified, terms FROM search_document ORDER BY number`)
		if err != nil {
			return fmt.Errorf("store: load documents: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var r search.Record
			var modified int64
			var terms sql.RawBytes
			if err := rows.Scan(&r.ID, &r.Title, &r.Folder, &r.Path, &r.Type, &r.Size, &modified, &terms); err != nil {
				return fmt.Errorf("store: load documents: %w", err)
			}
			r.Modified, r.Terms = time.Unix(0, modified).UTC(), terms
			if err := each(r); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("store: load documents: %w", err)
		}
		return nil
	})
}

// Get implements search.Store.
func (s searchStore) Get(ctx context.Context, id string) (search.Record, error) {
	r := search.Record{ID: id}
	var modified int64
	err := s.db.Read(ctx, func(q Queryer) error {
		return q.QueryRowContext(ctx, `
			SELECT title, folder, path, type, size, modified, fields, terms, text
			FROM search_document LEFT JOIN search_text USING (number) WHERE id = ?`, id).
			Scan(&r.Title, &r.Folder, &r.Path, &r.Type, &r.Size, &modified, &r.Fields, &r.Terms, &r.Text)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return search.Record{}, fmt.Errorf("store: document %.80q: %w", id, search.ErrNotFound)
	}
	if err != nil {
		return search.Record{}, fmt.Errorf("store: document %.80q: %w", id, err)
	}
	r.Modified = time.Unix(0, modified).UTC()
	return r, nil
}

// Terms implements search.Store.
func (s searchStore) Terms(ctx context.Context, ids []string) (map[string][]byte, error) {
	return s.blobs(ctx, ids, `SELECT terms FROM search_document WHERE id = ?`)
}

// Texts implements search.Store.
func (s searchStore) Texts(ctx context.Context, ids []string) (map[string][]byte, error) {
	return s.blobs(ctx, ids, `
		SELECT text FROM search_document LEFT JOIN search_text USING (number) WHERE id = ?`)
}

// blobs returns one blob of each document of ids, all of one moment.
func (s searchStore) blobs(ctx context.Context, ids []string, query string) (map[string][]byte, error) {
	found := make(map[string][]byte, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	err := s.db.Read(ctx, func(q Queryer) error {
		for _, id := range ids {
			var b []byte
			err := q.QueryRowContext(ctx, query, id).Scan(&b)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			found[id] = b
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: read %d documents: %w", len(ids), err)
	}
	return found, nil
}
