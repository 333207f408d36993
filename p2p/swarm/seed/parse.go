package seed

import (
	"bytes"
	"crypto/md5" // the old form has nothing else
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
)

const (
	formKey = "shoal-seed"
	form    = "1"
)

// A SyntaxError says where a text is no seed, and what was expected there.
type SyntaxError struct {
	Line     int    // from 1 on; 0: something is not in the text
	Problem  string // what is wrong
	Expected string // what would be right
}

// Error implements error.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("seed: %s; expected %s", e.Problem, e.Expected)
	}
	return fmt.Sprintf("seed: line %d: %s; expected %s", e.Line, e.Problem, e.Expected)
}

// Parse reads the text of a seed, of form 1 or the old form. Whatever the text
// claims, what is allocated is a small multiple of its length. Errors are
// *SyntaxError.
func Parse(text []byte) (Seed, error) {
	if len(text) > MaxText {
		return Seed{}, &SyntaxError{0, fmt.Sprintf("%d bytes", len(text)), fmt.Sprintf("at most %d", MaxText)}
	}
	p := parser{fields: map[string]field{}}
	if err := p.read(bytes.TrimPrefix(text, []byte("\ufeff"))); err != nil {
		return Seed{}, err
	}
	finish := p.finish
	if p.old {
		finish = p.finishOld
	}
	if err := finish(); err != nil {
		return Seed{}, err
	}
	return p.s, nil
}

// A field is the value of a key that comes once.
type field struct {
	line  int
	value string
}

type parser struct {
	s      Seed
	old    bool
	line   int
	began  bool // a field has been read
	fields map[string]field
	sums   [][md5.Size]byte // of the old form
	hashes int              // the line of the last hash of a chunk
}

func (p *parser) fail(problem, expected string) error {
	return &SyntaxError{p.line, problem, expected}
}

func (p *parser) read(text []byte) error {
	for line := range bytes.Lines(text) {
		p.line++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if !utf8.Valid(line) {
			return p.fail("bytes that are not text", "UTF-8")
		}
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(string(line), ": ")
		if !ok {
			return p.fail(fmt.Sprintf("%.60q is not a field", line), `a key, a colon, a space and a value`)
		}
		if err := p.field(key, value); err != nil {
			return err
		}
		p.began = true
	}
	if !p.began {
		return &SyntaxError{0, "there is nothing in it", "a first line " + formKey + ": " + form}
	}
	return nil
}

// The keys that come once, and those that can come more often.
var (
	single     = []string{formKey, "file_name", "file_len", "big_seed", "chunk_len", "chunk_count", "chunks_root"}
	oldSingle  = []string{"file_name", "file_len", "big_seed", "chunk_len"}
	repeatable = []string{"tracker", "web", "base"}
)

func (p *parser) field(key, value string) error {
	if !p.began {
		p.old = key != formKey
	}
	known := single
	if p.old {
		known = oldSingle
	}
	switch {
	case p.old && key == formKey:
		return p.fail(formKey+" is not in the first field", "it before all others")
	case key == formKey && value != form:
		return p.fail(fmt.Sprintf("form %.20q", value), form+", the form that this version reads")
	case slices.Contains(known, key):
		if f, ok := p.fields[key]; ok {
			return p.fail(key+" again", fmt.Sprintf("it once; it is in line %d", f.line))
		}
		p.fields[key] = field{p.line, value}
		return nil
	case strings.HasPrefix(key, "x-"):
		return nil
	case strings.HasPrefix(key, "chunk") && strings.HasSuffix(key, "_hash"):
		return p.hash(key, value)
	case !p.old && slices.Contains(repeatable, key):
		return p.repeated(key, value)
	}
	return p.fail(fmt.Sprintf("no key is called %.60q", key), "one of "+p.keys())
}

func (p *parser) keys() string {
	if p.old {
		return strings.Join(oldSingle, ", ") + ", chunk1_hash …, as the text does not begin with " + formKey
	}
	return strings.Join(append(slices.Concat(single[1:], repeatable), "chunk1_hash …"), ", ")
}

// hash reads the hash of the next chunk.
func (p *parser) hash(key, value string) error {
	n := len(p.s.Pieces) + len(p.sums)
	switch {
	case key != hashKey(n):
		return p.fail(fmt.Sprintf("%.60q", key), hashKey(n)+", the next one")
	case !p.old && n == MaxInline:
		return p.fail(key, fmt.Sprintf("at most %d hashes; of more chunks, the text has only chunks_root", MaxInline))
	}
	p.hashes = p.line
	if p.old {
		var sum [md5.Size]byte
		if why := readHex(sum[:], strings.ToLower(value)); why != "" {
			return p.fail(key+" "+why, "an MD5")
		}
		p.sums = append(p.sums, sum)
		return nil
	}
	var h chunk.Hash
	if why := readHex(h[:], value); why != "" {
		return p.fail(key+" "+why, "a BLAKE3-256")
	}
	p.s.Pieces = append(p.s.Pieces, h)
	return nil
}

