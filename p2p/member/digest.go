package member

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// buckets is into how many parts a digest divides the space of hashes, by their
// first byte.
const buckets = 256

// bucketSum is how much of a bucket's SHA-256 is compared, in bytes. A bucket that
// differs and looks the same (chance 2^-64) is found by the digest of the whole,
// which still differs, once anything in the bucket changes.
const bucketSum = 8

// digest summarizes a set of statements, so that two members can find out with few
// bytes what the other lacks.
type digest struct {
	hashes []Hash // sorted
	sum    Hash   // of all hashes
}

func newDigest(hashes []Hash) digest {
	slices.SortFunc(hashes, compareHash)
	d := digest{hashes: hashes}
	h := sha256.New()
	for _, x := range hashes {
		h.Write(x[:])
	}
	d.sum = Hash(h.Sum(nil))
	return d
}

func (ro *Roster) digest() digest {
	hashes := make([]Hash, 0, len(ro.records))
	for h := range ro.records {
		hashes = append(hashes, h)
	}
	return newDigest(hashes)
}

func compareHash(a, b Hash) int { return bytes.Compare(a[:], b[:]) }

// sums returns the bucket sums, one after the other.
func (d digest) sums() []byte {
	out := make([]byte, 0, buckets*bucketSum)
	rest := d.hashes
	for b := range buckets {
		h := sha256.New()
		n := 0
		for n < len(rest) && int(rest[n][0]) == b {
			h.Write(rest[n][:])
			n++
		}
		rest = rest[n:]
		out = append(out, h.Sum(nil)[:bucketSum]...)
	}
	return out
}

// selection is a set of buckets.
type selection [buckets / 8]byte

// everything selects all buckets.
func everything() selection { return selection(bytes.Repeat([]byte{0xff}, buckets/8)) }

func (s *selection) add(bucket int) { s[bucket/8] |= 1 << (bucket % 8) }
func (s selection) has(h Hash) bool { return s[h[0]/8]&(1<<(h[0]%8)) != 0 }
func (s selection) isEmpty() bool   { return s == selection{} }

// differing selects the buckets in which d differs from a member that sent sums.
func (d digest) differing(sums []byte) selection {
	var s selection
	mine := d.sums()
	for b := range buckets {
		at := b * bucketSum
		if !bytes.Equal(mine[at:at+bucketSum], sums[at:at+bucketSum]) {
			s.add(b)
		}
	}
	return s
}

// list returns up to limit hashes of the selected buckets, from the given one on,
// and where to go on if there are more.
func (d digest) list(s selection, from Hash, limit int) (hashes []Hash, next Hash) {
	start, _ := slices.BinarySearchFunc(d.hashes, from, compareHash)
	for _, h := range d.hashes[start:] {
		if !s.has(h) {
			continue
		}
		if len(hashes) == limit {
			return hashes, h
		}
		hashes = append(hashes, h)
	}
	return hashes, Hash{}
}

// compare returns which of the selected hashes only the other side has, and which
// only this one. theirs is sorted.
func (d digest) compare(s selection, theirs []Hash) (missing, extra []Hash) {
	mine, _ := d.list(s, Hash{}, len(d.hashes))
	for len(mine) > 0 || len(theirs) > 0 {
		switch {
		case len(theirs) == 0 || len(mine) > 0 && compareHash(mine[0], theirs[0]) < 0:
			extra, mine = append(extra, mine[0]), mine[1:]
		case len(mine) == 0 || compareHash(theirs[0], mine[0]) < 0:
			missing, theirs = append(missing, theirs[0]), theirs[1:]
		default:
			mine, theirs = mine[1:], theirs[1:]
		}
	}
	return missing, extra
}
