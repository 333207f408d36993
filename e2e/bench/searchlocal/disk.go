//go:build unix

package main

import (
	"database/sql"
	"errors"

	_ "github.com/mattn/go-sqlite3"
)

// onDisk returns the bytes of the words and of the texts in index.db.
func onDisk(file string) (terms, texts int64, err error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?mode=ro")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRow(`SELECT coalesce(sum(length(terms)), 0) FROM search_document`).Scan(&terms); err != nil {
		return 0, 0, err
	}
	err = db.QueryRow(`SELECT coalesce(sum(length(text)), 0) FROM search_text`).Scan(&texts)
	return terms, texts, err
}
