package lesson

import (
	"bytes"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

// search is one run of the algorithm.
type search struct {
	old, target []byte
	block       int
	strong      func([]byte) Sum
	detailed    bool
	budget      int // bytes that the strong sum may still be taken of

	blocks []Block
	weak   map[Sum]int  // the first whole block with a weak sum
	both   map[pair]int // the first whole block with both sums
	short  int          // index of the last block if it is shorter, or -1

	steps  []Step
	ops    []Op
	totals Totals
	last   Op  // not yet in ops
	next   int // index of the block after the last match
}

type pair struct{ weak, strong Sum }

// sign cuts the old text into blocks and sums each of them twice.
func (s *search) sign() {
	s.weak, s.both, s.short = map[Sum]int{}, map[pair]int{}, -1
	s.blocks = make([]Block, 0, (len(s.old)+s.block-1)/s.block)
	s.steps, s.ops = []Step{}, []Op{}
	for at := 0; at < len(s.old); at += s.block {
		p := s.old[at:min(at+s.block, len(s.old))]
		b := Block{Offset: at, Length: len(p), Weak: Sum(delta.NewClassic(p).Sum()), Strong: s.strong(p)}
		i := len(s.blocks)
		s.blocks = append(s.blocks, b)
		if len(p) < s.block {
			s.short = i
			continue
		}
		if _, there := s.weak[b.Weak]; !there {
			s.weak[b.Weak] = i
		}
		if _, there := s.both[pair{b.Weak, b.Strong}]; !there {
			s.both[pair{b.Weak, b.Strong}] = i
		}
	}
}

// run moves the window over the target, and then looks at what is left.
func (s *search) run() error {
	at, err := s.slide()
	if err != nil {
		return err
	}
	return s.finish(at)
}

// slide moves a window of a whole block as long as there is one, and returns
// where it ends.
func (s *search) slide() (at int, err error) {
	var sum delta.Classic
	rolled := false
	for len(s.weak) > 0 && at+s.block <= len(s.target) {
		step := Step{At: at, Length: s.block, Outcome: Unknown}
		if rolled {
			out, in := s.target[at-1], s.target[at+s.block-1]
			if s.detailed {
				step.Roll = &Roll{Before: Sum(sum.Sum()), Out: out, In: in}
			}
			sum = sum.Roll(out, in)
		} else {
			sum = delta.NewClassic(s.target[at : at+s.block])
		}
		step.Weak = Sum(sum.Sum())
		i, known := s.weak[step.Weak]
		if known {
			if i, err = s.compare(&step, i); err != nil {
				return at, err
			}
		}
		s.take(step, i)
		rolled = step.Outcome != Match
		if rolled {
			at++
		} else {
			at += s.block
		}
	}
	return at, nil
}

// compare takes the strong sum of a window whose weak sum is that of block i, and
// returns which block it is of.
func (s *search) compare(step *Step, i int) (int, error) {
	window := s.target[step.At : step.At+step.Length]
	if s.budget -= step.Length; s.budget < 0 {
		return i, fmt.Errorf("%w: at byte %d the strong sum had been taken of %d bytes", ErrWork, step.At, strongBudget)
	}
	strong := s.strong(window)
	step.Outcome = FalseAlarm
	if step.Length < s.block {
		if strong == s.blocks[i].Strong {
			step.Outcome = Match
		}
	} else if j, found := s.both[pair{step.Weak, strong}]; found {
		i, step.Outcome = j, Match
		// Of equal blocks the one that follows the last match makes one copy of two.
		if n := s.next; n < len(s.blocks) && s.blocks[n].Length == s.block && s.blocks[n].Weak == step.Weak && s.blocks[n].Strong == strong {
			i = n
		}
	}
	if b := s.blocks[i]; step.Outcome == Match && !bytes.Equal(window, s.old[b.Offset:][:b.Length]) {
		step.Outcome = Collision
	}
	if s.detailed {
		step.Candidate = &Candidate{Block: i, Strong: strong}
	}
	return i, nil
}

// finish looks at what is left when no whole block fits any more: only the last
// block of the old text can be in it, at its very end.
func (s *search) finish(at int) error {
	end := len(s.target)
	if s.short >= 0 && end-at >= s.blocks[s.short].Length {
		end -= s.blocks[s.short].Length
	}
	if at < end {
		s.take(Step{At: at, Length: end - at, Weak: s.weakOf(at, end), Outcome: Rest}, -1)
	}
	if end < len(s.target) {
		step := Step{At: end, Length: len(s.target) - end, Weak: s.weakOf(end, len(s.target)), Outcome: Unknown}
		if step.Weak == s.blocks[s.short].Weak {
			if _, err := s.compare(&step, s.short); err != nil {
				return err
			}
		}
		s.take(step, s.short)
	}
	s.flush()
	return nil
}

func (s *search) weakOf(from, to int) Sum {
	return Sum(delta.NewClassic(s.target[from:to]).Sum())
}

// take counts and keeps a step, and what it adds to the operations. Block i is
// what a match is of.
func (s *search) take(step Step, i int) {
	if s.detailed {
		s.steps = append(s.steps, step)
	}
	if step.Outcome != Rest {
		s.totals.Windows++
	}
	switch step.Outcome {
	case FalseAlarm:
		s.totals.Known++
		s.totals.FalseAlarms++
	case Collision:
		s.totals.Known++
		s.totals.Collisions++
	case Match:
		s.totals.Known++
		s.totals.Matches++
		s.totals.MatchedBytes += step.Length
		s.blocks[i].Matches++
		s.next = i + 1
		s.emit(Op{Op: Copy, At: step.At, Length: step.Length, From: &From{Block: i, Blocks: 1, Offset: s.blocks[i].Offset}})
		return
	}
	length := 1
	if step.Outcome == Rest || step.Length < s.block { // no window follows
		length = step.Length
	}
	s.emit(Op{Op: Data, At: step.At, Length: length})
}

// emit adds an operation, to the last one if it goes on with that.
func (s *search) emit(op Op) {
	switch {
	case s.last.Op != op.Op:
	case op.From == nil:
		s.last.Length += op.Length
		return
	case s.last.From.Block+s.last.From.Blocks == op.From.Block:
		s.last.Length += op.Length
		s.last.From.Blocks++
		return
	}
	s.flush()
	s.last = op
}

// flush ends the last operation.
func (s *search) flush() {
	switch s.last.Op {
	case "":
		return
	case Copy:
		s.totals.Copies++
	case Data:
		s.totals.Pieces++
	}
	if s.detailed || len(s.ops) < MaxList {
		s.ops = append(s.ops, s.last)
	}
	s.last = Op{}
}
