package delta_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

// One byte of a file is another one on a second computer.
func Example() {
	before := "The quick brown fox jumps over the lazy dog."
	after := "The quick brown cox jumps over the lazy dog."

	sig, err := delta.Sign(strings.NewReader(before), delta.SignOptions{Block: 8})
	if err != nil {
		log.Fatal(err)
	}
	for op, err := range delta.Diff(sig, strings.NewReader(after)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(op)
	}

	var stream, result bytes.Buffer
	if _, err := delta.Encode(&stream, sig, strings.NewReader(after), int64(len(after))); err != nil {
		log.Fatal(err)
	}
	d, err := delta.NewReader(&stream)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := d.Patch(strings.NewReader(before), &result); err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.String())
	// Output:
	// copy 16 bytes at 0
	// data "cox jump"
	// copy 20 bytes at 24
	// The quick brown cox jumps over the lazy dog.
}

// The weak sum of the lecture rolls on without looking at the whole block again.
func ExampleClassic() {
	c := delta.NewClassic([]byte("ch"))
	fmt.Printf("ch %08x\n", c.Sum())
	c = c.Roll('c', 'a')
	fmt.Printf("ha %08x\n", c.Sum())
	c = c.Roll('h', 'r')
	fmt.Printf("ar %08x\n", c.Sum())
	// Output:
	// ch 012e00cb
	// ha 013100c9
	// ar 013400d3
}
