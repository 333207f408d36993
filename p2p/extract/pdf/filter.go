package pdf

import (
	"bufio"
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"errors"
	"fmt"
	"io"
)

const (
	// maxStream is how long a stream may be when it is decompressed.
	maxStream = 32 << 20
	// maxDecoded is how much is decompressed of one file.
	maxDecoded = 256 << 20
	// maxFilters is how many filters a stream may go through.
	maxFilters = 4
)

// decode returns a stream's data (7.4). Of data that is damaged it returns what
// comes before.
func (f *file) decode(s *stream) ([]byte, error) {
	data, err := f.raw(s)
	if err != nil {
		return nil, err
	}
	filters, params := f.list(s.dict["Filter"]), f.list(s.dict["DecodeParms"])
	if len(filters) > maxFilters {
		return nil, fmt.Errorf("a stream of %d filters", len(filters))
	}
	for i, x := range filters {
		kind, _ := f.resolve(x).(name)
		var param dict
		if i < len(params) {
			param = f.dict(params[i])
		}
		if data, err = f.unfilter(kind, param, data); err != nil {
			return nil, err
		}
		if f.decoded += len(data); f.decoded > maxDecoded {
			return nil, ErrTooLarge
		}
	}
	return data, nil
}

// raw returns a stream's data as it is in the file, decrypted.
func (f *file) raw(s *stream) ([]byte, error) {
	if s.data != nil {
		return s.data, nil
	}
	n, ok := f.resolve(s.dict["Length"]).(int64)
	if !ok || n < 0 || s.at+n > f.size || !f.endsAt(s.at+n) {
		n = f.lengthOf(s.at)
	}
	if n > maxStream {
		return nil, ErrTooLarge
	}
	data := make([]byte, n)
	k, err := f.r.ReadAt(data, s.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return f.crypt.stream(s, data[:k]), nil
}

// endsAt reports whether a stream ends at an offset.
func (f *file) endsAt(at int64) bool {
	var b [16]byte
	n, _ := f.r.ReadAt(b[:], at) // none: not there
	return bytes.HasPrefix(bytes.TrimLeft(b[:n], "\r\n\t \x00"), []byte("endst"))
}

// lengthOf looks for the end of a stream.
func (f *file) lengthOf(at int64) int64 {
	r := bufio.NewReaderSize(io.NewSectionReader(f.r, at, min(f.size-at, maxStream+1)), 64<<10)
	for n := int64(0); ; {
		line, err := r.ReadSlice('m') // the last letter of endstream
		n += int64(len(line))
		if before, ok := bytes.CutSuffix(line, []byte("endstream")); ok {
			return n - int64(len(line)) + int64(len(before))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return n
		}
	}
}

func (f *file) unfilter(kind name, param dict, data []byte) ([]byte, error) {
	switch kind {
	case "FlateDecode", "Fl":
		r, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, nil // nothing can be read of it
		}
		return f.predicted(param, readSome(r))
	case "LZWDecode", "LZW":
		return f.predicted(param, unLZW(data, f.integer(param["EarlyChange"], 1) != 0))
	case "ASCII85Decode", "A85":
		return unASCII85(data), nil
	case "ASCIIHexDecode", "AHx":
		return []byte((&lexer{buf: data}).hexAll()), nil
	case "RunLengthDecode", "RL":
		return unRunLength(data), nil
	case "Crypt":
		return data, nil
	}
	return nil, nil // an image, or what nobody knows
}

// readSome reads what can be read.
func readSome(r io.Reader) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, maxStream)) // what comes before the damage
	return b
}

func (l *lexer) hexAll() []byte {
	var b []byte
	for l.pos < len(l.buf) {
		part := l.hex()
		b = append(b, part...)
		if l.pos > 0 && l.buf[l.pos-1] == '>' {
			break
		}
	}
	return b
}

func unASCII85(data []byte) []byte {
	data = bytes.TrimPrefix(bytes.TrimSpace(data), []byte("<~"))
	if i := bytes.IndexByte(data, '~'); i >= 0 {
		data = data[:i]
	}
	return readSome(ascii85.NewDecoder(bytes.NewReader(data)))
}

