//go:build linux

package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// disk is an ext4 in a file, mounted by a loop device.
type disk struct {
	t       *testing.T
	image   string
	at      string
	mounted bool
}

// newDisk makes and mounts a disk. It skips the test where that is not possible.
func newDisk(t *testing.T, dir, name string, mib int64) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(dir, name+".img"), at: filepath.Join(dir, name)}
	if os.Getuid() != 0 {
		t.Skip("only root can mount disks")
	}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(mib<<20), f.Close(), os.Mkdir(d.at, 0o755)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", d.image).CombinedOutput(); err != nil {
		t.Skipf("there is no mkfs.ext4 here: %v %s", err, out)
	}
	if err := d.tryMount(); err != nil {
		t.Skipf("loop devices cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if d.mounted {
			if err := d.unmount(10 * time.Second); err != nil {
				t.Error(err, unix.Unmount(d.at, unix.MNT_DETACH))
			}
		}
	})
	// Nobody's, and in the way where the disk is the folder.
	if err := os.Remove(filepath.Join(d.at, "lost+found")); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) tryMount() error {
	out, err := exec.Command("mount", "-o", "loop", d.image, d.at).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount %s: %w: %s", d.at, err, strings.TrimSpace(string(out)))
	}
	d.mounted = true
	return nil
}

func (d *disk) mount() {
	d.t.Helper()
	if err := d.tryMount(); err != nil {
		d.t.Fatal(err)
	}
}

// unmount tries until nobody uses the disk any more.
func (d *disk) unmount(limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Unmount(d.at, 0)
		if err == nil {
			d.mounted = false
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(end) {
			return fmt.Errorf("unmount %s: %w", d.at, err)
		}
	}
}

// Of FS_IOC_SHUTDOWN, which ext4, xfs and btrfs have: nothing reaches the disk from
// now on, and what is only in the journal's memory is lost too.
const (
	fsIocShutdown = 0x8004587D
	noLogFlush    = 2
)

// cut takes the power from the disk.
func (d *disk) cut() {
	d.t.Helper()
	f, err := os.Open(d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), fsIocShutdown, noLogFlush); err != nil {
		d.t.Fatalf("shut down %s: %v", d.at, err)
	}
}

// replay mounts the disk again after a cut, with what its journal has.
func (d *disk) replay() {
	d.t.Helper()
	if err := d.unmount(10 * time.Second); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}

// fill writes a file that leaves so many bytes free, and returns its path.
func (d *disk) fill(leave int64) string {
	d.t.Helper()
	path := filepath.Join(d.at, "ballast")
	f, err := os.Create(path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(d.at, &st); err != nil {
			d.t.Fatal(err)
		}
		left := int64(st.Bavail)*st.Bsize - leave
		if left <= 0 {
			break
		}
		n, err := f.Write(block[:min(int64(len(block)), left)])
		if errors.Is(err, syscall.ENOSPC) || n == 0 {
			break
		}
		if err := errors.Join(err, f.Sync()); err != nil {
			d.t.Fatal(err)
		}
	}
	return path
}
