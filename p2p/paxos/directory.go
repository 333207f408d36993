package paxos

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
)

// How much of the directory one page has. Both together fill MaxData where all
// configurations are as large as can be. They are part of the protocol.
const (
	pageEntries  = 8
	pageChildren = 8
	pageDigit    = 3  // bits of which the child of a register follows
	pageDepth    = 64 // below the root; a register that is not there by then is nowhere
)

// Page is what a register of the directory has: the first configurations of some registers,
// and, once there are pageEntries of those, where the others are. Entries and children
// come and stay; only newer epochs of them are written down. It is never changed in place.
type Page struct {
	Entries  []Entry  // in the order of registers
	Children []Config // of the pages below, pageChildren of them, or none
}

// Entry is where a register is.
type Entry struct {
	Register p2p.Key
	Config   Config
}

// Place is where a page is.
type Place struct {
	Key    p2p.Key // of the page's register
	Config Config  // that was decided for it once
	digits string  // of the pages from the root to it, one byte each
	above  *Place  // of the page that leads there; nil: it is the root
}

// Path returns the digits that lead to a page from the root.
func (p Place) Path() []byte { return []byte(p.digits) }

// IsRoot reports whether it is the first page, which nothing leads to.
func (p Place) IsRoot() bool { return p.above == nil }

// Root returns the place of the first page of a network's directory, which begins with
// a configuration.
func Root(network p2p.ID, c Config) Place {
	return Place{Key: sha256.Sum256(append([]byte("shoal paxos directory\x00"), network[:]...)), Config: c}
}

// digit says which of the pages below this one has a register.
func (p Place) digit(register p2p.Key) int {
	// Who makes a register can choose its key, and not so easily the hash of it.
	hash := sha256.Sum256(append([]byte("shoal paxos directory digit\x00"), register[:]...))
	at := len(p.digits) * pageDigit
	bits := uint(hash[at/8]) << 8
	if at/8+1 < len(hash) {
		bits |= uint(hash[at/8+1])
	}
	return int(bits >> (16 - pageDigit - at%8) & (1<<pageDigit - 1))
}

// child returns the place of a page below.
func (p Place) child(digit int, c Config) Place {
	text := append([]byte("shoal paxos directory page\x00"), p.Key[:]...)
	return Place{Key: sha256.Sum256(append(text, byte(digit))), Config: c, digits: p.digits + string([]byte{byte(digit)}), above: &p}
}

// Find returns the configuration that a page at a place has of a register, or the place of
// the page where it is to be looked for. Errors: ErrMalformed if the page has neither.
func (p Page) Find(at Place, register p2p.Key) (c Config, next Place, found bool, err error) {
	if i, is := p.entry(register); is {
		return p.Entries[i].Config, Place{}, true, nil
	}
	if len(p.Children) == 0 || len(at.digits) == pageDepth {
		return Config{}, Place{}, false, fmt.Errorf("%w: a page of the directory that leads nowhere", ErrMalformed)
	}
	digit := at.digit(register)
	return Config{}, at.child(digit, p.Children[digit]), false, nil
}

// entry returns where the entry of a register is, or would be.
func (p Page) entry(register p2p.Key) (int, bool) {
	return slices.BinarySearchFunc(p.Entries, register, func(e Entry, r p2p.Key) int { return e.Register.Compare(r) })
}

// errKept is the error of a transform that finds nothing to be changed.
var errKept = errors.New("nothing is to be changed")

// Enter returns the transform by which a page gets the first configuration of a register, or,
// where it is full, pages below it, which begin with the same acceptors. Where it has
// either, it stays as it is.
func Enter(register p2p.Key, initial Config) Transform {
	return func(old []byte, _ bool) ([]byte, error) {
		var p Page
		if err := p.Decode(old); err != nil {
			return nil, err
		}
		i, found := p.entry(register)
		switch {
		case found || len(p.Children) > 0:
			return nil, errKept
		case initial.Epoch != 1:
			return nil, fmt.Errorf("%w: a register begins in epoch 1, not %d", ErrMalformed, initial.Epoch)
		case len(p.Entries) < pageEntries:
			p.Entries = slices.Insert(p.Entries, i, Entry{register, initial})
		default:
			p.Children = slices.Repeat([]Config{initial}, pageChildren)
		}
		return p.Encode()
	}
}