func (p *parser) repeated(key, value string) error {
	switch key {
	case "tracker":
		id, err := p2p.ParseID(value)
		switch {
		case err != nil:
			return p.fail(fmt.Sprintf("tracker %.60q", value), "the ID of a node, 52 characters")
		case slices.Contains(p.s.Trackers, id):
			return p.fail("the same tracker again", "others")
		case len(p.s.Trackers) == MaxTrackers:
			return p.fail("another tracker", fmt.Sprintf("at most %d", MaxTrackers))
		}
		p.s.Trackers = append(p.s.Trackers, id)
	case "web":
		switch why := wrongURL(value); {
		case why != "":
			return p.fail(fmt.Sprintf("web %.80q: %s", value, why), "an http or https URL of the file")
		case slices.Contains(p.s.Web, value):
			return p.fail("the same URL again", "others")
		case len(p.s.Web) == MaxWeb:
			return p.fail("another URL", fmt.Sprintf("at most %d", MaxWeb))
		}
		p.s.Web = append(p.s.Web, value)
	case "base":
		base, ok := parseBase(value)
		switch {
		case !ok:
			return p.fail(fmt.Sprintf("base %.200q", value), "the BLAKE3-256 of the older file, that of the delta, and its length")
		case slices.ContainsFunc(p.s.Bases, func(b Base) bool { return b.Root == base.Root }):
			return p.fail("the same base again", "others")
		case len(p.s.Bases) == MaxBases:
			return p.fail("another base", fmt.Sprintf("at most %d", MaxBases))
		}
		p.s.Bases = append(p.s.Bases, base)
	}
	return nil
}

func parseBase(value string) (b Base, ok bool) {
	words := strings.Split(value, " ")
	if len(words) != 3 || readHex(b.Root[:], words[0]) != "" || readHex(b.Delta[:], words[1]) != "" {
		return Base{}, false
	}
	b.DeltaSize, ok = readNumber(words[2])
	return b, ok && b.DeltaSize <= MaxSize && b.Delta != b.Root
}

// CheckURL reports what is wrong with the URL of a file on a web server.
func CheckURL(text string) error {
	if why := wrongURL(text); why != "" {
		return fmt.Errorf("seed: URL %.80q: %s", text, why)
	}
	return nil
}

func wrongURL(text string) string {
	if len(text) > MaxURL {
		return fmt.Sprintf("%d bytes, at most %d", len(text), MaxURL)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "a character that must be percent-encoded"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "not a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "neither http nor https"
	case u.Hostname() == "" || u.Opaque != "":
		return "no host"
	case u.User != nil:
		return "a user name in it"
	case strings.Contains(text, "#"):
		return "a fragment, which no server sees"
	}
	return ""
}

// take returns a field that must be there.
func (p *parser) take(key, example string) (string, error) {
	f, ok := p.fields[key]
	p.line = f.line
	if !ok {
		return "", p.fail(key+" is missing", example)
	}
	return f.value, nil
}

// common reads what both forms have.
func (p *parser) common() (err error) {
	if p.s.Name, err = p.take("file_name", "the name of the file"); err != nil {
		return err
	}
	if why := wrongName(p.s.Name); why != "" {
		return p.fail(fmt.Sprintf("file_name %.300q: %s", p.s.Name, why), "the name of a file without a directory")
	}
	value, err := p.take("file_len", "the length of the file in bytes")
	if err != nil {
		return err
	}
	size, ok := readNumber(value)
	if !ok || size > MaxSize {
		return p.fail(fmt.Sprintf("file_len %.40q", value), fmt.Sprintf("a number from 0 to %d", int64(MaxSize)))
	}
	p.s.Size = size
	return nil
}

func (p *parser) finish() error {
	if err := p.common(); err != nil {
		return err
	}
	s := &p.s
	s.Layout = Layout{s.Size, pieceLen(s.Size)}
	value, err := p.take("big_seed", "the BLAKE3-256 of the file")
	if err != nil {
		return err
	}
	if why := readHex(s.Root[:], value); why != "" {
		return p.fail("big_seed "+why, "the BLAKE3-256 of the file")
	}
	if err := p.implied("chunk_len", s.PieceLen); err != nil {
		return err
	}
	if err := p.implied("chunk_count", s.Count()); err != nil {
		return err
	}
	if s.Count() == 1 && s.Pieces == nil { // the only piece is the file
		s.Pieces = []chunk.Hash{s.Root}
	}
	if s.Pieces != nil {
		return p.inline()
	}
	if value, err = p.take("chunks_root", "it, or the hashes of the chunks"); err != nil {
		return err
	}
	if why := readHex(s.List[:], value); why != "" {
		return p.fail("chunks_root "+why, "the BLAKE3-256 of all hashes of chunks")
	}
	return nil
}

