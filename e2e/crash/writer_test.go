//go:build linux

package crash

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// writer is a person at work in the folder of one node. What it takes away it reads
// first where nobody else can change it, so that it knows what it has destroyed.
type writer struct {
	t      *testing.T
	node   int
	root   string
	grave  string // beside the folder, on the same file system
	r      *rand.Rand
	oracle *oracle
	sync   bool // what is written is durable
	small  bool // no large files
	filled bool // no empty contents
	n      int
}

func (w *world) writer(node int, r *rand.Rand) *writer {
	w.t.Helper()
	grave := filepath.Join(filepath.Dir(w.roots[node]), "grave")
	if err := os.MkdirAll(grave, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return &writer{t: w.t, node: node, root: w.roots[node], grave: grave, r: rand.New(rand.NewPCG(r.Uint64(), r.Uint64())), oracle: w.oracle}
}

// work does n things.
func (w *writer) work(n int) {
	w.t.Helper()
	for range n {
		if err := w.act(); err != nil && !passes(err) {
			w.t.Errorf("the writer on %c: %v", 'A'+w.node, err) // not of the test's goroutine
			return
		}
	}
}

// passes: names come and go while the nodes work, and are looked for again later.
func passes(err error) bool {
	for _, e := range []error{fs.ErrNotExist, fs.ErrExist, syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// act does one thing.
func (w *writer) act() error {
	switch x := w.r.IntN(100); {
	case x < 34:
		return w.create(w.name())
	case x < 46:
		return w.edit(w.file())
	case x < 60:
		return w.save(w.file())
	case x < 72:
		return w.remove(w.file())
	case x < 80:
		return w.rename(w.file(), w.name())
	case x < 84:
		return w.rename(w.dir(), w.dirName())
	case x < 86:
		return w.remove(w.dir())
	case x < 92:
		return w.chmod(w.file())
	}
	return os.Mkdir(w.abs(w.dirName()), 0o755)
}

func (w *writer) abs(path string) string { return filepath.Join(w.root, filepath.FromSlash(path)) }

// name makes a path that may be free, in a directory that is there: the names are few,
// so that both writers take the same ones.
func (w *writer) name() string {
	return strings.TrimPrefix(w.some(true)+fmt.Sprintf("/f%02d.txt", w.r.IntN(40)), "/")
}

func (w *writer) dirName() string {
	in := w.some(true)
	if strings.Count(in, "/") > 2 {
		in = ""
	}
	return strings.TrimPrefix(in+fmt.Sprintf("/d%d", w.r.IntN(6)), "/")
}

func (w *writer) file() string { return w.pick(false) }
func (w *writer) dir() string  { return w.pick(true) }

// some picks a directory or, as often, the folder itself.
func (w *writer) some(dirs bool) string {
	if w.r.IntN(3) == 0 {
		return ""
	}
	return w.pick(dirs)
}

// pick walks down at random to a file or a directory; "" if there is none on the way.
func (w *writer) pick(dir bool) string {
	at := ""
	for {
		list, err := os.ReadDir(w.abs(at))
		if err != nil {
			return ""
		}
		var names []fs.DirEntry
		for _, d := range list {
			if d.Name() != ".shoal" && d.Name() != "lost+found" && (d.IsDir() || !dir) {
				names = append(names, d)
			}
		}
		if len(names) == 0 {
			return at
		}
		d := names[w.r.IntN(len(names))]
		at = strings.TrimPrefix(at+"/"+d.Name(), "/")
		if !d.IsDir() || dir && w.r.IntN(2) == 0 {
			return at
		}
	}
}

// content makes bytes that nobody else has.
func (w *writer) content() []byte {
	size := 0
	switch x := w.r.IntN(100); {
	case x < 6 && !w.filled:
	case x < 70:
		size = 16 + w.r.IntN(500)
	case x < 94 || w.small:
		size = 1<<10 + w.r.IntN(64<<10)
	default:
		size = w.r.IntN(3 << 20)
	}
	b := make([]byte, size)
	for i := 0; i < len(b); i += 8 {
		v := w.r.Uint64()
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(v >> (8 * (j - i)))
		}
	}
	return b
}

// fill writes b into f, which is at path, and notes it if it is still there then: the
// node can have moved it away, with what is written into it.
func (w *writer) fill(f *os.File, path string, b []byte) error {
	_, err := f.Write(b)
	if err == nil && w.sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return nil
}

func (w *writer) create(path string) error {
	f, err := os.OpenFile(w.abs(path), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	b := w.content()
	if err := w.fill(f, path, b); err != nil {
		return err
	}
	return w.note(path, b)
}

// note tells the oracle of a content, if it is at path.
func (w *writer) note(path string, b []byte) error {
	if w.sync {
		d, err := os.Open(filepath.Dir(w.abs(path)))
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	if sameBytes(w.abs(path), b) {
		w.oracle.wrote(w.node, path, hashOf(b))
	}
	return nil
}

// edit changes a part of a file in its place.
func (w *writer) edit(path string) error {
	f, err := os.OpenFile(w.abs(path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w.oracle.destroyed(w.node, hashOf(b))
	part := w.content()
	part = part[:min(len(part), 4096)]
	at := 0
	if len(b) > 0 {
		at = w.r.IntN(len(b))
	}
	if _, err := f.Seek(int64(at), io.SeekStart); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := w.fill(f, path, part); err != nil {
		return err
	}
	after := append(append([]byte{}, b[:at]...), part...)
	if len(after) < len(b) {
		after = append(after, b[len(after):]...)
	}
	return w.note(path, after)
}

// save replaces a file as editors do: a new one, synced, gets the old one's name.
func (w *writer) save(path string) error {
	if path == "" {
		return nil
	}
	w.n++
	temp := fmt.Sprintf("%s~%c%d", path, 'A'+w.node, w.n)
	f, err := os.OpenFile(w.abs(temp), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	b := w.content()
	if err := w.fill(f, temp, b); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, w.abs(temp), unix.AT_FDCWD, w.abs(path), unix.RENAME_EXCHANGE); err != nil {
		return errors.Join(w.remove(temp), err)
	}
	return errors.Join(w.remove(temp), w.note(path, b))
}

// remove takes away a file, or a directory with all that is in it.
func (w *writer) remove(path string) error {
	if path == "" {
		return nil
	}
	w.n++
	grave := filepath.Join(w.grave, fmt.Sprint(w.n))
	if err := os.Rename(w.abs(path), grave); err != nil {
		return err
	}
	return w.bury(grave)
}

// bury notes what is destroyed, and destroys it.
func (w *writer) bury(grave string) error {
	items, err := tree(grave)
	if err != nil {
		return err
	}
	info, err := os.Lstat(grave)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		b, err := os.ReadFile(grave)
		if err != nil {
			return err
		}
		w.oracle.destroyed(w.node, hashOf(b))
	}
	for _, it := range items {
		if it.hash != "" {
			w.oracle.destroyed(w.node, it.hash)
		}
	}
	return os.RemoveAll(grave)
}

func (w *writer) rename(from, to string) error {
	if from == "" || to == "" {
		return nil
	}
	return unix.Renameat2(unix.AT_FDCWD, w.abs(from), unix.AT_FDCWD, w.abs(to), unix.RENAME_NOREPLACE)
}

func (w *writer) chmod(path string) error {
	return os.Chmod(w.abs(path), []fs.FileMode{0o644, 0o600, 0o755, 0o640}[w.r.IntN(4)])
}

// cluster makes the few files that contend is about.
func (w *writer) cluster() error {
	if err := os.Mkdir(w.abs("hot"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for i := range 4 {
		if err := w.create(fmt.Sprintf("hot/%d", i)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// change does something to one file: it is made, edited, replaced or deleted.
func (w *writer) change(path string) error {
	if _, err := os.Lstat(w.abs(path)); err != nil {
		return w.create(path)
	}
	switch w.r.IntN(4) {
	case 0:
		return w.remove(path)
	case 1:
		return w.save(path)
	}
	return w.edit(path)
}
