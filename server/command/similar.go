package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// Bounds of a comparison. With all of them reached it takes about 1 GB of memory.
const (
	// similarChunks is how many chunks both sides may have: about 600 GB in large
	// files. Each takes less than 100 bytes.
	similarChunks = 1 << 23
	// similarPairs is how many pairs are told of, and pairsOfChunk how many of them
	// one chunk may be in. What more have in common, such as the same icon in every
	// project, says little about two of them.
	similarPairs = 1 << 20
	pairsOfChunk = 1 << 12
	// namedUnread is how many unreadable files are named.
	namedUnread = 100
)

// smallFile is the size below which a file is one chunk.
const smallFile = chunk.Least

// shoalDir is where shoal keeps its own files in a shared folder.
const shoalDir = ".shoal"

type deltaSimilarCmd struct {
	A    string `arg:"" help:"A file or a directory."`
	B    string `arg:"" help:"Another one."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help says what is compared.
func (deltaSimilarCmd) Help() string {
	return "Files are compared by chunks of about 80 KiB that end where the content says so: " +
		"what was moved, or has something inserted before it, is found. A file below 16 KiB " +
		"is one chunk, so that small files share all of their bytes or none: they are found " +
		"only if they are equal. Directories named .shoal, in which shoal keeps its own files, " +
		"are left out, and symbolic links are not followed. A file that is in both A and B is " +
		"not compared with itself."
}

// Run prints the pairs of files that have chunks in common, then the totals.
func (s deltaSimilarCmd) Run(c *console) error {
	x := newComparison(c.progressOnStderr())
	err := x.addTree(c, sideA, s.A)
	if err == nil {
		err = x.addTree(c, sideB, s.B)
	}
	x.progress.end()
	if err != nil {
		return fmt.Errorf("compare %s and %s: %w", s.A, s.B, err)
	}
	r := x.report()
	if s.JSON {
		err = r.writeJSON(c.Stdout)
	} else {
		err = r.writeText(c.Stdout)
	}
	if err != nil {
		return err
	}
	if n := r.A.Unread + r.B.Unread; n > 0 {
		for _, u := range x.unread {
			c.complain(u)
		}
		return outcome{errPartial, fmt.Sprintf("%s could not be read, and are not in this", count(n, "path"))}
	}
	return nil
}

// The sides of a comparison.
const (
	sideA = iota
	sideB
)

// A comparison collects which chunk is in which file.
type comparison struct {
	sides    [2]sideReport
	files    []comparedFile
	numbers  map[string]uint32   // of the different files, by their whole paths
	known    map[chunkKey]uint32 // to an index of lengths
	lengths  []uint32            // of the different chunks
	places   []chunkPlace
	unread   []error
	progress progress

	same int // files that are on both sides

	mostChunks, mostPairs, mostOfChunk int
}

// chunkKey is the first half of the hash: two of 2^23 chunks have the same by
// chance once in 2^82 times.
type chunkKey [16]byte

type comparedFile struct {
	side   int
	path   string
	size   int64
	number uint32 // that of the same file on the other side is equal
}

// A chunkPlace says how often a chunk is in a file.
type chunkPlace struct{ chunk, file, times uint32 }

func newComparison(p progress) *comparison {
	return &comparison{
		numbers: map[string]uint32{}, known: map[chunkKey]uint32{}, progress: p,
		mostChunks: similarChunks, mostPairs: similarPairs, mostOfChunk: pairsOfChunk,
	}
}

// addTree adds a file, or all regular files of a directory. What cannot be read is
// counted, but what the user named must be readable.
func (x *comparison) addTree(c *console, side int, path string) error {
	x.sides[side].Path = path
	whole, err := filepath.EvalSymlinks(path)
	if err == nil {
		whole, err = filepath.Abs(whole)
	}
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		f, size, err := openRegular(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return x.addFile(c, side, path, whole, f, size)
	}
	// Nothing outside of the directory is read, whatever happens in it meanwhile.
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil && name == "." {
			return err
		}
		if stopped := c.ctx.Err(); stopped != nil {
			return stopped
		}
		switch {
		case e != nil && e.IsDir() && e.Name() == shoalDir:
			return fs.SkipDir
		case err != nil:
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			x.sides[side].Skipped++
			return nil
		default:
			err = x.addBelow(c, side, root, whole, name)
		}
		if err != nil && !x.isFatal(c, err) {
			x.skip(side, fmt.Errorf("%s: %w", filepath.Join(path, filepath.FromSlash(name)), reason(err)))
			return nil
		}
		return err
	})
}

// reason leaves out the path of an error, which is said before.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// isFatal reports whether it makes no sense to go on.
func (x *comparison) isFatal(c *console, err error) bool {
	return c.ctx.Err() != nil || errors.Is(err, errTooMuch)
}

func (x *comparison) skip(side int, err error) {
	x.sides[side].Unread++
	if len(x.unread) < namedUnread {
		x.unread = append(x.unread, err)
	}
}

func (x *comparison) addBelow(c *console, side int, root *os.Root, whole, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("it is not a regular file any more")
	}
	return x.addFile(c, side, name, filepath.Join(whole, filepath.FromSlash(name)), f, st.Size())
}

// errTooMuch: the bound of memory is reached.
var errTooMuch = errors.New("too much to compare at once")

// addFile adds the chunks of what r reads. The path is for people, the whole one
// tells files apart.
func (x *comparison) addFile(c *console, side int, path, whole string, r io.Reader, size int64) error {
	if size > chunk.MaxSize { // told before it is read
		return fmt.Errorf("%d bytes: %w", size, chunk.ErrTooLarge)
	}
	m, err := chunk.Scan(x.progress.reader(path, readWhile{c.ctx, r}), size)
	if err != nil {
		return err
	}
	if m.Len() == 0 && m.Size() > 0 {
		return fmt.Errorf("more than %d chunks: %w", chunk.MaxChunks, chunk.ErrTooLarge)
	}
	if x.sides[sideA].chunks+x.sides[sideB].chunks+m.Len() > x.mostChunks {
		return fmt.Errorf("%w: more than %d chunks", errTooMuch, x.mostChunks)
	}
	file := uint32(len(x.files))
	s := &x.sides[side]
	number, there := x.numbers[whole]
	if there {
		x.same++
	} else {
		number = uint32(len(x.numbers))
		x.numbers[whole] = number
	}
	if 0 < m.Size() && m.Size() < smallFile {
		s.Small++
	}
	x.files = append(x.files, comparedFile{side, path, m.Size(), number})
	s.Files++
	s.Bytes += m.Size()
	s.chunks += m.Len()
	first := len(x.places)
	for i := range m.Len() {
		k := m.Chunk(i)
		x.places = append(x.places, chunkPlace{x.number(k), file, 1})
	}
	x.places = slices.Delete(x.places, first+mergePlaces(x.places[first:]), len(x.places))
	return nil
}

// number gives equal chunks the same number.
func (x *comparison) number(k chunk.Chunk) uint32 {
	key := chunkKey(k.Hash[:])
	n, ok := x.known[key]
	if !ok {
		n = uint32(len(x.lengths))
		x.known[key] = n
		x.lengths = append(x.lengths, uint32(k.Length))
	}
	return n
}

// mergePlaces makes one place of those of the same chunk, and returns how many are left.
func mergePlaces(places []chunkPlace) int {
	slices.SortFunc(places, func(a, b chunkPlace) int { return cmp.Compare(a.chunk, b.chunk) })
	n := 0
	for _, p := range places {
		if n > 0 && places[n-1].chunk == p.chunk {
			places[n-1].times++
			continue
		}
		places[n] = p
		n++
	}
	return n
}

// similarReport is what a comparison found. All sizes are in bytes.
type similarReport struct {
	A      sideReport    `json:"a"`
	B      sideReport    `json:"b"`
	Pairs  []similarPair `json:"pairs"`
	Totals similarTotals `json:"totals"`
}

type sideReport struct {
	Path    string `json:"path"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	Unique  int64  `json:"unique_bytes"` // in different chunks that only this side has
	Unread  int    `json:"unread"`       // files and directories
	Skipped int    `json:"skipped"`      // symbolic links and special files
	Small   int    `json:"small_files"`  // of one chunk, but not empty
	chunks  int
}

