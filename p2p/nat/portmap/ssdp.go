package portmap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// searchTargets are what a router announces itself as (UPnP IGD:1 and IGD:2).
var searchTargets = [...]string{
	"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
	"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
}

// encodeSearch asks for devices; they answer within a second (UPnP Device
// Architecture 1.1 §1.3.2).
func encodeSearch(group netip.AddrPort, target string) []byte {
	return fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: %s\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n", group, target)
}

// maxSearchAnswer bounds one answer to a search, in bytes.
const maxSearchAnswer = 2048

// decodeSearch returns the URL of a gateway's description from an answer to a
// search.
func decodeSearch(b []byte) (string, error) {
	if len(b) > maxSearchAnswer {
		return "", fmt.Errorf("an answer of %d bytes to a search", len(b))
	}
	r, err := http.ReadResponse(bufio.NewReaderSize(bytes.NewReader(b), 512), nil)
	if err != nil {
		return "", fmt.Errorf("an answer to a search: %w", err)
	}
	_ = r.Body.Close() // it is in b
	switch {
	case r.StatusCode != http.StatusOK:
		return "", fmt.Errorf("an answer to a search: status %d", r.StatusCode)
	case !strings.Contains(r.Header.Get("ST"), ":InternetGatewayDevice:"):
		return "", errors.New("an answer to a search: not a gateway")
	case r.Header.Get("Location") == "":
		return "", errors.New("an answer to a search: no location")
	}
	return r.Header.Get("Location"), nil
}

// place is a URL of a device that may be fetched.
type place struct {
	Host netip.AddrPort
	Path string // with the query, begins with "/"
}

// URL returns the text form.
func (p place) URL() string { return "http://" + p.Host.String() + p.Path }

// trusts reports whether a device at addr may be talked to: the gateway, or
// something on the own subnet that is not this computer.
func (s side) trusts(addr netip.Addr) bool {
	if addr == s.Gateway {
		return true
	}
	return addr != s.Own && addr.IsPrivate() && !addr.IsLoopback() && s.Subnet.Contains(addr)
}

// locate reads the URL with which the device at from answered a search, and
// refuses any that leads elsewhere: else whoever is on the same wire could make
// this computer fetch what only it can reach.
func (s side) locate(location string, from netip.Addr) (place, error) {
	p, err := parsePlace(location, nil)
	switch {
	case err != nil:
		return place{}, err
	case p.Host.Addr() != from:
		return place{}, fmt.Errorf("the device at %s says that it is at %s", from, p.Host)
	case !s.trusts(from):
		return place{}, fmt.Errorf("the device at %s is not on this network", from)
	}
	return p, nil
}

// parsePlace reads a URL, relative to base unless that is nil. Then it must stay
// at the same address; the port may be another.
func parsePlace(text string, base *place) (place, error) {
	const maxURL = 512
	if len(text) > maxURL {
		return place{}, fmt.Errorf("a URL of %d bytes", len(text))
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return place{}, errors.New("a URL that cannot be read") // url's error shows the device's text
	}
	if base != nil {
		b, err := url.Parse(base.URL())
		if err != nil {
			return place{}, fmt.Errorf("a URL that cannot be read: %w", err)
		}
		u = b.ResolveReference(u)
	}
	if u.Scheme != "http" || u.User != nil || u.Opaque != "" {
		return place{}, errors.New("a URL that is not plain http")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || addr.Zone() != "" {
		return place{}, errors.New("a URL without an IP address")
	}
	port := uint64(80)
	if text := u.Port(); text != "" {
		if port, err = strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
			return place{}, errors.New("a URL with an impossible port")
		}
	}
	p := place{Host: netip.AddrPortFrom(addr.Unmap(), uint16(port)), Path: u.RequestURI()}
	if !strings.HasPrefix(p.Path, "/") {
		return place{}, errors.New("a URL without a path")
	}
	if base != nil && p.Host.Addr() != base.Host.Addr() {
		return place{}, fmt.Errorf("the device at %s sends to %s", base.Host.Addr(), p.Host)
	}
	return p, nil
}
