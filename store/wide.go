package store

import (
	"context"
	"database/sql"
	"strings"
)

// wide is a statement over many rows of parameters: a call of SQLite costs as much as
// what it does for a row.
type wide struct {
	columns int
	texts   [len(widths)]string
}

// widths are how many rows there are in the forms of a statement. Few, since each is
// kept prepared.
var widths = [...]int{1, 4, 16, 64, 256}

// newWide makes a statement: before, the rows, after. row is a row, such as "(?, ?)".
func newWide(before, row, after string) wide {
	w := wide{columns: strings.Count(row, "?")}
	for i, n := range widths {
		w.texts[i] = before + strings.Repeat(row+", ", n-1) + row + after
	}
	return w
}

// each calls fn with the texts, and the arguments for each, that are together about all
// rows of args.
func (w *wide) each(args []any, fn func(text string, args []any) error) error {
	for i := len(widths) - 1; i >= 0; i-- {
		for n := widths[i] * w.columns; len(args) >= n; args = args[n:] {
			if err := fn(w.texts[i], args[:n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// exec runs the statement for all rows of args.
func (w *wide) exec(ctx context.Context, tx *sql.Tx, args []any) error {
	return w.each(args, func(text string, args []any) error {
		_, err := tx.ExecContext(ctx, text, args...)
		return err
	})
}

// query runs the statement for all rows of args, and calls fn for each row that it finds.
func (w *wide) query(ctx context.Context, q Queryer, args []any, fn func(*sql.Rows) error) error {
	return w.each(args, func(text string, args []any) error {
		rows, err := q.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := fn(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
