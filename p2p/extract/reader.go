package extract

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// Options say how documents are read. The zero value reads plain text only.
type Options struct {
	// Command starts a child: a program that calls Main, and its arguments. Without
	// it, documents are Unavailable.
	Command []string
	// Wall and CPU limit the time that a file takes, and of the processor (60 s and
	// 15 s).
	Wall, CPU time.Duration
	// Files is how many files a child reads before it is ended (500), and Idle how
	// long it waits for the next (15 s).
	Files int
	Idle  time.Duration
	// MaxText is how many bytes of a text are kept (search.MaxText).
	MaxText int
	Logger  *slog.Logger
}

// Reader reads the text of files. Its methods may be called by several goroutines
// at once; they take turns with the child.
type Reader struct {
	options Options

	// turn holds the child, nil if there is none: who has taken it from there may
	// use it.
	turn   chan *child
	closed chan struct{}
	once   sync.Once
	told   sync.Once // what holds a child
}

// New returns a Reader. No child is started before it is needed.
func New(o Options) *Reader {
	if o.Wall <= 0 {
		o.Wall = time.Minute
	}
	if o.CPU <= 0 {
		o.CPU = 15 * time.Second
	}
	if o.Files <= 0 {
		o.Files = 500
	}
	if o.Idle <= 0 {
		o.Idle = 15 * time.Second
	}
	if o.MaxText <= 0 || o.MaxText > search.MaxText {
		o.MaxText = search.MaxText
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Reader{options: o, turn: make(chan *child, 1), closed: make(chan struct{})}
	r.turn <- nil
	return r
}

// Close ends the child, when it has read what it is reading. Read returns
// context.Canceled afterwards.
func (r *Reader) Close() {
	r.once.Do(func() {
		close(r.closed)
		if c := <-r.turn; c != nil {
			c.end()
		}
	})
}

// Read reads the file called name, of a size. The content cannot make it fail: of
// a file that cannot be read it returns its name and the Reason. The error is that
// of f or ctx.
func (r *Reader) Read(ctx context.Context, name string, f io.ReaderAt, size int64) (Text, error) {
	t, err := r.read(ctx, name, f, size)
	if err != nil {
		return t, fmt.Errorf("extract: %s: %w", name, err)
	}
	return t, nil
}

func (r *Reader) read(ctx context.Context, name string, f io.ReaderAt, size int64) (Text, error) {
	t := nameOnly(name)
	switch t.Type {
	case search.TypeImage, search.TypeAudio, search.TypeVideo, search.TypeArchive:
		return t, nil // nobody expects text in them
	case search.TypeDocument, search.TypePDF:
		if !canRead(name) {
			t.because(Unsupported, path.Ext(name)+" is not read")
			return t, nil
		}
		return r.document(ctx, name, f, size)
	}
	t, is, err := plain(name, io.NewSectionReader(f, 0, size), r.options.MaxText)
	if err == nil && !is && t.Type == search.TypePDF {
		return r.document(ctx, name, f, size)
	}
	return t, err
}

// canRead reports whether documents of the kind that a name promises can be read.
func canRead(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".pdf", ".docx", ".docm", ".dotx", ".odt", ".ott", ".odp", ".otp", ".ods", ".ots", ".odg",
		".pptx", ".pptm", ".ppsx", ".xlsx", ".xlsm", ".epub":
		return true
	}
	return false
}

// document has a child read a document. A child that somebody else has ended, such
// as the kernel when memory is short, gets another try.
func (r *Reader) document(ctx context.Context, name string, f io.ReaderAt, size int64) (Text, error) {
	t := nameOnly(name)
	if len(r.options.Command) == 0 {
		t.because(Unavailable, "this program reads no documents")
		return t, nil
	}
	if len(name) > maxName {
		t.because(Unsupported, "its name is too long")
		return t, nil
	}
	var c *child
	select {
	case c = <-r.turn:
	case <-ctx.Done():
		return t, ctx.Err()
	case <-r.closed:
		return t, context.Canceled
	}
	defer func() { r.leave(c) }()
	for try := 0; ; try++ {
		if c == nil {
			var err error
			if c, err = r.start(ctx); err != nil {
				if ctx.Err() != nil {
					return t, ctx.Err()
				}
				r.options.Logger.Warn("extract: no child", "error", err)
				t.because(Unavailable, err.Error())
				return t, nil
			}
		}
		got, err := c.read(ctx, name, f, size, r.options)
		var failed failure
		if !errors.As(err, &failed) {
			return got, err
		}
		c.end()
		c = nil
		if ctx.Err() != nil {
			return t, ctx.Err()
		}
		if failed.reason == Crashed && try == 0 {
			continue
		}
		t.because(failed.reason, failed.detail)
		r.options.Logger.Debug("extract: failed", "name", name, "reason", failed.reason, "detail", failed.detail)
		return t, nil
	}
}

// leave gives the child back to whoever is next.
func (r *Reader) leave(c *child) {
	if c != nil && c.files >= r.options.Files {
		c.end()
		c = nil
	}
	if c != nil {
		c.used++
		used := c.used
		time.AfterFunc(r.options.Idle, func() { r.rest(c, used) })
	}
	r.turn <- c
}

// rest ends a child that has not been used since.
func (r *Reader) rest(c *child, used int) {
	select {
	case now := <-r.turn:
		if now == c && c.used == used {
			c.end()
			now = nil
		}
		r.turn <- now
	default: // it is being used
	}
}

