package seed

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// Limits of a seed.
const (
	MaxText     = 1 << 20 // bytes
	MaxInline   = 1000    // pieces whose values are in the text
	MaxTrackers = 8
	MaxWeb      = 8
	MaxBases    = 8
	MaxURL      = 2048 // bytes
)

// Errors that callers tell apart. What is returned wraps them and says more.
var (
	// ErrMismatch: pieces, or a file, are not those of the seed.
	ErrMismatch = errors.New("not what the seed says")
	// ErrName: no file can have this name everywhere.
	ErrName = errors.New("not a name for a file")
	// ErrLegacy: a seed of the old form cannot do this.
	ErrLegacy = errors.New("a seed of the old form (MD5)")
)

// An ID names the content of a file. Its text form is lower-case hexadecimal.
type ID [32]byte

// ParseID reads the text form of an ID.
func ParseID(text string) (ID, error) {
	var id ID
	err := id.UnmarshalText([]byte(text))
	return id, err
}

// String returns the text form.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first 12 digits, for people.
func (id ID) Short() string { return id.String()[:12] }

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	if why := readHex(id[:], string(text)); why != "" {
		return fmt.Errorf("seed: id %.80q: %s", text, why)
	}
	return nil
}

// A Seed describes a file. Seeds are values: what is in the slices does not change.
type Seed struct {
	Name string // of the file, without a directory
	Layout
	Root   chunk.Hash   // BLAKE3-256 of the file; zero in the old form
	List   chunk.Hash   // BLAKE3-256 of the values one after the other; zero while only a link is known
	Pieces []chunk.Hash // the values; nil: they are to be fetched, or it is the old form

	Trackers []p2p.ID // nodes that know who has the file
	Web      []string // URLs of the file, http or https
	Bases    []Base   // older versions from which a delta leads here

	Legacy *Legacy // what the old form verifies by; nil: form 1
}

// A Base is an older version of the file for which somebody has made the delta.
type Base struct {
	Root      chunk.Hash // of the older version
	Delta     chunk.Hash // root of the delta, which is a file with a seed, too
	DeltaSize int64      // in bytes
}

// ID returns what names the content.
func (s Seed) ID() ID {
	if s.Legacy != nil {
		return ID(blake3.Sum256(s.appendLegacy([]byte(legacyContext))))
	}
	return ID(s.Root)
}

// Inline reports whether the text holds the values.
func (s Seed) Inline() bool { return s.Pieces != nil && len(s.Pieces) <= MaxInline }

// Text returns the seed as its canonical text: that of two seeds which say the same
// is the same. [Parse] makes the same seed out of it, but for the values of more
// than MaxInline pieces. The text of a seed that comes from a link ([Link.Seed])
// becomes one that can be read with [Seed.WithPieces].
func (s Seed) Text() []byte {
	if s.Legacy != nil {
		return s.appendLegacy(appendField(nil, "file_name", s.Name))
	}
	b := appendField(nil, formKey, form)
	b = appendField(b, "file_name", s.Name)
	b = appendNumber(b, "file_len", s.Size)
	b = appendField(b, "big_seed", s.Root.String())
	b = appendNumber(b, "chunk_len", int64(s.PieceLen))
	b = appendNumber(b, "chunk_count", int64(s.Count()))
	if s.List != (chunk.Hash{}) {
		b = appendField(b, "chunks_root", s.List.String())
	}
	if s.Inline() {
		for i, h := range s.Pieces {
			b = appendField(b, hashKey(i), h.String())
		}
	}
	for _, id := range s.Trackers {
		b = appendField(b, "tracker", id.String())
	}
	for _, u := range s.Web {
		b = appendField(b, "web", u)
	}
	for _, base := range s.Bases {
		b = appendField(b, "base", fmt.Sprintf("%s %s %d", base.Root, base.Delta, base.DeltaSize))
	}
	return b
}

// ListURL returns where the values of the pieces of a file are published, if they are, whose URL on a web server that
// is: beside it, as NAME.pieces, the values one after the other. Their BLAKE3-256 is Seed.List, and they prove
// themselves by Seed.Root.
func ListURL(file string) string {
	at := strings.IndexByte(file, '?')
	if at < 0 {
		at = len(file)
	}
	return file[:at] + ListSuffix + file[at:]
}

// ListSuffix is what the name of the file of the values has behind that of the file they are of.
const ListSuffix = ".pieces"

// PackPieces returns the values one after the other.
func (s Seed) PackPieces() []byte {
	b := make([]byte, 0, len(s.Pieces)*len(chunk.Hash{}))
	for _, h := range s.Pieces {
		b = append(b, h[:]...)
	}
	return b
}

func appendField(b []byte, key, value string) []byte {
	b = append(b, key...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, '\n')
}

func appendNumber(b []byte, key string, n int64) []byte {
	return appendField(b, key, strconv.FormatInt(n, 10))
}

// hashKey returns the key of the value of piece i.
func hashKey(i int) string { return "chunk" + strconv.Itoa(i+1) + "_hash" }

// WithPieces returns the seed with the values of all pieces, whoever sent them.
// ErrMismatch: they are not those of this file.
func (s Seed) WithPieces(values []chunk.Hash) (Seed, error) {
	if s.Legacy != nil {
		return Seed{}, fmt.Errorf("seed: values for %s: %w", s.ID().Short(), ErrLegacy)
	}
	list := ListOf(values)
	if s.List != (chunk.Hash{}) && s.List != list {
		return Seed{}, fmt.Errorf("seed: values for %s: their hash is %v, not %v: %w", s.ID().Short(), list, s.List, ErrMismatch)
	}
	root, err := s.Tree().Root(values)
	if s.Size == 0 {
		root = emptyRoot
	}
	if err == nil && root != s.Root {
		err = fmt.Errorf("they are of %v: %w", root, ErrMismatch)
	}
	if err != nil {
		return Seed{}, fmt.Errorf("seed: values for %s: %w", s.ID().Short(), err)
	}
	s.List, s.Pieces = list, slices.Clone(values)
	return s, nil
}

// ListOf returns the BLAKE3-256 of values one after the other.
func ListOf(values []chunk.Hash) (h chunk.Hash) {
	sum := blake3.New()
	for i := range values {
		_, _ = sum.Write(values[i][:]) // never fails (hash.Hash)
	}
	sum.Sum(h[:0])
	return h
}
