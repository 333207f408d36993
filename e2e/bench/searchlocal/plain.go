//go:build unix && !sqlite_fts5

package main

import "fmt"

// compare has nothing to compare with.
func compare(*corpus, string, *bench, []question) ([]answer, error) {
	fmt.Println("FTS5: not in this binary (-tags sqlite_fts5)")
	return nil, nil
}
