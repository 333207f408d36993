package exchange

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder"
)

// ofDisk reports whether an error is that of a disk that is full or does not work:
// nothing of what is tried elsewhere helps.
func ofDisk(err error) bool {
	return slices.ContainsFunc([]error{errFull, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO}, func(e error) bool {
		return errors.Is(err, e)
	})
}

// errNoAccess: nobody answers this node.
var errNoAccess = errors.New("this computer may not read the folder any more, as whoever shares it has decided; what is here stays as it is")

// trouble returns what keeps the folder from getting what it needs although nothing is
// wrong with those who have it; nil if nothing does. It belongs to the runner's
// goroutine.
func (r *runner) trouble(needs bool) error {
	if !r.follows(r.s.self) {
		return errNoAccess
	}
	if r.unmerged != nil && ofDisk(r.unmerged) {
		return r.unmerged
	}
	if !needs {
		return nil
	}
	return r.fetch.trouble(time.Now())
}

// trouble returns why a content could not be written of late. One that is still needed
// is tried again, so that older reasons are none any more.
func (f *fetcher) trouble(now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.again {
		if a.disk != nil && now.Sub(a.at) < longestRetry {
			return a.disk
		}
	}
	return nil
}

// missed has the folder looked at if it is not there and nobody has noticed: a disk
// that is taken away says nothing.
func (r *runner) missed(err error) {
	if !errors.Is(err, folder.ErrUnavailable) {
		return
	}
	f, err := r.s.o.Folders.Get(r.id)
	if err != nil || f.State == folder.StateError {
		return // it is removed, or known to be away
	}
	if err := r.s.o.Folders.Scan(r.id); err != nil {
		return // it is removed
	}
}
