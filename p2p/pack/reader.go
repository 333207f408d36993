package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrMalformed: the bytes are not what a Writer makes.
var ErrMalformed = errors.New("malformed")

// A Reader expands what a Writer has packed. It reads no byte after a frame before it is asked
// for more than that holds. At the end of its source between two frames it ends too.
type Reader struct {
	codec *Codec
	r     io.Reader
	frame []byte // what is left of it, expanded
	plain int    // what is left of it, as it comes: it is not packed
	room  []byte
	body  []byte
	cost  float64 // bytes read of r for each byte of the frame
	spent float64
}

// NewReader returns a Reader from r.
func NewReader(r io.Reader, c *Codec) *Reader { return &Reader{codec: c, r: r} }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.frame) == 0 && r.plain == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	var n int
	var err error
	if r.plain > 0 {
		n, err = r.r.Read(p[:min(len(p), r.plain)])
		if r.plain -= n; errors.Is(err, io.EOF) {
			err = nil // it ends between two frames
			if r.plain > 0 {
				err = io.ErrUnexpectedEOF
			}
		}
	} else {
		n = copy(p, r.frame)
		r.frame = r.frame[n:]
	}
	r.spent += r.cost * float64(n)
	return n, err
}

// Spent returns how many bytes of the source were read for what was read since it was called
// last.
func (r *Reader) Spent() int64 {
	n := int64(r.spent)
	r.spent -= float64(n)
	return n
}

func (r *Reader) next() error {
	var head [headLen]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return err // at a border io.EOF
	}
	size, packed := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if size == 0 || size > MaxFrame || packed >= size {
		return fmt.Errorf("pack: a frame of %d bytes in %d: %w", size, packed, ErrMalformed)
	}
	follows := packed
	if packed == 0 {
		follows = size
	}
	r.cost = float64(headLen+follows) / float64(size)
	if packed == 0 {
		r.plain = int(size)
		return nil
	}
	r.body = room(r.body, int(packed))
	if err := r.fill(r.body); err != nil {
		return err
	}
	d, err := r.codec.decoder()
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	defer r.codec.decode.Put(d)
	r.room = room(r.room, int(size))
	got, err := d.DecodeAll(r.body, r.room[:0:size])
	if err == nil && len(got) != int(size) {
		err = fmt.Errorf("it has %d", len(got))
	}
	if err != nil {
		return fmt.Errorf("pack: a frame of %d bytes in %d: %w: %w", size, packed, ErrMalformed, err)
	}
	r.frame = got
	return nil
}

// room returns b with a length of n.
func room(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:n]
	}
	return make([]byte, n)
}

func (r *Reader) fill(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
