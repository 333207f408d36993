//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// run runs a program of the system, with stdin as its input.
func run(stdin, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// space is a network namespace, by the name that ip knows.
type space string

func (s space) path() string { return "/run/netns/" + string(s) }

// add makes the namespace, with a loopback interface, and without IPv6.
func (s space) add() error {
	if err := run("", "ip", "netns", "add", string(s)); err != nil {
		return err
	}
	if err := s.set("ipv6/conf/all/disable_ipv6", "1"); err != nil {
		return err
	}
	return s.ip("link set lo up")
}

// enable6 gives the namespace IPv6. Addresses can be used at once, and are given by hand.
func (s space) enable6() error {
	for _, which := range []string{"all", "default"} {
		for _, v := range [][2]string{{"disable_ipv6", "0"}, {"accept_dad", "0"}, {"accept_ra", "0"}} {
			if err := s.set("ipv6/conf/"+which+"/"+v[0], v[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// ip runs lines of ip's commands in the namespace.
func (s space) ip(lines ...string) error {
	batch := strings.Join(lines, "\n") + "\n"
	if err := run(batch, "ip", "-n", string(s), "-batch", "-"); err != nil {
		return fmt.Errorf("%w, in %q", err, batch)
	}
	return nil
}

// nft replaces all rules of the namespace.
func (s space) nft(rules string) error {
	if err := run("flush ruleset\n"+rules, "ip", "netns", "exec", string(s), "nft", "-f", "-"); err != nil {
		return fmt.Errorf("%w, in %s", err, rules)
	}
	return nil
}

// command is a command that will run in the namespace, with the same process ID.
func (s space) command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", string(s), name}, args...)...)
}

// inside runs f on a thread that is in the namespace. What f opens stays there; f
// must not start goroutines.
func (s space) inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		done <- func() error {
			fd, err := unix.Open(s.path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("namespace %s: %w", s, err)
			}
			defer func() { _ = unix.Close(fd) }() // only read
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter namespace %s: %w", s, err)
			}
			return f()
		}()
	}()
	return <-done
}

// set writes a kernel setting of the namespace.
func (s space) set(key, value string) error {
	return s.inside(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

// dial connects to an address as a program in the namespace would.
func (s space) dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	err = s.inside(func() error {
		c, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// received is how many bytes have come in by an interface.
func (s space) received(iface string) (n uint64, err error) {
	var table []byte
	if err := s.inside(func() (err error) { table, err = os.ReadFile("/proc/thread-self/net/dev"); return err }); err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(table)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), iface+":"); ok {
			return strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("namespace %s has no interface %s", s, iface)
}

// forget makes the namespace's router forget all its connections, as one that is
// switched off and on again. (It is what conntrack -F does: a delete request of
// ctnetlink that names no connection.)
func (s space) forget() error {
	const deleteAll = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
	return s.inside(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return fmt.Errorf("forget connections: %w", err)
		}
		defer func() { _ = unix.Close(fd) }() // nothing is written late
		msg := make([]byte, unix.SizeofNlMsghdr+4)
		binary.NativeEndian.PutUint32(msg, uint32(len(msg)))
		binary.NativeEndian.PutUint16(msg[4:], deleteAll)
		binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return fmt.Errorf("forget connections: %w", err)
		}
		reply := make([]byte, 4096)
		n, _, err := unix.Recvfrom(fd, reply, 0)
		if err != nil {
			return fmt.Errorf("forget connections: %w", err)
		}
		if n < unix.SizeofNlMsghdr+4 {
			return fmt.Errorf("forget connections: an answer of %d bytes", n)
		}
		if code := int32(binary.NativeEndian.Uint32(reply[unix.SizeofNlMsghdr:])); code != 0 {
			return fmt.Errorf("forget connections: %w", unix.Errno(-code))
		}
		return nil
	})
}
