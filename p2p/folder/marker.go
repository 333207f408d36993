package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// marker is the file in a folder that holds its ID.
const (
	markerDir  = reserved
	markerFile = "id"
)

// errNoMarker: a directory that is no folder, or not the one that was added.
var errNoMarker = errors.New("no marker")

// marker reads the ID of the folder from its marker. Errors: errNoMarker.
func (t *tree) marker() (string, error) {
	at, err := t.enter(t.root, markerDir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoMarker, err)
	}
	defer at.Close() // nothing was written
	f, _, err := openFile(at, markerFile)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoMarker, err)
	}
	defer f.Close() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(b))
	if !IsID(id) {
		return "", fmt.Errorf("%w: %s does not hold an ID", errNoMarker, markerDir+"/"+markerFile)
	}
	return id, nil
}

// mark writes the marker, in the place of any other, so that after a crash there
// is the old one, the new one, or none.
func (t *tree) mark(id string) error {
	if err := t.root.Mkdir(markerDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	at, err := t.enter(t.root, markerDir)
	if err != nil {
		return err
	}
	defer at.Close() // what was written is synced below
	const fresh = markerFile + ".new"
	if err := at.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := at.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(id + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return at.Rename(fresh, markerFile)
}

// readOnly reports that a directory cannot be written by this process.
func readOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// openRecord opens the directory of r if it is there and is the one that was
// added. Errors: ErrUnavailable with what a person can do. device is that of the
// last time in this run, or 0.
func openRecord(r Record, device uint64) (*tree, error) {
	t, err := openTree(r.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s does not exist. If its disk is not connected, connect it", ErrUnavailable, r.Path)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := r.check(t, device); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// check reports whether t is the directory that r is about.
func (r Record) check(t *tree, device uint64) error {
	if !r.Marked {
		// Without a marker, the directory is known by its inode, and while the
		// program runs by its device, whose number may be another after a restart.
		if t.stat.inode != r.Inode || device != 0 && t.stat.device != device {
			return fmt.Errorf("%w: %s is another directory than the one that was added. If its disk is not connected, connect it; else remove the folder and add it again", ErrUnavailable, r.Path)
		}
		return nil
	}
	id, err := t.marker()
	if err == nil && id != r.ID {
		err = fmt.Errorf("it is that of folder %s", id)
	}
	if err != nil {
		return fmt.Errorf("%w: %s has not its marker %s/%s (%w). If its disk is not connected, connect it; else remove the folder and add it again", ErrUnavailable, r.Path, markerDir, markerFile, err)
	}
	return nil
}
