package portmap

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// router is a gateway on loopback sockets, as honest as its fields.
type router struct {
	t     *testing.T
	ports ports

	mu       sync.Mutex // guards what follows
	born     time.Time
	external [4]byte
	lifetime uint32 // 0xdeadbeef: what is asked for
	port     func(uint16) uint16
	mangle   func([]byte) []byte // of answers of NAT-PMP and PCP; nil: none. Returning nil: silence
	location string              // of the device; "": its own
	serve    http.HandlerFunc    // instead of the device; nil: itself
	entries  map[string]string   // UPnP's, "UDP 4747" to "address:port"
	pmp      map[string]bool     // NAT-PMP's and PCP's, "17 4747"
	faults   map[string]int      // of actions
	leases   []string            // that AddPortMapping asked for
	requests atomic.Int64        // of HTTP
}

const asAsked = 0xdeadbeef

var loopback = netip.MustParseAddr("127.0.0.1")

// newRouter serves all protocols, after the change.
func newRouter(t *testing.T, change func(*router)) *router {
	r := &router{
		t: t, born: time.Now().Add(-time.Hour), external: [4]byte{80, 100, 100, 1}, lifetime: asAsked,
		port: func(p uint16) uint16 { return p }, entries: map[string]string{}, pmp: map[string]bool{}, faults: map[string]int{},
	}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.location = "http://" + web.Addr().String() + "/root.xml"
	if change != nil {
		change(r)
	}
	srv := &http.Server{Handler: http.HandlerFunc(r.handle)}
	go srv.Serve(web)
	t.Cleanup(func() { srv.Close() })
	r.ports.pmp = r.udp(func(b []byte) [][]byte { return [][]byte{r.answer(b)} }).Port()
	r.ports.ssdp = r.udp(func(b []byte) [][]byte { return r.search(b) })
	r.ports.patience = 300 * time.Millisecond
	return r
}

