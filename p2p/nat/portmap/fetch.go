package portmap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// maxBody bounds what is read of an answer, in bytes. Descriptions of routers
// have some 4 to 20 KiB.
const maxBody = 128 << 10

// fetch sends one HTTP request to p and returns the answer's body and status. It
// follows nothing, uses no proxy, keeps no connection, and ends with ctx.
func fetch(ctx context.Context, own netip.Addr, p place, header http.Header, body []byte) ([]byte, int, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, p.URL(), bytes.NewReader(body))
	if err != nil {
		return nil, 0, fmt.Errorf("a request to %s: %w", p.Host, err)
	}
	if header != nil {
		req.Header = header
	}
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(own, 0)), KeepAlive: -1}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		DisableKeepAlives:      true,
		DisableCompression:     true, // what arrives is what counts
		MaxResponseHeaderBytes: 8 << 10,
		ResponseHeaderTimeout:  3 * time.Second,
	}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req) // follows no redirect
	if err != nil {
		if ctx.Err() != nil || isTimeout(err) {
			return nil, 0, fmt.Errorf("%s does not answer", p.Host)
		}
		return nil, 0, fmt.Errorf("%s cannot be asked: %w", p.Host, deepest(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil && (ctx.Err() != nil || isTimeout(err)):
		return nil, 0, fmt.Errorf("%s does not answer to the end", p.Host)
	case err != nil:
		return nil, 0, fmt.Errorf("%s breaks off: %w", p.Host, deepest(err))
	case len(b) > maxBody:
		return nil, 0, fmt.Errorf("%s answers more than %d KiB", p.Host, maxBody>>10)
	}
	return b, resp.StatusCode, nil
}

// deepest returns the reason below all that says where: HTTP's errors can quote
// the device.
func deepest(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return errors.New("its answer is not HTTP")
}
