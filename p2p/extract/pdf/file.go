package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// Errors that callers tell apart.
var (
	// ErrDamaged: it is no PDF, or nothing of it can be understood.
	ErrDamaged = errors.New("damaged")
	// ErrEncrypted: it needs a password, or a program of somebody's own.
	ErrEncrypted = errors.New("encrypted")
	// ErrTooLarge: it decompresses to more than is read.
	ErrTooLarge = errors.New("too large")
)

const (
	maxObjects  = 1 << 20   // in a file
	maxSections = 1 << 10   // tables of objects of a file
	maxScan     = 256 << 20 // bytes of a damaged file in which objects are looked for
	maxCached   = 1 << 14   // objects that are kept
)

// file is a PDF file: a table of where its objects are.
type file struct {
	r       io.ReaderAt
	size    int64
	table   map[int]place
	trailer dict
	loose   []object // pages of a damaged file, by number
	crypt   *crypt   // nil: not encrypted

	cache   map[int]object
	busy    map[int]bool // objects that are being read: they must not need themselves
	packs   map[int]*pack
	decoded int // bytes
}

// place is where an object is: at an offset, or in an object stream.
type place struct {
	at   int64
	pack int // the number of the object stream; 0: none
	free bool
}

// pack is an object stream (7.5.7).
type pack struct {
	data []byte
	at   map[int]int // by number
}

func openFile(r io.ReaderAt, size int64) (*file, error) {
	head := make([]byte, min(size, 1024))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	begin := bytes.Index(head, []byte("%PDF-"))
	if begin < 0 {
		return nil, fmt.Errorf("%w: no PDF", ErrDamaged)
	}
	f := &file{r: r, size: size}
	if begin > 0 { // offsets count from there
		f.r, f.size = io.NewSectionReader(r, int64(begin), size-int64(begin)), size-int64(begin)
	}
	f.forget()
	f.readTables(f.lastTable())
	if err := f.decrypt(); err != nil {
		return nil, err
	}
	if f.dict(f.dict(f.trailer["Root"])["Pages"]) != nil {
		return f, nil
	}
	f.forget()
	if err := f.scan(); err != nil {
		return nil, err
	}
	return f, f.decrypt()
}

func (f *file) forget() {
	f.table, f.trailer, f.loose, f.crypt = make(map[int]place), dict{}, nil, nil
	f.cache, f.busy, f.packs = make(map[int]object), make(map[int]bool), make(map[int]*pack)
}

// lastTable returns the offset of the newest table; negative: there is none.
func (f *file) lastTable() int64 {
	tail := make([]byte, min(f.size, 2048))
	n, _ := f.r.ReadAt(tail, f.size-int64(len(tail))) // what there is
	i := bytes.LastIndex(tail[:n], []byte("startxref"))
	if i < 0 {
		return -1
	}
	at, ok := lexBytes(tail[i+len("startxref") : n]).object().(int64)
	if !ok {
		return -1
	}
	return at
}

// readTables reads the table at an offset and those before it. What is newer
// counts; what is damaged is left out.
func (f *file) readTables(at int64) {
	seen := make(map[int64]bool)
	for next := []int64{at}; len(next) > 0 && len(seen) < maxSections; {
		at, next = next[0], next[1:]
		if at < 0 || at >= f.size || seen[at] {
			continue
		}
		seen[at] = true
		l := lexAt(f.r, f.size, at)
		var trailer dict
		if l.object() == keyword("xref") {
			trailer = f.readTable(l)
		} else {
			trailer = f.readTableStream(at)
		}
		for key, value := range trailer {
			if _, ok := f.trailer[key]; !ok {
				f.trailer[key] = value
			}
		}
		for _, key := range []name{"XRefStm", "Prev"} {
			if at, ok := trailer[key].(int64); ok {
				next = append(next, at)
			}
		}
	}
}

// readTable reads a table of text (7.5.4) up to and with its trailer.
func (f *file) readTable(l *lexer) dict {
	for {
		first, ok := l.object().(int64)
		if !ok { // the keyword trailer
			d, _ := l.object().(dict)
			return d
		}
		n, ok := l.object().(int64)
		if !ok {
			return nil
		}
		for i := range n {
			at, ok := l.object().(int64)
			if _, isInt := l.object().(int64); !ok || !isInt || len(f.table) >= maxObjects {
				return nil
			}
			f.note(first+i, place{at: at, free: l.object() == keyword("f")})
		}
	}
}

