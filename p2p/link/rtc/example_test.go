package rtc_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
)

func Example() {
	ctx := context.Background()
	node := func(seed byte) (*rtc.Transport, p2p.Contact) {
		id, _ := p2p.NewIdentity(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
		t, err := rtc.Listen(ctx, rtc.Options{
			Listen: "127.0.0.1:0",
			Local: link.Local{
				Identity: id,
				Network:  func() p2p.ID { return p2p.ID{1} },
				Handler: func(string) p2p.Handler {
					return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) {
						return append([]byte("hello "), req...), nil
					}
				},
			},
		})
		if err != nil {
			panic(err)
		}
		return t, p2p.Contact{PublicKey: id.PublicKey(), Addrs: t.Addrs()}
	}
	ann, _ := node(1)
	defer func() { _ = ann.Close() }()
	ben, contact := node(2)
	defer func() { _ = ben.Close() }()

	l, err := ann.Dial(ctx, contact, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := l.Call(ctx, "greet/1", []byte("ben"))
	fmt.Println(string(answer), err, l.Path().Kind)
	// Output: hello ben <nil> direct
}
