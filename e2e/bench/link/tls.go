package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"time"
)

// overTLS is a connection of TLS 1.3 over TCP: what the machine can do with encryption.
type overTLS struct{ c net.Conn }

func dialTLS(ctx context.Context, t *talk) (*overTLS, error) {
	var addr string
	if err := t.in.Decode(&addr); err != nil {
		return nil, err
	}
	// Nothing is trusted here, and nothing is worth it.
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}
	c, err := d.DialContext(ctx, "tcp", addr)
	return &overTLS{c}, err
}

// send implements sender.
func (s *overTLS) send(_ context.Context, n int64) error { return sendOver(s.c, n) }

func (s *overTLS) close() error { return s.c.Close() }

// sendOver says how many bytes follow, sends them, and waits for one byte.
func sendOver(c net.Conn, n int64) error {
	if _, err := c.Write(binary.BigEndian.AppendUint64(nil, uint64(n))); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for ; n > 0; n -= int64(len(buf)) {
		if _, err := c.Write(buf[:min(n, int64(len(buf)))]); err != nil {
			return err
		}
	}
	_, err := io.ReadFull(c, buf[:1])
	return err
}

// takeFrom is the other end of sendOver, until the connection ends.
func takeFrom(c net.Conn) {
	head := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint64(head))); err != nil {
			return
		}
		if _, err := c.Write(head[:1]); err != nil {
			return
		}
	}
}

func farTLS(_ context.Context, t *talk, _ []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	if err != nil {
		return err
	}
	if err := t.out.Encode(l.Addr().String()); err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go takeFrom(c)
		}
	}()
	if err := t.answer(); err != nil {
		return err
	}
	return l.Close()
}
