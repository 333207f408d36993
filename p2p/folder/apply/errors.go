package apply

import (
	"errors"
	"fmt"
)

var (
	// ErrUnexpected: something else is there than was expected, so that nothing was done,
	// or what was done was taken back. Nothing is lost.
	ErrUnexpected = errors.New("not what was expected")
	// ErrInTheWay: a component of a path is not a directory, or one that is not entered:
	// a symbolic link, a file, a mount point.
	ErrInTheWay = errors.New("something is in the way")
	// ErrPath: a path that a method does not take. It is a mistake of the program.
	ErrPath = errors.New("unusable path")
)

// unexpected says what is at path instead of what was expected.
func unexpected(path string, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", path, ErrUnexpected, fmt.Sprintf(format, args...))
}