// A similarPair is two files with chunks in common.
type similarPair struct {
	A       string `json:"a"`
	B       string `json:"b"`
	Shared  int64  `json:"shared_bytes"` // in different chunks that both have
	ABytes  int64  `json:"a_bytes"`
	BBytes  int64  `json:"b_bytes"`
	AShared int64  `json:"a_shared_bytes"` // of A, in chunks that are in B as well
	BShared int64  `json:"b_shared_bytes"`
}

type similarTotals struct {
	Bytes    int64 `json:"bytes"`          // of all files
	Distinct int64 `json:"distinct_bytes"` // if each chunk is kept once
	Saved    int64 `json:"saved_bytes"`    // by that
	Shared   int64 `json:"shared_bytes"`   // in different chunks that both sides have
	// Same is how many files are in both A and B.
	Same int `json:"same_files"`
	// Chunks that too many files have in common, and which no pair counts.
	Common int `json:"common_chunks"`
}

// report adds up. The pairs that share most come first.
func (x *comparison) report() similarReport {
	r := similarReport{A: x.sides[sideA], B: x.sides[sideB], Pairs: []similarPair{}}
	r.Totals.Bytes = r.A.Bytes + r.B.Bytes
	// Files are numbered side by side: those of A come first.
	slices.SortFunc(x.places, func(a, b chunkPlace) int {
		return cmp.Or(cmp.Compare(a.chunk, b.chunk), cmp.Compare(a.file, b.file))
	})
	r.Totals.Same = x.same
	pairs := map[[2]uint32]knownPair{}
	for rest := x.places; len(rest) > 0; {
		n, inA := 0, 0
		for n < len(rest) && rest[n].chunk == rest[0].chunk {
			if x.files[rest[n].file].side == sideA {
				inA++
			}
			n++
		}
		length := int64(x.lengths[rest[0].chunk])
		r.Totals.Distinct += length
		switch inA {
		case n:
			r.A.Unique += length
		case 0:
			r.B.Unique += length
		default:
			r.Totals.Shared += length
			if !x.pair(&r, pairs, length, rest[:inA], rest[inA:n]) {
				r.Totals.Common++
			}
		}
		rest = rest[n:]
	}
	r.Totals.Saved = r.Totals.Bytes - r.Totals.Distinct
	slices.SortFunc(r.Pairs, func(p, q similarPair) int {
		return cmp.Or(-cmp.Compare(p.Shared, q.Shared), cmp.Compare(p.A, q.A), cmp.Compare(p.B, q.B))
	})
	return r
}

