package portmap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inLab names the case to a process that runs in namespaces of its own.
const inLab = "SHOAL_PORTMAP_LAB"

// TestMiniupnpd maps through the router daemon that many homes have, in network
// namespaces that vanish with the test: a process of each case is the computer at
// home, "nat" the router, "wan" somebody outside.
func TestMiniupnpd(t *testing.T) {
	if name := os.Getenv(inLab); name != "" {
		labCases[name](t)
		return
	}
	skipLab(t)
	ends := map[string]func(*testing.T){}
	for name := range labCases { // all at once: they wait most of the time
		ends[name] = enterLab(t, name)
	}
	for _, name := range slices.Sorted(maps.Keys(labCases)) {
		t.Run(name, ends[name])
	}
}

// labCases are run in processes of their own, by name.
var labCases = map[string]func(t *testing.T){
	"all protocols": labAll,
	"NAT-PMP only": func(t *testing.T) {
		labOnly(t, NATPMP, "udp dport 5351 @th,64,8 2 drop", "enable_natpmp=yes", "enable_upnp=no")
	},
	"PCP only": func(t *testing.T) {
		labOnly(t, PCP, "udp dport 5351 @th,64,8 0 drop", "enable_natpmp=yes", "enable_upnp=no")
	},
	"UPnP only":              func(t *testing.T) { labOnly(t, UPnP, "", "enable_natpmp=no", "enable_upnp=yes") },
	"two computers, PCP":     func(t *testing.T) { labTwo(t, "", "enable_natpmp=yes", "enable_upnp=no") },
	"two computers, NAT-PMP": func(t *testing.T) { labTwo(t, "udp dport 5351 @th,64,8 2 drop", "enable_natpmp=yes", "enable_upnp=no") },
	"two computers, UPnP":    func(t *testing.T) { labTwo(t, "", "enable_natpmp=no", "enable_upnp=yes") },
	"double NAT, private":    func(t *testing.T) { labDouble(t, "192.168.77.1") },
	"double NAT, carrier":    func(t *testing.T) { labDouble(t, "100.64.3.1") },
	"no daemon":              labNothing,
	"restart, PCP":           func(t *testing.T) { labRestart(t, PCP, "enable_natpmp=yes", "enable_upnp=no") },
	"restart, UPnP":          func(t *testing.T) { labRestart(t, UPnP, "enable_natpmp=no", "enable_upnp=yes") },
	"another gateway":        labMove,
	"hangs at the end":       labHang,
	"IPv6":                   labIPv6,
}

func labAll(t *testing.T) {
	l := newLab(t, "80.100.100.1", "")
	l.daemon("enable_natpmp=yes", "enable_upnp=yes")
	m := l.mapper(nil)
	m.want(PCP)
	for q, s := range m.Status().Protocols {
		if s.Verdict != Working {
			t.Errorf("%s: %+v", q, s)
		}
	}
	if s := m.Status(); s.DoubleNAT || s.External != netip.MustParseAddr("80.100.100.1") {
		t.Errorf("status: %+v", s)
	}
	l.wantThrough("80.100.100.1")
	m.end()
	l.wantGone()
}

// labOnly has a router that speaks one protocol.
func labOnly(t *testing.T, q Protocol, drop string, config ...string) {
	l := newLab(t, "80.100.100.1", drop)
	l.daemon(config...)
	m := l.mapper(nil)
	m.want(q)
	for other, s := range m.Status().Protocols {
		if (s.Verdict == Absent) != (other != q) {
			t.Errorf("%s: %+v", other, s)
		}
	}
	l.wantThrough("80.100.100.1")
	m.end()
	l.wantGone()
}

