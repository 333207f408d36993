package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// searchStore implements search.Store: what was published without a file is in
// state.db, since it is nowhere else; the files of folders are in index.db, which
// may be lost at any time.
//
// An ID is in one of the two. Only a crash can leave it in both, when a document
// takes the place of one of the other kind; then the published one counts.
type searchStore struct{ state, index *DB }

// Search returns the documents that the node can find.
func (s *Store) Search() search.Store { return searchStore{s.state, s.index} }

// Put implements search.Store. What is published comes first: what a crash leaves
// out is then only what a scan brings again.
func (s searchStore) Put(ctx context.Context, records []search.Record, words []byte) error {
	var published, files []*search.Record
	for i := range records {
		if r := &records[i]; r.Folder == "" {
			published = append(published, r)
		} else {
			files = append(files, r)
		}
	}
	err := s.putPublished(ctx, published)
	if err == nil {
		err = s.putFiles(ctx, files, words)
	}
	if err != nil {
		return fmt.Errorf("store: put %d documents: %w", len(records), err)
	}
	return nil
}

func (s searchStore) putPublished(ctx context.Context, records []*search.Record) error {
	if len(records) == 0 {
		return nil
	}
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		for _, r := range records {
			_, err := tx.ExecContext(ctx, `
				INSERT OR REPLACE INTO document (id, title, type, size, modified, fields, terms, text)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				r.ID, r.Title, r.Type, r.Size, r.Modified.UnixNano(), r.Fields, notNull(r.Terms), r.Text)
			if err != nil {
				return fmt.Errorf("%s: %w", r.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return remove(ctx, s.index, deleteFile, idsOf(records))
}

func (s searchStore) putFiles(ctx context.Context, records []*search.Record, words []byte) error {
	if len(records) == 0 && len(words) == 0 {
		return nil
	}
	err := s.index.Write(ctx, func(tx *sql.Tx) error {
		if err := putWords(ctx, tx, words); err != nil {
			return err
		}
		for _, r := range records {
			if err := putFile(context.WithoutCancel(ctx), tx, r); err != nil {
				return fmt.Errorf("%s: %w", r.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return remove(ctx, s.state, deletePublished, idsOf(records))
}

func putFile(ctx context.Context, tx *sql.Tx, r *search.Record) error {
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

func putWords(ctx context.Context, tx *sql.Tx, pack []byte) error {
	if len(pack) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO search_word (pack) VALUES (?)`, pack); err != nil {
		return fmt.Errorf("words: %w", err)
	}
	return nil
}

// Words implements search.Store.
func (s searchStore) Words(ctx context.Context, each func(pack []byte) error) error {
	var failed error // of each, which is returned as it is
	err := eachRow(ctx, s.index, func(rows *sql.Rows) error {
		var pack sql.RawBytes
		if err := rows.Scan(&pack); err != nil {
			return err
		}
		failed = each(pack)
		return failed
	}, `SELECT pack FROM search_word ORDER BY number`)
	if err != nil && failed == nil {
		return fmt.Errorf("store: load words: %w", err)
	}
	return err
}

// SetWords implements search.Store.
func (s searchStore) SetWords(ctx context.Context, packs [][]byte) error {
	err := s.index.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM search_word`); err != nil {
			return err
		}
		for _, pack := range packs {
			if err := putWords(ctx, tx, pack); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: keep %d packs of words: %w", len(packs), err)
	}
	return nil
}

// notNull returns b as a value that is not NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func idsOf(records []*search.Record) []string {
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	return ids
}

// removal is how documents of one kind go: which of the IDs in a JSON array there
// are, and the statements that delete one of those.
type removal struct {
	find string
	do   []string
}

var (
	deletePublished = removal{
		`SELECT id FROM document WHERE id IN (SELECT value FROM json_each(?))`,
		[]string{`DELETE FROM document WHERE id = ?`},
	}
	// If there is a file where the document was, it is one that search does not know (any
	// more). What a scan remembers of it, or of what has taken its place, is the scan's.
	deleteFile = removal{
		`SELECT id FROM search_document WHERE id IN (SELECT value FROM json_each(?))`,
		[]string{
			`UPDATE file SET told = 0 WHERE kind = 1 AND (folder, path) = (
				SELECT n, path FROM search_document JOIN file_folder ON file_folder.id = search_document.folder
				WHERE search_document.id = ?)`,
			`DELETE FROM search_document WHERE id = ?`,
		},
	}
)

// remove deletes the documents of ids from a database. It writes only if there
// are any: a commit costs far more than a look.
func remove(ctx context.Context, d *DB, r removal, ids []string) error {
	var found []string
	err := eachOf(ctx, d, r.find, ids, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		found = append(found, id)
		return err
	})
	if err != nil || len(found) == 0 {
		return err
	}
	return d.Write(ctx, func(tx *sql.Tx) error {
		for _, id := range found {
			for _, statement := range r.do {
				if _, err := tx.ExecContext(ctx, statement, id); err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
			}
		}
		return nil
	})
}

// eachOf calls each with every row of a query whose argument is the JSON array of
// ids, all of one moment.
func eachOf(ctx context.Context, d *DB, query string, ids []string, each func(*sql.Rows) error) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return eachRow(ctx, d, each, query, string(list))
}

func eachRow(ctx context.Context, d *DB, each func(*sql.Rows) error, query string, args ...any) error {
	return d.Read(ctx, func(q Queryer) (err error) {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			if err := each(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// Remove implements search.Store. What cannot be found again goes last: until
// then the removal has not happened.
func (s searchStore) Remove(ctx context.Context, ids []string) error {
	err := remove(ctx, s.index, deleteFile, ids)
	if err == nil {
		err = remove(ctx, s.state, deletePublished, ids)
	}
	if err != nil {
		return fmt.Errorf("store: remove %d documents: %w", len(ids), err)
	}
	return nil
}

// Load implements search.Store.
func (s searchStore) Load(ctx context.Context, each func(search.Record) error) error {
	published := make(map[string]bool)
	err := load(ctx, s.state, `SELECT id, title, '', '', type, size, modified, fields, terms FROM document ORDER BY rowid`,
		func(r search.Record) error {
			published[r.ID] = true
			return each(r)
		})
	if err != nil {
		return err
	}
	return load(ctx, s.index, `
		SELECT id, title, folder, path, type, size, modified, fields, terms FROM search_document ORDER BY number`,
		func(r search.Record) error {
			if published[r.ID] {
				return nil
			}
			return each(r)
		})
}

func load(ctx context.Context, d *DB, query string, each func(search.Record) error) error {
	var failed error // of each, which is returned as it is
	err := eachRow(ctx, d, func(rows *sql.Rows) error {
		var r search.Record
		var modified int64
		var terms sql.RawBytes
		if err := rows.Scan(&r.ID, &r.Title, &r.Folder, &r.Path, &r.Type, &r.Size, &modified, &r.Fields, &terms); err != nil {
			return err
		}
		r.Modified, r.Terms = time.Unix(0, modified).UTC(), terms
		failed = each(r)
		return failed
	}, query)
	if err != nil && failed == nil {
		return fmt.Errorf("store: load documents: %w", err)
	}
	return err
}

// Get implements search.Store.
func (s searchStore) Get(ctx context.Context, id string) (search.Record, error) {
	r, err := get(ctx, s.state, `
		SELECT title, '', '', type, size, modified, fields, terms, text FROM document WHERE id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		r, err = get(ctx, s.index, `
			SELECT title, folder, path, type, size, modified, fields, terms, text
			FROM search_document LEFT JOIN search_text USING (number) WHERE id = ?`, id)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = search.ErrNotFound
	}
	if err != nil {
		return search.Record{}, fmt.Errorf("store: document %.80q: %w", id, err)
	}
	return r, nil
}