func (r *router) udp(answer func([]byte) [][]byte) netip.AddrPort {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			r.mu.Lock()
			for _, a := range answer(b[:n]) {
				if a != nil {
					_, _ = conn.WriteToUDPAddrPort(a, from)
				}
			}
			r.mu.Unlock()
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// answer speaks NAT-PMP and PCP.
func (r *router) answer(b []byte) []byte {
	epoch := uint32(time.Since(r.born) / time.Second)
	var out []byte
	switch {
	case len(b) < 2 || b[1]&0x80 != 0:
		return nil
	case b[0] == 0 && b[1] == 0:
		out = append(binary.BigEndian.AppendUint32([]byte{0, 128, 0, 0}, epoch), r.external[:]...)
	case b[0] == 0:
		life := r.grant(map[byte]byte{1: 17, 2: 6}[b[1]], binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint32(b[8:]))
		out = binary.BigEndian.AppendUint32([]byte{0, 128 + b[1], 0, 0}, epoch)
		out = append(out, b[4:6]...)
		out = binary.BigEndian.AppendUint16(out, r.port(binary.BigEndian.Uint16(b[6:])))
		out = binary.BigEndian.AppendUint32(out, life)
	case b[1] == pcpAnnounce:
		out = append([]byte{2, 0x80, 0, 0, 0, 0, 0, 0}, make([]byte, 16)...)
		binary.BigEndian.PutUint32(out[8:], epoch)
	default:
		life := r.grant(b[36], binary.BigEndian.Uint16(b[40:]), binary.BigEndian.Uint32(b[4:]))
		out = append([]byte{}, b...)
		out[1] |= 0x80
		clear(out[12:24])
		binary.BigEndian.PutUint32(out[4:], life)
		binary.BigEndian.PutUint32(out[8:], epoch)
		binary.BigEndian.PutUint16(out[42:], r.port(binary.BigEndian.Uint16(b[42:])))
		a := netip.AddrFrom4(r.external).As16()
		copy(out[44:], a[:])
	}
	if r.mangle != nil {
		out = r.mangle(out)
	}
	return out
}

func (r *router) grant(proto byte, internal uint16, life uint32) uint32 {
	key := fmt.Sprint(proto, " ", internal)
	if life == 0 {
		delete(r.pmp, key)
		return 0
	}
	r.pmp[key] = true
	if r.lifetime != asAsked {
		return r.lifetime
	}
	return life
}

func (r *router) search(b []byte) [][]byte {
	if !strings.HasPrefix(string(b), "M-SEARCH * HTTP/1.1\r\n") || r.location == "" {
		return nil
	}
	return [][]byte{fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nST: %s\r\nLOCATION: %s\r\n\r\n", searchTargets[0], r.location)}
}

// handle is the device.
func (r *router) handle(w http.ResponseWriter, req *http.Request) {
	r.requests.Add(1)
	r.mu.Lock()
	serve := r.serve
	r.mu.Unlock()
	if serve != nil {
		serve(w, req)
		return
	}
	r.device(w, req)
}

func (r *router) device(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == "/root.xml" {
		fmt.Fprintf(w, description, "", "/ip")
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
	}
	_, action, _ := strings.Cut(strings.Trim(req.Header.Get("SOAPAction"), `"`), "#")
	// A call is read as its answer is: the element has another name.
	args, err := decodeCall([]byte(strings.ReplaceAll(string(body), "u:"+action, "u:"+action+"Response")), action)
	if err != nil {
		r.t.Errorf("%s: %v\n%s", action, err, body)
	}
	key := args["NewProtocol"] + " " + args["NewExternalPort"]
	out, code := "", r.faults[action]
	switch action {
	case "GetExternalIPAddress":
		out = "<NewExternalIPAddress>" + netip.AddrFrom4(r.external).String() + "</NewExternalIPAddress>"
	case "GetSpecificPortMappingEntry":
		if e, ok := r.entries[key]; !ok {
			code = 714
		} else {
			host, port, _ := strings.Cut(e, ":")
			out = "<NewInternalPort>" + port + "</NewInternalPort><NewInternalClient>" + host + "</NewInternalClient>"
		}
	case "AddPortMapping":
		r.leases = append(r.leases, args["NewLeaseDuration"])
		if code == 725 && args["NewLeaseDuration"] == "0" {
			code = 0
		}
		if code == 0 {
			r.entries[key] = args["NewInternalClient"] + ":" + args["NewInternalPort"]
		}
	case "DeletePortMapping":
		delete(r.entries, key)
	}
	if code != 0 {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "<s:Envelope><s:Body><s:Fault><errorCode>%d</errorCode></s:Fault></s:Body></s:Envelope>", code)
		return
	}
	fmt.Fprintf(w, "<s:Envelope><s:Body><u:%sResponse>%s</u:%[1]sResponse></s:Body></s:Envelope>", action, out)
}

// set changes the router.
func (r *router) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// mapper returns a Mapper in a hurry that has r for its gateway.
func (r *router) mapper(o Options) *Mapper {
	o.Port = 4747
	o.Gateway = func() (netip.Addr, netip.Addr, error) { return loopback, loopback, nil }
	m := New(o)
	m.times.probe, m.times.call, m.times.leave = 600*time.Millisecond, 600*time.Millisecond, 600*time.Millisecond
	m.times.check, m.times.gap = 200*time.Millisecond, 100*time.Millisecond
	m.times.retry, m.times.slowest = 200*time.Millisecond, time.Second
	m.clients = func(s side) [len(protocols)]client { return newClients(s, r.ports) }
	m.listen = func(ctx context.Context, _ side, _ func()) { <-ctx.Done() }
	return m
}

// silence are answers that never come.
func silence([]byte) []byte { return nil }

// mute makes one of the versions silent.
func mute(version byte) func([]byte) []byte {
	return func(b []byte) []byte {
		if b[0] == version {
			return nil
		}
		return b
	}
}

func (r *router) wantEmpty() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pmp)+len(r.entries) != 0 {
		r.t.Errorf("left at the router: %v %v", r.pmp, r.entries)
	}
}

func TestHonestRouter(t *testing.T) {
	for q, change := range map[Protocol]func(*router){
		PCP:    func(*router) {},
		NATPMP: func(r *router) { r.mangle = mute(2) },
		UPnP:   func(r *router) { r.mangle = silence },
	} {
		t.Run(string(q), func(t *testing.T) {
			t.Parallel()
			r := newRouter(t, change)
			m := runMapper(t, r.mapper(Options{}))
			m.want(q)
			if s := m.Status(); s.External != netip.AddrFrom4(r.external) || s.Protocols[UPnP].Verdict != Working {
				t.Errorf("%+v", s)
			}
			m.end()
			r.wantEmpty()
		})
	}
}

