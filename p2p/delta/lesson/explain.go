package lesson

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

// Limits of what is explained. All of it is held in memory, and looked at by a
// person.
const (
	MaxText   = 16 << 10 // of both texts together, in bytes, if each step is told
	MaxAll    = 1 << 20  // likewise, if somebody wants it for longer ones (ExplainAll)
	MaxFile   = 16 << 20 // of each text, in bytes, if only the totals are
	MaxBlock  = 64 << 10 // of a block, in bytes
	MaxBlocks = 1 << 18  // of the old text
	MaxList   = 1000     // blocks and operations that are listed where only the totals are told
)

// strongBudget is how many bytes the strong sum is taken of at most. Only texts
// that are made for it need more: then the weak sum is known nearly everywhere
// and never that of an equal block.
const strongBudget = 256 << 20

// Errors that callers tell apart. What is returned wraps them and says more.
var (
	ErrBlock    = errors.New("no length of a block")
	ErrTooLarge = errors.New("too large to explain")
	// ErrWork: the weak sums of the two texts are equal so often, and the strong
	// ones are not, that the search would never end.
	ErrWork = errors.New("too many false alarms")
)

// A Sum is a weak or a strong sum of 32 bits. As text it has eight hexadecimal
// digits.
type Sum uint32

// String returns the digits.
func (s Sum) String() string { return fmt.Sprintf("%08x", uint32(s)) }

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Block is a piece of the old text.
type Block struct {
	Offset  int `json:"offset"` // in the old text
	Length  int `json:"length"` // the last one may be shorter than the others
	Weak    Sum `json:"weak"`
	Strong  Sum `json:"strong"`
	Matches int `json:"matches"` // how often it is copied into the new text
}

// An Outcome is what a step of the search finds out about a window.
type Outcome string

// The outcomes. Only a match moves the window further than by one byte, and only
// it saves anything.
const (
	Unknown    Outcome = "unknown"     // no block has this weak sum: the first byte is a literal
	FalseAlarm Outcome = "false_alarm" // a block has it, but another strong sum: likewise
	Match      Outcome = "match"       // both sums are those of a block, which is copied
	// Collision: both sums are those of a block that is another text. Whoever has
	// only the sums takes it for a match, and finds out by the sum of the whole.
	Collision Outcome = "collision"
	Rest      Outcome = "rest" // no block can be in what is left, or there is none: all of it is literal
)

// A Step is a position of the window.
type Step struct {
	At        int        `json:"at"`             // offset of the window in the new text
	Length    int        `json:"length"`         // of the window
	Weak      Sum        `json:"weak"`           // of the window
	Roll      *Roll      `json:"roll,omitempty"` // how Weak came about; nil: from all bytes of the window
	Candidate *Candidate `json:"candidate,omitempty"`
	Outcome   Outcome    `json:"outcome"`
}

// A Roll makes the weak sum of a window out of that of the one before.
type Roll struct {
	Before Sum  `json:"before"` // of the window one byte before
	Out    byte `json:"out"`    // leaves at the front
	In     byte `json:"in"`     // enters at the end
}

// A Candidate is a block with the weak sum of the window.
type Candidate struct {
	Block  int `json:"block"`  // index of the block: the one that matches, or else the first one
	Strong Sum `json:"strong"` // of the window
}

// An Op says what comes next in the new text.
type Op struct {
	Op     string `json:"op"`             // "copy" or "data"
	At     int    `json:"at"`             // offset in the new text
	Length int    `json:"length"`         // in bytes
	From   *From  `json:"from,omitempty"` // of a copy
}

// From is what a copy takes.
type From struct {
	Block  int `json:"block"`  // index of the first block
	Blocks int `json:"blocks"` // how many follow each other
	Offset int `json:"offset"` // in the old text
}

// The kinds of operations.
const (
	Copy = "copy"
	Data = "data"
)

// Totals count what the search did.
type Totals struct {
	Windows      int `json:"windows"`      // whose weak sum was looked up
	Known        int `json:"known"`        // of these: with the weak sum of a block
	FalseAlarms  int `json:"false_alarms"` // of these: with another strong sum
	Collisions   int `json:"collisions"`   // of these: with the same one, and other bytes
	Matches      int `json:"matches"`
	MatchedBytes int `json:"matched_bytes"`
	LiteralBytes int `json:"literal_bytes"`
	Copies       int `json:"copies"` // operations
	Pieces       int `json:"pieces"` // likewise, of literal bytes
}

// What travels, in bytes, in the simple form of the lesson: two sums for each
// block one way; the other way the number of the first block and how many for a
// copy, and the length before literal bytes.
const (
	sumsBytes  = 8
	copyBytes  = 8
	pieceBytes = 4
)

