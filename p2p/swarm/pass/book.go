package pass

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Limits of passes.
const (
	DefaultExpiry = 24 * time.Hour
	MaxExpiry     = 365 * 24 * time.Hour
	MaxUses       = 40

	maxPasses = 1000
	// keepOver is how long a pass is remembered after its end, so that people see what became of it.
	keepOver = 7 * 24 * time.Hour
)

// Here is where a node is, as a pass says it.
type Here struct {
	Network p2p.ID
	Host    p2p.Contact
	Relays  []p2p.Contact
}

// Options of a Book.
type Options struct {
	Store Store // nil: memory
	// Here returns where this node is now; not ok: it may let nobody in.
	Here func() (h Here, ok bool)
	// Came, unless nil, is told of each node that a pass has let in for the first time, and Over of each that a
	// pass does not let in any more though its time is not over.
	Came   func(i Info, guest p2p.ID)
	Over   func(guest p2p.ID)
	Rand   io.Reader // nil: crypto/rand.Reader
	Now    func() time.Time
	Logger *slog.Logger
}

// Book has the passes that a node has made. All methods may be used by several goroutines at once.
type Book struct {
	o Options

	mu  sync.Mutex // guards all following fields, and is held while the store writes
	all map[ID]*Row
}

// Open opens the passes of a node.
func Open(ctx context.Context, o Options) (*Book, error) {
	if o.Store == nil {
		o.Store = &Memory{}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Book{o: o, all: map[ID]*Row{}}
	rows, err := o.Store.Passes(ctx)
	if err != nil {
		return nil, fmt.Errorf("pass: %w", err)
	}
	for _, r := range rows {
		b.all[r.ID] = &r
	}
	return b, nil
}

// Info describes a pass to the one who made it.
type Info struct {
	ID               ID
	Seed             seed.ID
	Created, Expires time.Time
	MaxUses          int
	Uses             []Use
	Ended            bool // withdrawn, or this node is in another network now
}

func (r *Row) info(network p2p.ID) Info {
	return Info{
		ID: r.ID, Seed: r.Seed, Created: r.Created, Expires: r.Expires, MaxUses: r.MaxUses, Uses: slices.Clone(r.Uses),
		Ended: r.Ended || r.Network != network,
	}
}

// MakeOptions say what a pass is good for.
type MakeOptions struct {
	Expires time.Duration // from now, at least a second; zero: DefaultExpiry
	Uses    int           // how many nodes it lets in, at most MaxUses; zero: 1
}

// Make puts a new pass for a seed that this node has into the link to it. The caller answers for that the node
// has the seed. Errors: ErrMalformed (options), seed.ErrLegacy, ErrRefused (this node is in no
// network), ErrFull.
func (b *Book) Make(ctx context.Context, l seed.Link, o MakeOptions) (seed.Link, Info, error) {
	fail := func(err error) (seed.Link, Info, error) {
		return seed.Link{}, Info{}, fmt.Errorf("pass: for %s: %w", l.Name, err)
	}
	o.Expires, o.Uses = cmp.Or(o.Expires, DefaultExpiry), cmp.Or(o.Uses, 1)
	switch {
	case o.Expires < time.Second || o.Expires > MaxExpiry || o.Uses < 1 || o.Uses > MaxUses:
		return fail(fmt.Errorf("%s, %d uses: %w", o.Expires, o.Uses, ErrMalformed))
	case l.Legacy:
		return fail(fmt.Errorf("a link alone does not say what it is: %w", seed.ErrLegacy))
	}
	here, ok := b.o.Here()
	if !ok {
		return fail(ErrRefused)
	}
	now := b.o.Now().UTC().Truncate(time.Second)
	r := &Row{Seed: l.ID, Network: here.Network, MaxUses: o.Uses, Created: now, Expires: now.Add(o.Expires).Truncate(time.Second)}
	for _, random := range [][]byte{r.ID[:], r.Secret[:]} {
		if _, err := io.ReadFull(b.o.Rand, random); err != nil {
			return fail(err)
		}
	}
	link, err := (Pass{ID: r.ID, Secret: r.Secret, Network: here.Network, Host: here.Host, Relays: here.Relays, Expires: r.Expires}).Into(l)
	if err != nil {
		return fail(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.tidy(ctx, now); err != nil {
		return fail(err)
	}
	if len(b.all) >= maxPasses {
		return fail(ErrFull)
	}
	if err := b.o.Store.SavePass(ctx, *r); err != nil {
		return fail(err)
	}
	b.all[r.ID] = r
	return link, r.info(here.Network), nil
}

// tidy forgets passes that were over long ago. b.mu is held.
func (b *Book) tidy(ctx context.Context, now time.Time) error {
	return b.drop(ctx, func(r *Row) bool { return now.After(r.Expires.Add(keepOver)) })
}

// drop forgets the passes for which over is true. b.mu is held.
func (b *Book) drop(ctx context.Context, over func(*Row) bool) error {
	var ids []ID
	for id, r := range b.all {
		if over(r) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := b.o.Store.DropPasses(ctx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		delete(b.all, id)
	}
	return nil
}

// List describes the passes for a seed, newest first.
func (b *Book) List(id seed.ID) []Info {
	here, _ := b.o.Here()
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Info
	for _, r := range b.all {
		if r.Seed == id {
			out = append(out, r.info(here.Network))
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		return cmp.Or(b.Created.Compare(a.Created), slices.Compare(a.ID[:], b.ID[:]))
	})
	return out
}

// Withdraw ends a pass for a seed: nobody is let in by it any more, and who is here leaves. Errors: ErrUnknown.
func (b *Book) Withdraw(ctx context.Context, of seed.ID, id ID) error {
	guests, err := b.withdraw(ctx, of, id)
	if err != nil {
		return fmt.Errorf("pass: withdraw %s: %w", id, err)
	}
	b.leave(guests)
	return nil
}

func (b *Book) withdraw(ctx context.Context, of seed.ID, id ID) ([]Use, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.all[id]
	if r == nil || r.Seed != of {
		return nil, ErrUnknown
	}
	if r.Ended {
		return nil, nil
	}
	ended := *r
	ended.Ended = true
	if err := b.o.Store.SavePass(ctx, ended); err != nil {
		return nil, err
	}
	r.Ended = true
	return r.Uses, nil
}

func (b *Book) leave(guests []Use) {
	if b.o.Over == nil {
		return
	}
	for _, u := range guests {
		b.o.Over(u.Guest)
	}
}

// Forget forgets all passes for a seed.
func (b *Book) Forget(ctx context.Context, id seed.ID) error {
	b.mu.Lock()
	var guests []Use
	for _, r := range b.all {
		if r.Seed == id {
			guests = append(guests, r.Uses...)
		}
	}
	err := b.drop(ctx, func(r *Row) bool { return r.Seed == id })
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("pass: forget those for %s: %w", id.Short(), err)
	}
	b.leave(guests)
	return nil
}

// Admit answers at the door: nil for the holder of a live pass, that is for the first keys that prove to know its
// secret. A key is let in only after it was made durable that the pass is its. Errors: ErrExpired, ErrRefused.
func (b *Book) Admit(k p2p.Knock) error {
	here, ok := b.o.Here()
	guest := p2p.IDOf(k.From)
	if !ok || k.Network != here.Network {
		return fmt.Errorf("pass: knock of %s: %w", guest.Short(), ErrRefused)
	}
	i, fresh, err := b.admit(k, guest)
	if err != nil {
		return fmt.Errorf("pass: knock of %s: %w", guest.Short(), err)
	}
	if fresh && b.o.Came != nil {
		b.o.Came(i, guest)
	}
	return nil
}

func (b *Book) admit(k p2p.Knock, guest p2p.ID) (i Info, fresh bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.all[k.Invite]
	var secret Secret
	if r != nil {
		secret = r.Secret
	}
	// For a pass that does not exist a MAC is computed too, so that time tells nothing.
	secretKey := key(k.Network, k.Invite, secret)
	mac := hmac.New(sha256.New, secretKey[:])
	mac.Write(k.Message)
	if !hmac.Equal(mac.Sum(nil), k.MAC) || r == nil {
		return Info{}, false, fmt.Errorf("unknown, or a wrong proof: %w", ErrRefused)
	}
	now := b.o.Now()
	if err := r.live(now, k.Network); err != nil || r.used(guest) {
		return Info{}, false, err
	}
	if len(r.Uses) >= r.MaxUses {
		return Info{}, false, fmt.Errorf("%w: used up", ErrRefused)
	}
	u := Use{Guest: guest, At: now.UTC().Truncate(time.Second)}
	if err := b.o.Store.UsePass(context.Background(), r.ID, u); err != nil {
		return Info{}, false, errors.Join(ErrRefused, err)
	}
	r.Uses = append(r.Uses, u)
	return r.info(k.Network), true, nil
}

func (r *Row) used(guest p2p.ID) bool {
	return slices.ContainsFunc(r.Uses, func(u Use) bool { return u.Guest == guest })
}

// live says why a pass is of no use: nil if it is.
func (r *Row) live(now time.Time, network p2p.ID) error {
	switch {
	case !now.Before(r.Expires):
		return ErrExpired
	case r.Ended || r.Network != network:
		return fmt.Errorf("%w: withdrawn", ErrRefused)
	}
	return nil
}

// Has reports whether there is, or was, a pass of this ID.
func (b *Book) Has(id ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[id] != nil
}

// Grants returns what a node that was let in may have: seeds, each until a time. Empty: nothing, or not any more.
func (b *Book) Grants(guest p2p.ID) map[seed.ID]time.Time {
	here, ok := b.o.Here()
	b.mu.Lock()
	defer b.mu.Unlock()
	var out map[seed.ID]time.Time
	for _, r := range b.all {
		if !ok || r.live(b.o.Now(), here.Network) != nil || !r.used(guest) || out[r.Seed].After(r.Expires) {
			continue
		}
		if out == nil {
			out = map[seed.ID]time.Time{}
		}
		out[r.Seed] = r.Expires
	}
	return out
}
