package lan

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// program names the program to test, to the process that has a network of its own.
const program = "SHOAL_TEST_PROGRAM"

// apart runs the test once more, with namespaces of its own, and reports whether this
// is that process.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(program) != "" {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make a network to test in")
	}
	if out, err := exec.Command("unshare", "-m", "-n", "mount", "-t", "tmpfs", "none", "/run").CombinedOutput(); err != nil {
		t.Skipf("no network to test in: %v: %s", err, out)
	}
	binary := filepath.Join(t.TempDir(), "shoal")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/shoal-p2p/shoal").CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v: %s", err, out)
	}
	cmd := exec.Command("unshare", "-m", "-n", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), program+"="+binary)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

func run(t *testing.T, args string) {
	t.Helper()
	words := strings.Fields(args)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", args, err, out)
	}
}

// computer is a namespace with one interface in the local network.
type computer struct {
	t    *testing.T
	name string
}

// lay makes the local network, a bridge.
func lay(t *testing.T) {
	t.Helper()
	run(t, "mount -t tmpfs none /run")
	run(t, "ip link add br0 type bridge")
	run(t, "ip link set br0 up")
}

func plug(t *testing.T, name, addr string) computer {
	t.Helper()
	run(t, "ip netns add "+name)
	run(t, "ip link add port-"+name+" type veth peer name lan0 netns "+name)
	run(t, "ip link set port-"+name+" master br0 up")
	run(t, "ip -n "+name+" link set lo up")
	run(t, "ip -n "+name+" link set lan0 up")
	run(t, "ip -n "+name+" addr add "+addr+" dev lan0")
	return computer{t, name}
}

// renumber gives it another address, as DHCP does.
func (c computer) renumber(addr string) {
	c.t.Helper()
	run(c.t, "ip -n "+c.name+" addr flush dev lan0 scope global")
	run(c.t, "ip -n "+c.name+" addr add "+addr+" dev lan0")
}

// node is a node on a computer.
type node struct {
	computer
	data string
	cmd  *exec.Cmd
	log  strings.Builder
}

func (c computer) node(name string) *node {
	return &node{computer: c, data: filepath.Join(c.t.TempDir(), name)}
}

// shoal runs a verb.
func (n *node) shoal(args ...string) (string, error) {
	words := append([]string{"netns", "exec", n.name, os.Getenv(program), "--data", n.data}, args...)
	out, err := exec.Command("ip", words...).Output()
	return strings.TrimSpace(string(out)), err
}

func (n *node) start(args ...string) {
	n.t.Helper()
	words := append([]string{"netns", "exec", n.name, os.Getenv(program), "--data", n.data, "--name", filepath.Base(n.data), "--log-level", "debug"}, args...)
	n.cmd = exec.Command("ip", words...)
	n.log.Reset()
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd := n.cmd
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended mostly
		_ = cmd.Wait()
		if n.t.Failed() {
			n.t.Logf("%s:\n%s", n.data, n.log.String())
		}
	})
	eventually(n.t, "it serves", func() bool { _, err := n.shoal("health"); return err == nil })
}

func (n *node) stop() {
	n.t.Helper()
	if err := errors.Join(n.cmd.Process.Signal(syscall.SIGTERM), n.cmd.Wait()); err != nil {
		n.t.Errorf("stop %s: %v", n.data, err)
	}
}

type peer struct {
	Connected bool
	Error     *string
	Path      *struct{ Remote string }
}

// peer is the only other member, as the node sees it.
func (n *node) peer() peer {
	n.t.Helper()
	out, err := n.shoal("peers", "--json")
	var list struct{ Items []peer }
	if err := errors.Join(err, json.Unmarshal([]byte(out), &list)); err != nil || len(list.Items) != 1 {
		return peer{}
	}
	return list.Items[0]
}

func (n *node) linkedTo(addr string) bool {
	p := n.peer()
	return p.Connected && p.Path != nil && strings.HasPrefix(p.Path.Remote, addr+":")
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 seconds: %s", what)
		}
	}
}

