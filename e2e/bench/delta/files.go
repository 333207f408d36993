package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// blockSize is the length of blocks at which the programs are compared, in bytes.
const blockSize = 6144

// testCase is an old file and a new one.
type testCase struct {
	name     string
	old, new func() io.Reader
	blocks   []int // lengths of blocks to try; 0: the program's own choice
}

// place is where a case's files are.
type place struct {
	dir, old, new string
	newSize       int64
}

// cases are those of users, then those of people who want a program to be slow.
func cases(size int64) []testCase {
	base := func() io.Reader { return noise(1, size) }
	usual, one := []int{0, blockSize}, []int{blockSize}
	equal := func() io.Reader { return repeat(plainBlock(), size) }
	return []testCase{
		{"same", base, base, usual},
		{"insert 1 byte at the front", base, func() io.Reader { return io.MultiReader(strings.NewReader("x"), base()) }, usual},
		{"100 inserts of 100 bytes", base, func() io.Reader { return scatter(base(), size) }, usual},
		{"unrelated", base, func() io.Reader { return noise(2, size) }, usual},
		{"equal blocks, 1 byte at the front", equal, func() io.Reader { return io.MultiReader(strings.NewReader("x"), equal()) }, one},
		{"equal blocks, classic sum collides", equal, func() io.Reader { return colliding(size) }, one},
		{"zeros, 1 byte at the front", func() io.Reader { return repeat([]byte{0}, size) }, func() io.Reader {
			return io.MultiReader(strings.NewReader("x"), repeat([]byte{0}, size))
		}, one},
		{"zeros, a 1 every 5,000", func() io.Reader { return repeat([]byte{0}, size) }, func() io.Reader {
			return repeat(append(make([]byte, 4999), 1), size)
		}, one},
		{"period of 997", func() io.Reader { return repeat(bytesOf(3, 997), size) }, func() io.Reader {
			return io.MultiReader(strings.NewReader("x"), repeat(bytesOf(3, 997), size))
		}, one},
		{"block 0, a million times", func() io.Reader { return repeat(bytesOf(4, 256), 256) }, func() io.Reader {
			return repeat(bytesOf(4, 256), size)
		}, []int{256}},
	}
}

// make writes both files, and has them in the page cache and on the disk.
func (c testCase) make(dir string) (p place, err error) {
	if p.dir, err = os.MkdirTemp(dir, "case-"); err != nil {
		return p, err
	}
	p.old, p.new = filepath.Join(p.dir, "old"), filepath.Join(p.dir, "new")
	if _, err := write(p.old, c.old()); err != nil {
		return p, err
	}
	p.newSize, err = write(p.new, c.new())
	return p, err
}

func write(path string, r io.Reader) (int64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(onlyWriter{f}, r, make([]byte, 1<<20))
	return n, errors.Join(err, f.Sync(), f.Close())
}

// onlyWriter hides that a file can read by itself, in small pieces.
type onlyWriter struct{ io.Writer }

func noise(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

func bytesOf(seed byte, n int) []byte {
	p := make([]byte, n)
	for i, r := 0, rand.New(rand.NewPCG(1, uint64(seed))); i < n; i++ {
		p[i] = byte(r.Uint32())
	}
	return p
}

// scatter inserts 100 bytes at 100 places.
func scatter(base io.Reader, size int64) io.Reader {
	r := rand.New(rand.NewPCG(1, 5))
	places := make([]int64, 100)
	for i := range places {
		places[i] = r.Int64N(size)
	}
	slices.Sort(places)
	var parts []io.Reader
	at := int64(0)
	for i, p := range places {
		parts = append(parts, io.LimitReader(base, p-at), bytes.NewReader(bytesOf(byte(100+i), 100)))
		at = p
	}
	return io.MultiReader(append(parts, base)...)
}

// blocks is a file of blocks, each of which a function makes.
type blocks struct {
	block func(i int) []byte
	i     int
	rest  []byte
}

func (b *blocks) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		b.rest = b.block(b.i)
		b.i++
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func repeat(p []byte, size int64) io.Reader {
	long := bytes.Repeat(p, 1+(64<<10)/len(p))
	return io.LimitReader(&blocks{block: func(int) []byte { return long }}, size)
}

// plainBlock has bytes that can be made a little larger and smaller.
func plainBlock() []byte {
	p := bytesOf(6, blockSize)
	for i := range p {
		p[i] = 32 + p[i]%64
	}
	return p
}

// colliding makes blocks that differ from plainBlock, each in its own way, and have
// its sum of the rsync paper: +1, -2, +1 beside each other change neither the sum of
// the bytes nor that of these sums.
func colliding(size int64) io.Reader {
	plain := plainBlock()
	return io.LimitReader(&blocks{block: func(i int) []byte {
		p := slices.Clone(plain)
		at := i % (blockSize - 6)
		for k := range 1 + i/(blockSize-6) { // so that no two of them are equal
			p[at+k%3]++
			p[at+k%3+1] -= 2
			p[at+k%3+2]++
		}
		return p
	}}, size)
}

// same reports, as an error, that two files differ.
func same(path, want string) error {
	a, err := os.Open(path)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(want)
	if err != nil {
		return err
	}
	defer b.Close()
	pa, pb := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; {
		na, errA := io.ReadFull(a, pa)
		nb, errB := io.ReadFull(b, pb)
		if !bytes.Equal(pa[:na], pb[:nb]) {
			return fmt.Errorf("%s is not as %s, somewhere after %d bytes", path, want, at)
		}
		at += int64(na)
		if errA != nil || errB != nil {
			return errors.Join(notEnd(errA), notEnd(errB))
		}
	}
}

// notEnd is an error of reading, and not that a file has an end.
func notEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
