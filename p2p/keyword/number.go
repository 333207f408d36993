package keyword

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/dst"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// Number is a number of a document: documents are found by those from one to another.
type Number struct {
	Field string `json:"field"`
	Value int64  `json:"value"`
}

// Tree is a way in which the documents of a field are kept in the order of their numbers.
type Tree string

// The trees. A document is at one segment of a prefix hash tree, and at one of each level of a
// segment tree. Buckets are the simple partition, to compare them with: it is in one of equal parts, which
// keeps all that there is, however much, and so only in small networks (see Options.Small).
const (
	TreePHT     Tree = "pht"
	TreeDST     Tree = "dst"
	TreeBuckets Tree = "buckets"
)

// Trees are all of them.
var Trees = [...]Tree{TreePHT, TreeDST, TreeBuckets}

// The trees of all fields are alike: keys reach from 0 to 4 GiB of bytes, or to the year 2106
// in seconds, and a leaf of the segment tree has 4 KiB, or 68 minutes. Numbers beyond are at the
// first or the last key, and tell themselves apart by what is in the document's value.
const (
	NumberBits = 32
	LeafBits   = 12
	// BucketDepth is the logarithm of how many buckets there are: one has 256 MiB, or eight years.
	BucketDepth = 4
	// NumberCapacity is how many documents a segment is to have.
	NumberCapacity = ranges.DefaultCapacity
)

// MaxNumbers is how many numbers a document can have.
const MaxNumbers = 16

// PerNumber is at how many segments a number is at most: a bucket, one of the one tree, and one of each
// level of the other.
const PerNumber = 2 + NumberBits - LeafBits + 1

// KeyOf returns the key of a number.
func KeyOf(n int64) uint64 { return uint64(min(max(n, 0), math.MaxUint32)) }

// number returns the documents of a field in the order of their numbers. Trees in which somebody
// else had another order would be others.
func (x *Index) number(field string, tree Tree) *ranges.Index {
	var scheme ranges.Scheme = pht.Tree{KeyBits: NumberBits}
	switch tree {
	case TreeDST:
		scheme = dst.Tree{KeyBits: NumberBits, LeafBits: LeafBits}
	case TreeBuckets:
		scheme = ranges.Buckets{KeyBits: NumberBits, Depth: BucketDepth}
	}
	return x.open("number\x00"+x.o.Name+"\x00"+string(tree)+"\x00"+field, ranges.Options{Scheme: scheme, Capacity: NumberCapacity})
}

// Between asks for the documents that have a number from one to another.
type Between struct {
	Field    string
	From, To int64 // included
	Tree     Tree  // empty: TreePHT
	// Limit is how many to return. 0: 100.
	Limit int
}

// Between returns the documents whose keys are between those of two numbers, in their order: what is
// beyond the keys there are has to be looked at. Errors: ErrQuery, and those of the table.
func (x *Index) Between(ctx context.Context, q Between) (ranges.Answer, error) {
	if q.Tree == "" {
		q.Tree = TreePHT
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Field == "" || q.From > q.To || q.Limit < 0 || q.Limit > ranges.MaxLimit || !slices.Contains(Trees[:], q.Tree) {
		return ranges.Answer{}, fmt.Errorf("keyword: %.40q from %d to %d, %d documents of a tree %.40q: %w", q.Field, q.From, q.To, q.Limit, q.Tree, ErrQuery)
	}
	if q.Tree == TreeBuckets && !x.o.Small() {
		return ranges.Answer{}, fmt.Errorf("keyword: in a network of this size there are no buckets, since one would have most of all documents: %w", ErrQuery)
	}
	a, err := x.number(q.Field, q.Tree).Query(ctx, ranges.Range{From: KeyOf(q.From), To: KeyOf(q.To), Limit: q.Limit})
	if err != nil {
		return a, fmt.Errorf("keyword: %s from %d to %d: %w", q.Field, q.From, q.To, err)
	}
	return a, nil
}