// Wire is how many bytes travel.
type Wire struct {
	Signature  int `json:"signature"`  // the sums, from who has the old text
	Operations int `json:"operations"` // from who has the new text
	Literals   int `json:"literals"`   // likewise
	Total      int `json:"total"`
	Whole      int `json:"whole"` // if the new text were sent as it is
}

// An Explanation is the whole lesson about two texts. Where they are longer than
// MaxText, Detailed is false: then Old, New and Steps are missing, and of Blocks
// and Ops there are the first MaxList.
type Explanation struct {
	Block       int     `json:"block"` // length of all blocks but the last, in bytes
	OldSize     int     `json:"old_size"`
	NewSize     int     `json:"new_size"`
	Detailed    bool    `json:"detailed"`
	Old         []byte  `json:"old,omitempty"`
	New         []byte  `json:"new,omitempty"`
	Blocks      []Block `json:"blocks"`
	BlocksTotal int     `json:"blocks_total"`
	Steps       []Step  `json:"steps"`
	Ops         []Op    `json:"ops"`
	OpsTotal    int     `json:"ops_total"`
	Totals      Totals  `json:"totals"`
	Wire        Wire    `json:"wire"`
	Odds        Odds    `json:"odds"`
}

// DefaultBlock is the length of a block for an old text of size bytes: about its
// square root, which balances the signature against what is sent for each edit.
func DefaultBlock(size int) int {
	return min(max(int(math.Sqrt(float64(size))), 1), MaxBlock)
}

// Explain shows how the target is made out of the old text with blocks of the
// given length in bytes; zero is DefaultBlock. Errors: ErrBlock, ErrTooLarge,
// ErrWork.
func Explain(old, target []byte, block int) (Explanation, error) {
	return explain(old, target, block, MaxText, xxh32)
}

// ExplainAll is Explain, but tells each step of texts of up to MaxAll. It takes
// about a hundred bytes of memory for each byte of the new text.
func ExplainAll(old, target []byte, block int) (Explanation, error) {
	return explain(old, target, block, MaxAll, xxh32)
}

func xxh32(p []byte) Sum { return Sum(delta.XXH32(0, p)) }

// explain tells each step if both texts together have most bytes at most.
func explain(old, target []byte, block, most int, strong func([]byte) Sum) (Explanation, error) {
	if block == 0 {
		block = DefaultBlock(len(old))
	}
	if err := check(len(old), len(target), block); err != nil {
		return Explanation{}, fmt.Errorf("lesson: %w", err)
	}
	s := &search{
		old: old, target: target, block: block, strong: strong,
		detailed: len(old)+len(target) <= most, budget: strongBudget,
	}
	s.sign()
	if err := s.run(); err != nil {
		return Explanation{}, fmt.Errorf("lesson: %w", err)
	}
	return s.explanation(), nil
}

// check refuses what is beyond the limits.
func check(old, target, block int) error {
	switch {
	case block < 1 || block > MaxBlock:
		return fmt.Errorf("%w: %d; it is from 1 to %d bytes", ErrBlock, block, MaxBlock)
	case old > MaxFile || target > MaxFile:
		return fmt.Errorf("%w: %d and %d bytes; each side has at most %d", ErrTooLarge, old, target, MaxFile)
	case (old+block-1)/block > MaxBlocks:
		return fmt.Errorf("%w: %d bytes are more than %d blocks of %d; take longer blocks", ErrTooLarge, old, MaxBlocks, block)
	}
	return nil
}

func (s *search) explanation() Explanation {
	s.totals.LiteralBytes = len(s.target) - s.totals.MatchedBytes
	e := Explanation{
		Block: s.block, OldSize: len(s.old), NewSize: len(s.target), Detailed: s.detailed,
		Blocks: s.blocks, BlocksTotal: len(s.blocks), Steps: s.steps, Ops: s.ops, OpsTotal: s.totals.Copies + s.totals.Pieces,
		Totals: s.totals, Odds: OddsOf(len(s.old), len(s.target), s.block),
	}
	if s.detailed {
		e.Old, e.New = s.old, s.target
	} else {
		e.Blocks = s.blocks[:min(len(s.blocks), MaxList)]
	}
	e.Wire = Wire{
		Signature:  sumsBytes * len(s.blocks),
		Operations: copyBytes*s.totals.Copies + pieceBytes*s.totals.Pieces,
		Literals:   s.totals.LiteralBytes, Whole: len(s.target),
	}
	e.Wire.Total = e.Wire.Signature + e.Wire.Operations + e.Wire.Literals
	return e
}

// Rebuild makes the new text out of the old one and the operations, with the
// literal bytes from target. It says whether the operations are right.
func Rebuild(old, target []byte, ops []Op) []byte {
	var out bytes.Buffer
	for _, op := range ops {
		if op.From != nil {
			out.Write(old[op.From.Offset:][:op.Length])
		} else {
			out.Write(target[op.At:][:op.Length])
		}
	}
	return out.Bytes()
}
