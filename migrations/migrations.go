// Package migrations holds the schema of a node's three databases as SQL files,
// each table explained where it is made.
//
// A file is named NNNN_DATABASE_NOUN.sql: 0002_state_member.sql is the second
// step and belongs to state.db. Numbers are never reused and a released file is
// never edited: what changes is a new file with the next number.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

//go:embed *.sql
var files embed.FS

// Migration is one step of a schema.
type Migration struct {
	Name string // the file's name, which is what a database records
	SQL  string
}

// For returns the steps of the database called name ("state", "dht" or "index"),
// in the order in which they are applied.
func For(name string) ([]Migration, error) { return read(files, name) }

// read is For on any file system.
func read(fsys fs.FS, database string) ([]Migration, error) {
	names, err := fs.Glob(fsys, "*.sql") // sorted by name, hence by number
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	var steps []Migration
	numbers := make(map[int]string)
	for _, name := range names {
		number, of, err := parse(name)
		if err != nil {
			return nil, err
		}
		if other, taken := numbers[number]; taken {
			return nil, fmt.Errorf("migrations: %s and %s have the same number", other, name)
		}
		numbers[number] = name
		if of != database {
			continue
		}
		sql, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		steps = append(steps, Migration{Name: name, SQL: string(sql)})
	}
	return steps, nil
}

// parse takes NNNN_DATABASE_NOUN.sql apart.
func parse(name string) (number int, database string, err error) {
	parts := strings.SplitN(strings.TrimSuffix(name, ".sql"), "_", 3)
	if len(parts) != 3 || len(parts[0]) != 4 || parts[2] == "" || !slices.Contains([]string{"state", "dht", "index"}, parts[1]) {
		return 0, "", fmt.Errorf("migrations: %s: not named NNNN_state_NOUN.sql, nor with dht or index in its place", name)
	}
	n, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil {
		return 0, "", fmt.Errorf("migrations: %s: number: %w", name, err)
	}
	return int(n), parts[1], nil
}