// TestFindEachOther is the story of two computers at home whose router gives them other
// addresses, with nobody else who could tell them.
func TestFindEachOther(t *testing.T) {
	if !apart(t) {
		return
	}
	lay(t)
	heard := listen(t)
	one, two := plug(t, "one", "10.9.0.1/24"), plug(t, "two", "10.9.0.2/24")
	alice, bob := one.node("alice"), two.node("bob")

	// Without the discovery: by the addresses of the invitation, and nothing is said.
	alice.start("--no-lan")
	bob.start("--no-lan")
	out, err := alice.shoal("invite", "--uses", "3")
	if err != nil {
		t.Fatal(err)
	}
	link := out[strings.Index(out, "http"):]
	link, _, _ = strings.Cut(link, "\n")
	if _, err := bob.shoal("join", link); err != nil {
		t.Fatal(err)
	}
	eventually(t, "linked", func() bool { return bob.linkedTo("10.9.0.1") && alice.linkedTo("10.9.0.2") })
	alice.stop()
	bob.stop()

	// Both get other addresses: without the discovery each dials the old ones in vain.
	one.renumber("10.9.0.11/24")
	two.renumber("10.9.0.12/24")
	alice.start("--no-lan")
	bob.start("--no-lan")
	eventually(t, "both have tried in vain", func() bool { return alice.peer().Error != nil && bob.peer().Error != nil })
	if alice.peer().Connected || bob.peer().Connected {
		t.Error("linked without anything that could tell where")
	}
	alice.stop()
	bob.stop()
	// Nor does a node say anything that lives on loopback.
	local := one.node("local")
	local.start("--p2p", "127.0.0.1:0")
	local.stop()
	if n := heard.Load(); n != 0 {
		t.Errorf("%d packets of multicast DNS where there should be none", n)
	}

	// With it they find each other.
	alice.start()
	bob.start()
	began := time.Now()
	eventually(t, "linked again", func() bool { return bob.linkedTo("10.9.0.11") && alice.linkedTo("10.9.0.12") })
	t.Logf("linked %v after the later one serves, %d packets", time.Since(began).Round(time.Millisecond), heard.Load())
	if heard.Load() == 0 {
		t.Error("this test does not hear what is said")
	}

	// And once more while both run.
	one.renumber("10.9.0.21/24")
	two.renumber("10.9.0.22/24")
	began = time.Now()
	eventually(t, "linked after a change on the run", func() bool { return bob.linkedTo("10.9.0.21") && alice.linkedTo("10.9.0.22") })
	t.Logf("linked %v after both have moved", time.Since(began).Round(time.Millisecond))

	// An invitation whose addresses are of yesterday is as good, for a second node of a
	// computer too.
	carol := two.node("carol")
	carol.start("--http", "127.0.0.1:8081")
	if _, err := carol.shoal("join", link); err != nil {
		t.Error("join with old addresses:", err)
	}
	carol.stop()
	bob.stop()
	alice.stop()
}

// listen counts the packets of multicast DNS that cross the bridge, of either family.
func listen(t *testing.T) *atomic.Int64 {
	t.Helper()
	const all = unix.ETH_P_ALL
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, all))))
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := net.InterfaceByName("br0")
	if err != nil {
		t.Fatal(err)
	}
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, all))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: bridge.Index}); err != nil {
		t.Fatal(err)
	}
	heard := new(atomic.Int64)
	go func() { // until the process ends
		for b := make([]byte, 65536); ; {
			n, _, err := unix.Recvfrom(fd, b, 0)
			if err != nil {
				fmt.Fprintln(os.Stderr, "listen:", err)
				return
			}
			if mdns(b[:n]) {
				heard.Add(1)
			}
		}
	}()
	return heard
}

// mdns reports whether an IP packet is UDP to port 5353.
func mdns(b []byte) bool {
	switch {
	case len(b) >= 28 && b[0]>>4 == 4 && b[9] == unix.IPPROTO_UDP:
		b = b[int(b[0]&15)*4:]
	case len(b) >= 48 && b[0]>>4 == 6 && b[6] == unix.IPPROTO_UDP:
		b = b[40:]
	default:
		return false
	}
	return len(b) >= 8 && binary.BigEndian.Uint16(b[2:]) == 5353
}
