//go:build linux

package lab

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Folder is one that two computers keep the same.
type Folder struct {
	ID       string
	From, To *Host
	Source   string // its directory on From
	Copy     string // and on To
}

// Share makes an empty folder on from that to keeps too.
func Share(from, to *Host) (f Folder, err error) {
	f.From, f.To = from, to
	if f.Source, err = from.lab.Dir(filepath.Join(from.Name, "folder")); err != nil {
		return f, err
	}
	if f.Copy, err = to.lab.Dir(filepath.Join(to.Name, "folder")); err != nil {
		return f, err
	}
	var made struct{ ID string }
	if err := from.Call("POST", "/api/folders", map[string]string{"path": f.Source, "label": "work"}, &made); err != nil {
		return f, err
	}
	f.ID = made.ID
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := to.Call("POST", "/api/folders", map[string]string{"id": f.ID, "path": f.Copy}, nil)
		if err == nil || time.Now().After(end) {
			return f, err
		}
	}
}

// Write puts a file with random bytes into the folder, and returns them.
func (f Folder) Write(name string, size int, seed uint64) ([]byte, error) {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	if _, err := r.Read(b); err != nil {
		return nil, err
	}
	// It appears as a whole: a scan of half a file is nothing to be tested here.
	tmp := filepath.Join(filepath.Dir(f.Source), "new")
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return nil, err
	}
	return b, os.Rename(tmp, filepath.Join(f.Source, name))
}

// Await waits until a file on the other computer holds what it should, and says how
// far it came if it does not in time.
func (f Folder) Await(name string, want []byte, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(f.Copy, name))
		if err == nil && string(b) == string(want) {
			return nil
		}
		if time.Now().Before(end) {
			continue
		}
		if err == nil {
			return fmt.Errorf("%s is there with %d other bytes", name, len(b))
		}
		return fmt.Errorf("%s not there within %v: %s", name, limit, f.progress(name))
	}
}

// Done is how much of a file the other computer says to have.
func (f Folder) Done(name string) (done int64, says string) {
	var list struct {
		Items []struct {
			Path, State, Error string
			BytesDone          int64 `json:"bytes_done"`
		}
	}
	if err := f.To.Call("GET", "/api/transfers", nil, &list); err != nil {
		return 0, err.Error()
	}
	for _, t := range list.Items {
		if t.Path == name {
			return t.BytesDone, fmt.Sprintf("transfer %s, %d bytes done %s", t.State, t.BytesDone, t.Error)
		}
	}
	return 0, "no transfer of it"
}

func (f Folder) progress(name string) string {
	_, says := f.Done(name)
	var state struct {
		State     string
		Error     string
		NeedFiles int `json:"need_files"`
	}
	if err := f.To.Call("GET", "/api/folders/"+f.ID+"?node="+url.QueryEscape(f.To.ID), nil, &state); err != nil {
		return says + "; " + err.Error()
	}
	return fmt.Sprintf("%s; folder %s, needs %d files %s", says, state.State, state.NeedFiles, state.Error)
}
