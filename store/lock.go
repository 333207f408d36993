package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockFile is DIR/lock. Its lock says that a node uses the directory and ends
// with the process, however that ends; its content, the process number, is
// emptied by an orderly Close and so tells the next start whether there was one.
type lockFile struct {
	f *os.File
	// unclean: the last user of the directory did not close it.
	unclean bool
}

// lock takes DIR/lock. ErrInUse names the holder; other errors say why the
// directory does not serve.
func lock(dir string) (*lockFile, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, unusable(dir, err)
	}
	if err := f.Chmod(0o600); err != nil && !errors.Is(err, fs.ErrPermission) {
		f.Close()
		return nil, unusable(dir, err)
	}
	// Advisory, per open file: it refuses a second Open in this process too.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("store: data directory %s: %w%s", dir, ErrInUse, holder(dir))
		}
		return nil, fmt.Errorf("store: data directory %s: %w: lock: %w: its file system cannot lock files, choose a local one", dir, ErrUnusable, err)
	}
	l := &lockFile{f: f}
	if st, err := f.Stat(); err == nil {
		l.unclean = st.Size() > 0
	}
	if err := l.write(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		f.Close()
		return nil, unusable(dir, err)
	}
	return l, nil
}

// write replaces the content. It is synced: an empty file after a power cut
// would claim an orderly end.
func (l *lockFile) write(text string) error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	if _, err := l.f.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return l.f.Sync()
}

// release gives the directory free. clean says that everything was closed in
// order and found sound.
func (l *lockFile) release(clean bool) error {
	var err error
	if clean {
		err = l.write("")
	}
	if err := errors.Join(err, l.f.Close()); err != nil {
		return fmt.Errorf("store: release lock: %w", err)
	}
	return nil
}

// holder says who uses dir, as far as the files there tell.
func holder(dir string) string {
	var who []string
	if pid := firstLine(filepath.Join(dir, "lock")); pid != "" {
		who = append(who, "process "+pid)
	}
	if addr := firstLine(filepath.Join(dir, "http")); addr != "" {
		who = append(who, "at "+addr)
	}
	if len(who) == 0 {
		return ""
	}
	return " (" + strings.Join(who, " ") + ")"
}

// firstLine returns the first line of a file, or "" if there is none.
func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}
