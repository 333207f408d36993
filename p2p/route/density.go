package route

import (
	"encoding/binary"
	"math"

	"github.com/shoal-p2p/shoal/p2p"
)

// far returns a distance as a share of the whole space, from 0 to 1.
func far(a, b p2p.Key) float64 {
	d := a.Distance(b)
	return float64(binary.BigEndian.Uint64(d[:8])) / (1 << 64)
}

// Estimate returns how many members a network has, about, from the ones that are
// nearest to a key, nearest first, without a gap. The i-th of n that are spread evenly is at
// i/(n+1) of the space on average; what fits the distances best by least squares is n. It is
// off by about one in the square root of their number. The key must be one for which nobody had reason to choose
// positions, such as the node's own.
func Estimate(key p2p.Key, nearest []Member) float64 {
	var over, under float64
	for i, m := range nearest {
		rank := float64(i + 1)
		over += rank * rank
		under += rank * far(key, m.Position)
	}
	if under == 0 {
		return float64(len(nearest))
	}
	return max(over/under-1, float64(len(nearest)))
}

// Region returns how many bits of a key those members share with it, in a network of n, who
// are so near that the copies of a record, of which there are r, are among them but in one
// case of a thousand. Who stores with all in a region, and asks all of them, cannot be cut
// off by a few who sit nearer to the key than chance would have them (SR-DHT-Store, Sridhar
// et al. 2024).
func Region(n float64, r int) int {
	bits := 0
	for bits < 64 && 1-atLeast(r, n/math.Exp2(float64(bits+1))) <= 0.001 {
		bits++
	}
	return bits
}

// Chance returns how probable it is that, of n members at random positions, some are as near to
// a key as those that were found, nearest first, or nearer: small where somebody
// has chosen positions to sit around the key. Below 1e-6 it is no chance.
func Chance(n float64, key p2p.Key, found []Member) float64 {
	least := 1.0
	for i, m := range found {
		// The number of members within a distance is Poisson distributed, for large n.
		least = min(least, atLeast(i+1, n*far(key, m.Position)))
	}
	if len(found) == 0 {
		return 1
	}
	// As many distances were looked at (Bonferroni).
	return min(1, least*float64(len(found)))
}

// atLeast returns the probability that a Poisson variable of the given mean is k or more.
func atLeast(k int, mean float64) float64 {
	if mean <= 0 {
		if k <= 0 {
			return 1
		}
		return 0
	}
	if mean < float64(k) {
		// The tail itself: 1 minus the rest would lose what is small.
		lg, _ := math.Lgamma(float64(k) + 1)
		term := math.Exp(float64(k)*math.Log(mean) - mean - lg)
		sum := term
		for i := k + 1; term > sum*1e-17; i++ {
			term *= mean / float64(i)
			sum += term
		}
		return min(sum, 1)
	}
	below, term := 0.0, math.Exp(-mean)
	for i := range k {
		below += term
		term *= mean / float64(i+1)
	}
	return max(1-below, 0)
}
