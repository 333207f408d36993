package seed_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// One has a file, writes its seed on the board as a link, and another who read it
// there knows which bytes belong to the file, whoever sends them.
func Example() {
	poem := strings.Repeat("Twinkle, twinkle, little star,\n", 1000)
	made, err := seed.Make(context.Background(), strings.NewReader(poem), int64(len(poem)), "star.txt", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := string(made.Text())
	fmt.Print(text[:strings.Index(text, "chunk1_hash")])

	link, err := seed.ParseLink(made.Link().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	known, err := link.Seed()
	if err == nil {
		known, err = known.WithPieces(made.Pieces) // from anybody
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	offset, n := known.Extent(1)
	piece := []byte(poem[offset : offset+int64(n)])
	fmt.Println("as it was sent:", known.Verify(1, piece))
	piece[0] ^= 1
	fmt.Println("with a bit turned:", known.Verify(1, piece))

	_, err = seed.Parse([]byte(strings.Replace(text, "file_len: 31000", "file_len: 1099511627776", 1)))
	fmt.Println(err)
	// Output:
	// shoal-seed: 1
	// file_name: star.txt
	// file_len: 31000
	// big_seed: 3c7e73b9c8d1398646be295ea0007e36ecea9f4c9ed50a245438f9736e96724a
	// chunk_len: 16384
	// chunk_count: 2
	// chunks_root: efbd8481b899aa76068a926088cbea1160991618db6b55d941677accff76e4a9
	// as it was sent: true
	// with a bit turned: false
	// seed: line 5: chunk_len "16384"; expected 1048576 for a file of 1099511627776 bytes
}
