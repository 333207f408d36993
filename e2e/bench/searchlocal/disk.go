//go:build unix

package main

import (
	"database/sql"
	"errors"

	_ "github.com/mattn/go-sqlite3"
)

// onDisk returns the bytes in index.db of the words that documents have, of the list of all words, of the
// texts, and of the whole file.
func onDisk(file string) (terms, words, texts, all int64, err error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?mode=ro")
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, one := range []struct {
		to    *int64
		query string
	}{
		{&terms, `SELECT coalesce(sum(length(terms)), 0) FROM search_document`},
		{&words, `SELECT coalesce(sum(length(pack)), 0) FROM search_word`},
		{&texts, `SELECT coalesce(sum(length(text)), 0) FROM search_text`},
		{&all, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`},
	} {
		if err := db.QueryRow(one.query).Scan(one.to); err != nil {
			return 0, 0, 0, 0, err
		}
	}
	return terms, words, texts, all, nil
}