// Each lie is refused with a sentence, and what was granted is given back.
func TestLyingRouter(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*router)
		why    string
	}{
		"0.0.0.0":       {func(r *router) { r.external = [4]byte{} }, "no outside address"},
		"loopback":      {func(r *router) { r.external = [4]byte{127, 0, 0, 1} }, "127.0.0.1 as its outside address, which cannot be"},
		"multicast":     {func(r *router) { r.external = [4]byte{239, 1, 1, 1} }, "239.1.1.1 as its outside address, which cannot be"},
		"broadcast":     {func(r *router) { r.external = [4]byte{255, 255, 255, 255} }, "which cannot be"},
		"no lifetime":   {func(r *router) { r.lifetime = 0 }, "for no time at all"},
		"port 0":        {func(r *router) { r.port = func(uint16) uint16 { return 0 } }, "port 0"},
		"another nonce": {func(r *router) { r.mangle = flip(2, 30) }, "not when it is asked to map"},
		"another inside port": {func(r *router) {
			r.mangle = func(b []byte) []byte {
				if b[0] == 2 {
					return flip(2, 40)(b)
				}
				return flip(0, 8)(b)
			}
		}, "not when it is asked to map"},
		"noise": {func(r *router) { r.mangle = func(b []byte) []byte { return b[:1] } }, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouter(t, func(r *router) {
				r.faults["GetExternalIPAddress"] = 501 // PCP and NAT-PMP alone
				c.change(r)
			})
			m := runMapper(t, r.mapper(Options{}))
			s := m.until(func(s Status) bool {
				return s.Protocols[UPnP].Verdict == Refused && s.Protocols[PCP].Verdict != Working && (s.Protocols[NATPMP].Verdict != Working || len(s.Mappings) > 0)
			})
			if !strings.Contains(s.Protocols[PCP].Why, c.why) {
				t.Errorf("PCP: %+v", s.Protocols[PCP])
			}
			if name != "another nonce" && (len(s.Mappings) != 0 || s.External.IsValid()) {
				t.Errorf("believed: %+v", s)
			}
			if !strings.HasPrefix(name, "another") {
				r.wantEmpty() // at once
			}
			m.end()
			r.wantEmpty()
		})
	}
}

// flip changes the byte at i of long answers of the version, after which the answer
// belongs to another question.
func flip(version byte, i int) func([]byte) []byte {
	return func(b []byte) []byte {
		if b[0] == version && len(b) > i && b[1] != 128 {
			b[i] ^= 0xff
		}
		return b
	}
}

// What is odd but possible is accepted, and said.
func TestOddRouter(t *testing.T) {
	t.Run("136 years", func(t *testing.T) {
		t.Parallel()
		r := newRouter(t, func(r *router) { r.lifetime = 1<<32 - 1 })
		m := runMapper(t, r.mapper(Options{}))
		m.want(PCP)
		if left := time.Until(m.Status().Mappings[0].Expires); left > time.Hour {
			t.Errorf("believed for %s", left)
		}
	})
	t.Run("another port", func(t *testing.T) {
		t.Parallel()
		r := newRouter(t, func(r *router) { r.port = func(p uint16) uint16 { return p + 1 } })
		m := runMapper(t, r.mapper(Options{}))
		s := m.until(func(s Status) bool { return len(s.Mappings) == 2 })
		if s.Mappings[0].External.Port() != 4748 || !strings.Contains(strings.Join(s.Why, "\n"), "the UDP port is 4748 instead of 4747") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("double NAT", func(t *testing.T) {
		t.Parallel()
		r := newRouter(t, func(r *router) { r.external = [4]byte{100, 64, 1, 2} })
		m := runMapper(t, r.mapper(Options{}))
		s := m.until(func(s Status) bool { return len(s.Mappings) == 2 })
		if !s.DoubleNAT || !strings.HasPrefix(s.Why[len(s.Why)-1], "Double NAT: the router's own outside address 100.64.1.2") {
			t.Errorf("%+v", s)
		}
	})
}

// A restarted router is noticed by its clock, and the mapping is had again.
func TestRestartedRouter(t *testing.T) {
	t.Parallel()
	r := newRouter(t, nil)
	m := runMapper(t, r.mapper(Options{}))
	m.want(PCP)
	r.set(func() {
		r.born = time.Now()
		clear(r.pmp)
	})
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		n := len(r.pmp)
		r.mu.Unlock()
		if n == 2 {
			break
		}
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("not mapped again: the router has %d: %+v", n, m.Status())
		}
	}
	m.end()
	r.wantEmpty()
}

// newUPnP returns a router with UPnP alone.
func newUPnP(t *testing.T, change func(*router)) *router {
	r := newRouter(t, change)
	r.ports.pmp = 9 // discard: nobody listens, and no other test's router ever will
	return r
}