// knownPair is where a pair of numbers of files is in the report, and which of its
// files is the one of A: the pair is not told the other way round too.
type knownPair struct{ index, a int }

// pair counts a chunk that is in some files of A and some of B, unless these are
// too many.
func (x *comparison) pair(r *similarReport, pairs map[[2]uint32]knownPair, length int64, inA, inB []chunkPlace) bool {
	if n := len(inA) * len(inB); n > x.mostOfChunk || n > x.mostPairs-len(pairs) {
		return false
	}
	for _, a := range inA {
		for _, b := range inB {
			fa, fb := x.files[a.file], x.files[b.file]
			if fa.number == fb.number {
				continue
			}
			key := [2]uint32{min(fa.number, fb.number), max(fa.number, fb.number)}
			known, ok := pairs[key]
			if !ok {
				known = knownPair{len(r.Pairs), int(a.file)}
				pairs[key] = known
				r.Pairs = append(r.Pairs, similarPair{A: fa.path, B: fb.path, ABytes: fa.size, BBytes: fb.size})
			}
			if known.a != int(a.file) {
				continue
			}
			p := &r.Pairs[known.index]
			p.Shared += length
			p.AShared += length * int64(a.times)
			p.BShared += length * int64(b.times)
		}
	}
	return true
}

func (r similarReport) writeJSON(w io.Writer) error {
	text, err := json.Marshal(r)
	if err == nil {
		_, err = w.Write(append(asciiControls(text), '\n'))
	}
	return err
}

