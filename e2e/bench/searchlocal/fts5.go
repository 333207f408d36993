//go:build unix && sqlite_fts5

package main

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// compare does with SQLite's full-text search what was done with the node's: the same documents in
// batches of the same size, queries that rank, count and cut out a piece of the best twenty.
func compare(c *corpus, file string, b *bench, asked []question) (answers []answer, err error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?_journal=WAL&_sync=1")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE VIRTUAL TABLE f USING fts5 (title, path, body, tokenize = 'unicode61')`); err != nil {
		return nil, err
	}
	var clock stopwatch
	text := 0
	for batch := range slices.Chunk(c.numbers(b.documents), batchSize) {
		var rows [][3]string
		for _, n := range batch {
			d := c.document(n)
			rows = append(rows, [3]string{d.Title, d.Path, d.Text})
			text += len(d.Text)
		}
		clock.start()
		err := insert(db, rows)
		clock.stop()
		if err != nil {
			return nil, err
		}
	}
	var content, all int64
	if err := db.QueryRow(`SELECT sum(length(c0) + length(c1) + length(c2)) FROM f_content`).Scan(&content); err != nil {
		return nil, err
	}
	if err := db.QueryRow(`SELECT sum(length(block)) FROM f_data`).Scan(&all); err != nil {
		return nil, err
	}
	mb := float64(text) / 1e6
	fmt.Printf("FTS5: indexed in %.1f s, %.1f s of CPU: %.1f MB/s of a core; index %.1f MB, %.1f %% of the text; the texts themselves %.1f MB\n",
		clock.wall.Seconds(), clock.cpu.Seconds(), mb/clock.cpu.Seconds(), float64(all)/1e6, 100*float64(all)/float64(text), float64(content)/1e6)
	return ask(asked, b.rounds, func(q question) (int, error) {
		if q.fts == "" {
			return 0, nil
		}
		return find(db, q.fts)
	})
}

func insert(db *sql.DB, rows [][3]string) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := tx.Exec(`INSERT INTO f (title, path, body) VALUES (?, ?, ?)`, r[0], r[1], r[2]); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// find counts what matches, and reads the first twenty.
func find(db *sql.DB, match string) (total int, err error) {
	if err := db.QueryRow(`SELECT count(*) FROM f WHERE f MATCH ?`, match).Scan(&total); err != nil {
		return 0, err
	}
	rows, err := db.Query(`
		SELECT title, path, snippet(f, 2, '[', ']', '…', 30) FROM f WHERE f MATCH ?
		ORDER BY bm25(f, 10, 2, 1) LIMIT 20`, match)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var title, path, snippet string
		if err := rows.Scan(&title, &path, &snippet); err != nil {
			return 0, err
		}
	}
	return total, rows.Err()
}
