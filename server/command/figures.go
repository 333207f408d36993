package command

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

// deltaOutput is how a verb of "shoal delta" writes its result.
type deltaOutput struct {
	Force bool `help:"Replace the file to write if it is there already."`
	JSON  bool `name:"json" help:"Print figures as JSON: sizes, blocks, bytes, milliseconds. The result goes to a file then."`
}

// The figures that --json prints. Sizes are in bytes.
type (
	signFigures struct {
		Size    int64   `json:"size"`  // of the old file
		Block   int     `json:"block"` // length of a block
		Blocks  int     `json:"blocks"`
		Written int64   `json:"signature_bytes"`
		TookMS  float64 `json:"took_ms"`
	}
	diffFigures struct {
		Size     int64   `json:"size"`      // of the new file
		BaseSize int64   `json:"base_size"` // of the old file
		Block    int     `json:"block"`
		Blocks   int     `json:"blocks"` // of the old file
		Matched  int64   `json:"matched_bytes"`
		Literal  int64   `json:"literal_bytes"`
		Written  int64   `json:"delta_bytes"`
		TookMS   float64 `json:"took_ms"`
	}
	patchFigures struct {
		Size     int64   `json:"size"`
		BaseSize int64   `json:"base_size"`
		Matched  int64   `json:"matched_bytes"`
		Literal  int64   `json:"literal_bytes"`
		TookMS   float64 `json:"took_ms"`
	}
)

func (c *console) figures(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "%s\n", text)
	return err
}

func sinceMS(began time.Time) float64 {
	return float64(time.Since(began).Microseconds()) / 1000
}

// source is a file that is read from its beginning to its end.
type source struct {
	io.Reader
	size  int64       // in bytes, -1 if that is not known
	mode  fs.FileMode // for what is made out of it
	close func()
}

// source opens a regular file, or the standard input as "-".
func (c *console) source(name string) (source, error) {
	if name == "-" {
		return source{c.patient(c.Stdin), -1, 0o600, func() {}}, nil
	}
	f, size, err := openRegular(name)
	if err != nil {
		return source{}, err
	}
	st, err := f.Stat()
	if err != nil {
		return source{}, errors.Join(err, f.Close())
	}
	return source{readWhile{c.ctx, f}, size, st.Mode().Perm(), func() { f.Close() }}, nil
}

// checkOutput refuses early what output would refuse.
func (c *console) checkOutput(path string, o deltaOutput, inputs ...string) error {
	if path != "" {
		_, err := placeFor(path, o.Force, inputs...)
		return err
	}
	if o.JSON {
		return UsageError{"--json prints figures where the result would go: name a file for that"}
	}
	return c.notATerminal()
}

// output has the result written to path, where it appears when it is whole, or to
// the standard output if path is empty. A new file gets the mode of what it is
// made out of: a signature, too, tells what is in there.
func (c *console) output(path string, o deltaOutput, inputs []string, mode fs.FileMode, write func(io.Writer) error) error {
	if err := c.checkOutput(path, o, inputs...); err != nil {
		return err
	}
	if path != "" {
		replaced, err := placeFor(path, o.Force, inputs...)
		if err != nil {
			return err
		}
		if replaced != 0 {
			mode = replaced
		}
		return c.replace(path, mode, o.Force, write)
	}
	out := bufio.NewWriterSize(c.Stdout, delta.MaxData)
	if err := write(out); err != nil {
		return errors.Join(err, out.Flush())
	}
	return out.Flush()
}

// placeFor refuses a path at which no file can be made, or at which one of the inputs is:
// what is made of a file does not replace it, whoever forces it. It returns the mode of the
// file that is replaced, or 0.
func placeFor(path string, force bool, inputs ...string) (fs.FileMode, error) {
	if path == "-" {
		return 0, UsageError{"- is no name for what is written: leave the name out for the standard output, or write ./-"}
	}
	for _, in := range inputs {
		if sameFile(path, in) {
			return 0, UsageError{fmt.Sprintf("%s would be overwritten, and is needed: name another file to write", in)}
		}
	}
	switch st, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, notWritten(path, err)
	case !st.Mode().IsRegular():
		return 0, fmt.Errorf("%s is there already and is not a regular file", path)
	case !force:
		return 0, errThere(path)
	default:
		return st.Mode().Perm(), nil
	}
}

// countingWriter counts what is written.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// countingReaderAt counts what is read. It has one user at a time.
type countingReaderAt struct {
	r io.ReaderAt
	n int64
}

func (c *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// sameFile reports whether two names are of one file, also by another link.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