// child is a process that reads files.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   io.ReadCloser
	err   *tail
	files int // that it has read
	used  int // how often it was given back
}

const startLimit = 10 * time.Second

func (r *Reader) start(ctx context.Context) (*child, error) {
	o := r.options
	c := &child{cmd: exec.Command(o.Command[0], o.Command[1:]...), err: new(tail)}
	c.cmd.Args[0] = "shoal"
	c.cmd.Env = []string{"GOTRACEBACK=none", "GOMAXPROCS=2", "SystemRoot=" + os.Getenv("SystemRoot")}
	c.cmd.Dir = string(os.PathSeparator)
	c.cmd.Stderr = c.err
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	stop := c.limit(ctx, startLimit)
	what, held, err := read(c.out, maxHello, nil)
	late := stop()
	if err == nil && what != sayHello {
		err = errProtocol
	}
	if err != nil {
		c.end()
		return nil, fmt.Errorf("start a child: %w%s (late: %v)", err, c.err, late)
	}
	r.told.Do(func() { o.Logger.Info("extract: documents are read by a child", "held_by", string(held)) })
	return c, nil
}

// limit ends the child when ctx does or after a time, until stop is called, which
// says whether that has happened by the time.
func (c *child) limit(ctx context.Context, d time.Duration) (stop func() (late bool)) {
	kill := func() { _ = c.cmd.Process.Kill() } // it may have ended
	timer := time.AfterFunc(d, kill)
	free := context.AfterFunc(ctx, kill)
	return func() bool { free(); return !timer.Stop() }
}

// end ends the child and waits until it is gone.
func (c *child) end() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.in.Close()
	_ = c.out.Close()
	_ = c.cmd.Wait() // how it ended is in ProcessState
}

// failure is why a child could not read a file and has to be ended.
type failure struct {
	reason Reason
	detail string
}

func (f failure) Error() string { return f.detail }

// read has the child read one file. The error is that of f, or a failure.
func (c *child) read(ctx context.Context, name string, f io.ReaderAt, size int64, o Options) (Text, error) {
	stop := c.limit(ctx, o.Wall)
	t, unreadable, err := c.converse(name, f, size, o)
	late := stop()
	c.files++
	switch {
	case err != nil:
		return Text{}, c.why(late, err, o)
	case late:
		return Text{}, failure{TimedOut, fmt.Sprintf("it takes longer than %v to read", o.Wall)}
	case unreadable != nil:
		return Text{}, unreadable
	}
	if t.Title == "" {
		t.Title = path.Base(name)
	}
	return t, nil
}

// converse tells the child to read a file and shows it what it asks for.
// unreadable is the first error of f.
func (c *child) converse(name string, f io.ReaderAt, size int64, o Options) (t Text, unreadable, err error) {
	var limit [4]byte
	binary.BigEndian.PutUint32(limit[:], uint32(o.MaxText))
	if err := write(c.in, sayFile, uint64Bytes(size), limit[:], uint64Bytes(o.CPU.Milliseconds()), []byte(name)); err != nil {
		return t, nil, err
	}
	buf := make([]byte, maxRead)
	for {
		what, b, err := read(c.out, o.MaxText+maxName+maxHello, nil)
		if err != nil {
			return t, unreadable, err
		}
		switch {
		case what == sayText:
			t, err = parseText(b, o.MaxText)
			return t, unreadable, err
		case what != sayRead || len(b) != 16:
			return t, unreadable, errProtocol
		}
		at, n := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
		if at < 0 || n < 0 || n > maxRead || at > size-n {
			return t, unreadable, errProtocol
		}
		k, err := f.ReadAt(buf[:n], at)
		if int64(k) == n {
			err = write(c.in, sayData, buf[:n])
		} else {
			if unreadable == nil {
				if unreadable = err; err == nil {
					unreadable = io.ErrUnexpectedEOF
				}
			}
			err = write(c.in, sayEnd)
		}
		if err != nil {
			return t, unreadable, err
		}
	}
}

// why tells how a child has ended, from its exit code and what it complained of.
func (c *child) why(late bool, err error, o Options) failure {
	c.end()
	said := c.err.String()
	switch code := c.cmd.ProcessState.ExitCode(); {
	case late:
		return failure{TimedOut, fmt.Sprintf("it takes longer than %v to read", o.Wall)}
	case code == exitTime:
		return failure{TimedOut, fmt.Sprintf("it takes more than %v of the processor to read", o.CPU)}
	case code == exitMemory, strings.Contains(said, "out of memory"), strings.Contains(said, "cannot allocate memory"),
		strings.Contains(said, "failed to allocate"): // the last is what the race detector says
		return failure{OutOfMemory, fmt.Sprintf("it takes more than %d MiB of memory to read", heapLimit>>20)}
	case strings.Contains(said, "stack overflow"), strings.Contains(said, "stack exceeds"):
		return failure{Damaged, "it is nested too deeply"}
	}
	return failure{Crashed, fmt.Sprintf("what read it ended: %v, %v%s", c.cmd.ProcessState, err, said)}
}

// tail keeps the beginning of what a child complains of.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const maxTail = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(p[:min(len(p), maxTail-t.b.Len())])
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len() == 0 {
		return ""
	}
	return ": " + oneLine(t.b.String(), maxDetail)
}
