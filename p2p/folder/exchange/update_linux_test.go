package exchange

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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
