package query

import (
	"errors"
	"fmt"
)

// ErrInvalid is what every Error wraps.
var ErrInvalid = errors.New("query not understood")

// Error says what in a query is not understood, and what would have been.
type Error struct {
	Start, End int    // of the place, in code points of the text: [Start, End)
	Text       string // what stands there
	Expected   string // what could, such as "a size such as 10mb"
}

// Error says all of it. Places are counted from 1, as people do.
func (e *Error) Error() string {
	return fmt.Sprintf("character %d, %q: expected %s", e.Start+1, e.Text, e.Expected)
}

// Unwrap returns ErrInvalid.
func (e *Error) Unwrap() error { return ErrInvalid }

// fail returns an Error about the code points [start, end) of text.
func fail(text []rune, start, end int, expected string) *Error {
	return &Error{Start: start, End: end, Text: string(text[start:min(end, start+maxShown)]), Expected: expected}
}

// maxShown is the number of code points of a place that an Error repeats.
const maxShown = 40
