package chunk_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// A file gets a sentence at the front. Its new manifest reaches whoever has the old
// one for a few bytes, and says which chunks are to be fetched.
func Example() {
	film := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{}).Read(film)
	before, err := chunk.Scan(bytes.NewReader(film), int64(len(film)))
	if err != nil {
		fmt.Println(err)
		return
	}
	longer := append([]byte("Once upon a time "), film...)
	after, err := chunk.Scan(bytes.NewReader(longer), int64(len(longer)))
	if err != nil {
		fmt.Println(err)
		return
	}

	outline := before.Outline(chunk.OutlineBits(before.Len())) // one way
	outline.Pieces = false
	difference := after.Difference(outline) // the other way
	made, err := before.Apply(outline, difference)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the same root:", made.Root() == after.Root())

	have := map[chunk.Hash]bool{}
	for i := range before.Len() {
		have[before.Chunk(i).Hash] = true
	}
	for i := range made.Len() {
		if c := made.Chunk(i); !have[c.Hash] {
			fmt.Printf("to fetch: %d bytes at %d of %d\n", c.Length, c.Offset, made.Size())
		}
	}
	// Output:
	// the same root: true
	// to fetch: 45869 bytes at 0 of 8388625
}
