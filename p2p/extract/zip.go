package extract

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxDirectory is how long an archive's list of its parts may be.
	maxDirectory = 8 << 20
	// maxUnpacked is how much of an archive is unpacked, of all parts together.
	maxUnpacked = 128 << 20
)

// Errors that say why a document cannot be read.
var (
	errDamaged     = errors.New("damaged")
	errEncrypted   = errors.New("a password is needed")
	errTooLarge    = errors.New("too large")
	errUnsupported = errors.New("not a kind of document that can be read")
)

// archive is a document that is a zip file. Whatever its parts say of their
// sizes and places, no more than maxUnpacked comes out of it.
type archive struct {
	files map[string]*zip.File
	left  int64
}

// directoryReader bounds what is read of a list of parts, whose length nothing
// else bounds.
type directoryReader struct {
	io.ReaderAt
	left  int
	ended bool // the list has been read
}

func (r *directoryReader) ReadAt(p []byte, at int64) (int, error) {
	if !r.ended {
		if r.left -= len(p); r.left < 0 {
			return 0, fmt.Errorf("%w: the list of its parts has more than %d MiB", errTooLarge, maxDirectory>>20)
		}
	}
	return r.ReaderAt.ReadAt(p, at)
}

func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	d := &directoryReader{ReaderAt: r, left: maxDirectory}
	z, err := zip.NewReader(d, size)
	if errors.Is(err, errTooLarge) {
		return nil, err
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	d.ended = true
	a := &archive{files: make(map[string]*zip.File, len(z.File)), left: maxUnpacked}
	for _, f := range z.File {
		name := strings.TrimPrefix(f.Name, "/")
		if _, ok := a.files[name]; !ok {
			a.files[name] = f
		}
	}
	return a, nil
}

func (a *archive) has(name string) bool { return a.files[name] != nil }

// open opens a part, whatever its size; there is nothing in one that is missing.
func (a *archive) open(name string) (io.Reader, error) {
	f := a.files[name]
	if f == nil {
		return strings.NewReader(""), nil
	}
	if f.Flags&1 != 0 {
		return nil, errEncrypted
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamaged, name, err)
	}
	return &part{r: r, archive: a}, nil // there is nothing to close but memory
}

// read returns a part of at most n bytes, cut there.
func (a *archive) read(name string, n int64) ([]byte, error) {
	r, err := a.open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, n))
	if len(b) > 0 && !errors.Is(err, errTooLarge) {
		err = nil // what comes before the damage is worth something
	}
	return b, err
}

// numbered returns the parts between a prefix and a suffix that differ by a
// number, by that number; none counts as 0.
func (a *archive) numbered(prefix, suffix string) []string {
	found := make(map[int]string)
	for name := range a.files {
		middle, ok := strings.CutPrefix(name, prefix)
		middle, ok2 := strings.CutSuffix(middle, suffix)
		if !ok || !ok2 {
			continue
		}
		if middle == "" {
			middle = "0"
		}
		if n, err := strconv.Atoi(middle); err == nil && n >= 0 {
			found[n] = name
		}
	}
	var names []string
	for _, n := range slices.Sorted(maps.Keys(found)) {
		names = append(names, found[n])
	}
	return names
}

// part counts what is unpacked.
type part struct {
	r       io.Reader
	archive *archive
}

func (p *part) Read(b []byte) (int, error) {
	if p.archive.left <= 0 {
		return 0, fmt.Errorf("%w: it unpacks to more than %d MiB", errTooLarge, maxUnpacked>>20)
	}
	n, err := p.r.Read(b[:min(int64(len(b)), p.archive.left)])
	p.archive.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	return n, err
}