func (r similarReport) writeText(w io.Writer) error {
	if len(r.Pairs) > 0 {
		rows := make([][]string, 0, len(r.Pairs))
		for _, p := range r.Pairs {
			rows = append(rows, []string{bytesText(p.Shared), percent(p.AShared, p.ABytes), percent(p.BShared, p.BBytes), p.A, p.B})
		}
		if err := table(w, []string{"SHARED", "OF A", "OF B", "A", "B"}, rows); err != nil {
			return err
		}
	}
	t := r.Totals
	lines := [][2]string{
		{"A", fmt.Sprintf("%s, %s", count(r.A.Files, "file"), bytesText(r.A.Bytes))},
		{"B", fmt.Sprintf("%s, %s", count(r.B.Files, "file"), bytesText(r.B.Bytes))},
		{"shared", bytesText(t.Shared) + " in both"},
		{"unique", fmt.Sprintf("%s only in A, %s only in B", bytesText(r.A.Unique), bytesText(r.B.Unique))},
		{"once", fmt.Sprintf("%s if every chunk is kept once, which saves %s", bytesText(t.Distinct), bytesText(t.Saved))},
	}
	if t.Same > 0 {
		lines = append(lines, [2]string{"same", count(t.Same, "file") + " in both A and B: no file is compared with itself"})
	}
	if t.Shared == 0 && r.A.Small > 0 && r.B.Small > 0 {
		lines = append(lines, [2]string{"small", fmt.Sprintf("%d in A, %d in B: a file below 16 KiB is one chunk, and shares bytes only with an equal file", r.A.Small, r.B.Small)})
	}
	if t.Common > 0 {
		lines = append(lines, [2]string{"common", fmt.Sprintf("%s that so many files have that no pair counts them", count(t.Common, "chunk"))})
	}
	if n := r.A.Skipped + r.B.Skipped; n > 0 {
		lines = append(lines, [2]string{"skipped", fmt.Sprintf("%d (symbolic links, special files)", n)})
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "%-7s  %s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

// How soon and how often a progress line is drawn.
const (
	progressAfter = time.Second
	progressPace  = 200 * time.Millisecond
)

// progress draws one line, again and again, while something takes long. The zero
// progress draws nothing.
type progress struct {
	w     io.Writer // a terminal
	due   time.Time
	shown bool
	files int
	bytes int64
}

// progressOnStderr draws where a person sees it and no program reads it.
func (c *console) progressOnStderr() progress {
	f, ok := c.Stderr.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) || c.Getenv("TERM") == "dumb" {
		return progress{}
	}
	return progress{w: f, due: time.Now().Add(progressAfter)}
}

// reader returns r, counting what it reads of the file at path.
func (p *progress) reader(path string, r io.Reader) io.Reader {
	p.files++
	return progressReader{p, path, r}
}

type progressReader struct {
	p    *progress
	path string
	r    io.Reader
}

func (r progressReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.p.bytes += int64(n)
	r.p.draw(r.path)
	return n, err
}

func (p *progress) draw(path string) {
	if p.w == nil || time.Now().Before(p.due) {
		return
	}
	p.shown = true
	p.due = time.Now().Add(progressPace)
	const most = 40 // letters of the path, so that the line is one on most terminals
	if letters := []rune(oneLine(path)); len(letters) > most {
		path = "…" + string(letters[len(letters)-most:])
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s, %s read: %s", count(p.files, "file"), bytesText(p.bytes), oneLine(path))
}

// end wipes the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
