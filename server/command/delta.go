package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/delta/lesson"
)

// deltaCmd brings a file up to date by what has changed in it. It needs no node.
type deltaCmd struct {
	Sign    deltaSignCmd    `cmd:"" help:"Write the signature of an old file."`
	Diff    deltaDiffCmd    `cmd:"" help:"Write what makes a new file out of the old one, whose signature is enough."`
	Patch   deltaPatchCmd   `cmd:"" help:"Make the new file out of the old one and the delta."`
	Show    deltaShowCmd    `cmd:"" help:"Show what a delta copies and what it brings."`
	Similar deltaSimilarCmd `cmd:"" help:"Show what two files or directories have in common."`
	Explain deltaExplainCmd `cmd:"" help:"Show step by step how a new text is made out of an old one."`
}

// collectSeldom lets more garbage gather before it is collected, until restore is
// called. A verb that reads one file keeps nearly all that it makes until its end:
// collections before that find little, and cost 2 to 4 ms of the 140 that a signature
// or a delta of 256 MiB takes. Whoever sets GOGC knows better.
func (c *console) collectSeldom() (restore func()) {
	if c.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(400)
	return func() { debug.SetGCPercent(before) }
}

type deltaSignCmd struct {
	File      string       `arg:"" help:"The old file; - is the standard input."`
	Signature string       `arg:"" optional:"" name:"sig" help:"The file to write (default: the standard output)."`
	Block     *blockLength `short:"b" placeholder:"BYTES" help:"Length of the blocks in bytes, from 1 to 1048576 (default: about the square root of the file's length)."`
	deltaOutput
}

// Run writes a signature.
func (s deltaSignCmd) Run(c *console) error {
	defer c.collectSeldom()()
	block, err := s.Block.of(delta.MaxBlock)
	if err != nil {
		return err
	}
	began := time.Now()
	old, err := c.source(s.File)
	if err != nil {
		return err
	}
	defer old.close()
	var figures signFigures
	err = c.output(s.Signature, s.deltaOutput, []string{s.File}, old.mode, func(w io.Writer) error {
		// The new file is verified by its own sum. That of the old one would cost as much as all else.
		sig, err := delta.Sign(old, delta.SignOptions{Size: max(old.size, 0), Block: block, Bare: true})
		if err != nil {
			return fmt.Errorf("sign %s: %w", s.File, plainDelta(err))
		}
		if old.size >= 0 && sig.Size() != old.size {
			return fmt.Errorf("sign %s: it changed while it was read", s.File)
		}
		figures = signFigures{Size: sig.Size(), Block: sig.Block(), Blocks: sig.Blocks()}
		figures.Written, err = sig.WriteTo(w)
		return err
	})
	if err != nil || !s.JSON {
		return err
	}
	figures.TookMS = sinceMS(began)
	return c.figures(figures)
}

type deltaDiffCmd struct {
	Signature string `arg:"" help:"What \"shoal delta sign\" wrote; - is the standard input."`
	NewFile   string `arg:"" name:"newfile" help:"The new file."`
	Delta     string `arg:"" optional:"" help:"The file to write (default: the standard output)."`
	deltaOutput
}

// Run writes a delta.
func (d deltaDiffCmd) Run(c *console) error {
	defer c.collectSeldom()()
	if d.NewFile == "-" {
		return UsageError{"the new file cannot come through a pipe: its length is told first"}
	}
	began := time.Now()
	if err := c.checkOutput(d.Delta, d.deltaOutput, d.Signature, d.NewFile); err != nil {
		return err
	}
	sig, err := c.readSignature(d.Signature, d.NewFile)
	if err != nil {
		return err
	}
	target, err := c.source(d.NewFile)
	if err != nil {
		return err
	}
	defer target.close()
	var summary delta.Summary
	var written int64
	err = c.output(d.Delta, d.deltaOutput, []string{d.Signature, d.NewFile}, target.mode, func(w io.Writer) error {
		counted := &countingWriter{w: w}
		summary, err = delta.Encode(counted, sig, target, target.size)
		written = counted.n
		switch {
		case errors.Is(err, delta.ErrLength):
			return fmt.Errorf("compare %s: it changed while it was read: %w", d.NewFile, err)
		case err != nil:
			return fmt.Errorf("compare %s: %w", d.NewFile, plainDelta(err))
		}
		return nil
	})
	if err != nil || !d.JSON {
		return err
	}
	return c.figures(diffFigures{
		Size: target.size, BaseSize: sig.Size(), Block: sig.Block(), Blocks: sig.Blocks(),
		Matched: summary.Copied, Literal: summary.Data, Written: written, TookMS: sinceMS(began),
	})
}

