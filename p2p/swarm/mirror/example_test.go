package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/mirror"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// The user has named a web server in his own network; had a stranger, it would not be
// asked.
func Example() {
	poem := strings.Repeat("Twinkle, twinkle, little star,\n", 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "star.txt", time.Time{}, strings.NewReader(poem))
	}))
	defer server.Close()
	ctx := context.Background()
	s, err := seed.Make(ctx, strings.NewReader(poem), int64(len(poem)), "star.txt", nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	c := mirror.NewClient(mirror.Options{})
	defer c.Close()
	m, err := c.Open(ctx, server.URL+"/star.txt", s.Size, true)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = m.Fetch(ctx, s.Layout, []int{0, 1}, mirror.Sink{Piece: func(i int, data []byte) error {
		fmt.Println("piece", i, s.Verify(i, data))
		return nil
	}})
	fmt.Println(err)

	_, err = c.Open(ctx, server.URL+"/star.txt", s.Size, false)
	fmt.Println("a stranger:", errors.Is(err, mirror.ErrForbidden))
	// Output:
	// piece 0 true
	// piece 1 true
	// <nil>
	// a stranger: true
}
