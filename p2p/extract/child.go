package extract

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Verb is the argument by which a program becomes a child; see [Main].
const Verb = "extract"

// The limits of a child.
const (
	heapGoal  = 160 << 20            // bytes that the collector keeps the heap to, if it can
	heapLimit = 384 << 20            // bytes of memory at which the child ends itself
	dataLimit = 768 << 20            // bytes of memory that the system gives it
	stackSize = 64 << 20             // bytes of a stack
	lifetime  = 600                  // seconds of the processor for all files
	watchStep = 5 * time.Millisecond // between looks at memory and time
)

// The exit codes by which a child says what became too much.
const (
	exitMemory = 90
	exitTime   = 91
)

// Main is the child's whole program: it confines itself, reads files as it is
// told on its standard input, and returns the exit code.
func Main() int {
	debug.SetMemoryLimit(heapGoal)
	debug.SetMaxStack(stackSize)
	var w watch
	go w.run()
	time.Sleep(time.Microsecond) // what the run-time library needs for timers is opened now
	held, err := confine()
	if err == nil {
		err = write(os.Stdout, sayHello, []byte(held))
	}
	if err == nil {
		err = serve(os.Stdin, os.Stdout, &w)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "extract:", err)
		return 1
	}
	return 0
}

// watch ends the process when a file takes too much memory or time.
type watch struct {
	until atomic.Int64 // nanoseconds of the processor; 0: no file is being read
}

func (w *watch) begin(limit time.Duration) { w.until.Store(int64(processorTime() + limit)) }
func (w *watch) end()                      { w.until.Store(0) }

func (w *watch) run() {
	sample := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	for range time.Tick(watchStep) {
		until := w.until.Load()
		if until == 0 {
			continue
		}
		metrics.Read(sample)
		if sample[0].Value.Uint64()-sample[1].Value.Uint64() > heapLimit {
			os.Exit(exitMemory)
		}
		if int64(processorTime()) > until {
			os.Exit(exitTime)
		}
	}
}

// serve reads the files that are named on in, until its end.
func serve(in io.Reader, out io.Writer, w *watch) error {
	for {
		what, b, err := read(in, maxName+20, nil)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if what != sayFile || len(b) < 20 {
			return errProtocol
		}
		f := &remote{in: in, out: out, size: int64(binary.BigEndian.Uint64(b))}
		limit := int(binary.BigEndian.Uint32(b[8:]))
		w.begin(time.Duration(binary.BigEndian.Uint64(b[12:20])) * time.Millisecond)
		t := guarded(string(b[20:]), f, limit)
		w.end()
		if f.broken != nil {
			return f.broken
		}
		if err := write(out, sayText, appendText(t)); err != nil {
			return err
		}
		f.forget()
	}
}

// guarded is document, of which a panic is one more way to say that a file is
// damaged.
func guarded(name string, f *remote, limit int) (t Text) {
	defer func() {
		if x := recover(); x != nil {
			t = nameOnly(name)
			t.because(Damaged, fmt.Sprint(x))
		}
	}()
	t, err := document(name, f, f.size, limit)
	if err != nil {
		t = nameOnly(name)
		t.because(Damaged, err.Error())
	}
	return t
}

// remote is a file that the parent reads. A few blocks of it are kept.
type remote struct {
	in     io.Reader
	out    io.Writer
	size   int64
	blocks [16]block
	clock  int
	broken error // of the pipes
}

type block struct {
	at   int64
	b    []byte
	used int
}

const blockSize = 64 << 10

var errUnreadable = errors.New("it cannot be read")

// ReadAt implements io.ReaderAt.
func (f *remote) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, errUnreadable
	}
	for n < len(p) {
		if at >= f.size {
			return n, io.EOF
		}
		b, err := f.block(at - at%blockSize)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], b[min(at%blockSize, int64(len(b))):])
		if k == 0 {
			return n, io.EOF
		}
		n, at = n+k, at+int64(k)
	}
	return n, nil
}

func (f *remote) block(at int64) ([]byte, error) {
	f.clock++
	oldest := 0
	for i := range f.blocks {
		if b := &f.blocks[i]; b.b != nil && b.at == at {
			b.used = f.clock
			return b.b, nil
		}
		if f.blocks[i].used < f.blocks[oldest].used {
			oldest = i
		}
	}
	if f.broken != nil {
		return nil, f.broken
	}
	b := &f.blocks[oldest]
	want := min(blockSize, f.size-at)
	if err := write(f.out, sayRead, uint64Bytes(at), uint64Bytes(want)); err != nil {
		f.broken = err
		return nil, err
	}
	what, content, err := read(f.in, blockSize, b.b[:0:cap(b.b)])
	switch {
	case err != nil:
		f.broken = err
	case what == sayEnd:
		err = readError{errUnreadable}
	case what != sayData || int64(len(content)) != want:
		err = errProtocol
		f.broken = err
	}
	if err != nil {
		return nil, err
	}
	*b = block{at: at, b: content, used: f.clock}
	return content, nil
}

// forget lets go of what was kept.
func (f *remote) forget() { clear(f.blocks[:]) }