// implied checks a number that follows from the length of the file.
func (p *parser) implied(key string, want int) error {
	value, err := p.take(key, fmt.Sprintf("%s: %d", key, want))
	if err != nil {
		return err
	}
	if value != strconv.Itoa(want) {
		return p.fail(fmt.Sprintf("%s %.40q", key, value), fmt.Sprintf("%d for a file of %d bytes", want, p.s.Size))
	}
	return nil
}

// inline checks the values that are in the text.
func (p *parser) inline() error {
	s := &p.s
	if n := len(s.Pieces); n != s.Count() {
		p.line = p.hashes
		return p.fail(fmt.Sprintf("%d hashes of chunks", n), fmt.Sprintf("those of all %d, or none", s.Count()))
	}
	s.List = ListOf(s.Pieces)
	if f, ok := p.fields["chunks_root"]; ok && f.value != s.List.String() {
		p.line = f.line
		return p.fail("chunks_root is not the hash of the hashes of the chunks", s.List.String())
	}
	root, err := s.Tree().Root(s.Pieces)
	if s.Size == 0 {
		root = emptyRoot
	}
	if err != nil || root != s.Root {
		p.line = p.fields["big_seed"].line
		return p.fail("big_seed is not what the hashes of the chunks give", root.String())
	}
	return nil
}

func (p *parser) finishOld() error {
	if err := p.common(); err != nil {
		return err
	}
	s := &p.s
	value, err := p.take("big_seed", "the MD5 of the file")
	if err != nil {
		return err
	}
	s.Legacy = &Legacy{Pieces: p.sums}
	if why := readHex(s.Legacy.Sum[:], strings.ToLower(value)); why != "" {
		return p.fail("big_seed "+why, "the MD5 of the file, as the text does not begin with "+formKey+": "+form)
	}
	n := max(1, len(p.sums))
	piece := legacyPieceLen(s.Size, n)
	p.line = p.fields["file_len"].line
	if f, ok := p.fields["chunk_len"]; ok {
		p.line = f.line
		if piece, ok = readNumber(f.value); !ok || piece < 1 || piece > MaxSize {
			return p.fail(fmt.Sprintf("chunk_len %.40q", f.value), "the length of a chunk in bytes")
		}
	}
	if count := max(1, s.Size/piece+min(1, s.Size%piece)); count != int64(n) {
		p.line = max(p.line, p.hashes)
		return p.fail(fmt.Sprintf("%d hashes of chunks", len(p.sums)), fmt.Sprintf("%d for %d bytes in chunks of %d", count, s.Size, piece))
	}
	if n == 1 {
		piece = max(1, s.Size)
		if p.sums == nil {
			s.Legacy.Pieces = [][md5.Size]byte{s.Legacy.Sum}
		}
	}
	s.PieceLen = int(min(piece, MaxLegacyPiece))
	switch {
	case piece > MaxLegacyPiece:
		return p.fail(fmt.Sprintf("a chunk of %d bytes", piece), fmt.Sprintf("hashes of chunks of at most %d", MaxLegacyPiece))
	case n == 1 && s.Legacy.Pieces[0] != s.Legacy.Sum:
		p.line = p.hashes
		return p.fail("the hash of the only chunk is not that of the file", hex.EncodeToString(s.Legacy.Sum[:]))
	case s.Size == 0 && s.Legacy.Sum != md5.Sum(nil):
		p.line = p.fields["big_seed"].line
		return p.fail("big_seed is not that of an empty file", "d41d8cd98f00b204e9800998ecf8427e")
	}
	return nil
}

// readHex reads lower-case hexadecimal digits and says what is wrong with them.
func readHex(b []byte, text string) string {
	if len(text) != hex.EncodedLen(len(b)) {
		return fmt.Sprintf("has %d characters, not %d", len(text), hex.EncodedLen(len(b)))
	}
	if _, err := hex.Decode(b, []byte(text)); err != nil || strings.ToLower(text) != text {
		return "has characters other than 0 to 9 and a to f"
	}
	return ""
}

// readNumber reads a decimal number in its only form.
func readNumber(text string) (n int64, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == text
}
