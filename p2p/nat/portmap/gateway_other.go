//go:build !linux && !windows && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package portmap

import (
	"errors"
	"net/netip"
)

func systemGateway(bool) (gateway, own netip.Addr, err error) {
	return gateway, own, errors.New("portmap: how to find the router is not known for this system")
}