// Advance returns the transform that writes down a newer configuration of a register, or of the
// page below that has it; at is the page's place.
func Advance(at Place, register p2p.Key, c Config) Transform {
	return func(old []byte, _ bool) ([]byte, error) {
		var p Page
		if err := p.Decode(old); err != nil {
			return nil, err
		}
		known, is := p.known(at, register)
		if !is {
			return nil, fmt.Errorf("%w: epoch %d of a register that nobody has established", ErrConfig, c.Epoch)
		}
		if known.Epoch >= c.Epoch {
			return nil, errKept
		}
		*known = c
		return p.Encode()
	}
}

// known returns the configuration that the page has of a register that has an entry, or of a
// page below.
func (p *Page) known(at Place, register p2p.Key) (*Config, bool) {
	if i, is := p.entry(register); is {
		return &p.Entries[i].Config, true
	}
	for digit := range p.Children {
		if at.child(digit, Config{}).Key == register {
			return &p.Children[digit], true
		}
	}
	return nil, false
}

// Encode returns the form in which a register has a page: the number of entries, each
// with its register and configuration, the number of children, and their configurations.
func (p Page) Encode() ([]byte, error) {
	b := []byte{byte(len(p.Entries))}
	for _, e := range p.Entries {
		c, err := e.Config.Encode()
		if err != nil {
			return nil, err
		}
		b = append(append(b, e.Register[:]...), c...)
	}
	b = append(b, byte(len(p.Children)))
	for _, child := range p.Children {
		c, err := child.Encode()
		if err != nil {
			return nil, err
		}
		b = append(b, c...)
	}
	return b, nil
}

// Decode reads that form; nothing is an empty page. Errors: ErrMalformed.
func (p *Page) Decode(b []byte) error {
	var read Page
	if len(b) == 0 {
		*p = read
		return nil
	}
	wrong := fmt.Errorf("%w: a page of the directory of %d bytes", ErrMalformed, len(b))
	config := func() (c Config, err error) {
		n, err := encodedConfig(b)
		if err == nil {
			err = c.Decode(b[:n])
		}
		if err == nil {
			b = b[n:]
		}
		return c, err
	}
	n := b[0]
	if b = b[1:]; n > pageEntries {
		return wrong
	}
	for range n {
		var e Entry
		if len(b) < len(e.Register) {
			return wrong
		}
		e.Register, b = p2p.Key(b[:len(e.Register)]), b[len(e.Register):]
		var err error
		if e.Config, err = config(); err != nil {
			return err
		}
		if last := len(read.Entries) - 1; last >= 0 && read.Entries[last].Register.Compare(e.Register) >= 0 {
			return wrong
		}
		read.Entries = append(read.Entries, e)
	}
	if len(b) == 0 || b[0] != 0 && (b[0] != pageChildren || n != pageEntries) {
		return wrong
	}
	n, b = b[0], b[1:]
	for range n {
		c, err := config()
		if err != nil {
			return err
		}
		read.Children = append(read.Children, c)
	}
	if len(b) != 0 {
		return wrong
	}
	*p = read
	return nil
}

// Directory finds the configurations of registers, in registers of its own, its pages. See
// "Who begins" in the package's description. It may be used by several goroutines at once.
type Directory struct {
	// Page opens the register of a page.
	Page func(ctx context.Context, at Place) (*Register, error)
	// Peek returns what most of those who keep a page say that they have accepted, if they all say
	// the same: it was chosen then. nil, or false: the page's register is read.
	Peek func(ctx context.Context, at Place) (data []byte, ok bool)
	// Lives says in which life somebody is who becomes an acceptor. Nil: all are in their first.
	Lives func(p2p.ID) byte

	mu   sync.Mutex // guards full
	full map[p2p.Key]Page
}

// maxPages bounds the full pages that are remembered, of about four kilobytes each.
const maxPages = 256

// Locate returns a configuration of a register with which Open can begin. If the register
// has none, its first acceptors are those of initial; of several callers with different
// ones, all get those of the same one. root is where the directory begins.
func (d *Directory) Locate(ctx context.Context, root Place, register p2p.Key, initial []p2p.ID) (Config, error) {
	c, err := newConfig(initial, d.Lives)
	if err == nil {
		_, c, err = d.walk(ctx, root, register, func(ctx context.Context, at Place) (Page, error) {
			return d.write(ctx, at, Enter(register, c))
		})
	}
	if err != nil {
		d.Forget()
		return Config{}, fmt.Errorf("paxos: locate register %x: %w", register[:6], err)
	}
	return c, nil
}

