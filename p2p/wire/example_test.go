package wire_test

import (
	"bytes"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/wire"
)

// A request and its answer on a stream: values with a length in front.
func ExampleWriteMsg() {
	type request struct {
		Path   string `cbor:"1,keyasint"`
		Offset int64  `cbor:"2,keyasint,omitempty"`
	}
	var stream bytes.Buffer
	if err := wire.WriteMsg(&stream, request{Path: "a.txt"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%x\n", stream.Bytes())
	var r request
	if err := wire.ReadMsg(&stream, &r); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Path)
	// Output:
	// 08a10165612e747874
	// a.txt
}

// Several frames make one message of a lane.
func ExampleAppendFrame() {
	msg := wire.AppendFrame(nil, wire.Frame{Type: wire.Open, Stream: 2, Code: 4096, Payload: []byte("content/1")})
	msg = wire.AppendFrame(msg, wire.Frame{Type: wire.Data, Stream: 2, Payload: []byte("hello")})
	msg = wire.AppendFrame(msg, wire.Frame{Type: wire.Fin, Stream: 2})
	for len(msg) > 0 {
		f, rest, err := wire.ParseFrame(msg)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%v of stream %d: %q\n", f.Type, f.Stream, f.Payload)
		msg = rest
	}
	// Output:
	// open of stream 2: "content/1"
	// data of stream 2: "hello"
	// fin of stream 2: ""
}
