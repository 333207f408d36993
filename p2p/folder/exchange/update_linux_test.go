package exchange

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What is empty takes no room, wherever in a file it is.
func TestUpdateHoles(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	text := strings.Repeat("\x00", 10<<20) + noise(1, 1<<20) + strings.Repeat("\x00", 10<<20) + "the end" + strings.Repeat("\x00", 5<<20)
	a.write("disk.img", text)
	b.await("the file", b.has("disk.img", text))
	info, err := os.Stat(filepath.Join(b.dir, "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Blocks*512 > 4<<20 {
		t.Errorf("1 MiB and zeros take %d bytes", st.Blocks*512)
	}
}

// Where the disk can share blocks, of an image that is edited in place only the edits are
// written.
func TestUpdateClones(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	text := noise(2, 64<<20)
	a.write("disk.img", text)
	b.await("the file", b.has("disk.img", text))
	probe, err := os.Create(filepath.Join(t.TempDir(), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	from, err := os.Open(filepath.Join(b.dir, "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if err := unix.IoctlFileClone(int(probe.Fd()), int(from.Fd())); err != nil {
		t.Skipf("the disk of %s does not share blocks: %v", t.TempDir(), err)
	}
	if err := probe.Truncate(0); err != nil {
		t.Fatal(err)
	}
	free := func() uint64 {
		unix.Sync()
		var st unix.Statfs_t
		if err := unix.Statfs(b.dir, &st); err != nil {
			t.Fatal(err)
		}
		return st.Bfree * uint64(st.Bsize)
	}
	edited := []byte(text)
	copy(edited[20<<20:], "an edit")
	copy(edited[50<<20:], "another")
	f, err := os.OpenFile(filepath.Join(a.dir, "disk.img"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := free()
	for _, at := range []int64{20 << 20, 50 << 20} {
		if _, err := f.WriteAt(edited[at:at+7], at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b.await("the new version", b.has("disk.img", string(edited)))
	if after := free(); after+(16<<20) < before {
		t.Errorf("two edits of a few bytes take %d bytes of the disk", before-after)
	}
}
