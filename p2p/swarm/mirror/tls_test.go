package mirror

import (
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"
)

// TestTLS: a server that nobody vouches for is not read.
func TestTLS(t *testing.T) {
	data := noise(1, 200000)
	plain := &server{data: data}
	s := httptest.NewTLSServer(plain)
	t.Cleanup(s.Close)
	c := newTestClient(t, Options{})
	var unknown x509.UnknownAuthorityError
	if _, err := c.Open(t.Context(), s.URL, int64(len(data)), true); !errors.As(err, &unknown) {
		t.Errorf("without a certificate that counts: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c = newTestClient(t, Options{Roots: roots})
	m, err := c.Open(t.Context(), s.URL, int64(len(data)), true)
	if err != nil {
		t.Fatal(err)
	}
	b := &basket{l: layoutOf(t, data), data: data}
	if err := m.Fetch(t.Context(), b.l, all(b.l), b.sink()); err != nil || len(b.got) != b.l.Count() || len(b.wrong) > 0 {
		t.Errorf("%v: %v, wrong %v", err, b.got, b.wrong)
	}
}

// BenchmarkFetch is over the loopback, from one server in this process.
func BenchmarkFetch(b *testing.B) {
	data := noise(1, 64<<20)
	s := newServer(b, data)
	m := mustOpen(b, newTestClient(b, Options{}), s)
	l := layoutOf(b, data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := m.Fetch(b.Context(), l, all(l), Sink{Piece: func(int, []byte) error { return nil }}); err != nil {
			b.Fatal(err)
		}
	}
}
