package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/server/api"
)

// portsTried is how many ports after a taken default one are tried before any
// free one is taken.
const portsTried = 100

// Listen opens the address of the API. A given address is taken or refused; the
// default one gives way to the next free port, and moved then says who has it.
func Listen(ctx context.Context, given string) (l net.Listener, moved string, err error) {
	if given != "" {
		l, err := listen(ctx, given)
		if err != nil {
			return nil, "", fmt.Errorf("listen on %s: %w%s", given, opCause(err), by(ctx, given, err))
		}
		return l, "", nil
	}
	return listenNear(ctx, DefaultHTTP)
}

// listenNear opens addr or, when it is taken, the next port that is not.
func listenNear(ctx context.Context, addr string) (l net.Listener, moved string, err error) {
	first, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	for n := range portsTried {
		at := netip.AddrPortFrom(first.Addr(), first.Port()+uint16(n))
		l, err = listen(ctx, at.String())
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		l, err = listen(ctx, netip.AddrPortFrom(first.Addr(), 0).String())
	}
	if err != nil {
		return nil, "", fmt.Errorf("listen on %s: %w", addr, opCause(err))
	}
	if l.Addr().String() != addr {
		moved = fmt.Sprintf("%s is taken%s, using %s", addr, by(ctx, addr, syscall.EADDRINUSE), l.Addr())
	}
	return l, moved, nil
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, "tcp", addr)
}

// opCause leaves out the operation and address, which the caller says better.
func opCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Reach returns the address at which this computer reaches a listener: one that
// listens everywhere is reached on loopback.
func Reach(addr net.Addr) string {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if at.Addr().IsUnspecified() { // [::] takes IPv4 too
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
	}
	return at.String()
}

// LAN returns the address at which other computers reach a listener that listens
// everywhere, "" if none is known or needed. Of this computer's addresses, own, it
// takes the first private one of IPv4, else the first that is routed at all.
func LAN(addr net.Addr, own []net.Addr) string {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return ""
	}
	rank := func(a netip.Addr) int {
		switch {
		case !a.IsGlobalUnicast() || a.Is6() && at.Addr().Is4():
			return 0
		case a.Is4() && a.IsPrivate():
			return 3
		case a.Is4():
			return 2
		}
		return 1
	}
	var best netip.Addr
	for _, o := range own {
		p, err := netip.ParsePrefix(o.String())
		if err != nil {
			continue
		}
		if a := p.Addr().Unmap(); rank(a) > rank(best) {
			best = a
		}
	}
	if !best.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(best, at.Port()).String()
}

// by says who holds addr, as far as that can be known; err is why it was refused.
func by(ctx context.Context, addr string, err error) string {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return ""
	}
	if name := shoalAt(ctx, addr); name != "" {
		return " by the shoal node " + name
	}
	if _, port, err := net.SplitHostPort(addr); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			if who := process("/proc", uint16(n)); who != "" {
				return " by " + who
			}
		}
	}
	return ""
}

// shoalAt asks whoever answers at addr whether it is a node, and returns its name.
func shoalAt(ctx context.Context, addr string) string {
	u, err := baseURL(addr)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("/api/node").String(), nil)
	if err != nil {
		return ""
	}
	resp, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var n api.Node
	if resp.StatusCode != http.StatusOK || json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&n) != nil || n.Id == "" {
		return ""
	}
	return fmt.Sprintf("%s (%s)", oneLine(n.Name), oneLine(shortID(n.Id)))
}

// process names the process that listens on a TCP port, from Linux's /proc: the
// table of sockets tells the socket's inode, and one of the processes that we may
// look into has it open. Elsewhere, and for processes of others, it knows nothing.
func process(proc string, port uint16) string {
	inodes := make(map[string]bool)
	for _, name := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(filepath.Join(proc, "net", name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(table)) {
			// 1: local address, 3: state (0A listens), 9: inode (proc_net_tcp).
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	handles, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return ""
	}
	for _, h := range handles {
		if target, err := os.Readlink(h); err == nil && inodes[target] {
			pid := filepath.Dir(filepath.Dir(h))
			name := firstLine(filepath.Join(pid, "comm"))
			return fmt.Sprintf("%s (process %s)", oneLine(name), filepath.Base(pid))
		}
	}
	return ""
}
