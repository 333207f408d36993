package tracker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Limits of what is said of pieces. They are part of the protocol.
const (
	MaxPieces = 1 << 22
	MaxRuns   = 32
)

// Run is some pieces in a row.
type Run struct{ First, Count int }

// Have says which pieces of a seed somebody has. It is a summary, to choose whom to ask: who is
// connected learns it exactly. The zero value: none yet.
type Have struct {
	All   bool
	Count int   // of pieces; 0 with All
	Runs  []Run // the longest ones, MaxRuns at most, in order
}

// HaveOf returns the summary of n pieces.
func HaveOf(n int, has func(piece int) bool) Have {
	var runs []Run
	count := 0
	for i := range n {
		if !has(i) {
			continue
		}
		count++
		if last := len(runs) - 1; last >= 0 && runs[last].First+runs[last].Count == i {
			runs[last].Count++
		} else {
			runs = append(runs, Run{i, 1})
		}
	}
	if count == n {
		return Have{All: true}
	}
	if len(runs) > MaxRuns {
		slices.SortStableFunc(runs, func(a, b Run) int { return cmp.Compare(b.Count, a.Count) })
		runs = runs[:MaxRuns]
		slices.SortFunc(runs, func(a, b Run) int { return cmp.Compare(a.First, b.First) })
	}
	return Have{Count: count, Runs: slices.Clone(runs)}
}

// Has reports whether the summary names a piece.
func (h Have) Has(piece int) bool {
	if h.All {
		return piece >= 0
	}
	i, exact := slices.BinarySearchFunc(h.Runs, piece, func(r Run, p int) int { return cmp.Compare(r.First, p) })
	if exact {
		return true
	}
	return i > 0 && piece < h.Runs[i-1].First+h.Runs[i-1].Count
}

// Equal reports whether two summaries say the same.
func (h Have) Equal(o Have) bool {
	return h.All == o.All && h.Count == o.Count && slices.Equal(h.Runs, o.Runs)
}

// have is a Have on its way.
type have struct {
	All   bool     `cbor:"1,keyasint,omitempty"`
	Count uint32   `cbor:"2,keyasint,omitempty"`
	Runs  []uint32 `cbor:"3,keyasint,omitempty"` // pieces that are left out, pieces that are there, and so on
}

var errHave = errors.New("pieces that nobody can have")

func (h Have) pack() have {
	p := have{All: h.All, Count: uint32(h.Count)}
	at := 0
	for _, r := range h.Runs {
		p.Runs = append(p.Runs, uint32(r.First-at), uint32(r.Count))
		at = r.First + r.Count
	}
	return p
}

// unpack checks what somebody says of his pieces.
func (p have) unpack() (Have, error) {
	if p.Count > MaxPieces || len(p.Runs) > 2*MaxRuns || len(p.Runs)%2 != 0 || p.All && (p.Count != 0 || p.Runs != nil) {
		return Have{}, fmt.Errorf("%d pieces, %d runs: %w", p.Count, len(p.Runs)/2, errHave)
	}
	h := Have{All: p.All, Count: int(p.Count)}
	at, sum := 0, 0
	for i := 0; i < len(p.Runs); i += 2 {
		gap, n := p.Runs[i], p.Runs[i+1]
		if gap > MaxPieces || n == 0 || n > MaxPieces || i > 0 && gap == 0 {
			return Have{}, fmt.Errorf("a run of %d pieces after %d: %w", n, gap, errHave)
		}
		h.Runs = append(h.Runs, Run{at + int(gap), int(n)})
		at += int(gap) + int(n)
		sum += int(n)
	}
	if at > MaxPieces || sum > h.Count {
		return Have{}, fmt.Errorf("runs of %d pieces, %d altogether: %w", sum, h.Count, errHave)
	}
	return h, nil
}