// labTwo has two computers with the same port in one home.
func labTwo(t *testing.T, drop string, config ...string) {
	l := newLab(t, "80.100.100.1", drop)
	l.daemon(config...)
	l.run("ip addr add 10.1.0.3/24 dev l0")
	first := l.mapper(nil)
	first.until(func(s Status) bool { return len(s.Mappings) == 2 })
	second := l.mapper(func(o *Mapper) {
		o.opts.Gateway = func() (netip.Addr, netip.Addr, error) {
			return netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.3"), nil
		}
	})
	s := second.until(func(s Status) bool { return len(s.Mappings) == 2 })
	for _, m := range s.Mappings {
		if m.External.Port() == testPort || !strings.Contains(l.rules(), fmt.Sprintf("dport %d dnat ip to 10.1.0.3:%d", m.External.Port(), testPort)) {
			t.Errorf("%+v in\n%s", m, l.rules())
		}
	}
	second.end()
	l.wantThrough("80.100.100.1") // the first is not harmed
	first.end()
	l.wantGone()
}

// labDouble has a router that is itself behind a NAT.
func labDouble(t *testing.T, wan string) {
	l := newLab(t, wan, "")
	l.daemon("enable_natpmp=yes", "enable_upnp=yes")
	m := l.mapper(nil)
	s := m.until(func(s Status) bool { return s.DoubleNAT && s.Protocols[PCP].Verdict == Refused })
	if len(s.Mappings) != 0 || s.Protocols[PCP].Verdict != Refused || s.Protocols[NATPMP].Verdict != Refused {
		t.Errorf("status: %+v", s)
	}
	if s.External != netip.MustParseAddr(wan) {
		t.Errorf("outside address %s", s.External)
	}
	if last := s.Why[len(s.Why)-1]; !strings.HasPrefix(last, "Double NAT: ") {
		t.Errorf("why: %q", s.Why)
	}
	m.end()
}

func labNothing(t *testing.T) {
	l := newLab(t, "80.100.100.1", "")
	begin := time.Now()
	m := l.mapper(nil)
	s := m.until(func(s Status) bool { return s.Protocols[UPnP].Verdict == Absent })
	if took := time.Since(begin); took > 3500*time.Millisecond {
		t.Errorf("found out after %s", took)
	}
	if s.Protocols[PCP].Verdict != Absent || s.Protocols[NATPMP].Verdict != Absent || s.DoubleNAT {
		t.Errorf("status: %+v", s)
	}
	m.end()
}

// labRestart has a router that is restarted and has forgotten everything. With
// NAT-PMP and PCP it says so; with UPnP it is asked.
func labRestart(t *testing.T, protocol Protocol, config ...string) {
	l := newLab(t, "80.100.100.1", "")
	stop := l.daemon(config...)
	m := l.mapper(func(m *Mapper) {
		if protocol == UPnP {
			m.times.check = time.Second
		}
		m.times.gap = 2 * time.Second
	})
	m.want(protocol)
	time.Sleep(3 * time.Second) // the router's clock has to be seen going back
	stop()
	l.flush()
	l.wantGone()
	l.daemon(config...)
	begin := time.Now()
	for !l.mapped() {
		if time.Since(begin) > 40*time.Second { // each time that it cannot be asked it waits longer
			t.Fatalf("not mapped again: %+v\n%s", m.Status(), l.rules())
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("mapped again after %s", time.Since(begin).Round(100*time.Millisecond))
	l.wantThrough("80.100.100.1")
	m.end()
	l.wantGone()
}

func labMove(t *testing.T) {
	l := newLab(t, "80.100.100.1", "")
	l.daemon("enable_natpmp=yes", "enable_upnp=yes")
	m := l.mapper(func(m *Mapper) { m.times.look = 100 * time.Millisecond })
	m.want(PCP)
	l.run("ip route del default")
	s := m.until(func(s Status) bool { return !s.Gateway.IsValid() })
	if len(s.Mappings) != 0 || s.External.IsValid() {
		t.Errorf("without a route: %+v", s)
	}
	l.run("ip route add default via 10.1.0.1")
	m.want(PCP)
	m.end()
	l.wantGone()
}

// labHang has a router that hangs: it does not keep the program from ending.
func labHang(t *testing.T) {
	l := newLab(t, "80.100.100.1", "")
	l.daemon("enable_natpmp=yes", "enable_upnp=yes")
	m := l.mapper(nil)
	m.want(PCP)
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	m.end()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended after %s", took)
	}
	if err := l.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// labIPv6 opens a firewall.
func labIPv6(t *testing.T) {
	l := newLab(t, "80.100.100.1", "")
	l.run("ip addr add 2a01:4f8:1::2/64 dev l0 nodad; ip -n nat addr add 2a01:4f8:1::1/64 dev l1 nodad; " +
		"ip -n nat addr add 2a01:4f8:2::1/64 dev w0 nodad; ip netns exec nat sysctl -qw net.ipv6.conf.all.forwarding=1; " +
		"ip -6 route add default via 2a01:4f8:1::1")
	l.daemon("enable_natpmp=yes", "enable_upnp=no")
	m := l.mapper(func(m *Mapper) { m.opts.Gateway = Gateway6 })
	s := m.until(func(s Status) bool { return len(s.Mappings) == 2 })
	if s.Mappings[0].External.String() != fmt.Sprintf("[2a01:4f8:1::2]:%d", testPort) || s.DoubleNAT {
		t.Errorf("status: %+v", s)
	}
	open := func() bool {
		return strings.Contains(l.output("ip netns exec nat nft list chain inet filter miniupnpd"), fmt.Sprintf("dport %d", testPort))
	}
	if !open() {
		t.Errorf("not open:\n%s", l.output("ip netns exec nat nft list table inet filter"))
	}
	m.end()
	if open() {
		t.Errorf("still open:\n%s", l.output("ip netns exec nat nft list table inet filter"))
	}
}

// skipLab skips the test where it cannot run, with the reason.
func skipLab(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes ten seconds")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, tool := range []string{"unshare", "ip", "ss", "nft", "miniupnpd", "bash", "timeout", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (apt-get install iproute2 nftables miniupnpd-nftables procps)", tool)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", "-m", "-n", "true").CombinedOutput(); err != nil {
		t.Skipf("network namespaces are not permitted here: %v: %s", err, out)
	}
}