func get(ctx context.Context, d *DB, query, id string) (search.Record, error) {
	r := search.Record{ID: id}
	var modified int64
	err := d.Read(ctx, func(q Queryer) error {
		return q.QueryRowContext(ctx, query, id).
			Scan(&r.Title, &r.Folder, &r.Path, &r.Type, &r.Size, &modified, &r.Fields, &r.Terms, &r.Text)
	})
	r.Modified = time.Unix(0, modified).UTC()
	return r, err
}

// Terms implements search.Store.
func (s searchStore) Terms(ctx context.Context, ids []string) (map[string][]byte, error) {
	return s.blobs(ctx, ids,
		`SELECT id, terms FROM document WHERE id IN (SELECT value FROM json_each(?))`,
		`SELECT id, terms FROM search_document WHERE id IN (SELECT value FROM json_each(?))`)
}

// Texts implements search.Store.
func (s searchStore) Texts(ctx context.Context, ids []string) (map[string][]byte, error) {
	return s.blobs(ctx, ids,
		`SELECT id, text FROM document WHERE id IN (SELECT value FROM json_each(?))`, `
		SELECT id, text FROM search_document LEFT JOIN search_text USING (number)
		WHERE id IN (SELECT value FROM json_each(?))`)
}

// blobs returns one blob of each document of ids: of the published ones by the
// first query and of the others by the second.
func (s searchStore) blobs(ctx context.Context, ids []string, published, files string) (map[string][]byte, error) {
	found := make(map[string][]byte, len(ids))
	add := func(rows *sql.Rows) error {
		var id string
		var b []byte
		err := rows.Scan(&id, &b)
		found[id] = b
		return err
	}
	err := eachOf(ctx, s.state, published, ids, add)
	var rest []string
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			rest = append(rest, id)
		}
	}
	if err == nil {
		err = eachOf(ctx, s.index, files, rest, add)
	}
	if err != nil {
		return nil, fmt.Errorf("store: read %d documents: %w", len(ids), err)
	}
	return found, nil
}
