//go:build !linux && !darwin && !freebsd

package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// keepOpen: an open directory cannot be renamed on every system.
const keepOpen = 0

// openFlags: here openRegular's comparison must do.
const openFlags = 0

// metaFlags open a file to set its mode and time.
const metaFlags = os.O_RDWR

// setMode leaves directories as they are: here their modes mean nothing.
func setMode(f *os.File, info fs.FileInfo, mode fs.FileMode) error {
	if info.IsDir() {
		return nil
	}
	return f.Chmod(mode)
}

func statOf(fs.FileInfo) system { return system{} }

func isMountPoint(*os.File) bool { return false }

func isInTheWay(error) bool { return false }

func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }

func renameNoReplace(_, _ spot) error { return errors.ErrUnsupported }

func exchange(_, _ spot) error { return errors.ErrUnsupported }

// common returns the folder's os.Root, to which both paths belong.
func common(s spot) *os.Root {
	d := s.dir
	for d.up != nil {
		d = d.up
	}
	return d.root
}

// full returns the path of s from the folder.
func full(s spot) string {
	path := s.name
	for d := s.dir; d.up != nil; d = d.up {
		path = d.name + "/" + path
	}
	return path
}

func rename(a, b spot) error { return common(a).Rename(full(a), full(b)) }

func link(a, b spot) error { return common(a).Link(full(a), full(b)) }

func rmdir(d *dir, name string) error {
	info, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: it is not a directory", ErrInTheWay)
	}
	return d.root.Remove(name)
}

func unlink(d *dir, name string) error {
	info, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%w: it is a directory", ErrInTheWay)
	}
	return d.root.Remove(name)
}

// syncDir: such systems write names on their own.
func syncDir(*os.File) error { return nil }

func syncAll(*os.File) error { return errors.ErrUnsupported }

func clone(_, _ *os.File) error { return errors.ErrUnsupported }
