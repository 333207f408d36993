package lesson

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// shownBytes is how much of a block or a window is printed.
const shownBytes = 24

// RenderOptions say what Render leaves out.
type RenderOptions struct {
	// Lines is how many blocks, steps and operations are printed at most, of each;
	// zero is all. What is left out is counted.
	Lines int
	// All says how all of them are printed, such as by which flag. It is added where
	// some are left out; empty is nothing.
	All string
	// Story is told on the way, if it is not nil.
	Story *Story
}

// Render writes an explanation as plain text for a terminal: printable
// characters only, whatever the texts are.
func Render(e Explanation, o RenderOptions) string {
	r := &renderer{e: e, o: o}
	if o.Story != nil {
		if o.Story.Title != "" {
			r.printf("%s\n\n", o.Story.Title)
		}
		r.tell(0, "")
	}
	r.blocks()
	r.steps()
	r.ops()
	r.totals()
	r.odds()
	return r.b.String()
}

type renderer struct {
	e Explanation
	o RenderOptions
	b strings.Builder
}

func (r *renderer) printf(format string, args ...any) { fmt.Fprintf(&r.b, format, args...) }

// tell prints what the story says at a step, in lines of 76 characters.
func (r *renderer) tell(step int, indent string) {
	if r.o.Story == nil {
		return
	}
	for _, text := range r.o.Story.At(step) {
		line := indent
		for word := range strings.FieldsSeq(text) {
			if line != indent && len(line)+len(word) > 76 {
				r.printf("%s\n", strings.TrimRight(line, " "))
				line = indent
			}
			line += word + " "
		}
		r.printf("%s\n", strings.TrimRight(line, " "))
		if step == 0 {
			r.printf("\n")
		}
	}
}

// lines returns how many of n lines are printed.
func (r *renderer) lines(n int) int {
	if r.o.Lines > 0 {
		return min(n, r.o.Lines)
	}
	return n
}

func (r *renderer) more(total, shown int, what string) {
	if total > shown {
		r.printf("  … and %d more %s%s\n", total-shown, what, r.how())
	}
}

// how says how more is printed, if that is known.
func (r *renderer) how() string {
	if r.o.All == "" {
		return ""
	}
	return "; " + r.o.All
}

func (r *renderer) blocks() {
	r.printf("old: %s, %s\n", number(r.e.OldSize, "byte"), r.cut())
	n := r.lines(len(r.e.Blocks))
	if n > 0 {
		r.printf("  block  offset  weak sum  strong sum  copied  bytes\n")
	}
	for i, b := range r.e.Blocks[:n] {
		r.printf("  %5d  %6d  %s  %s    %6d  %s\n", i, b.Offset, b.Weak, b.Strong, b.Matches, quoted(r.e.Old, b.Offset, b.Length))
	}
	r.more(r.e.BlocksTotal, n, "blocks")
}

// cut says into which blocks the old text is cut.
func (r *renderer) cut() string {
	switch last := r.e.OldSize % r.e.Block; {
	case r.e.BlocksTotal == 0:
		return fmt.Sprintf("no blocks of %d", r.e.Block)
	case last == 0:
		return fmt.Sprintf("%s of %d", number(r.e.BlocksTotal, "block"), r.e.Block)
	case r.e.BlocksTotal == 1:
		return fmt.Sprintf("1 block, which is shorter than %d", r.e.Block)
	default:
		return fmt.Sprintf("%s of %d, the last one of %d", number(r.e.BlocksTotal, "block"), r.e.Block, last)
	}
}

func (r *renderer) steps() {
	r.printf("\nnew: %s", number(r.e.NewSize, "byte"))
	if !r.e.Detailed {
		r.printf("\n  The steps are left out: there are too many in texts of %d bytes together", r.e.OldSize+r.e.NewSize)
		if r.o.All != "" && r.e.OldSize+r.e.NewSize <= MaxAll {
			r.printf("%s", r.how())
		}
		r.printf(".\n  What follows counts all of them.\n")
		return
	}
	n := r.lines(len(r.e.Steps))
	if n == 0 {
		r.printf(": there is nothing to look at\n")
		return
	}
	r.printf("; the window moves over it\n  step    at  weak sum  window\n")
	for i, s := range r.e.Steps[:n] {
		r.printf("  %4d  %4d  %s  %s: %s\n", i+1, s.At, s.Weak, quoted(r.e.New, s.At, s.Length), r.told(s))
		r.tell(i+1, "                        ")
	}
	r.more(len(r.e.Steps), n, "steps")
}

