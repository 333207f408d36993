package lan

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	service = "_shoal._udp.local."
	// listing is the question which services there are (RFC 6763 §9).
	listing = "_services._dns-sd._udp.local."
	hosts   = ".local."
	// hostPrefix keeps the host names apart from those that computers have.
	hostPrefix = "shoal-"

	// topBit of a class is "cache flush" in an answer and "answer me alone" in a
	// question.
	topBit = 1 << 15

	// lifetime is how long what a node says is good. RFC 6762 §10 has 2 minutes for
	// addresses, because caches serve all programs of a computer; these names are of
	// interest to nodes only, for which an old address is one try in vain.
	lifetime = 75 * time.Minute

	maxPacket  = 9000 // RFC 6762 §17
	maxAddrs   = 8    // in what one node says
	maxRecords = 64   // that are looked at in one section of a message
	maxKnown   = 32   // known answers in a question: a packet of 1100 bytes
	maxVersion = 32   // bytes
)

// errNotOurs is what parse says of a message that is of no interest here. Most are.
var errNotOurs = errors.New("lan: no message about shoal")

// Tag says which network a node is in, to those who know the network.
type tag [16]byte

// tagOf makes the tag of a node of a network: HMAC-SHA256 with the network's ID as key.
func tagOf(network, node p2p.ID) (t tag) {
	h := hmac.New(sha256.New, network[:])
	h.Write([]byte("shoal lan tag 1")) // a hash takes everything
	h.Write(node[:])
	copy(t[:], h.Sum(nil))
	return t
}

// card is what a node says of itself.
type card struct {
	ID      p2p.ID
	Tag     tag
	Port    uint16
	Version string // said, not read: it is for people who look at the local network
	Addrs   []netip.Addr
	TTL     time.Duration // in whole seconds; 0 is a goodbye
}

func instance(id p2p.ID) string { return id.Short() + "." + service }
func host(id p2p.ID) string     { return hostPrefix + id.Short() + hosts }

// known is a node that a question says it knows already.
type known struct {
	ID  p2p.ID
	TTL time.Duration // what is left of it
}

// question is one that may be about this node.
type question struct {
	Name string // in lower case
	Type dnsmessage.Type
}

// message is what one packet says about shoal.
type message struct {
	Questions []question
	Known     map[string]time.Duration // of a question: instance names
	Card      card                     // of an answer
	IsAnswer  bool
}

