package applytest

import (
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
)

// Hooked is an FS that calls Before with the number (from 0) and the method of each
// call that looks at or changes a name, before it is made. A Before that panics is a
// process that dies there.
type Hooked struct {
	apply.FS
	Before func(n int, op string)
	Calls  int // made so far
}

func (h *Hooked) call(op string) {
	n := h.Calls
	h.Calls++
	if h.Before != nil {
		h.Before(n, op)
	}
}

// Lstat implements apply.FS, as all methods here.
func (h *Hooked) Lstat(path string) (apply.Stat, error) { h.call("Lstat"); return h.FS.Lstat(path) }

func (h *Hooked) Mkdir(path string, mode fs.FileMode) error {
	h.call("Mkdir")
	return h.FS.Mkdir(path, mode)
}

func (h *Hooked) Rmdir(path string) error { h.call("Rmdir"); return h.FS.Rmdir(path) }

func (h *Hooked) Remove(path string) error { h.call("Remove"); return h.FS.Remove(path) }

func (h *Hooked) Rename(from, to string) error { h.call("Rename"); return h.FS.Rename(from, to) }

func (h *Hooked) Exchange(a, b string) error { h.call("Exchange"); return h.FS.Exchange(a, b) }

func (h *Hooked) SetMeta(path string, mode fs.FileMode, modified int64) (apply.Stat, error) {
	h.call("SetMeta")
	return h.FS.SetMeta(path, mode, modified)
}

func (h *Hooked) SyncFile(path string) error { h.call("SyncFile"); return h.FS.SyncFile(path) }

func (h *Hooked) SyncDir(path string) error { h.call("SyncDir"); return h.FS.SyncDir(path) }