// readSignature reads a signature. Where it is none, the file that comes after it
// on the command line may be.
func (c *console) readSignature(name, next string) (*delta.Signature, error) {
	in, closeInput, err := c.input(name)
	if err != nil {
		return nil, err
	}
	defer closeInput()
	const order = "the order is shoal delta diff SIGNATURE NEWFILE [DELTA]"
	switch begin, _ := in.Peek(delta.MagicSize); { // an error comes again when it is read
	case delta.IsDelta(begin):
		return nil, fmt.Errorf("%s is a delta, not a signature: %s", name, order)
	case len(begin) > 0 && !delta.IsSignature(begin) && delta.IsSignature(firstBytes(next)):
		return nil, fmt.Errorf("%s is a signature, and %s is not: %s", next, name, order)
	case len(begin) == delta.MagicSize && !delta.IsSignature(begin):
		return nil, fmt.Errorf("%s is not a signature, which shoal delta sign writes", name)
	}
	sig, err := delta.ReadSignature(in)
	if err == nil {
		err = atEnd(in)
	}
	if err != nil {
		return nil, fmt.Errorf("read the signature %s: %w", name, plainDelta(err))
	}
	return sig, nil
}

// firstBytes is how a regular file begins; nil if it cannot be read.
func firstBytes(name string) []byte {
	f, _, err := openRegular(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	begin := make([]byte, delta.MagicSize)
	n, _ := io.ReadFull(f, begin) // what is shorter is neither
	return begin[:n]
}

// checkDelta refuses what is no delta. Files that are other arguments may be it;
// order is what to say then.
func checkDelta(in *bufio.Reader, name, order string, others ...string) error {
	begin, _ := in.Peek(delta.MagicSize) // an error comes again when it is read
	if delta.IsSignature(begin) {
		return fmt.Errorf("%s is a signature, not a delta: %s", name, order)
	}
	if len(begin) == 0 || delta.IsDelta(begin) {
		return nil
	}
	for _, other := range others {
		if delta.IsDelta(firstBytes(other)) {
			return fmt.Errorf("%s is a delta, and %s is not: %s", other, name, order)
		}
	}
	if len(begin) == delta.MagicSize {
		return fmt.Errorf("%s is not a delta, which shoal delta diff writes", name)
	}
	return nil
}

// plainDelta leaves out where in package delta an error was found.
func plainDelta(err error) error {
	text := err.Error()
	for _, before := range []string{"delta: ", "read signature: ", "decode: ", "encode: ", "sign: ", "patch: "} {
		text = strings.TrimPrefix(text, before)
	}
	if text == err.Error() || errors.Is(err, context.Canceled) {
		return err
	}
	return outcome{err, text}
}

type deltaPatchCmd struct {
	OldFile string `arg:"" name:"oldfile" help:"The old file, as it was when it was signed."`
	Delta   string `arg:"" help:"What \"shoal delta diff\" wrote; - is the standard input."`
	NewFile string `arg:"" name:"newfile" help:"The file to make."`
	Force   bool   `help:"Replace the new file if it is there already; it may be the old one."`
	JSON    bool   `name:"json" help:"Print figures as JSON: sizes, copied and literal bytes, milliseconds."`
}

// Run makes the new file. Nobody sees it before it is whole, checked and on the
// disk.
func (p deltaPatchCmd) Run(c *console) error {
	began := time.Now()
	replaced, err := placeFor(p.NewFile, p.Force, p.Delta)
	if err != nil {
		return err
	}
	if p.OldFile == "-" {
		return UsageError{"the old file cannot come through a pipe: it is read here and there"}
	}
	old, size, err := openRegular(p.OldFile)
	if err != nil {
		return err
	}
	defer old.Close()
	mode := replaced
	if mode == 0 {
		st, err := old.Stat()
		if err != nil {
			return err
		}
		mode = st.Mode().Perm()
	}
	in, closeInput, err := c.input(p.Delta)
	if err != nil {
		return err
	}
	defer closeInput()
	if err := checkDelta(in, p.Delta, "the order is shoal delta patch OLDFILE DELTA NEWFILE", p.OldFile); err != nil {
		return err
	}
	figures := patchFigures{BaseSize: size}
	err = c.replace(p.NewFile, mode, p.Force, func(w io.Writer) error {
		counted := &countingWriter{w: w}
		base := &countingReaderAt{r: old}
		if err := apply(old, base, size, in, counted); err != nil {
			return fmt.Errorf("apply %s to %s: %w", p.Delta, p.OldFile, plainDelta(err))
		}
		figures.Size, figures.Matched, figures.Literal = counted.n, base.n, counted.n-base.n
		return nil
	})
	if err != nil || !p.JSON {
		return err
	}
	figures.TookMS = sinceMS(began)
	return c.figures(figures)
}

// apply writes what the delta makes out of the old file, which has size bytes and
// is read through base.
func apply(old *os.File, base io.ReaderAt, size int64, in *bufio.Reader, w io.Writer) error {
	d, err := delta.NewReader(in)
	if err != nil {
		return err
	}
	if want := d.Header().BaseSize; want != size {
		return fmt.Errorf("the old file has %d bytes, the one that was signed had %d", size, want)
	}
	_, err = d.Patch(base, w)
	if errors.Is(err, delta.ErrMismatch) || errors.Is(err, delta.ErrOutside) {
		if d.Header().Base == (delta.Sum{}) {
			return fmt.Errorf("the old file is not the one that was signed, or the delta was damaged: %w", err)
		}
		if other, sumErr := isOther(old, d.Header().Base); sumErr != nil || other {
			return errors.Join(errors.New("the old file is not the one that was signed"), sumErr)
		}
	}
	if err != nil {
		return err
	}
	return atEnd(in)
}

// isOther reports whether the file has another sum.
func isOther(f *os.File, sum delta.Sum) (bool, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	sig, err := delta.Sign(f, delta.SignOptions{Block: delta.MaxBlock})
	if err != nil {
		return false, err
	}
	return sig.Sum() != sum, nil
}

func errThere(path string) error {
	return fmt.Errorf("%s is there already; --force replaces it", path)
}

// replace writes a file beside path, and gives it the name when it is whole and
// on the disk. Without force, a file that has the name by then keeps it.
func (c *console) replace(path string, mode fs.FileMode, force bool, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return notWritten(path, err)
	}
	b := bufio.NewWriterSize(writeWhile{c.ctx, namedWriter{f, path}}, delta.MaxData)
	if err = write(b); err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = notWritten(path, errors.Join(f.Chmod(mode), f.Sync()))
	}
	if closed := f.Close(); closed != nil && err == nil {
		err = notWritten(path, closed)
	}
	if err == nil {
		err = c.ctx.Err()
	}
	if err == nil {
		err = notWritten(path, install(f.Name(), path, force))
	}
	if err != nil {
		if gone := os.Remove(f.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone) // this name has to be known now
		}
		return err
	}
	return notWritten(path, syncDir(filepath.Dir(path)))
}