// pack encodes what a node says, as an answer that nobody need have asked for. With
// list it also says that the service exists.
func (c card) pack(list bool) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	w := writer{b: &b, ttl: uint32(c.TTL / time.Second)}
	w.do(b.StartAnswers())
	if list {
		w.do(b.PTRResource(w.header(listing, false), dnsmessage.PTRResource{PTR: w.name(service)}))
	}
	self, at := instance(c.ID), host(c.ID)
	w.do(b.PTRResource(w.header(service, false), dnsmessage.PTRResource{PTR: w.name(self)}))
	w.do(b.SRVResource(w.header(self, true), dnsmessage.SRVResource{Port: c.Port, Target: w.name(at)}))
	w.do(b.TXTResource(w.header(self, true), dnsmessage.TXTResource{TXT: []string{
		"txtvers=1",
		"id=" + c.ID.String(),
		"net=" + hex.EncodeToString(c.Tag[:]),
		"port=" + strconv.Itoa(int(c.Port)),
		"v=" + c.Version[:min(len(c.Version), maxVersion)],
	}}))
	for _, a := range c.Addrs[:min(len(c.Addrs), maxAddrs)] {
		if a.Is4() {
			w.do(b.AResource(w.header(at, true), dnsmessage.AResource{A: a.As4()}))
		} else {
			w.do(b.AAAAResource(w.header(at, true), dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	return w.finish()
}

// packQuestion encodes the question for all nodes, or, with seek, for certain ones. It
// names those that need not answer.
func packQuestion(seek []p2p.ID, have []known) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{})
	b.EnableCompression()
	w := writer{b: &b}
	w.do(b.StartQuestions())
	if len(seek) == 0 {
		w.do(b.Question(dnsmessage.Question{Name: w.name(service), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}))
	}
	for _, id := range seek {
		w.do(b.Question(dnsmessage.Question{Name: w.name(instance(id)), Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET}))
	}
	w.do(b.StartAnswers())
	for _, k := range have[:min(len(have), maxKnown)] {
		w.ttl = uint32(k.TTL / time.Second)
		w.do(b.PTRResource(w.header(service, false), dnsmessage.PTRResource{PTR: w.name(instance(k.ID))}))
	}
	return w.finish()
}

// writer keeps the first error of many steps.
type writer struct {
	b   *dnsmessage.Builder
	ttl uint32
	err error
}

func (w *writer) do(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) name(s string) dnsmessage.Name {
	n, err := dnsmessage.NewName(s)
	w.do(err)
	return n
}

// header is that of a record; one that only this node has replaces what others
// remember of it.
func (w *writer) header(name string, only bool) dnsmessage.ResourceHeader {
	h := dnsmessage.ResourceHeader{Name: w.name(name), Class: dnsmessage.ClassINET, TTL: w.ttl}
	if only {
		h.Class |= topBit
	}
	return h
}

func (w *writer) finish() ([]byte, error) {
	var msg []byte
	if w.err == nil {
		msg, w.err = w.b.Finish()
	}
	if w.err != nil {
		return nil, fmt.Errorf("lan: message: %w", w.err)
	}
	return msg, nil
}

// concerns tells cheaply whether a packet can be about shoal: a local network can be
// full of talk about printers. Labels stand in messages as they are, and nodes write
// theirs in lower case.
func concerns(b []byte) bool {
	return len(b) <= maxPacket && (bytes.Contains(b, []byte("shoal")) || bytes.Contains(b, []byte("_dns-sd")))
}

// parse reads a packet. Whatever is wrong with it, it is not to be answered.
func parse(b []byte) (message, error) {
	if !concerns(b) {
		return message{}, errNotOurs
	}
	var p dnsmessage.Parser
	h, err := p.Start(b)
	switch {
	case err != nil:
		return message{}, fmt.Errorf("lan: message: %w", err)
	case h.OpCode != 0 || h.RCode != 0:
		return message{}, errNotOurs
	case h.Response:
		return parseAnswer(&p)
	}
	return parseQuestion(&p)
}

// parseQuestion takes what it can read: a packet may ask for other things too, whose
// names dnsmessage does not understand.
func parseQuestion(p *dnsmessage.Parser) (message, error) {
	m := message{Known: map[string]time.Duration{}}
	for range maxRecords {
		q, err := p.Question()
		if err != nil {
			break
		}
		name := strings.ToLower(q.Name.String())
		if q.Class&^topBit == dnsmessage.ClassINET && (strings.Contains(name, "shoal") || name == listing) {
			m.Questions = append(m.Questions, question{Name: name, Type: q.Type})
		}
	}
	if len(m.Questions) == 0 {
		return message{}, errNotOurs
	}
	if p.SkipAllQuestions() != nil {
		return m, nil
	}
	for range maxRecords {
		h, err := p.AnswerHeader()
		if err != nil {
			break
		}
		if h.Type != dnsmessage.TypePTR || !strings.EqualFold(h.Name.String(), service) {
			if p.SkipAnswer() != nil {
				break
			}
			continue
		}
		r, err := p.PTRResource()
		if err != nil {
			break
		}
		m.Known[strings.ToLower(r.PTR.String())] = time.Duration(h.TTL) * time.Second
	}
	return m, nil
}

// parseAnswer reads what one node says of itself: a node has a message to itself, with
// all that belongs to it.
func parseAnswer(p *dnsmessage.Parser) (message, error) {
	if err := p.SkipAllQuestions(); err != nil {
		return message{}, fmt.Errorf("lan: answer: %w", err)
	}
	var found records
	if err := found.section(p.AnswerHeader, p.SkipAnswer, p); err != nil {
		return message{}, err
	}
	if p.SkipAllAuthorities() == nil {
		if err := found.section(p.AdditionalHeader, p.SkipAdditional, p); err != nil {
			return message{}, err
		}
	}
	c, err := found.card()
	return message{IsAnswer: true, Card: c}, err
}

// records are those of an answer that can make a card.
type records struct {
	txt  *text // the first one
	srv  []located
	host []located
}

type text struct {
	name    string
	ttl     uint32
	strings []string
}

// located is a port or an address.
type located struct {
	name string
	ttl  uint32
	port uint16
	addr netip.Addr
}

// section reads one section of an answer, by the two functions that belong to it.
func (r *records) section(header func() (dnsmessage.ResourceHeader, error), skip func() error, p *dnsmessage.Parser) error {
	for range maxRecords {
		h, err := header()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err == nil {
			err = r.take(h, skip, p)
		}
		if err != nil {
			return fmt.Errorf("lan: answer: %w", err)
		}
	}
	return errNotOurs
}

func (r *records) take(h dnsmessage.ResourceHeader, skip func() error, p *dnsmessage.Parser) error {
	name := strings.ToLower(h.Name.String())
	if h.Class&^topBit != dnsmessage.ClassINET || !strings.Contains(name, "shoal") {
		return skip()
	}
	at := located{name: name, ttl: h.TTL}
	switch h.Type {
	case dnsmessage.TypeTXT:
		t, err := p.TXTResource()
		if err == nil && r.txt == nil && strings.HasSuffix(name, "."+service) {
			r.txt = &text{name: name, ttl: h.TTL, strings: t.TXT}
		}
		return err
	case dnsmessage.TypeSRV:
		s, err := p.SRVResource()
		at.port = s.Port
		r.srv = append(r.srv, at)
		return err
	case dnsmessage.TypeA:
		a, err := p.AResource()
		at.addr = netip.AddrFrom4(a.A)
		r.host = append(r.host, at)
		return err
	case dnsmessage.TypeAAAA:
		a, err := p.AAAAResource()
		at.addr = netip.AddrFrom16(a.AAAA)
		r.host = append(r.host, at)
		return err
	}
	return skip()
}

// card puts together what belongs to the node that the TXT record names.
func (r *records) card() (card, error) {
	if r.txt == nil {
		return card{}, errNotOurs
	}
	c, err := r.txt.read()
	if err != nil {
		return card{}, err
	}
	ttl := r.txt.ttl
	if !hasPort(r.srv, r.txt.name, c.Port, &ttl) {
		return card{}, fmt.Errorf("lan: answer of %s: no port, or two", c.ID.Short())
	}
	for _, a := range r.host {
		if a.name == host(c.ID) && len(c.Addrs) < maxAddrs {
			c.Addrs = append(c.Addrs, a.addr)
			ttl = min(ttl, a.ttl)
		}
	}
	c.TTL = min(time.Duration(ttl)*time.Second, lifetime)
	return c, nil
}

// hasPort reports whether an SRV record of the instance confirms the port.
func hasPort(srv []located, name string, port uint16, ttl *uint32) bool {
	for _, s := range srv {
		if s.name == name {
			*ttl = min(*ttl, s.ttl)
			return s.port == port && port != 0
		}
	}
	return false
}

// read takes from a TXT record what it says. Of a key that is there twice, the first
// counts (RFC 6763 §6.4).
func (t *text) read() (card, error) {
	values := map[string]string{}
	for _, s := range t.strings[:min(len(t.strings), maxRecords)] {
		k, v, _ := strings.Cut(s, "=")
		if k = strings.ToLower(k); values[k] == "" {
			values[k] = v
		}
	}
	if values["txtvers"] != "1" {
		return card{}, fmt.Errorf("lan: answer: TXT of version %.10q: %w", values["txtvers"], errNotOurs)
	}
	var c card
	var err error
	if c.ID, err = p2p.ParseID(values["id"]); err != nil {
		return card{}, fmt.Errorf("lan: answer: %w", err)
	}
	if t.name != instance(c.ID) {
		return card{}, fmt.Errorf("lan: answer: the instance of %s has the name %.80q", c.ID.Short(), t.name)
	}
	if len(values["net"]) != hex.EncodedLen(len(c.Tag)) {
		return card{}, fmt.Errorf("lan: answer of %s: a tag of %d characters", c.ID.Short(), len(values["net"]))
	}
	if _, err := hex.Decode(c.Tag[:], []byte(values["net"])); err != nil {
		return card{}, fmt.Errorf("lan: answer of %s: tag: %w", c.ID.Short(), err)
	}
	port, err := strconv.ParseUint(values["port"], 10, 16)
	if err != nil {
		return card{}, fmt.Errorf("lan: answer of %s: port: %w", c.ID.Short(), err)
	}
	c.Port = uint16(port)
	return c, nil
}
