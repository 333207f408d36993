package swarm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// content is what is here of a seed: the pieces, and the file that they are in. What is whole has
// all of them.
type content struct {
	seed seed.Seed // with the values of its pieces
	at   place     // of a seed that is whole

	// mu guards all following fields.
	mu    sync.Mutex
	have  *picker.Bitmap
	count int            // of have
	came  []int32        // pieces of have in the order in which they were written; what is in it never changes
	busy  map[int]bool   // of a download: pieces that are being written
	sound *picker.Bitmap // of what is whole: pieces that were verified since the file was changed last
	state fileState      // for which sound holds
	file  *os.File       // nil: not open
	users int            // of file, and one as long as it is a download's
	// opening is closed when the file was opened, or was not; nil: nobody opens it.
	opening chan struct{}
	turned  chan struct{} // closed, and another one, when there is more than before, or gone is set
	gone    error         // why nothing is served any more
}

// fileState is by what a change of a file is noticed.
type fileState struct {
	size     int64
	modified time.Time
}

func (f fileState) same(o fileState) bool { return f.size == o.size && f.modified.Equal(o.modified) }

// newWhole is a file that is whole.
func newWhole(s seed.Seed, at place) *content {
	c := &content{seed: s, at: at, have: picker.NewBitmap(s.Count()), sound: picker.NewBitmap(s.Count()), turned: make(chan struct{})}
	c.have.SetRange(0, s.Count()-1)
	c.count = s.Count()
	return c
}

// newPartial is a download into a file, of which pieces are there.
func newPartial(s seed.Seed, f *os.File, have *picker.Bitmap) *content {
	return &content{seed: s, file: f, users: 1, have: have, count: have.Count(), busy: map[int]bool{}, turned: make(chan struct{})}
}

// enter lets somebody read the file until leave. Who asks what is here does not wait for the disk.
func (c *content) enter() error {
	c.mu.Lock()
	for c.opening != nil {
		opening := c.opening
		c.mu.Unlock()
		<-opening
		c.mu.Lock()
	}
	if c.gone != nil || c.file != nil {
		defer c.mu.Unlock()
		if c.gone == nil {
			c.users++
		}
		return c.gone
	}
	opening := make(chan struct{})
	c.opening = opening
	at := c.at
	c.mu.Unlock()
	f, _, err := at.open()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opening = nil
	close(opening)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrUnusable) {
		err = fmt.Errorf("%w: %w", errChanged, err)
	}
	if err != nil {
		return fmt.Errorf("swarm: %s: %w", at.path(), err)
	}
	c.file = f
	c.users++
	return nil
}

func (c *content) leave() {
	c.mu.Lock()
	var last *os.File
	if c.users--; c.users == 0 {
		last, c.file = c.file, nil
	}
	c.mu.Unlock()
	if last != nil {
		_ = last.Close() // what a download wrote was synced before it left
	}
}

// errChanged: the file is not any more what was verified.
var errChanged = errors.New("the file is not what was shared any more")

// read reads piece i, which is there, into buf, and returns it. Of a file that is not a download's,
// which a person can change, it is verified first. Errors: errChanged.
func (c *content) read(i int, buf []byte) ([]byte, error) {
	offset, n := c.seed.Extent(i)
	buf = buf[:n]
	c.mu.Lock()
	f, gone, own := c.file, c.gone, c.sound == nil
	c.mu.Unlock()
	if gone != nil {
		return nil, gone
	}
	if own {
		if _, err := f.ReadAt(buf, offset); err != nil {
			return nil, err
		}
		return buf, nil
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if now := (fileState{st.Size(), st.ModTime()}); c.doubt(now) {
		if now.size != c.seed.Size {
			return nil, fmt.Errorf("%w: it has %d bytes, not %d", errChanged, now.size, c.seed.Size)
		}
	}
	if _, err := f.ReadAt(buf, offset); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", errChanged, err)
	} else if err != nil {
		return nil, err // of the disk: that says nothing of the file
	}
	// What was changed between the look at the file and the read is not what was verified.
	after, err := f.Stat()
	if err != nil {
		return nil, err
	}
	now := fileState{after.Size(), after.ModTime()}
	if !c.doubt(now) && c.isSound(i) {
		return buf, nil
	}
	if !c.seed.Verify(i, buf) {
		return nil, fmt.Errorf("%w: piece %d is another one", errChanged, i)
	}
	c.mu.Lock()
	if c.state.same(now) {
		c.sound.Set(i)
	}
	c.mu.Unlock()
	return buf, nil
}

// doubt notes the state of the file, and reports whether it is another one than before: then
// nothing of it is known any more.
func (c *content) doubt(now fileState) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.same(now) {
		return false
	}
	c.state, c.sound = now, picker.NewBitmap(c.seed.Count())
	return true
}

func (c *content) isSound(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sound.Has(i)
}

// has reports whether a piece is there.
func (c *content) has(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.have.Has(i)
}

// write writes a piece that was verified, unless it is there or being written: when all pieces are there, nothing
// is written any more, for then the file is somebody else's, too.
func (c *content) write(i int, data []byte) error {
	c.mu.Lock()
	if c.have.Has(i) || c.busy[i] {
		c.mu.Unlock()
		return nil
	}
	c.busy[i] = true
	f := c.file
	c.mu.Unlock()
	offset, _ := c.seed.Extent(i)
	_, err := f.WriteAt(data, offset)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, i)
	if err != nil {
		return err
	}
	c.have.Set(i)
	c.count++
	c.came = append(c.came, int32(i))
	c.turn()
	return nil
}

// turn tells those who wait. c.mu is held.
func (c *content) turn() {
	close(c.turned)
	c.turned = make(chan struct{})
}

// end lets nobody have anything more, for a reason.
func (c *content) end(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil {
		c.gone = why
		c.turn()
	}
}

// held returns which pieces are there, and up to where came has them.
func (c *content) held() (have *picker.Bitmap, came int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.have.Clone(), len(c.came)
}

// since returns which pieces have come since came had some length, and what is closed when that changes. It costs as much
// as has changed, however many pieces there are.
func (c *content) since(came int) (pieces []int32, turned <-chan struct{}, gone error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.came[came:len(c.came):len(c.came)], c.turned, c.gone
}

// number returns how many pieces are there.
func (c *content) number() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// complete makes of a download what is whole, at its place.
func (c *content) complete(at place, state fileState) {
	c.mu.Lock()
	c.at, c.state = at, state
	c.sound = picker.NewBitmap(c.seed.Count())
	c.sound.SetRange(0, c.seed.Count()-1)
	c.turn()
	c.mu.Unlock()
	c.leave()
}
