package exchange

import (
	"fmt"
	"io"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
)

// intake takes whole chunks of a content, one after the other. What of them is right waits until
// it is worth writes that end with pages: for those the kernel takes half the time that writes take
// which share pages. It belongs to one goroutine.
type intake struct {
	u     *update
	out   io.WriterAt
	fresh int64 // bytes that were written and had been missing
	sums  *chunk.PieceHasher

	at     int64  // of buf in the content
	buf    []byte // checked, and not written yet
	chunks []int  // of which something is in buf
}

const (
	// writeBytes is what is written at once, at multiples of it; zeros, where they may be a hole, are
	// left out by as much. Of more the kernel looks for so much memory in one piece, which can take it
	// ten times as long as the write.
	writeBytes = 32 << 10
	// intakeBytes is what is gathered: the longest chunk, and what waits before it. It stays in the
	// second-level cache from the network to the disk.
	intakeBytes = chunk.Longest + writeBytes
)

func (u *update) intake() *intake {
	return &intake{u: u, out: u.out, sums: u.hasher()}
}

// take reads chunk i, and reports whether it is what the manifest says. Errors: errHere if the disk
// has failed, and those of the reader.
func (in *intake) take(i int, from io.Reader) (ok bool, err error) {
	c := in.u.m.Chunk(i)
	if in.buf == nil {
		in.buf = make([]byte, 0, intakeBytes)
	}
	if c.Offset != in.at+int64(len(in.buf)) {
		if err := in.flush(); err != nil {
			return false, err
		}
		in.at = c.Offset
	}
	if len(in.buf)+c.Length > cap(in.buf) {
		if err := in.write((in.at+int64(len(in.buf)))&^(writeBytes-1) - in.at); err != nil {
			return false, err
		}
	}
	b := in.buf[len(in.buf):][:c.Length]
	if _, err := io.ReadFull(from, b); err != nil {
		return false, err
	}
	if sum(b) != c.Hash {
		return false, nil
	}
	in.u.pass(in.sums, i, b)
	in.buf = in.buf[:len(in.buf)+c.Length]
	in.chunks = append(in.chunks, i)
	return true, nil
}

// flush writes all that waits.
func (in *intake) flush() error { return in.write(int64(len(in.buf))) }

// write writes the first n bytes of what waits, and keeps the rest.
func (in *intake) write(n int64) error {
	if n <= 0 {
		return nil
	}
	for done := int64(0); done < n; {
		k := min(n-done, writeBytes-(in.at+done)%writeBytes)
		if _, err := in.out.WriteAt(in.buf[done:done+k], in.at+done); err != nil {
			return fmt.Errorf("%w: %w", errHere, err)
		}
		done += k
	}
	in.buf = in.buf[:copy(in.buf, in.buf[n:])]
	in.at += n
	whole := 0
	for _, i := range in.chunks {
		c := in.u.m.Chunk(i)
		if c.Offset+int64(c.Length) > in.at {
			break // a part of it waits
		}
		whole++
		if in.u.got(i) {
			in.fresh += int64(c.Length)
		}
	}
	in.chunks = in.chunks[:copy(in.chunks, in.chunks[whole:])]
	return nil
}

// hasher returns one that notes the pieces of the content.
func (u *update) hasher() *chunk.PieceHasher {
	return chunk.NewPieceHasher(u.m.Size(), func(i int, h chunk.Hash) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.pieces[i] = h
	})
}

// pass hashes and cuts chunk i again, which is as the manifest says and is in the file, or will be:
// so the file need not be read for it in the end.
func (u *update) pass(sums *chunk.PieceHasher, i int, b []byte) {
	sums.Pass(u.m.Chunk(i).Offset, b)
	ends := chunk.Ends(b, i == u.m.Len()-1)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cut[i] = true
	u.odd = u.odd || !ends
}

// checker writes what comes of some parts of the content, where it does not come in whole chunks;
// fresh, if it is not nil, counts what of it was missing.
func (u *update) checker(parts []assemble.Extent, fresh *int64) *assemble.Checker {
	c := assemble.NewChecker(u.m, u.out, parts)
	sums := u.hasher()
	c.OK = func(i int, b []byte) {
		u.pass(sums, i, b)
		if u.got(i) && fresh != nil {
			*fresh += int64(len(b))
		}
	}
	return c
}