func (f *file) note(number int64, p place) {
	if number < 0 || number > maxObjects*8 || len(f.table) >= maxObjects {
		return
	}
	if _, ok := f.table[int(number)]; !ok {
		f.table[int(number)] = p
	}
}

// readTableStream reads a table that is a stream (7.5.8).
func (f *file) readTableStream(at int64) dict {
	s, ok := f.indirect(at, -1).(*stream)
	if !ok || s.dict["Type"] != name("XRef") {
		return nil
	}
	data, err := f.decode(s)
	if err != nil {
		return nil
	}
	var width [3]int
	for i, x := range f.list(s.dict["W"]) {
		if n, ok := x.(int64); ok && i < 3 && n >= 0 && n <= 8 {
			width[i] = int(n)
		}
	}
	row := width[0] + width[1] + width[2]
	index := f.list(s.dict["Index"])
	if len(index) == 0 {
		index = array{int64(0), s.dict["Size"]}
	}
	for ; len(index) > 1 && row > 0; index = index[2:] {
		first, _ := index[0].(int64)
		n, _ := index[1].(int64)
		for ; n > 0 && len(data) >= row; n-- {
			kind := int64(1)
			if width[0] > 0 {
				kind = bigEndian(data[:width[0]])
			}
			value := bigEndian(data[width[0] : width[0]+width[1]])
			switch kind {
			case 0:
				f.note(first, place{free: true})
			case 1:
				f.note(first, place{at: value})
			case 2:
				if value > 0 && value < maxObjects*8 {
					f.note(first, place{pack: int(value)})
				}
			}
			first, data = first+1, data[row:]
		}
	}
	return s.dict
}

func bigEndian(b []byte) int64 {
	var n int64
	for _, c := range b {
		n = n<<8 | int64(c)
	}
	return n
}

