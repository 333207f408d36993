package dht

import (
	"iter"
	"slices"
)

// ordered is a map in the order of its keys. It is a list of sorted chunks: with as many
// entries as a node keeps, the list is short enough to be moved when a chunk is split, and
// an empty map costs nothing. It must not be changed while it is ranged over.
type ordered[K interface{ Compare(K) int }, V any] struct {
	chunks [][]entry[K, V] // none is empty
	n      int
}

type entry[K, V any] struct {
	key   K
	value V
}

// maxChunk entries are in a chunk at most.
const maxChunk = 128

// seek returns where the first entry is whose key is not below k, or where it would be;
// found says that it has that key. The chunk exists unless the map is empty.
func (o *ordered[K, V]) seek(k K) (chunk, i int, found bool) {
	// The last chunk that does not begin above k.
	chunk, found = slices.BinarySearchFunc(o.chunks, k, func(c []entry[K, V], k K) int { return c[0].key.Compare(k) })
	if found {
		return chunk, 0, true
	}
	if chunk == 0 {
		return 0, 0, false
	}
	i, found = slices.BinarySearchFunc(o.chunks[chunk-1], k, func(e entry[K, V], k K) int { return e.key.Compare(k) })
	return chunk - 1, i, found
}

// get returns the value of k.
func (o *ordered[K, V]) get(k K) (v V, found bool) {
	chunk, i, found := o.seek(k)
	if found {
		v = o.chunks[chunk][i].value
	}
	return v, found
}

// put sets the value of k.
func (o *ordered[K, V]) put(k K, v V) {
	chunk, i, found := o.seek(k)
	switch {
	case found:
		o.chunks[chunk][i].value = v
		return
	case len(o.chunks) == 0:
		o.chunks = append(o.chunks, nil)
	case len(o.chunks[chunk]) == maxChunk:
		full := o.chunks[chunk]
		at := maxChunk / 2
		if i == maxChunk { // keys that come in order leave full chunks behind
			at = maxChunk
		}
		o.chunks = slices.Insert(o.chunks, chunk+1, slices.Clone(full[at:]))
		clear(full[at:])
		o.chunks[chunk] = full[:at]
		if i >= at {
			chunk, i = chunk+1, i-at
		}
	}
	o.chunks[chunk] = slices.Insert(o.chunks[chunk], i, entry[K, V]{k, v})
	o.n++
}

// delete removes k, if it is there.
func (o *ordered[K, V]) delete(k K) {
	chunk, i, found := o.seek(k)
	if !found {
		return
	}
	o.n--
	o.chunks[chunk] = slices.Delete(o.chunks[chunk], i, i+1)
	left := len(o.chunks[chunk])
	if left == 0 {
		o.chunks = slices.Delete(o.chunks, chunk, chunk+1)
	} else if next := chunk + 1; next < len(o.chunks) && left+len(o.chunks[next]) <= maxChunk/2 {
		o.chunks[chunk] = append(o.chunks[chunk], o.chunks[next]...)
		o.chunks = slices.Delete(o.chunks, next, next+1)
	}
	if o.n == 0 {
		o.chunks = nil
	}
}

// from yields the entries whose keys are not below k, in order.
func (o *ordered[K, V]) from(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		chunk, i, _ := o.seek(k)
		for ; chunk < len(o.chunks); chunk, i = chunk+1, 0 {
			for ; i < len(o.chunks[chunk]); i++ {
				if e := &o.chunks[chunk][i]; !yield(e.key, e.value) {
					return
				}
			}
		}
	}
}

// upTo yields the entries whose keys are not above k, the last one first.
func (o *ordered[K, V]) upTo(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		chunk, i, found := o.seek(k)
		if !found {
			i--
		}
		for ; chunk >= 0 && chunk < len(o.chunks); chunk-- {
			for ; i >= 0; i-- {
				if e := &o.chunks[chunk][i]; !yield(e.key, e.value) {
					return
				}
			}
			if chunk > 0 {
				i = len(o.chunks[chunk-1]) - 1
			}
		}
	}
}