// told says in words what a step finds out.
func (r *renderer) told(s Step) string {
	how := ""
	if s.Roll != nil {
		how = fmt.Sprintf("%s leaves, %s enters; ", char(s.Roll.Out), char(s.Roll.In))
	}
	literal := char(r.e.New[s.At]) + " is literal"
	if s.Length < r.e.Block {
		literal = "it is literal"
	}
	switch s.Outcome {
	case Match:
		return how + fmt.Sprintf("the weak sum is known, the strong sum %s agrees: block %d", s.Candidate.Strong, s.Candidate.Block)
	case FalseAlarm:
		return how + fmt.Sprintf("FALSE ALARM: block %d has this weak sum, but the strong sum is %s, not %s; %s",
			s.Candidate.Block, s.Candidate.Strong, r.e.Blocks[s.Candidate.Block].Strong, literal)
	case Collision:
		return how + fmt.Sprintf("COLLISION: block %d has both sums and is another text; only the sum of the whole would tell; %s", s.Candidate.Block, literal)
	case Rest:
		return how + r.rest(s) + "; it is literal"
	default:
		if s.Length < r.e.Block {
			return how + "the short last block has another weak sum; it is literal"
		}
		return how + "unknown; " + literal
	}
}

// rest says why no block is looked for in what is left.
func (r *renderer) rest(s Step) string {
	switch last := r.e.OldSize % r.e.Block; {
	case r.e.BlocksTotal == 0:
		return "the old text is empty, so that there are no blocks to find"
	case r.e.OldSize >= r.e.Block:
		return "too short for a whole block"
	case s.Length < last && s.At+s.Length == r.e.NewSize:
		return fmt.Sprintf("too short for the only block, which has %s", number(last, "byte"))
	default:
		return fmt.Sprintf("the only block has %s and can only be at the very end", number(last, "byte"))
	}
}

func (r *renderer) ops() {
	r.printf("\nwhat makes the new text\n")
	n := r.lines(len(r.e.Ops))
	for _, op := range r.e.Ops[:n] {
		switch {
		case op.From == nil:
			r.printf("  data  %s  %s\n", number(op.Length, "byte"), quoted(r.e.New, op.At, op.Length))
		case op.From.Blocks == 1:
			r.printf("  copy  %s  block %d\n", number(op.Length, "byte"), op.From.Block)
		default:
			r.printf("  copy  %s  blocks %d to %d\n", number(op.Length, "byte"), op.From.Block, op.From.Block+op.From.Blocks-1)
		}
	}
	r.more(r.e.OpsTotal, n, "operations")
}

func (r *renderer) totals() {
	t, w := r.e.Totals, r.e.Wire
	r.printf("\ntotals\n  windows       %d, of which %d known: %s, %s", t.Windows, t.Known, number2(t.Matches, "match", "matches"), number(t.FalseAlarms, "false alarm"))
	if t.Collisions > 0 {
		r.printf(", %s", number(t.Collisions, "collision"))
	}
	r.printf("\n  copied        %s\n  literal       %s\n", number(t.MatchedBytes, "byte"), number(t.LiteralBytes, "byte"))
	r.printf("  on the wire   %s: %d for the sums, %d for the operations, %d literal\n", number(w.Total, "byte"), w.Signature, w.Operations, w.Literals)
	r.printf("  sent whole    %s\n", number(w.Whole, "byte"))
}

func (r *renderer) odds() {
	o := r.e.Odds
	r.printf("\nodds, if the bytes were random: %s × %s", number(o.Blocks, "block"), number(o.Offsets, "offset"))
	if o.Short > 0 {
		r.printf(" + the last block of %s at the end", number(o.Short, "byte"))
	}
	r.printf(" = %s\n", number2f(o.Pairs, "pair", "pairs"))
	switch {
	case o.Pairs == 0:
		r.printf("  nothing is compared\n")
		return
	case o.Impossible:
		r.printf("  the weak sum tells all blocks of one or two bytes apart: there can be no false alarm\n")
		return
	}
	if whole := float64(o.Blocks) * float64(o.Offsets); whole > 0 {
		r.printf("  the weak sum is worth %.1f of its 32 bits for blocks of %s\n", o.WeakBits, number(r.e.Block, "byte"))
	}
	if o.Short > 0 {
		r.printf("  it is worth %.1f of them for the last block\n", o.ShortWeakBits)
	}
	r.printf("  %s false alarms are to be expected\n", decimal(o.FalseAlarms))
	for _, c := range o.Wrong {
		r.printf("  a wrong match with a strong sum of %d bits: %s\n", c.StrongBits, chance(c.Log2))
	}
}

func number2f(x float64, one, many string) string {
	if x == 1 {
		return "1 " + one
	}
	return decimal(x) + " " + many
}

// chance says a probability in words.
func chance(log2 float64) string {
	if log2 >= 0 {
		return "certain"
	}
	return fmt.Sprintf("2^%.1f, 1 in %s", log2, decimal(math.Exp2(-log2)))
}

// decimal writes a number that may be very large or small, with three digits.
func decimal(x float64) string {
	switch {
	case x == math.Trunc(x) && x < 1e6:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case x >= 1e6 || x < 1e-3:
		return strconv.FormatFloat(x, 'e', 2, 64)
	default:
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
}

// quoted is a part of a text, as far as it is known.
func quoted(text []byte, at, length int) string {
	if at+length > len(text) {
		return ""
	}
	return Quote(text[at:at+length], shownBytes)
}

func char(c byte) string { return Quote([]byte{c}, 1) }

func number(n int, noun string) string { return number2(n, noun, noun+"s") }

func number2(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