func TestPermanentLeases(t *testing.T) {
	t.Parallel()
	r := newUPnP(t, func(r *router) { r.faults["AddPortMapping"] = 725 })
	m := runMapper(t, r.mapper(Options{}))
	s := m.until(func(s Status) bool { return len(s.Mappings) == 2 })
	if !s.Mappings[0].Expires.IsZero() || !strings.Contains(strings.Join(s.Why, "\n"), "stays until it is removed") {
		t.Errorf("%+v", s)
	}
	r.mu.Lock()
	if len(r.leases) != 4 || strings.Count(strings.Join(r.leases, " "), "3600") != 2 {
		t.Errorf("asked for %v seconds", r.leases)
	}
	r.mu.Unlock()
	m.end()
	r.wantEmpty()
}

// The port of another computer is left alone, even by a router that would let it be
// taken.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	r := newUPnP(t, func(r *router) { r.entries["UDP 4747"], r.entries["TCP 4747"] = "127.0.0.9:4747", "127.0.0.1:80" })
	m := runMapper(t, r.mapper(Options{}))
	s := m.until(func(s Status) bool { return len(s.Mappings) == 2 })
	for _, x := range s.Mappings {
		if p := x.External.Port(); p == 4747 || p < 1024 {
			t.Errorf("%+v", x)
		}
	}
	m.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) != 2 || r.entries["UDP 4747"] != "127.0.0.9:4747" || r.entries["TCP 4747"] != "127.0.0.1:80" {
		t.Errorf("left: %v", r.entries)
	}
}

// Somebody removes the mapping in the router's settings.
func TestRemovedByHand(t *testing.T) {
	t.Parallel()
	r := newUPnP(t, nil)
	m := runMapper(t, r.mapper(Options{}))
	m.want(UPnP)
	r.set(func() { clear(r.entries) })
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		n := len(r.entries)
		r.mu.Unlock()
		if n == 2 {
			return
		}
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("not mapped again: %+v", m.Status())
		}
	}
}

// Devices that refuse, hang, lie, or send the reader elsewhere: all end in time,
// with a sentence, without a mapping.
func TestHostileDevice(t *testing.T) {
	var elsewhere atomic.Int64
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })}
	go srv.Serve(trap)
	t.Cleanup(func() { srv.Close() })
	_, port, _ := net.SplitHostPort(trap.Addr().String())
	away := "http://localhost:" + port + "/"

	control := func(r *router, url string) {
		r.serve = func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/root.xml" {
				fmt.Fprintf(w, "<root><service><serviceType>%s</serviceType><controlURL>%s</controlURL></service></root>", serviceTypes[1], url)
				return
			}
			r.device(w, req)
		}
	}
	for name, c := range map[string]struct {
		change  func(*router)
		verdict Verdict
		why     string
	}{
		"location by name":     {func(r *router) { r.location = away }, Absent, "no device answers"},
		"location of another":  {func(r *router) { r.location = "http://127.0.0.2:" + port + "/" }, Absent, "no device answers"},
		"location with a user": {func(r *router) { r.location = strings.Replace(r.location, "http://", "http://u@", 1) }, Absent, "no device answers"},
		"redirect": {func(r *router) {
			r.serve = func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, away, http.StatusFound) }
		}, Absent, "status 302"},
		"redirected call": {func(r *router) {
			r.serve = func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodPost {
					http.Redirect(w, req, away, http.StatusTemporaryRedirect)
					return
				}
				r.device(w, req)
			}
		}, Absent, "status 307"},
		"controlled elsewhere": {func(r *router) { control(r, away) }, Absent, "a URL without an IP address"},
		"controlled at 127.9":  {func(r *router) { control(r, "http://127.9.9.9:"+port) }, Absent, "sends to 127.9.9.9"},
		"not a gateway":        {func(r *router) { r.serve = text("<root><device></device></root>") }, Absent, "does not map ports"},
		"not XML":              {func(r *router) { r.serve = text("<root>hello") }, Absent, "not XML"},
		"too long":             {func(r *router) { r.serve = text("<root>" + strings.Repeat("<a></a>", maxBody/7)) }, Absent, "more than 128 KiB"},
		"deep":                 {func(r *router) { r.serve = text(strings.Repeat("<a>", 1000)) }, Absent, "nested too deep"},
		"hangs": {func(r *router) {
			r.serve = func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
		}, Absent, "does not answer"},
		"trickles": {func(r *router) {
			r.serve = func(w http.ResponseWriter, req *http.Request) {
				for req.Context().Err() == nil {
					_, _ = w.Write([]byte("<a>"))
					_ = http.NewResponseController(w).Flush()
					time.Sleep(20 * time.Millisecond)
				}
			}
		}, Absent, "does not answer to the end"},
		"long header": {func(r *router) {
			r.serve = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }
		}, Absent, "cannot be asked"},
		"hangs when mapping": {func(r *router) {
			r.serve = func(w http.ResponseWriter, req *http.Request) {
				if strings.HasSuffix(req.Header.Get("SOAPAction"), `#AddPortMapping"`) {
					_, _ = io.Copy(io.Discard, req.Body)
					<-req.Context().Done()
					return
				}
				r.device(w, req)
			}
		}, Refused, "not when it is asked to map"},
		"maps nothing": {func(r *router) {
			r.serve = func(w http.ResponseWriter, req *http.Request) {
				if strings.HasSuffix(req.Header.Get("SOAPAction"), `#AddPortMapping"`) {
					text("<u:AddPortMappingResponse/>")(w, req)
					return
				}
				r.device(w, req)
			}
		}, Refused, "says that it maps the port, and does not"},
		"not allowed":     {func(r *router) { r.faults["AddPortMapping"] = 606 }, Refused, "does not allow it"},
		"all ports taken": {func(r *router) { r.faults["AddPortMapping"] = 718 }, Refused, "the outside port is taken"},
		"no address":      {func(r *router) { r.external = [4]byte{} }, Refused, "no outside address"},
		"impossible":      {func(r *router) { r.external = [4]byte{127, 0, 0, 1} }, Refused, "which cannot be"},
		"no address at all": {func(r *router) {
			r.serve = func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodPost {
					text("<u:GetExternalIPAddressResponse><NewExternalIPAddress>&lt;script&gt;</NewExternalIPAddress></u:GetExternalIPAddressResponse>")(w, req)
					return
				}
				r.device(w, req)
			}
		}, Refused, "something as its outside address that is none"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUPnP(t, c.change)
			t.Parallel()
			run := runMapper(t, r.mapper(Options{}))
			begin := time.Now()
			s := run.until(func(s Status) bool {
				v := s.Protocols[UPnP].Verdict
				return v == Absent || v == Refused || len(s.Mappings) > 0
			})
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
			if got := s.Protocols[UPnP]; got.Verdict != c.verdict || !strings.Contains(got.Why, c.why) || len(s.Mappings) != 0 {
				t.Errorf("%+v", s)
			}
			run.end()
			r.wantEmpty()
			if n := elsewhere.Load(); n != 0 {
				t.Errorf("%d requests elsewhere", n)
			}
		})
	}
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(s)))
		_, _ = io.WriteString(w, s)
	}
}

