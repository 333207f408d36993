package search

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// codec compresses texts. It allocates nothing before it is used.
type codec struct {
	buffers sync.Pool // of *[]byte, for texts

	mu sync.Mutex // guards all following fields; what they point to needs no guard
	e  *zstd.Encoder
	d  *zstd.Decoder
}

// encoder returns the encoder; its options keep it at some hundred KiB.
func (c *codec) encoder() (*zstd.Encoder, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.e != nil {
		return c.e, nil
	}
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(128<<10))
	c.e = e
	return e, err
}

func (c *codec) decoder() (*zstd.Decoder, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.d != nil {
		return c.d, nil
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(2*MaxText))
	c.d = d
	return d, err
}

// compress returns text for expand; nothing for no text.
func (c *codec) compress(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	e, err := c.encoder()
	if err != nil {
		return nil, fmt.Errorf("compress text: %w", err)
	}
	return e.EncodeAll([]byte(text), make([]byte, 0, len(text)/2)), nil
}

// press returns a copy of packed words, compressed if that saves enough to be worth the time. It
// does where words of the text have long numbers, because they are of a language, say, that came
// late.
func (c *codec) press(packed []byte, words int) []byte {
	const flags = 1
	if len(packed) > words*7/4+64 && len(packed) <= 2*MaxText {
		if e, err := c.encoder(); err == nil { // otherwise it is only longer
			if out := e.EncodeAll(packed[flags+1:], append(make([]byte, 0, len(packed)), packed[:flags+1]...)); len(out) < len(packed)*15/16 {
				out[flags] |= termsPressed
				return out
			}
		}
	}
	return append([]byte(nil), packed...)
}

// expand returns the text of what compress returned. Whatever b is, the result
// has at most 2*MaxText bytes.
func (c *codec) expand(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	d, err := c.decoder()
	if err != nil {
		return "", fmt.Errorf("expand text: %w", err)
	}
	buffer, _ := c.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	defer c.buffers.Put(buffer)
	text, err := d.DecodeAll(b, (*buffer)[:0])
	if err != nil {
		return "", fmt.Errorf("expand text: %w", err)
	}
	*buffer = text
	return string(text), nil
}
