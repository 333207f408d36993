package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Open implements FS.
func (r *Root) Open(path string) (File, error) {
	d, name, err := r.place(UseName, path)
	if err != nil {
		return nil, err
	}
	defer r.release(d)
	f, err := openRegular(d, name, os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("apply: open %s: %w", path, err)
	}
	return &rootFile{File: f, root: r}, nil
}

// Create implements FS. A file that has a second name is refused: what is written
// would show there.
func (r *Root) Create(path string) (Temp, error) {
	d, name, err := r.place(UseOwn, path)
	if err != nil {
		return nil, err
	}
	defer r.release(d)
	// O_EXCL follows no link, and makes what it opens.
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		f, err = openAgain(d, name)
	}
	if err != nil {
		return nil, fmt.Errorf("apply: create %s: %w", path, err)
	}
	if err := onlyName(f); err != nil {
		return nil, fmt.Errorf("apply: create %s: %w", path, errors.Join(err, f.Close()))
	}
	return &rootFile{File: f, root: r}, nil
}

// openAgain opens a file of the program for reading and writing, also one that has got
// the mode of a read-only file already.
func openAgain(d *dir, name string) (*os.File, error) {
	f, err := openRegular(d, name, os.O_RDWR)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	if f, err = openEither(d, name); err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, err
	}
	return openRegular(d, name, os.O_RDWR)
}

// openEither opens a file in the way that its mode permits, for what needs neither
// reading nor writing.
func openEither(d *dir, name string) (*os.File, error) {
	f, err := openRegular(d, name, metaFlags)
	if errors.Is(err, fs.ErrPermission) {
		f, err = openRegular(d, name, os.O_WRONLY)
	}
	return f, err
}

// SyncFile implements FS.
func (r *Root) SyncFile(path string) error {
	d, name, err := r.place(UseOwn, path)
	if err != nil {
		return err
	}
	defer r.release(d)
	f, err := openEither(d, name)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("apply: sync %s: %w", path, err)
	}
	return nil
}

func onlyName(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if links := statOf(info).links; !info.Mode().IsRegular() || links > 1 {
		return fmt.Errorf("%w: it has %d names", ErrInTheWay, links)
	}
	return nil
}

// rootFile is a File and a Temp of a Root.
type rootFile struct {
	*os.File
	root *Root
}

// Stat implements File.
func (f *rootFile) Stat() (Stat, error) {
	info, err := f.File.Stat()
	if err != nil {
		return Stat{}, err
	}
	return f.root.stat(info), nil
}

// Clone implements Temp. Errors: errors.ErrUnsupported and whatever the system says.
func (f *rootFile) Clone(of File) error {
	source, ok := of.(*rootFile)
	if !ok {
		return fmt.Errorf("apply: clone into %s: %w", f.Name(), errors.ErrUnsupported)
	}
	if err := clone(f.File, source.File); err != nil {
		return fmt.Errorf("apply: clone %s into %s: %w", source.Name(), f.Name(), err)
	}
	return nil
}

// SetMeta implements Temp.
func (f *rootFile) SetMeta(mode fs.FileMode, modified int64) (Stat, error) {
	return f.root.setOpen(f.File, mode, &modified)
}