// enterLab starts a case in namespaces of its own, and returns what waits for it.
func enterLab(t *testing.T, name string) func(*testing.T) {
	cmd := exec.CommandContext(t.Context(), "unshare", "-m", "-n", os.Args[0], "-test.run=^TestMiniupnpd$", "-test.v", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), inLab+"="+name)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) {
		if err := cmd.Wait(); err != nil {
			t.Errorf("in the lab: %v\n%s", err, out.String())
		}
	}
}

type lab struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string
}

// newLab builds the three namespaces. wan is the router's outside address; drop is
// a rule for what the router does not hear.
func newLab(t *testing.T, wan, drop string) *lab {
	l := &lab{t: t, dir: t.TempDir()}
	outside := netip.MustParseAddr(wan).Next()
	if err := os.WriteFile(filepath.Join(l.dir, "rules"), []byte(`
table inet filter {
 chain incoming { type filter hook input priority 0; policy accept;
  `+drop+`
 }
 chain forward { type filter hook forward priority 0; policy drop; iifname "l1" accept; ct state established,related accept; jump miniupnpd;
 }
 chain miniupnpd { }
 chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd;
 }
 chain postrouting { type nat hook postrouting priority 100; policy accept; oifname "w0" masquerade; jump postrouting_miniupnpd;
 }
 chain prerouting_miniupnpd { }
 chain postrouting_miniupnpd { }
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	l.run(`mountpoint -q /run/netns || { mount -t tmpfs none /run; mkdir -p /run/netns; }
ip link set lo up
for n in nat wan; do ip netns add $n; ip -n $n link set lo up; done
ip link add l0 type veth peer name l1 netns nat
ip link add w0 netns nat type veth peer name w1 netns wan
ip addr add 10.1.0.2/24 dev l0; ip link set l0 up
ip -n nat addr add 10.1.0.1/24 dev l1; ip -n nat link set l1 up
ip -n nat addr add ` + wan + `/24 dev w0; ip -n nat link set w0 up
ip -n wan addr add ` + outside.String() + `/24 dev w1; ip -n wan link set w1 up
ip route add default via 10.1.0.1
ip netns exec nat sysctl -qw net.ipv4.ip_forward=1
ip -n nat route add 224.0.0.0/4 dev l1
ip netns exec nat nft -f ` + filepath.Join(l.dir, "rules"))
	t.Cleanup(func() {
		l.run("ip link del l0; ip netns del nat; ip netns del wan")
	})
	return l
}

func (l *lab) output(script string) string {
	l.t.Helper()
	out, err := exec.CommandContext(context.Background(), "bash", "-ec", script).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func (l *lab) run(script string) { l.t.Helper(); l.output(script) }

// daemon starts miniupnpd in the router and returns how to end it.
func (l *lab) daemon(config ...string) (stop func()) {
	l.t.Helper()
	text := strings.Join(append(config, "ext_ifname=w0", "listening_ip=l1", "secure_mode=yes",
		"uuid=11111111-2222-3333-4444-555555555555", "http_port=0", "upnp_forward_chain=miniupnpd",
		"upnp_nat_chain=prerouting_miniupnpd", "upnp_nat_postrouting_chain=postrouting_miniupnpd",
		"allow 1024-65535 0.0.0.0/0 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535", ""), "\n")
	name := filepath.Join(l.dir, "conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), "ip", "netns", "exec", "nat", "miniupnpd", "-d", "-f", name, "-P", filepath.Join(l.dir, "pid"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.cmd = cmd
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Kill() // it leaves its rules: a router that crashed
		_ = cmd.Wait()
		if l.t.Failed() {
			l.t.Logf("miniupnpd:\n%s", out.String()[max(0, out.Len()-4000):])
		}
	}
	l.t.Cleanup(stop)
	ports := map[string]string{"enable_natpmp=yes": ":5351 ", "enable_upnp=yes": ":1900 "}
	for range 100 {
		s := l.output("ip netns exec nat ss -lnu")
		missing := func(o string) bool { return ports[o] != "" && !strings.Contains(s, ports[o]) }
		if !slices.ContainsFunc(config, missing) {
			return stop
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.t.Fatal("miniupnpd does not listen")
	return nil
}

func (l *lab) rules() string {
	return l.output("ip netns exec nat nft list chain inet filter prerouting_miniupnpd")
}

func (l *lab) flush() {
	l.run("for c in miniupnpd prerouting_miniupnpd postrouting_miniupnpd; do ip netns exec nat nft flush chain inet filter $c; done")
}

// mapped reports whether the router forwards UDP and TCP.
func (l *lab) mapped() bool {
	return strings.Count(l.rules(), fmt.Sprintf("dport %d dnat ip to 10.1.0.2:%d", testPort, testPort)) == 2
}

func (l *lab) wantGone() {
	l.t.Helper()
	if s := l.rules(); strings.Contains(s, "dnat") {
		l.t.Errorf("a mapping is left:\n%s", s)
	}
}

// wantThrough sends from outside and wants it to arrive.
func (l *lab) wantThrough(wan string) {
	l.t.Helper()
	if !l.mapped() {
		l.t.Fatalf("not mapped:\n%s", l.rules())
	}
	u, err := net.ListenUDP("udp4", &net.UDPAddr{Port: testPort})
	if err != nil {
		l.t.Fatal(err)
	}
	defer u.Close()
	c, err := net.ListenTCP("tcp4", &net.TCPAddr{Port: testPort})
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	for _, d := range []interface{ SetDeadline(time.Time) error }{u, c} {
		if err := d.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, proto := range transports {
		l.run(fmt.Sprintf("ip netns exec wan timeout 5 bash -c 'echo hello > /dev/%s/%s/%d'", proto, wan, testPort))
	}
	b := make([]byte, 16)
	if n, from, err := u.ReadFrom(b); err != nil || string(b[:n]) != "hello\n" {
		l.t.Errorf("UDP: %q from %v: %v", b[:n], from, err)
	}
	conn, err := c.Accept()
	if err != nil {
		l.t.Errorf("TCP: %v", err)
		return
	}
	defer conn.Close()
	if b, err := io.ReadAll(conn); err != nil || string(b) != "hello\n" {
		l.t.Errorf("TCP: %q: %v", b, err)
	}
}

func (l *lab) mapper(change func(*Mapper)) *runningMapper {
	m := New(Options{Port: testPort})
	if change != nil {
		change(m)
	}
	return runMapper(l.t, m)
}
