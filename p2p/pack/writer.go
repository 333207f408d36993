package pack

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/zstd"
)

const (
	// MaxFrame is the most bytes of content in a frame.
	MaxFrame = 256 << 10
	// leastFrame is from how many bytes on it is tried.
	leastFrame = 128
	headLen    = 8
)

// Codec compresses and expands for any number of writers and readers at once. The zero value
// works. It holds a few hundred kB from its first use on.
type Codec struct {
	encode sync.Pool // of *zstd.Encoder
	decode sync.Pool // of *zstd.Decoder
	frames sync.Pool // of *[MaxFrame]byte
}

// room returns an empty frame.
func (c *Codec) room() []byte {
	if f, ok := c.frames.Get().(*[MaxFrame]byte); ok {
		return f[:0]
	}
	return make([]byte, 0, MaxFrame)
}

func (c *Codec) encoder() (*zstd.Encoder, error) {
	if e, ok := c.encode.Get().(*zstd.Encoder); ok {
		return e, nil
	}
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(MaxFrame), zstd.WithEncoderCRC(false))
}

func (c *Codec) decoder() (*zstd.Decoder, error) {
	if d, ok := c.decode.Get().(*zstd.Decoder); ok {
		return d, nil
	}
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxFrame), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
}

// A Writer packs what is written to it. Flush ends a frame; there is no Close.
type Writer struct {
	codec  *Codec
	w      io.Writer
	frame  []byte // of MaxFrame; nil: nothing has come since Flush
	packed []byte
	skip   int // frames that are not tried
	misses int // in a row
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer, c *Codec) *Writer { return &Writer{codec: c, w: w} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if w.frame == nil {
			w.frame = w.codec.room()
		}
		k := min(len(p), MaxFrame-len(w.frame))
		w.frame = append(w.frame, p[:k]...)
		n, p = n+k, p[k:]
		if len(w.frame) == MaxFrame {
			if err := w.end(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// ReadFrom implements io.ReaderFrom: what is read goes into frames without a detour.
func (w *Writer) ReadFrom(r io.Reader) (n int64, err error) {
	for {
		if w.frame == nil {
			w.frame = w.codec.room()
		}
		k, err := r.Read(w.frame[len(w.frame):MaxFrame])
		w.frame = w.frame[:len(w.frame)+k]
		n += int64(k)
		if len(w.frame) == MaxFrame {
			if err := w.end(); err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Flush writes what has gathered as a frame. It does not flush the underlying writer.
func (w *Writer) Flush() error {
	if w.frame == nil {
		return nil
	}
	err := w.end()
	w.codec.frames.Put((*[MaxFrame]byte)(w.frame[:MaxFrame]))
	w.frame = nil
	return err
}

// end writes what has gathered as a frame.
func (w *Writer) end() error {
	if len(w.frame) == 0 {
		return nil
	}
	body := w.frame
	packed, err := w.pack()
	if err != nil {
		return err
	}
	var head [headLen]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(w.frame)))
	if packed != nil {
		body = packed
		binary.LittleEndian.PutUint32(head[4:], uint32(len(packed)))
	}
	w.frame = w.frame[:0]
	if _, err := w.w.Write(head[:]); err != nil {
		return err
	}
	_, err = w.w.Write(body)
	return err
}

// pack compresses the frame, or returns nil if that is not worth it.
func (w *Writer) pack() ([]byte, error) {
	if w.skip > 0 {
		w.skip--
		return nil, nil
	}
	if len(w.frame) < leastFrame || !promising(w.frame) {
		return nil, nil
	}
	e, err := w.codec.encoder()
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	defer w.codec.encode.Put(e)
	w.packed = e.EncodeAll(w.frame, w.packed[:0])
	if len(w.packed) > len(w.frame)-len(w.frame)/8 {
		w.misses = min(w.misses+1, 4)
		w.skip = 1<<w.misses - 1
		return nil, nil
	}
	w.misses = 0
	return w.packed, nil
}

// What is looked at of a frame, and what promises that it gets shorter.
const (
	sampleLen = 4 << 10
	samples   = 4
	promise   = 0.1
)

// promising estimates from samples whether a frame gets shorter.
func promising(b []byte) bool {
	if len(b) <= samples*sampleLen {
		return len(b) < 1<<10 || compress.Estimate(b) > promise
	}
	var sample [samples * sampleLen]byte
	step := (len(b) - sampleLen) / (samples - 1)
	for i := range samples {
		copy(sample[i*sampleLen:(i+1)*sampleLen], b[i*step:])
	}
	return compress.Estimate(sample[:]) > promise
}