// A flood of answers to the search is read up to a bound.
func TestSearchFlood(t *testing.T) {
	t.Parallel()
	r := newUPnP(t, nil)
	r.ports.ssdp = r.udp(func([]byte) [][]byte {
		var out [][]byte
		for i := range 500 {
			out = append(out, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nST: %s\r\nLOCATION: http://127.0.0.1:%d/\r\n\r\n", "upnp:rootdevice", 1000+i))
		}
		return out
	})
	m := runMapper(t, r.mapper(Options{}))
	s := m.until(func(s Status) bool { return s.Protocols[UPnP].Verdict == Absent })
	if r.requests.Load() != 0 {
		t.Errorf("fetched: %+v", s)
	}
}

// Of all that a router answers, only what came from where it was asked counts.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	r := newRouter(t, func(r *router) { r.location = "" })
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	honest := r.udp(func([]byte) [][]byte { return nil }) // answers by another socket only
	r.ports.pmp = honest.Port()
	m := r.mapper(Options{})
	m.clients = func(s side) [len(protocols)]client {
		c := newClients(s, r.ports)
		go func() {
			// Sprays answers over all ports that a client may have.
			for port := 30000; port < 61000; port++ {
				_, _ = other.WriteToUDPAddrPort([]byte{0, 128, 0, 0, 0, 0, 0, 1, 80, 1, 1, 1}, netip.AddrPortFrom(loopback, uint16(port)))
			}
		}()
		return c
	}
	s := runMapper(t, m).until(func(s Status) bool { return s.Protocols[NATPMP].Verdict != Unknown })
	if s.Protocols[NATPMP].Verdict != Absent || s.External.IsValid() {
		t.Errorf("%+v", s)
	}
}

// A router that answers something else, again and again, is given up.
func TestStrayAnswers(t *testing.T) {
	t.Parallel()
	r := newRouter(t, nil)
	var asked atomic.Int64
	at := r.udp(func([]byte) [][]byte {
		asked.Add(1)
		return slices.Repeat([][]byte{{1, 2, 3}}, 2*maxStray)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	begin := time.Now()
	err := ask(ctx, loopback, at, encodeNATPMPAddress(), func([]byte) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "answers something else") || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %s and %d questions", err, time.Since(begin), asked.Load())
	}
}