// notWritten says that the file at path was not written, and why: err may be about
// the name that it has meanwhile. nil stays nil.
func notWritten(path string, err error) error {
	var usual *fs.PathError
	var link *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &link):
		err = link.Err
	case errors.As(err, &usual):
		err = usual.Err
	default:
		return err // it says what it is about
	}
	if errors.Is(err, fs.ErrNotExist) {
		return outcome{err, fmt.Sprintf("write %s: there is no directory %s", path, filepath.Dir(path))}
	}
	return fmt.Errorf("write %s: %w", path, err)
}

// namedWriter writes to a file that will be called path.
type namedWriter struct {
	f    *os.File
	path string
}

func (w namedWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	return n, notWritten(w.path, err)
}

// install gives the file temp the name path.
func install(temp, path string, force bool) error {
	if force {
		return os.Rename(temp, path)
	}
	// A link is refused if the name is taken, a rename is not.
	err := os.Link(temp, path)
	if err == nil {
		return os.Remove(temp)
	}
	if _, there := os.Lstat(path); !errors.Is(there, fs.ErrNotExist) {
		return errThere(path)
	}
	return os.Rename(temp, path) // the file system has no links
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories cannot be flushed
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type deltaShowCmd struct {
	Delta string `arg:"" help:"What \"shoal delta diff\" wrote; - is the standard input."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run prints the operations as they are read, then the totals.
func (s deltaShowCmd) Run(c *console) error {
	in, closeInput, err := c.input(s.Delta)
	if err != nil {
		return err
	}
	defer closeInput()
	if err := checkDelta(in, s.Delta, "shoal delta show shows what shoal delta diff writes"); err != nil {
		return err
	}
	out := bufio.NewWriter(writeWhile{c.ctx, c.Stdout})
	show := showText
	if s.JSON {
		show = showJSON
	}
	d, err := delta.NewReader(in)
	if err == nil {
		err = show(d, out)
	}
	if err == nil {
		err = atEnd(in)
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("show %s: %w", s.Delta, plainDelta(err))
	}
	return nil
}

// shownOp is an operation as it is shown.
type shownOp struct {
	Op     string `json:"op"`               // "copy" or "data"
	At     int64  `json:"at"`               // where in the new file
	Length int64  `json:"length"`           // in bytes
	Offset *int64 `json:"offset,omitempty"` // where in the old file, of a copy
	text   string // how the data begins
}

// shownTotals is what the operations come to.
type shownTotals struct {
	Size     int64  `json:"size"`
	BaseSize int64  `json:"base_size"`
	Matched  int64  `json:"matched_bytes"`
	Literal  int64  `json:"literal_bytes"`
	Base     string `json:"base_blake3"` // empty: the signature had none
	Sum      string `json:"blake3"`
}

// shownText is how much of the data is shown, in bytes.
const shownText = 24

// eachOp calls show for every operation. Data that comes in pieces is one.
func eachOp(d *delta.Reader, show func(shownOp) error) (shownTotals, error) {
	h := d.Header()
	t := shownTotals{Size: h.Size, BaseSize: h.BaseSize}
	if h.Base != (delta.Sum{}) {
		t.Base = h.Base.String()
	}
	var last shownOp
	for op, err := range d.Ops() {
		if err != nil {
			return t, err
		}
		at := t.Matched + t.Literal
		t.Matched += op.Length
		t.Literal += int64(len(op.Data))
		if last.Op == "data" && op.Data != nil {
			last.Length += op.Size()
			continue
		}
		if last.Op != "" {
			if err := show(last); err != nil {
				return t, err
			}
		}
		last = shownOp{Op: "copy", At: at, Length: op.Size(), Offset: &op.Offset}
		if op.Data != nil {
			last.Op, last.Offset, last.text = "data", nil, beginning(op.Data)
		}
	}
	sum, _ := d.Sum()
	t.Sum = sum.String()
	if last.Op == "" {
		return t, nil
	}
	return t, show(last)
}

// beginning shows the first bytes.
func beginning(data []byte) string { return lesson.Quote(data, shownText) }

func showText(d *delta.Reader, w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%12s  %-4s  %12s  %s\n", "AT", "OP", "LENGTH", "FROM"); err != nil {
		return err
	}
	t, err := eachOp(d, func(o shownOp) error {
		from := o.text
		if o.Offset != nil {
			from = strconv.FormatInt(*o.Offset, 10)
		}
		_, err := fmt.Fprintf(w, "%12d  %-4s  %12d  %s\n", o.At, o.Op, o.Length, from)
		return err
	})
	if err != nil {
		return err
	}
	base := ""
	if t.Base != "" {
		base = ", BLAKE3 " + t.Base
	}
	_, err = fmt.Fprintf(w, "new file  %d bytes, BLAKE3 %s\nold file  %d bytes%s\nmatched   %d bytes\nliteral   %d bytes\n",
		t.Size, t.Sum, t.BaseSize, base, t.Matched, t.Literal)
	return err
}

// showJSON writes one object as it goes: {"ops":[…],"totals":{…}}.
func showJSON(d *delta.Reader, w io.Writer) error {
	before := `{"ops":[`
	t, err := eachOp(d, func(o shownOp) error {
		err := writeJSON(w, before, o)
		before = ","
		return err
	})
	if err != nil {
		return err
	}
	if before == "," {
		before = ""
	}
	if err := writeJSON(w, before+`],"totals":`, t); err != nil {
		return err
	}
	_, err = io.WriteString(w, "}\n")
	return err
}

func writeJSON(w io.Writer, before string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, before+string(text))
	return err
}

// notATerminal refuses to write what is not text where a person would see it.
func (c *console) notATerminal() error {
	if f, ok := c.Stdout.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return UsageError{"the output is not text: send it to a file with > FILE"}
	}
	return nil
}

// openRegular opens a file that has a length and an end.
func openRegular(path string) (*os.File, int64, error) {
	// Looked at first, because opening a pipe waits for somebody to write to it.
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, notRead(path, err)
	}
	if !st.Mode().IsRegular() {
		return nil, 0, notRegular(path, st)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, notRead(path, err)
	}
	if st, err = f.Stat(); err != nil {
		return nil, 0, errors.Join(notRead(path, err), f.Close())
	}
	return f, st.Size(), nil
}

func notRead(path string, err error) error { return fmt.Errorf("read %s: %w", path, reason(err)) }

func notRegular(path string, st fs.FileInfo) error {
	if st.IsDir() {
		return fmt.Errorf("%s is a directory, not a regular file", path)
	}
	return fmt.Errorf("%s is not a regular file", path)
}

// input opens a file, or the standard input as "-".
func (c *console) input(name string) (in *bufio.Reader, closeInput func(), err error) {
	if name == "-" {
		return bufio.NewReader(c.patient(c.Stdin)), func() {}, nil
	}
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, nil, notRead(name, err)
	case st.IsDir():
		return nil, nil, notRegular(name, st)
	}
	f, err := c.open(name)
	if err != nil {
		return nil, nil, notRead(name, err)
	}
	r := io.Reader(readWhile{c.ctx, f})
	if !st.Mode().IsRegular() {
		r = c.patient(f)
	}
	return bufio.NewReader(r), func() { f.Close() }, nil
}

// open opens a file as long as the context lasts: a pipe is opened when somebody
// opens its other end.
func (c *console) open(name string) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.Open(name)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-c.ctx.Done():
		return nil, c.ctx.Err() // the program ends, and with it what still waits
	}
}

// patient returns a reader of what may come late, such as of a pipe. The end of the
// context ends a read that waits; what is read by then is lost.
func (c *console) patient(r io.Reader) io.Reader {
	return &patientReader{ctx: c.ctx, r: r, got: make(chan readResult, 1)}
}

type patientReader struct {
	ctx context.Context
	r   io.Reader
	buf [64 << 10]byte
	got chan readResult
	// left is what was read and not yet asked for; err comes after it.
	left []byte
	err  error
}

type readResult struct {
	n   int
	err error
}

func (p *patientReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	if len(p.left) == 0 && p.err == nil {
		go func() {
			n, err := p.r.Read(p.buf[:])
			p.got <- readResult{n, err}
		}()
		select {
		case r := <-p.got:
			p.left, p.err = p.buf[:r.n], r.err
		case <-p.ctx.Done():
			p.err = p.ctx.Err() // the buffer is not looked at again
		}
	}
	if len(p.left) == 0 {
		return 0, p.err
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

// atEnd refuses what follows after the end.
func atEnd(in *bufio.Reader) error {
	switch _, err := in.ReadByte(); {
	case err == nil:
		return errors.New("something follows after its end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// readWhile reads as long as ctx lasts.
type readWhile struct {
	ctx context.Context
	r   io.Reader
}

func (w readWhile) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}

// writeWhile writes as long as ctx lasts.
type writeWhile struct {
	ctx context.Context
	w   io.Writer
}

func (w writeWhile) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