func unRunLength(data []byte) []byte {
	var b []byte
	for len(data) > 1 && len(b) < maxStream {
		n := int(data[0])
		switch {
		case n == 128:
			return b
		case n < 128:
			n = min(n+1, len(data)-1)
			b, data = append(b, data[1:1+n]...), data[1+n:]
		default:
			b, data = append(b, bytes.Repeat(data[1:2], 257-n)...), data[2:]
		}
	}
	return b
}

// unLZW decompresses with codes of 9 to 12 bits, most significant first (7.4.4).
// With early, codes become longer one code before they must: that is not what
// compress/lzw reads.
func unLZW(data []byte, early bool) []byte {
	if !early {
		return readSome(lzw.NewReader(bytes.NewReader(data), lzw.MSB, 8))
	}
	const clear, end = 256, 257
	var prefix [4096]uint16
	var suffix [4096]byte
	var length [4096]uint16
	var out []byte
	next, width, last := 258, 9, -1
	bits, have := 0, 0
	for _, c := range data {
		bits, have = bits<<8|int(c), have+8
		if have < width {
			continue
		}
		have -= width
		code := bits >> have & (1<<width - 1)
		bits &= 1<<have - 1
		switch {
		case code == clear:
			next, width, last = 258, 9, -1
			continue
		case code == end || code > next || code == next && last < 0 || len(out) > maxStream:
			return out
		}
		n := 1
		if code >= 258 && code < next {
			n = int(length[code])
		} else if code == next {
			n = 1
			if last >= 258 {
				n = int(length[last])
			}
			n++
		}
		at := len(out)
		out = append(out, make([]byte, n)...)
		c, k := code, at+n-1
		if code == next {
			c, k = last, k-1
		}
		for ; c >= 258; k-- {
			out[k], c = suffix[c], int(prefix[c])
		}
		out[k] = byte(c)
		if code == next {
			out[at+n-1] = out[at]
		}
		if last >= 0 && next < 4096 {
			prefix[next], suffix[next] = uint16(last), out[at]
			length[next] = 2
			if last >= 258 {
				length[next] = length[last] + 1
			}
			next++
		}
		last = code
		if next+1 >= 1<<width && width < 12 {
			width++
		}
	}
	return out
}

// predicted undoes what makes tables compress better (7.4.4.4).
func (f *file) predicted(param dict, data []byte) ([]byte, error) {
	kind := f.integer(param["Predictor"], 1)
	if kind < 2 {
		return data, nil
	}
	colors, bits := f.integer(param["Colors"], 1), f.integer(param["BitsPerComponent"], 8)
	columns := f.integer(param["Columns"], 1)
	if colors < 1 || colors > 32 || bits < 1 || bits > 16 || columns < 1 || columns > 1<<24 {
		return nil, fmt.Errorf("a predictor of %d columns", columns)
	}
	step, row := max(colors*bits/8, 1), (colors*bits*columns+7)/8
	if kind == 2 {
		if bits == 8 {
			for at := 0; at+row <= len(data); at += row {
				for i := at + step; i < at+row; i++ {
					data[i] += data[i-step]
				}
			}
		}
		return data, nil
	}
	out := make([]byte, 0, len(data))
	before := make([]byte, row)
	for len(data) > 1 {
		line := data[1:min(row+1, len(data))]
		unpredict(data[0], line, before, step)
		out = append(out, line...)
		before, data = append(line[:len(line):len(line)], make([]byte, row-len(line))...), data[1+len(line):]
	}
	return out, nil
}

// unpredict undoes a filter of PNG on a line.
func unpredict(kind byte, line, before []byte, step int) {
	for i := range line {
		var left, corner byte
		if i >= step {
			left, corner = line[i-step], before[i-step]
		}
		switch up := before[i]; kind {
		case 1:
			line[i] += left
		case 2:
			line[i] += up
		case 3:
			line[i] += byte((int(left) + int(up)) / 2)
		case 4:
			line[i] += paeth(left, up, corner)
		}
	}
}

func paeth(left, up, corner byte) byte {
	p := int(left) + int(up) - int(corner)
	a, b, c := abs(p-int(left)), abs(p-int(up)), abs(p-int(corner))
	switch {
	case a <= b && a <= c:
		return left
	case b <= c:
		return up
	}
	return corner
}

func abs(n int) int { return max(n, -n) }