// scan looks for objects in a file without a usable table.
func (f *file) scan() error {
	const overlap = 64
	var block [256 << 10]byte
	for at := int64(0); at < min(f.size, maxScan); at += int64(len(block)) - overlap {
		n, err := f.r.ReadAt(block[:], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		f.scanBlock(block[:n], at)
	}
	numbers := slices.Sorted(maps.Keys(f.table))
	for _, number := range numbers {
		f.adopt(number)
	}
	if f.trailer["Root"] == nil && len(numbers) == 0 {
		return fmt.Errorf("%w: a PDF without objects", ErrDamaged)
	}
	return nil
}

// scanBlock notes the objects and trailers that begin in a block. The last of
// several of the same number counts.
func (f *file) scanBlock(block []byte, at int64) {
	for i := 0; ; i += 3 {
		k := bytes.Index(block[i:], []byte("obj"))
		if k < 0 {
			break
		}
		i += k
		generation, rest, ok := lastNumber(block[:i])
		number, rest, ok2 := lastNumber(rest)
		if ok && ok2 && generation <= 65535 && number <= maxObjects*8 && len(f.table) < maxObjects {
			f.table[number] = place{at: at + int64(len(rest))}
		}
	}
	for i := 0; ; i += 7 {
		k := bytes.Index(block[i:], []byte("trailer"))
		if k < 0 {
			break
		}
		i += k
		d, _ := lexAt(f.r, f.size, at+int64(i)+7).object().(dict)
		for key, value := range d {
			f.trailer[key] = value
		}
	}
}

// lastNumber returns the number at the end of b, before white space, and what is
// before it.
func lastNumber(b []byte) (n int, before []byte, ok bool) {
	b = bytes.TrimRight(b, " \r\n\t\x00")
	i := len(b)
	for i > 0 && len(b)-i < 10 && b[i-1] >= '0' && b[i-1] <= '9' {
		i--
	}
	n, err := strconv.Atoi(string(b[i:]))
	return n, b[:i], err == nil
}

// adopt takes from an object of a damaged file what its table would have said.
func (f *file) adopt(number int) {
	switch x := f.resolve(ref{number, 0}).(type) {
	case dict:
		f.adoptDict(number, x)
	case *stream:
		switch x.dict["Type"] {
		case name("XRef"):
			for _, key := range []name{"Root", "Info", "Encrypt", "ID"} {
				if value, ok := x.dict[key]; ok {
					f.trailer[key] = value
				}
			}
		case name("ObjStm"):
			for _, n := range slices.Sorted(maps.Keys(f.pack(number).at)) {
				f.note(int64(n), place{pack: number})
				if d, ok := f.resolve(ref{n, 0}).(dict); ok {
					f.adoptDict(n, d)
				}
			}
		}
	}
}

func (f *file) adoptDict(number int, d dict) {
	switch d["Type"] {
	case name("Catalog"):
		f.trailer["Root"] = ref{number, 0}
	case name("Page"):
		if len(f.loose) < maxPages {
			f.loose = append(f.loose, ref{number, 0})
		}
	}
}

// resolve returns what x refers to, or x.
func (f *file) resolve(x object) object {
	for range 16 {
		r, ok := x.(ref)
		if !ok {
			return x
		}
		x = f.load(r.number)
	}
	return nil
}

func (f *file) dict(x object) dict {
	switch x := f.resolve(x).(type) {
	case dict:
		return x
	case *stream:
		return x.dict
	}
	return nil
}

// list returns an array, or x as the only one in it, or nothing.
func (f *file) list(x object) array {
	switch x := f.resolve(x).(type) {
	case array:
		return x
	case nil:
		return nil
	default:
		return array{x}
	}
}

func (f *file) number(x object, otherwise float64) float64 {
	switch x := f.resolve(x).(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	return otherwise
}

func (f *file) integer(x object, otherwise int) int {
	n := f.number(x, float64(otherwise))
	if n < -1<<30 || n > 1<<30 {
		return otherwise
	}
	return int(n)
}

// load returns an indirect object, nil if there is none.
func (f *file) load(number int) object {
	if x, ok := f.cache[number]; ok {
		return x
	}
	p, ok := f.table[number]
	if !ok || p.free || f.busy[number] {
		return nil
	}
	f.busy[number] = true
	defer delete(f.busy, number)
	var x object
	if p.pack == 0 {
		x = f.indirect(p.at, number)
	} else if in := f.pack(p.pack); in != nil {
		if at, ok := in.at[number]; ok {
			x = lexBytes(in.data[at:]).object()
		}
	}
	if _, ok := x.(keyword); ok {
		x = nil
	}
	if len(f.cache) >= maxCached {
		clear(f.cache)
	}
	f.cache[number] = x
	return x
}

// indirect reads the object at an offset, if it is that of a number; negative:
// any.
func (f *file) indirect(at int64, number int) object {
	l := lexAt(f.r, f.size, at)
	n, ok := l.object().(int64)
	generation, ok2 := l.object().(int64)
	if !ok || !ok2 || l.object() != keyword("obj") || number >= 0 && n != int64(number) {
		return nil
	}
	x := l.object()
	d, ok := x.(dict)
	if !ok {
		// "1 0 obj 2 0 R" is one that refers to another.
		if first, ok := x.(int64); ok {
			if second, ok := l.object().(int64); ok && l.object() == keyword("R") {
				if r := reference(array{first, second}); len(r) == 1 {
					return r[0]
				}
			}
		}
		return x
	}
	if l.object() != keyword("stream") {
		return d
	}
	if c := l.next(); c == '\r' {
		if c = l.next(); c != '\n' {
			l.back(c)
		}
	} else if c != '\n' {
		l.back(c)
	}
	return &stream{dict: d, at: l.offset(), key: ref{int(n), int(generation)}}
}

// pack returns an object stream; it has no objects if it cannot be read.
func (f *file) pack(number int) *pack {
	if p, ok := f.packs[number]; ok {
		return p
	}
	p := &pack{at: make(map[int]int)}
	f.packs[number] = p
	if f.table[number].pack != 0 {
		return p // they cannot be in each other
	}
	s, ok := f.load(number).(*stream)
	if !ok || s.dict["Type"] != name("ObjStm") {
		return p
	}
	data, err := f.decode(s)
	if err != nil {
		return p
	}
	p.data = data
	first := f.integer(s.dict["First"], 0)
	l := lexBytes(data)
	for range min(f.integer(s.dict["N"], 0), maxObjects) {
		n, ok := l.object().(int64)
		at, ok2 := l.object().(int64)
		if !ok || !ok2 || n < 0 || n > maxObjects*8 {
			break
		}
		if at += int64(first); at >= 0 && at < int64(len(data)) {
			p.at[int(n)] = int(at)
		}
	}
	return p
}
