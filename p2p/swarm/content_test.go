package swarm

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// wholeFile is a file that is shared, all of it verified.
func wholeFile(t *testing.T, data []byte) (*content, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := seed.Make(t.Context(), bytes.NewReader(data), int64(len(data)), "file", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newWhole(s, place{filepath.Dir(path), "file"})
	st, err := c.at.stat()
	if err != nil {
		t.Fatal(err)
	}
	c.state = fileState{st.Size(), st.ModTime()}
	c.sound.SetRange(0, s.Count()-1)
	return c, path
}

// TestReadWhileLeaving: a taker that goes while a piece is read for it does not make the file one that was changed.
func TestReadWhileLeaving(t *testing.T) {
	c, _ := wholeFile(t, noise(21, 64<<10))
	for range 300 {
		if err := c.enter(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			var err error
			for buf := make([]byte, c.seed.PieceLen); err == nil; {
				_, err = c.read(0, buf)
			}
			if errors.Is(err, errChanged) {
				t.Error(err)
			}
		})
		time.Sleep(50 * time.Microsecond)
		c.leave()
		wg.Wait()
	}
}

// TestWriteOnce: of a piece that comes twice at the same time one copy is written, and none when all are there.
func TestWriteOnce(t *testing.T) {
	data := noise(60, 4<<20)
	s, err := seed.Make(t.Context(), bytes.NewReader(data), int64(len(data)), "file", nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "part"))
	if err != nil {
		t.Fatal(err)
	}
	c := newPartial(s, f, picker.NewBitmap(s.Count()))
	var wg sync.WaitGroup
	var wrote time.Time // when all was there
	var mu sync.Mutex
	for range 4 {
		wg.Go(func() {
			for i := range s.Count() {
				offset, n := s.Extent(i)
				if err := c.write(i, data[offset:offset+int64(n)]); err != nil {
					t.Error(err)
				}
				if c.number() < s.Count() {
					continue
				}
				if st, err := f.Stat(); err == nil {
					mu.Lock()
					if !wrote.IsZero() && !st.ModTime().Equal(wrote) {
						t.Error("written to when all was there")
					}
					wrote = st.ModTime()
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	same(t, f.Name(), data)
	c.leave()
}

// counting is a stream on which it is noted what is written.
type counting struct {
	net.Conn
	got  bytes.Buffer
	most int
}

func (c *counting) Write(b []byte) (int, error) {
	c.most = max(c.most, len(b))
	return c.got.Write(b)
}

// TestWriteValues: the values of many pieces are told whole, and not copied whole for each taker.
func TestWriteValues(t *testing.T) {
	all := make([]chunk.Hash, 100_000)
	for i := range all {
		all[i][0], all[i][1], all[i][2] = byte(i), byte(i>>8), byte(i>>16)
	}
	conn := &counting{}
	tk := &taker{c: &content{seed: seed.Seed{Pieces: all}}, conn: conn, writing: make(chan struct{}, 1)}
	if err := tk.writeValues(); err != nil {
		t.Fatal(err)
	}
	if want := bytes.Join(blob(tk.c.seed.PackPieces()), nil); !bytes.Equal(conn.got.Bytes(), want) {
		t.Error("other bytes")
	}
	if conn.most > 64<<10 {
		t.Errorf("%d bytes wait at once", conn.most)
	}
}

// TestMakeDir: directories are made as far as they are missing.
func TestMakeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := makeDir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeDir(filepath.Join(dir, "file", "c"), 0o700); err == nil {
		t.Error("made in a file")
	}
}