// walk follows the pages to the one with the entry of a register, each of which visit reads.
func (d *Directory) walk(ctx context.Context, root Place, register p2p.Key, visit func(context.Context, Place) (Page, error)) (Place, Config, error) {
	for at := root; ; {
		page, known := d.cached(at.Key)
		if _, entered := page.entry(register); !known || entered {
			var err error
			if page, err = visit(ctx, at); err != nil {
				return at, Config{}, err
			}
		}
		c, next, found, err := page.Find(at, register)
		if err != nil || found {
			return at, c, err
		}
		at = next
	}
}

// Decided returns a configuration of a register that is in the directory, or, where a path is
// given, of the page to which that leads. Nothing is changed. An acceptor asks so whether
// a register is its, of which it has never heard. Errors: ErrMalformed if there is no such register or page.
func (d *Directory) Decided(ctx context.Context, root Place, register p2p.Key, path []byte) (Config, error) {
	at, c := root, root.Config
	var err error
	if len(path) > 0 {
		at, err = d.follow(ctx, root, path)
		if c = at.Config; err == nil && at.Key != register {
			err = fmt.Errorf("%w: another page", ErrMalformed)
		}
	} else if register != root.Key {
		_, c, err = d.walk(ctx, root, register, d.look)
	}
	if err != nil {
		return c, fmt.Errorf("paxos: what the directory has of register %x: %w", register[:6], err)
	}
	return c, nil
}

// follow goes from page to page.
func (d *Directory) follow(ctx context.Context, at Place, path []byte) (Place, error) {
	if len(path) > pageDepth {
		return at, fmt.Errorf("%w: a path of %d pages", ErrMalformed, len(path))
	}
	for _, digit := range path {
		page, known := d.cached(at.Key)
		if !known {
			var err error
			if page, err = d.look(ctx, at); err != nil {
				return at, err
			}
		}
		if int(digit) >= len(page.Children) {
			return at, fmt.Errorf("%w: a page that is not there", ErrMalformed)
		}
		at = at.child(int(digit), page.Children[digit])
	}
	return at, nil
}

// look reads a page, from those who keep it if they agree.
func (d *Directory) look(ctx context.Context, at Place) (Page, error) {
	if d.Peek != nil {
		if data, ok := d.Peek(ctx, at); ok {
			return d.keep(at, data)
		}
	}
	return d.read(ctx, at)
}

// cached returns a page that is full: it never gets another entry, so that what is not there
// need not be looked for again.
func (d *Directory) cached(key p2p.Key) (Page, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, known := d.full[key]
	return p, known
}

// Forget drops what is remembered: those who kept a page may all be others by now.
func (d *Directory) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = nil
}

// Note writes down that a register has other acceptors, so that it is found when those
// before them are gone. Whoever has called Register.Replace does this next. If it fails,
// nothing is wrong as long as somebody of the old acceptors is left.
func (d *Directory) Note(ctx context.Context, root Place, register p2p.Key, c Config) error {
	at, _, err := d.walk(ctx, root, register, d.read)
	if err == nil {
		_, err = d.write(ctx, at, Advance(at, register, c))
	}
	if err != nil {
		return fmt.Errorf("paxos: note epoch %d of register %x: %w", c.Epoch, register[:6], err)
	}
	return nil
}

// NotePage is Note for the register of a page. Nothing is written down of the root: it is
// found by asking.
func (d *Directory) NotePage(ctx context.Context, at Place, c Config) error {
	if at.IsRoot() {
		return nil
	}
	if _, err := d.write(ctx, *at.above, Advance(*at.above, at.Key, c)); err != nil {
		return fmt.Errorf("paxos: note epoch %d of a page: %w", c.Epoch, err)
	}
	return nil
}

func (d *Directory) read(ctx context.Context, at Place) (Page, error) {
	r, err := d.Page(ctx, at)
	if err != nil {
		return Page{}, err
	}
	result, err := r.Read(ctx)
	if err != nil {
		return Page{}, err
	}
	return d.keep(at, result.Data)
}

// write makes a change that does no harm when it is made twice.
func (d *Directory) write(ctx context.Context, at Place, f Transform) (Page, error) {
	r, err := d.Page(ctx, at)
	if err != nil {
		return Page{}, err
	}
	op := NewOp()
	result, err := r.Update(ctx, &op, f)
	if err != nil && !errors.Is(err, errKept) {
		return Page{}, err
	}
	return d.keep(at, result.Data)
}

// keep reads a page and remembers it if it is full.
func (d *Directory) keep(at Place, data []byte) (p Page, err error) {
	if err := p.Decode(data); err != nil {
		return p, err
	}
	if len(p.Children) == 0 {
		return p, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full == nil || len(d.full) >= maxPages {
		d.full = map[p2p.Key]Page{}
	}
	d.full[at.Key] = p
	return p, nil
}
